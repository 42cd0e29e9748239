//! One plot: axes, grid, heat, lines, points and error bars. Knows nothing of what it shows.

use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::*;

use super::axis::Axis;
use super::font::{self, Weight, width_of};
use super::legend::{Entry, Legend};
use super::marker::{Marker, whisker};
use super::theme::{Hue, Theme};

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type DrawError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type DrawResult = Result<(), DrawError>;
/// A word, and the pixel of the whole picture at which it belongs.
type Name = (&'static str, (i32, i32));
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

pub(super) const TITLE_SIZE: i32 = 15;
pub(super) const LABEL_SIZE: i32 = 13;
pub(super) const MARGIN: i32 = 12;
/// Room for the second half of the last label of the x axis.
const MARGIN_RIGHT: i32 = 40;
const Y_LABELS_WIDTH: u32 = 76;
const X_LABELS_HEIGHT: u32 = 26;
/// Least distance of two markers of one line, in pixels, unless all of its points are further apart than the second.
const MARKER_DISTANCE: i32 = 90;
const SPARSE_DISTANCE: i32 = 22;

/// A line of a plot, or points that no line joins.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) label: String,
    pub(super) hue: Hue,
    /// In pixels. Where lines may cover each other the lower one is wider. 0: the points are not joined.
    pub(super) width: u32,
    /// On some points of a joined line, on all others.
    pub(super) marker: Option<Marker>,
    pub(super) points: Vec<(f64, f64)>,
    /// x, lower and upper end of error bars.
    pub(super) whiskers: Vec<(f64, f64, f64)>,
}

/// A rectangle of a heat map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
    /// Share of the highest heat, from 0 to 1.
    pub(super) heat: f64,
}

/// A plot.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// A sentence below the title; empty for none.
    pub(super) note: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) cells: Vec<Cell>,
    pub(super) lines: Vec<Line>,
    /// The part of the x axis that counts; the rest is shaded.
    pub(super) window: Option<(f64, f64)>,
    /// What the shade before it is called.
    pub(super) before: &'static str,
    /// Places on the x axis at which something was done to the load or the broker, and what that is called.
    pub(super) marks: Vec<(f64, &'static str)>,
}

/// A text style whose size is in pixels.
pub(super) fn text(size: i32, color: RGBColor) -> TextStyle<'static> {
    (font::FAMILY, size).into_font().color(&color)
}

/// As [`text`], bold.
pub(super) fn bold(size: i32, color: RGBColor) -> TextStyle<'static> {
    (font::FAMILY, size, FontStyle::Bold).into_font().color(&color)
}

impl Panel {
    /// A plot with nothing in it yet.
    pub(super) fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            note: String::new(),
            x,
            y,
            cells: Vec::new(),
            lines: Vec::new(),
            window: None,
            before: "",
            marks: Vec::new(),
        }
    }

    /// Height of title and legend on a page of this width.
    pub(super) fn head_height(&self, width: u32) -> u32 {
        Legend::new(&self.title, &self.note, &self.entries(), width).height()
    }

    /// Draws the plot into `area`; `named`: with the names of the shaded phases.
    pub(super) fn draw(&self, area: &Area<'_>, theme: &Theme, named: bool) -> DrawResult {
        let (width, _) = area.dim_in_pixel();
        let entries = self.entries();
        let legend = Legend::new(&self.title, &self.note, &entries, width);
        let (head, body) = area.split_vertically(legend.height());
        legend.draw(&head, theme)?;
        let plot_width = width as i32 - Y_LABELS_WIDTH as i32 - MARGIN - MARGIN_RIGHT;
        let x = self
            .x
            .thinned(plot_width, |label| width_of(label, LABEL_SIZE, Weight::Regular));
        let mut chart = ChartBuilder::on(&body)
            .margin_right(MARGIN_RIGHT)
            .margin_left(MARGIN)
            .margin_top(6)
            .x_label_area_size(X_LABELS_HEIGHT)
            .y_label_area_size(Y_LABELS_WIDTH)
            .build_cartesian_2d(x, self.y.clone())?;
        let names = self.draw_shades(&mut chart, theme)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(theme.grid)
            .axis_style(theme.faint)
            .label_style(text(LABEL_SIZE, theme.ink))
            .draw()?;
        for cell in &self.cells {
            let corners = [
                (self.x.place(cell.x.0), self.y.place(cell.y.0)),
                (self.x.place(cell.x.1), self.y.place(cell.y.1)),
            ];
            chart.draw_series([Rectangle::new(corners, theme.heat(cell.heat).filled())])?;
        }
        let (bottom, top) = self.y.range;
        for &(mark, _) in &self.marks {
            let place = self.x.place(mark);
            let from_top = [(place, top), (place, bottom)];
            chart.draw_series(LineSeries::new(from_top, theme.ink.stroke_width(1)))?;
        }
        for line in self.lines.iter().filter(|line| line.width > 0) {
            let points = line.points.iter().map(|&point| self.places(point));
            chart.draw_series(LineSeries::new(
                points,
                theme.color(line.hue).stroke_width(line.width),
            ))?;
        }
        self.draw_points(&chart, &body, theme)?;
        if named {
            draw_names(&body, theme, &names)?;
        }
        Ok(())
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |line: &Line| Entry {
            label: line.label.clone(),
            hue: line.hue,
            joined: line.width > 0,
            marker: line.marker,
        };
        let named = self.lines.iter().filter(|line| !line.label.is_empty());
        named.map(entry).collect()
    }

    fn places(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.place(x), self.y.place(y))
    }

    /// Shades what does not count; returns the names of shades and marks that have room for them, with the pixels of the whole
    /// picture at which they begin.
    fn draw_shades(&self, chart: &mut Chart<'_, '_>, theme: &Theme) -> Result<Vec<Name>, DrawError> {
        let (bottom, top) = self.y.range;
        let mut names = Vec::new();
        if let Some((from, to)) = self.window {
            for (name, left, right) in [(self.before, self.x.range.0, from), ("drain", to, self.x.range.1)] {
                if left < right {
                    let corners = [(left, top), (right, bottom)];
                    chart.draw_series([Rectangle::new(corners, theme.shade.filled())])?;
                    let (corner, end) = (chart.backend_coord(&corners[0]), chart.backend_coord(&corners[1]));
                    if end.0 - corner.0 >= width_of(name, LABEL_SIZE, Weight::Regular) + 8 {
                        names.push((name, (corner.0, end.1)));
                    }
                }
            }
        }
        for &(mark, name) in &self.marks {
            names.push((name, chart.backend_coord(&(self.x.place(mark), bottom))));
        }
        Ok(names)
    }

    /// Markers and error bars, which are drawn in pixels.
    fn draw_points(&self, chart: &Chart<'_, '_>, body: &Area<'_>, theme: &Theme) -> DrawResult {
        let page = body.strip_coord_spec();
        let (origin_x, origin_y) = page.get_base_pixel();
        let (width, _) = page.dim_in_pixel();
        let pixel = |point: (f64, f64)| {
            let (x, y) = chart.backend_coord(&self.places(point));
            (x - origin_x, y - origin_y)
        };
        for (index, line) in (0..).zip(&self.lines) {
            let color = theme.color(line.hue);
            for &(x, low, high) in &line.whiskers {
                let ((column, from), (_, to)) = (pixel((x, low)), pixel((x, high)));
                whisker(&page, column, (from, to), color)?;
            }
            let Some(marker) = line.marker else { continue };
            let is_sparse = line.points.len() as i32 * SPARSE_DISTANCE <= width as i32;
            // Markers of different lines keep out of each other's way.
            let mut next = i32::MIN;
            for &point in &line.points {
                let at = pixel(point);
                if line.width > 0 && next == i32::MIN {
                    next = at.0 + 10 + index * 16;
                }
                if line.width == 0 || is_sparse || at.0 >= next {
                    marker.draw(&page, at, color)?;
                    next = at.0 + MARKER_DISTANCE;
                }
            }
        }
        Ok(())
    }
}

/// Names are placed in pixels of the whole picture; one that would cover its neighbour is left out.
fn draw_names(body: &Area<'_>, theme: &Theme, names: &[Name]) -> DrawResult {
    let page = body.strip_coord_spec();
    let (origin_x, origin_y) = page.get_base_pixel();
    let mut taken: Vec<(i32, i32)> = Vec::new();
    for &(name, (x, y)) in names {
        let (left, right) = (x + 6, x + 6 + width_of(name, LABEL_SIZE, Weight::Regular));
        if taken.iter().all(|&(from, to)| right < from || to < left) {
            taken.push((left, right));
            page.draw_text(
                name,
                &text(LABEL_SIZE, theme.faint),
                (left - origin_x, y - origin_y - LABEL_SIZE - 6),
            )?;
        }
    }
    Ok(())
}
