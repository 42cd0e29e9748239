//! A forest plot: ratios with their intervals, one above the other, and the line at 1.

use std::io;
use std::path::Path;

use plotters::prelude::*;

use super::caption::Caption;
use super::font::{Weight, shortened, width_of};
use super::page::{Page, Plot};
use super::panel::{Area, DrawResult, LABEL_SIZE, MARGIN, text};
use super::picture::{WIDTH, write as write_page};
use super::theme::{Hue, Theme};
use crate::statistics::Interval;

const ROW_HEIGHT: i32 = 24;
const FOOT_HEIGHT: i32 = 34;
const LABEL_WIDTH: i32 = 380;
const NUMBERS_WIDTH: i32 = 190;
const DOT: i32 = 4;
const GAP: i32 = 8;
/// Ratios that may be labelled.
const TICKS: [f64; 17] = [
    0.1, 0.2, 0.5, 0.67, 0.8, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1, 1.25, 1.5, 2.0, 5.0, 10.0,
];
/// Labelled ratios are at least so many pixels apart.
const TICK_GAP_MIN: i32 = 44;

/// One ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is the ratio of.
    pub label: String,
    /// The ratio and its interval; positive.
    pub ratio: Interval,
    /// Whether it is significantly better or worse; `None`: neither.
    pub is_better: Option<bool>,
}

/// Draws `<stem>.svg`, `<stem>-dark.svg` and `<stem>.png`: the rows in the order given.
///
/// # Errors
/// When a file cannot be written.
pub fn write(stem: &Path, caption: Caption, rows: &[Row]) -> io::Result<()> {
    let page = Page {
        caption,
        plots: vec![Plot::Forest(Forest(rows.to_vec()))],
    };
    write_page(stem, &page, WIDTH)
}

/// The rows of a plot.
#[derive(Clone, Debug)]
pub(super) struct Forest(Vec<Row>);

impl Forest {
    pub(super) fn height(&self) -> u32 {
        (self.0.len() as i32 * ROW_HEIGHT + FOOT_HEIGHT) as u32
    }

    pub(super) fn draw(&self, area: &Area<'_>, theme: &Theme) -> DrawResult {
        let scale = Scale::of(&self.0, area.dim_in_pixel().0 as i32);
        let bottom = self.0.len() as i32 * ROW_HEIGHT;
        let mut last = i32::MIN / 2;
        for tick in scale.ticks() {
            let x = scale.place(tick);
            let is_one = tick == 1.0;
            let style = if is_one { theme.ink } else { theme.grid }.stroke_width(1);
            area.draw(&PathElement::new(vec![(x, 0), (x, bottom)], style))?;
            if is_one || x - last >= TICK_GAP_MIN {
                let label = format!("{tick}");
                let half = width_of(&label, LABEL_SIZE, Weight::Regular) / 2;
                area.draw_text(&label, &text(LABEL_SIZE, theme.ink), (x - half, bottom + GAP))?;
                last = x;
            }
        }
        for (index, row) in (0..).zip(&self.0) {
            draw_row(area, theme, &scale, row, index * ROW_HEIGHT + ROW_HEIGHT / 2)?;
        }
        Ok(())
    }
}

fn draw_row(area: &Area<'_>, theme: &Theme, scale: &Scale, row: &Row, y: i32) -> DrawResult {
    let color = theme.color(match row.is_better {
        Some(true) => Hue::Green,
        Some(false) => Hue::Vermillion,
        None => Hue::Faint,
    });
    let Interval { low, point, high, .. } = row.ratio;
    let ends = vec![(scale.place(low), y), (scale.place(high), y)];
    area.draw(&PathElement::new(ends, color.stroke_width(2)))?;
    area.draw(&Circle::new((scale.place(point), y), DOT, color.filled()))?;
    let style = text(LABEL_SIZE, theme.ink);
    let label_y = y - LABEL_SIZE / 2;
    let label = shortened(
        &row.label,
        LABEL_SIZE,
        Weight::Regular,
        LABEL_WIDTH - MARGIN - GAP,
    );
    area.draw_text(&label, &style, (MARGIN, label_y))?;
    let numbers = format!("{point:.3} ({low:.3} to {high:.3})");
    area.draw_text(&numbers, &style, (scale.right + GAP, label_y))?;
    Ok(())
}

/// Logarithmic: half as much is as far from 1 as twice as much.
struct Scale {
    low: f64,
    high: f64,
    /// Where it ends, in pixels.
    right: i32,
}

impl Scale {
    /// Holds all intervals, 1, and some room, on a picture of `width` pixels.
    fn of(rows: &[Row], width: i32) -> Self {
        let low = rows.iter().map(|row| row.ratio.low).fold(0.96, f64::min);
        let high = rows.iter().map(|row| row.ratio.high).fold(1.04, f64::max);
        Self {
            low: low / 1.01,
            high: high * 1.01,
            right: width - NUMBERS_WIDTH - MARGIN,
        }
    }

    fn place(&self, ratio: f64) -> i32 {
        let width = f64::from(self.right - LABEL_WIDTH);
        LABEL_WIDTH + ((ratio / self.low).ln() / (self.high / self.low).ln() * width).round() as i32
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (low, high) = (self.low, self.high);
        TICKS.into_iter().filter(move |tick| (low..=high).contains(tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, low: f64, point: f64, high: f64, is_better: Option<bool>) -> Row {
        Row {
            label: label.into(),
            ratio: Interval {
                low,
                point,
                high,
                confidence: 0.95,
            },
            is_better,
        }
    }

    #[test]
    fn every_ratio_is_drawn_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let stem = directory.path().join("forest");
        let rows = [
            row("20p20c · consume_rate", 1.08, 1.1, 1.13, Some(true)),
            row("fanout · latency_us.p99", 0.97, 1.01, 1.05, None),
        ];
        let caption = Caption {
            title: "aaaa → bbbb".into(),
            source: "2 × CPU".into(),
            ..Caption::default()
        };
        write(&stem, caption, &rows).unwrap();
        let svg = std::fs::read_to_string(directory.path().join("forest.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && !svg.contains("NaN"));
        for expected in [
            "aaaa → bbbb",
            "20p20c · consume_rate",
            "1.100 (1.080 to 1.130)",
            "2 × CPU",
        ] {
            assert!(svg.contains(expected), "{expected}");
        }
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn one_is_always_on_the_scale_and_far_ratios_fit() {
        let scale = Scale::of(&[row("x", 3.0, 4.0, 5.0, None)], WIDTH as i32);
        assert!(scale.ticks().any(|tick| tick == 1.0));
        assert!(scale.place(1.0) > LABEL_WIDTH && scale.place(5.0) < scale.right);
        let near = Scale::of(&[], WIDTH as i32);
        assert!(near.place(0.98) < near.place(1.0) && near.place(1.0) < near.place(1.02));
    }
}
