//! One plot: axes, grid, lines and their legend. Knows nothing of what it shows.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::Axis;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type DrawResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The Okabe-Ito palette, which people with any colour vision can tell apart.
pub(super) const SKY: RGBColor = RGBColor(86, 180, 233);
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(super) const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(super) const VERMILLION: RGBColor = RGBColor(213, 94, 0);
pub(super) const PURPLE: RGBColor = RGBColor(204, 121, 167);

pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const FAINT: RGBColor = RGBColor(95, 95, 95);
const GRID: RGBColor = RGBColor(224, 224, 224);
const SHADE: RGBColor = RGBColor(243, 243, 243);

const FONT: &str = "sans-serif";
const TITLE_SIZE: i32 = 15;
const LABEL_SIZE: i32 = 13;
/// Height of the line with title and legend.
const TITLE_HEIGHT: u32 = 30;
const MARGIN: i32 = 12;
/// Room for the second half of the last label of the x axis.
const MARGIN_RIGHT: i32 = 40;
const Y_LABELS_WIDTH: u32 = 76;
const X_LABELS_HEIGHT: u32 = 26;
const SWATCH: i32 = 20;
const LEGEND_GAP: i32 = 14;
/// What a mark is called.
const MARK: &str = "kill";
/// Narrower shades stay without a name.
const NAMED_SHADE_MIN: i32 = 60;

/// A line of a plot.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) label: String,
    pub(super) color: RGBColor,
    /// In pixels. Where lines may cover each other the lower one is wider.
    pub(super) width: u32,
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// The part of the x axis that counts; the rest is shaded.
    pub(super) window: Option<(f64, f64)>,
    /// What the shade before it is called.
    pub(super) before: &'static str,
    /// Places on the x axis at which something happened to the broker.
    pub(super) marks: Vec<f64>,
}

/// A text style whose size is in pixels.
pub(super) fn text(size: i32, color: RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(&color)
}

/// As [`text`], bold.
pub(super) fn bold(size: i32, color: RGBColor) -> TextStyle<'static> {
    (FONT, size, FontStyle::Bold).into_font().color(&color)
}

/// The width of a text, roughly: SVG leaves the font to the viewer.
pub(super) fn width_of(text: &str, size: i32) -> i32 {
    (text.chars().count() as f64 * f64::from(size) * 0.56) as i32
}

impl Panel {
    /// Draws the plot into `area`; `named`: with the names of the shaded phases.
    pub(super) fn draw(&self, area: &Area<'_>, named: bool) -> DrawResult {
        let (head, body) = area.split_vertically(TITLE_HEIGHT);
        self.draw_legend(&head)?;
        let mut chart = ChartBuilder::on(&body)
            .margin_right(MARGIN_RIGHT)
            .margin_left(MARGIN)
            .margin_top(4)
            .x_label_area_size(X_LABELS_HEIGHT)
            .y_label_area_size(Y_LABELS_WIDTH)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let (bottom, top) = self.y.range;
        let mut names = Vec::new();
        if let Some((from, to)) = self.window {
            for (name, left, right) in [(self.before, self.x.range.0, from), ("drain", to, self.x.range.1)] {
                if left < right {
                    let corners = [(left, top), (right, bottom)];
                    chart.draw_series([Rectangle::new(corners, SHADE.filled())])?;
                    let (corner, end) = (chart.backend_coord(&corners[0]), chart.backend_coord(&corners[1]));
                    if named && end.0 - corner.0 >= NAMED_SHADE_MIN {
                        names.push((name, (corner.0, end.1)));
                    }
                }
            }
        }
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(FAINT)
            .label_style(text(LABEL_SIZE, INK))
            .draw()?;
        for &mark in &self.marks {
            let place = self.x.place(mark);
            let from_top = [(place, top), (place, bottom)];
            chart.draw_series(LineSeries::new(from_top, INK.stroke_width(1)))?;
            if named {
                let (x, y) = chart.backend_coord(&(place, bottom));
                names.push((MARK, (x, y)));
            }
        }
        for line in &self.lines {
            let points = line
                .points
                .iter()
                .map(|&(x, y)| (self.x.place(x), self.y.place(y)));
            chart.draw_series(LineSeries::new(points, line.color.stroke_width(line.width)))?;
        }
        // Names are placed in pixels of the whole page.
        let page = body.strip_coord_spec();
        let (origin_x, origin_y) = page.get_base_pixel();
        for (name, (x, y)) in names {
            page.draw_text(
                name,
                &text(LABEL_SIZE, FAINT),
                (x - origin_x + 6, y - origin_y - LABEL_SIZE - 6),
            )?;
        }
        Ok(())
    }

    /// Title on the left, then a swatch and a name for each line.
    fn draw_legend(&self, head: &Area<'_>) -> DrawResult {
        let baseline = TITLE_HEIGHT as i32 - TITLE_SIZE - 6;
        head.draw_text(&self.title, &bold(TITLE_SIZE, INK), (MARGIN, baseline))?;
        let (width, _) = head.dim_in_pixel();
        let legend_width: i32 = self.lines.iter().map(|line| entry_width(&line.label)).sum();
        let mut x = width as i32 - MARGIN_RIGHT - legend_width;
        for line in &self.lines {
            let y = baseline + LABEL_SIZE / 2 + 1;
            let swatch = PathElement::new(vec![(x, y), (x + SWATCH, y)], line.color.stroke_width(4));
            head.draw(&swatch)?;
            head.draw_text(
                &line.label,
                &text(LABEL_SIZE, INK),
                (x + SWATCH + 6, baseline + 1),
            )?;
            x += entry_width(&line.label);
        }
        Ok(())
    }
}

fn entry_width(label: &str) -> i32 {
    SWATCH + 6 + width_of(label, LABEL_SIZE) + LEGEND_GAP
}
