//! Points: their shapes, so that lines can be told apart without their colours, and error bars.

use plotters::prelude::*;

use super::panel::{Area, DrawResult};

/// Half the size of a marker in pixels.
const RADIUS: i32 = 4;
/// Half the width of an error bar's ends in pixels.
const CAP: i32 = 4;

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Ring,
    /// Small, for what there is much of.
    Dot,
}

impl Marker {
    /// Those that tell series apart.
    const SERIES: [Self; 6] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Diamond,
        Self::Cross,
        Self::Ring,
    ];

    /// The shape of a series that has the colour `Hue::SERIES[index % 6]`: shifted against the colours after the sixth.
    pub(super) fn of_series(index: usize) -> Self {
        let round = index / Self::SERIES.len();
        Self::SERIES[(index + round) % Self::SERIES.len()]
    }

    /// Draws it around a pixel of `area`.
    pub(super) fn draw(self, area: &Area<'_>, (x, y): (i32, i32), color: RGBColor) -> DrawResult {
        let polygon = |corners: &[(i32, i32)]| -> DrawResult {
            let corners: Vec<_> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
            area.draw(&Polygon::new(corners, color.filled()))?;
            Ok(())
        };
        let r = RADIUS;
        match self {
            Self::Circle => area.draw(&Circle::new((x, y), r, color.filled()))?,
            Self::Dot => area.draw(&Circle::new((x, y), 2, color.filled()))?,
            Self::Ring => area.draw(&Circle::new((x, y), r, color.stroke_width(2)))?,
            Self::Square => polygon(&[(-r, -r), (r, -r), (r, r), (-r, r)])?,
            Self::Diamond => polygon(&[(0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)])?,
            Self::Triangle => polygon(&[(0, -r - 1), (r + 1, r), (-r - 1, r)])?,
            Self::Cross => {
                for side in [-1, 1] {
                    let ends = vec![(x - r, y - r * side), (x + r, y + r * side)];
                    area.draw(&PathElement::new(ends, color.stroke_width(2)))?;
                }
            }
        }
        Ok(())
    }
}

/// An upright error bar between two pixels of a column.
pub(super) fn whisker(area: &Area<'_>, x: i32, (from, to): (i32, i32), color: RGBColor) -> DrawResult {
    let strokes = [
        [(x, from), (x, to)],
        [(x - CAP, from), (x + CAP, from)],
        [(x - CAP, to), (x + CAP, to)],
    ];
    for ends in strokes {
        area.draw(&PathElement::new(ends.to_vec(), color.stroke_width(1)))?;
    }
    Ok(())
}

/// The same, lying.
pub(super) fn whisker_lying(area: &Area<'_>, y: i32, (from, to): (i32, i32), color: RGBColor) -> DrawResult {
    let strokes = [
        [(from, y), (to, y)],
        [(from, y - CAP), (from, y + CAP)],
        [(to, y - CAP), (to, y + CAP)],
    ];
    for ends in strokes {
        area.draw(&PathElement::new(ends.to_vec(), color.stroke_width(2)))?;
    }
    Ok(())
}
