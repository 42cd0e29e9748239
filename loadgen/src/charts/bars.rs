//! Bars with error bars: one figure of several brokers, builds or machines.

use std::io;
use std::path::Path;

use plotters::prelude::*;

use super::axis::Axis;
use super::caption::Caption;
use super::font::{Weight, shortened, width_of};
use super::legend::Legend;
use super::marker::whisker_lying;
use super::page::{Page, Plot};
use super::panel::{Area, DrawResult, LABEL_SIZE, MARGIN, text};
use super::picture::{WIDTH, write as write_page};
use super::theme::{Hue, Theme};
use super::unit::Unit;

const ROW_HEIGHT: i32 = 30;
const BAR_HEIGHT: i32 = 18;
const AXIS_HEIGHT: i32 = 30;
const TICKS: usize = 5;
const GAP: i32 = 8;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Whose figure it is.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Lower end of its interval, or the smallest run.
    pub low: f64,
    /// Upper end of its interval, or the largest run.
    pub high: f64,
}

/// Bars of the same figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What the figure is.
    pub title: String,
    /// What the error bars mean; empty for nothing.
    pub note: String,
    /// What it is measured in.
    pub unit: Unit,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// Draws `<stem>.svg`, `<stem>-dark.svg` and `<stem>.png`: the groups below each other.
///
/// # Errors
/// When a file cannot be written.
pub fn write(stem: &Path, caption: Caption, groups: &[Group]) -> io::Result<()> {
    let page = Page {
        caption,
        plots: groups.iter().cloned().map(Plot::Bars).collect(),
    };
    write_page(stem, &page, WIDTH)
}

/// The columns of names, bars and figures, in pixels.
#[derive(Debug)]
struct Columns {
    names_width: i32,
    left: i32,
    right: i32,
}

impl Group {
    pub(super) fn height(&self, width: u32) -> u32 {
        let rows = self.bars.len() as i32 * ROW_HEIGHT + AXIS_HEIGHT;
        self.legend(width).height() + rows as u32
    }

    fn legend(&self, width: u32) -> Legend<'static> {
        Legend::new(&self.title, &self.note, &[], width)
    }

    fn figure(&self, bar: &Bar) -> String {
        let exact = |value| self.unit.exact(value);
        if bar.low == bar.high {
            exact(bar.value)
        } else {
            format!("{} ({} – {})", exact(bar.value), exact(bar.low), exact(bar.high))
        }
    }

    fn columns(&self, width: i32) -> Columns {
        let widest = |texts: &mut dyn Iterator<Item = String>| {
            let widths = texts.map(|text| width_of(&text, LABEL_SIZE, Weight::Regular));
            widths.max().unwrap_or(0)
        };
        let names_width = widest(&mut self.bars.iter().map(|bar| bar.name.clone())).min(width * 3 / 10);
        let figures_width = widest(&mut self.bars.iter().map(|bar| self.figure(bar)));
        let left = MARGIN + names_width + GAP;
        Columns {
            names_width,
            left,
            right: (width - MARGIN - figures_width - GAP).max(left + 40),
        }
    }

    pub(super) fn draw(&self, area: &Area<'_>, theme: &Theme) -> DrawResult {
        let (width, _) = area.dim_in_pixel();
        let legend = self.legend(width);
        let (head, body) = area.split_vertically(legend.height());
        legend.draw(&head, theme)?;
        let Columns {
            names_width,
            left,
            right,
        } = self.columns(width as i32);
        let largest = self.bars.iter().map(|bar| bar.value.max(bar.high));
        let largest = largest.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let axis = Axis::from_zero(largest, TICKS, self.unit.label())
            .thinned(right - left, |label| width_of(label, LABEL_SIZE, Weight::Regular));
        let pixel = |value: f64| {
            let share = axis.place(value) / axis.range.1;
            left + (share * f64::from(right - left)).round() as i32
        };
        let bottom = self.bars.len() as i32 * ROW_HEIGHT;
        for (place, label) in &axis.ticks {
            let x = pixel(*place);
            body.draw(&PathElement::new(
                vec![(x, 0), (x, bottom)],
                theme.grid.stroke_width(1),
            ))?;
            let half = width_of(label, LABEL_SIZE, Weight::Regular) / 2;
            body.draw_text(label, &text(LABEL_SIZE, theme.ink), (x - half, bottom + 6))?;
        }
        for (row, bar) in (0..).zip(&self.bars) {
            let middle = row * ROW_HEIGHT + ROW_HEIGHT / 2;
            let label_y = middle - LABEL_SIZE / 2;
            let name = shortened(&bar.name, LABEL_SIZE, Weight::Regular, names_width);
            let name_x = left - GAP - width_of(&name, LABEL_SIZE, Weight::Regular);
            body.draw_text(&name, &text(LABEL_SIZE, theme.ink), (name_x, label_y))?;
            if !bar.value.is_finite() {
                body.draw_text(
                    "not measured",
                    &text(LABEL_SIZE, theme.faint),
                    (left + GAP, label_y),
                )?;
                continue;
            }
            let corners = [
                (left, middle - BAR_HEIGHT / 2),
                (pixel(bar.value), middle + BAR_HEIGHT / 2),
            ];
            body.draw(&Rectangle::new(corners, theme.color(Hue::Sky).filled()))?;
            if bar.low < bar.high {
                whisker_lying(&body, middle, (pixel(bar.low), pixel(bar.high)), theme.ink)?;
            }
            let figure_x = pixel(bar.value.max(bar.high)) + GAP;
            body.draw_text(
                &self.figure(bar),
                &text(LABEL_SIZE, theme.ink),
                (figure_x, label_y),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: f64, low: f64, high: f64) -> Bar {
        Bar {
            name: name.into(),
            value,
            low,
            high,
        }
    }

    fn svg(bars: Vec<Bar>) -> String {
        let directory = tempfile::tempdir().unwrap();
        let group = Group {
            title: "consume rate".into(),
            note: "bars: median of 5 runs".into(),
            unit: Unit::Rate,
            bars,
        };
        write(&directory.path().join("bars"), Caption::default(), &[group]).unwrap();
        std::fs::read_to_string(directory.path().join("bars.svg")).unwrap()
    }

    #[test]
    fn every_bar_has_its_name_figure_and_interval() {
        let svg = svg(vec![
            bar("reference", 9.9e6, 9.5e6, 10.1e6),
            bar(
                "a broker with a name that is much too long for the column of names",
                5e4,
                5e4,
                5e4,
            ),
        ]);
        for part in [
            "reference",
            "9.90 M/s (9.50 M/s – 10.1 M/s)",
            "50.0 k/s\n",
            "a broker with a name",
            "…",
            "bars: median of 5 runs",
        ] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let svg = svg(vec![bar("dead", f64::NAN, f64::NAN, f64::NAN)]);
        assert!(svg.contains("not measured") && !svg.contains("NaN"));
    }
}
