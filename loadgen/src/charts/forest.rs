//! A forest plot: ratios with their intervals, one above the other, and the line at 1.

use std::io;
use std::path::Path;

use plotters::prelude::*;

use super::panel::{Area, DrawResult, FAINT, GREEN, INK, VERMILLION, bold, text};
use crate::statistics::Interval;

const WIDTH: u32 = 1_000;
const HEADER_HEIGHT: i32 = 70;
const ROW_HEIGHT: i32 = 24;
const FOOT_HEIGHT: i32 = 44;
const LABEL_WIDTH: i32 = 380;
const NUMBERS_WIDTH: i32 = 190;
const MARGIN: i32 = 12;
const TITLE_SIZE: i32 = 20;
const LABEL_SIZE: i32 = 13;
const DOT: i32 = 4;
const GRID: RGBColor = RGBColor(224, 224, 224);
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

/// Draws the plot, in the order given.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, title: &str, subtitle: &str, rows: &[Row]) -> io::Result<()> {
    let height = HEADER_HEIGHT + rows.len() as i32 * ROW_HEIGHT + FOOT_HEIGHT;
    let mut svg = String::new();
    let page = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
    draw(&page, title, subtitle, rows)
        .map_err(|error| io::Error::other(format!("cannot draw {}: {error}", file.display())))?;
    drop(page);
    std::fs::write(file, svg)
}

fn draw(page: &Area<'_>, title: &str, subtitle: &str, rows: &[Row]) -> DrawResult {
    page.fill(&WHITE)?;
    page.draw_text(title, &bold(TITLE_SIZE, INK), (MARGIN, 10))?;
    page.draw_text(subtitle, &text(LABEL_SIZE, FAINT), (MARGIN, 38))?;
    let scale = Scale::of(rows);
    let bottom = HEADER_HEIGHT + rows.len() as i32 * ROW_HEIGHT;
    let mut last = i32::MIN / 2;
    for tick in scale.ticks() {
        let x = scale.place(tick);
        let is_one = tick == 1.0;
        let style = if is_one { INK } else { GRID }.stroke_width(1);
        page.draw(&PathElement::new(vec![(x, HEADER_HEIGHT), (x, bottom)], style))?;
        if is_one || x - last >= TICK_GAP_MIN {
            let label = format!("{tick}");
            page.draw_text(
                &label,
                &text(LABEL_SIZE, INK),
                (x - 3 * label.len() as i32, bottom + 8),
            )?;
            last = x;
        }
    }
    for (index, row) in (0..).zip(rows) {
        let y = HEADER_HEIGHT + index * ROW_HEIGHT + ROW_HEIGHT / 2;
        draw_row(page, &scale, row, y)?;
    }
    page.present()?;
    Ok(())
}

fn draw_row(page: &Area<'_>, scale: &Scale, row: &Row, y: i32) -> DrawResult {
    let color = match row.is_better {
        Some(true) => GREEN,
        Some(false) => VERMILLION,
        None => FAINT,
    };
    let Interval { low, point, high, .. } = row.ratio;
    let ends = vec![(scale.place(low), y), (scale.place(high), y)];
    page.draw(&PathElement::new(ends, color.stroke_width(2)))?;
    page.draw(&Circle::new((scale.place(point), y), DOT, color.filled()))?;
    page.draw_text(&row.label, &text(LABEL_SIZE, INK), (MARGIN, y - LABEL_SIZE / 2))?;
    let numbers = format!("{point:.3} ({low:.3} to {high:.3})");
    let x = WIDTH as i32 - NUMBERS_WIDTH;
    page.draw_text(&numbers, &text(LABEL_SIZE, INK), (x, y - LABEL_SIZE / 2))?;
    Ok(())
}

/// Logarithmic: half as much is as far from 1 as twice as much.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Holds all intervals, 1, and some room.
    fn of(rows: &[Row]) -> Self {
        let low = rows.iter().map(|row| row.ratio.low).fold(0.96, f64::min);
        let high = rows.iter().map(|row| row.ratio.high).fold(1.04, f64::max);
        Self {
            low: low / 1.01,
            high: high * 1.01,
        }
    }

    fn place(&self, ratio: f64) -> i32 {
        let width = f64::from(WIDTH as i32 - LABEL_WIDTH - NUMBERS_WIDTH - MARGIN);
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
        let file = directory.path().join("forest.svg");
        let rows = [
            row("20p20c · consume_rate", 1.08, 1.1, 1.13, Some(true)),
            row("fanout · latency_us.p99", 0.97, 1.01, 1.05, None),
        ];
        write(&file, "aaaa → bbbb", "2 × CPU", &rows).unwrap();
        let svg = std::fs::read_to_string(file).unwrap();
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
        let scale = Scale::of(&[row("x", 3.0, 4.0, 5.0, None)]);
        assert!(scale.ticks().any(|tick| tick == 1.0));
        let right = WIDTH as i32 - NUMBERS_WIDTH;
        assert!(scale.place(1.0) > LABEL_WIDTH && scale.place(5.0) < right);
        let near = Scale::of(&[]);
        assert!(near.place(0.98) < near.place(1.0) && near.place(1.0) < near.place(1.02));
    }
}
