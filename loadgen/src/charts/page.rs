//! A page: a header (title, verdict, what it was paid for with), plots, and a footer with where the figures come from.

use plotters::prelude::*;

use super::bars::Group;
use super::caption::Caption;
use super::font::{Weight, width_of, wrapped};
use super::forest::Forest;
use super::panel::{Area, DrawError, DrawResult, LABEL_SIZE, MARGIN, Panel, bold, text};
use super::theme::{Hue, Theme};
use crate::verdict::Outcome;

const TITLE_SIZE: i32 = 22;
const SMALL_SIZE: i32 = 12;
const TITLE_HEIGHT: i32 = 30;
const LINE_HEIGHT: i32 = 17;
const GAP: i32 = 8;
/// Distance of title, verdict and note that stand beside each other.
const BESIDE: i32 = 16;

/// Something drawn on a page.
#[derive(Clone, Debug)]
pub(super) enum Plot {
    /// Axes and lines.
    Panel(Box<Panel>, u32),
    /// Bars.
    Bars(Group),
    /// Ratios.
    Forest(Forest),
}

/// A page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) caption: Caption,
    pub(super) plots: Vec<Plot>,
}

impl Plot {
    fn height(&self, width: u32) -> u32 {
        match self {
            Self::Panel(panel, height) => panel.head_height(width) + height,
            Self::Bars(group) => group.height(width),
            Self::Forest(forest) => forest.height(),
        }
    }
}

impl Page {
    /// A page of plots, each with its height without title and legend.
    pub(super) fn new(caption: Caption, panels: impl IntoIterator<Item = (Panel, u32)>) -> Self {
        let plots = panels.into_iter();
        Self {
            caption,
            plots: plots
                .map(|(panel, height)| Plot::Panel(Box::new(panel), height))
                .collect(),
        }
    }

    /// The page as an SVG document.
    pub(super) fn svg(&self, width: u32, theme: &Theme) -> Result<String, DrawError> {
        let text_width = width as i32 - 2 * MARGIN;
        let header = Header::new(&self.caption, text_width);
        let footer = footer(&self.caption, text_width);
        let footer_height = GAP + footer.len() as i32 * LINE_HEIGHT + GAP;
        let plots_height: u32 = self.plots.iter().map(|plot| plot.height(width)).sum();
        let height = header.height as u32 + plots_height + footer_height as u32;
        let mut svg = String::new();
        {
            let page = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            page.fill(&theme.page)?;
            let (head, mut rest) = page.split_vertically(header.height);
            header.draw(&head, theme)?;
            for (index, plot) in self.plots.iter().enumerate() {
                let (area, below) = rest.split_vertically(plot.height(width));
                match plot {
                    Plot::Panel(panel, _) => panel.draw(&area, theme, index == 0)?,
                    Plot::Bars(group) => group.draw(&area, theme)?,
                    Plot::Forest(forest) => forest.draw(&area, theme)?,
                }
                rest = below;
            }
            for (row, line) in (0..).zip(&footer) {
                let place = (MARGIN, GAP + row * LINE_HEIGHT);
                rest.draw_text(line, &text(SMALL_SIZE, theme.faint), place)?;
            }
            page.present()?;
        }
        Ok(described(svg, &self.caption))
    }
}

/// Title, verdict and note: beside each other where the width allows it.
/// A line of text at its place.
#[derive(Debug)]
struct Text {
    content: String,
    size: i32,
    weight: Weight,
    hue: Hue,
    place: (i32, i32),
}

#[derive(Debug)]
struct Header {
    texts: Vec<Text>,
    height: i32,
}

impl Header {
    fn new(caption: &Caption, width: i32) -> Self {
        let mut texts = Vec::new();
        let (mut x, mut y) = (0, GAP);
        let verdict = caption.verdict.map_or("", Outcome::name);
        let hue = match caption.verdict {
            Some(Outcome::Pass) => Hue::Green,
            Some(Outcome::Fail) => Hue::Vermillion,
            _ => Hue::Orange,
        };
        // Bold is up to a tenth wider than what `wrapped` measures.
        let title = wrapped(&caption.title, TITLE_SIZE, width * 9 / 10);
        for (row, line) in (0..).zip(&title) {
            x = MARGIN + width_of(line, TITLE_SIZE, Weight::Bold) + BESIDE;
            y = GAP + row * TITLE_HEIGHT;
            texts.push(Text {
                content: line.clone(),
                size: TITLE_SIZE,
                weight: Weight::Bold,
                hue: Hue::Ink,
                place: (MARGIN, y),
            });
        }
        let mut put = |content: &str, size: i32, weight: Weight, hue: Hue, drop: i32| {
            let text = |content: String, place| Text {
                content,
                size,
                weight,
                hue,
                place,
            };
            if content.is_empty() {
                return;
            }
            let content_width = width_of(content, size, weight);
            if x + content_width <= MARGIN + width {
                texts.push(text(content.into(), (x, y + drop)));
                x += content_width + BESIDE;
                return;
            }
            y += TITLE_HEIGHT - GAP;
            for line in wrapped(content, size, width) {
                y += GAP;
                x = MARGIN + width_of(&line, size, weight) + BESIDE;
                texts.push(text(line, (MARGIN, y)));
                y += LINE_HEIGHT - GAP;
            }
            y -= LINE_HEIGHT - GAP;
        };
        put(verdict, TITLE_SIZE, Weight::Bold, hue, 0);
        put(&caption.note, LABEL_SIZE, Weight::Regular, Hue::Faint, 7);
        Self {
            texts,
            height: y + TITLE_HEIGHT,
        }
    }

    fn draw(&self, area: &Area<'_>, theme: &Theme) -> DrawResult {
        for line in &self.texts {
            let color = theme.color(line.hue);
            let style = match line.weight {
                Weight::Bold => bold(line.size, color),
                Weight::Regular => text(line.size, color),
            };
            area.draw_text(&line.content, &style, line.place)?;
        }
        Ok(())
    }
}

/// Where the figures come from, in lines that fit.
fn footer(caption: &Caption, width: i32) -> Vec<String> {
    let command = if caption.command.is_empty() {
        String::new()
    } else {
        format!("$ {}", caption.command)
    };
    [&caption.source, &caption.runs(), &command]
        .into_iter()
        .filter(|part| !part.is_empty())
        .flat_map(|part| wrapped(part, SMALL_SIZE, width))
        .collect()
}

/// Adds what a screen reader says, which is also where all run ids stand.
fn described(svg: String, caption: &Caption) -> String {
    let Some((start, rest)) = svg.split_once('>') else {
        return svg;
    };
    format!(
        "{start} role=\"img\">\n<title>{}</title>\n<desc>{}</desc>{rest}",
        escaped(&caption.title),
        escaped(&caption.description())
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::axis::Axis;
    use crate::charts::theme::{DARK, LIGHT};

    fn page() -> Page {
        let axis = || Axis::from_zero(10.0, 5, |value| format!("{value}"));
        let caption = Caption {
            title: "a <b> & c".into(),
            verdict: Some(Outcome::Fail),
            note: "transient messages · no confirms · broker durability: not stated".into(),
            source:
                "broker 1.0 · native driver · commit abc · 2 × CPU, 8 GiB · Linux 6 · 2026-01-01 00:00:00Z"
                    .into(),
            ids: vec!["run-1".into()],
            command: "loadgen --scenario x".into(),
        };
        Page::new(caption, [(Panel::new("nothing", axis(), axis()), 100)])
    }

    #[test]
    fn a_page_names_its_source_runs_and_command() {
        let svg = page().svg(1_000, &LIGHT).unwrap();
        for part in [
            "a &lt;b&gt; &amp; c",
            ">\nfail\n<",
            "commit abc",
            "run run-1",
            "$ loadgen --scenario x",
            "<desc>fail · transient",
        ] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
        assert!(svg.contains("#FFFFFF") && !page().svg(1_000, &DARK).unwrap().contains("#FFFFFF"));
    }

    #[test]
    fn a_narrow_page_is_higher_and_loses_nothing() {
        let height = |svg: &str| -> u32 {
            let (_, rest) = svg.split_once("height=\"").unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let (wide, narrow) = (
            page().svg(1_000, &LIGHT).unwrap(),
            page().svg(320, &LIGHT).unwrap(),
        );
        assert!(height(&narrow) > height(&wide) + 3 * LINE_HEIGHT as u32);
        for word in ["fail", "stated", "00:00:00Z", "run-1"] {
            assert!(narrow.contains(word), "{word}");
        }
    }
}
