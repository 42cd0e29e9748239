//! The head of a plot: its title, and what its lines mean. Breaks into as many rows as the width needs.

use plotters::prelude::*;

use super::font::{Weight, shortened, width_of, wrapped};
use super::marker::Marker;
use super::panel::{Area, DrawResult, LABEL_SIZE, MARGIN, TITLE_SIZE, bold, text};
use super::theme::{Hue, Theme};

const ROW_HEIGHT: i32 = 20;
const TOP: i32 = 8;
const SWATCH: i32 = 22;
const SWATCH_GAP: i32 = 6;
const ENTRY_GAP: i32 = 14;

/// What one line means.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) label: String,
    pub(super) hue: Hue,
    /// Of the line; `None` when points are not joined.
    pub(super) joined: bool,
    pub(super) marker: Option<Marker>,
}

/// Title, note and entries, laid out for a width.
#[derive(Debug)]
pub(super) struct Legend<'a> {
    title: Vec<String>,
    note: Vec<String>,
    /// Row, x, entry, and its label as far as it fits.
    entries: Vec<(i32, i32, &'a Entry, String)>,
    rows: i32,
}

impl<'a> Legend<'a> {
    pub(super) fn new(title: &str, note: &str, entries: &'a [Entry], width: u32) -> Self {
        let (left, right) = (MARGIN, width as i32 - MARGIN);
        let title_width = width_of(title, TITLE_SIZE, Weight::Bold);
        let entries_width: i32 = entries.iter().map(width_of_entry).sum();
        let beside = left + title_width + 2 * ENTRY_GAP + entries_width <= right;
        let title = if beside {
            vec![title.to_string()]
        } else {
            // Bold is up to a tenth wider than what `wrapped` measures.
            wrapped(title, TITLE_SIZE, (right - left) * 9 / 10)
        };
        let note = if note.is_empty() {
            Vec::new()
        } else {
            wrapped(note, LABEL_SIZE, right - left)
        };
        let mut row = if beside { 0 } else { title.len() as i32 };
        let mut x = if beside { right - entries_width } else { left };
        let mut placed = Vec::new();
        for entry in entries {
            let entry_width = width_of_entry(entry);
            if x + entry_width > right + ENTRY_GAP && x > left {
                (row, x) = (row + 1, left);
            }
            let room = right - left - SWATCH - SWATCH_GAP;
            let label = shortened(&entry.label, LABEL_SIZE, Weight::Regular, room);
            placed.push((row, x, entry, label));
            x += entry_width;
        }
        let rows = if entries.is_empty() {
            title.len() as i32
        } else {
            row + 1
        };
        Self {
            title,
            note,
            entries: placed,
            rows,
        }
    }

    pub(super) fn height(&self) -> u32 {
        (TOP + (self.rows + self.note.len() as i32) * ROW_HEIGHT) as u32
    }

    pub(super) fn draw(&self, head: &Area<'_>, theme: &Theme) -> DrawResult {
        for (row, title) in (0..).zip(&self.title) {
            head.draw_text(
                title,
                &bold(TITLE_SIZE, theme.ink),
                (MARGIN, TOP + row * ROW_HEIGHT),
            )?;
        }
        for &(row, x, entry, ref label) in &self.entries {
            let y = TOP + row * ROW_HEIGHT;
            let color = theme.color(entry.hue);
            let middle = y + LABEL_SIZE / 2;
            if entry.joined {
                let ends = vec![(x, middle), (x + SWATCH, middle)];
                head.draw(&PathElement::new(ends, color.stroke_width(3)))?;
            }
            if let Some(marker) = entry.marker {
                marker.draw(head, (x + SWATCH / 2, middle), color)?;
            }
            let style = text(LABEL_SIZE, theme.ink);
            head.draw_text(label, &style, (x + SWATCH + SWATCH_GAP, y + 1))?;
        }
        for (row, note) in (self.rows..).zip(&self.note) {
            head.draw_text(
                note,
                &text(LABEL_SIZE, theme.faint),
                (MARGIN, TOP + row * ROW_HEIGHT),
            )?;
        }
        Ok(())
    }
}

fn width_of_entry(entry: &Entry) -> i32 {
    SWATCH + SWATCH_GAP + width_of(&entry.label, LABEL_SIZE, Weight::Regular) + ENTRY_GAP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_beside_the_title_where_there_is_room_and_below_it_elsewhere() {
        let entries: Vec<Entry> = ["p50", "p90", "p99", "p99.9", "max"]
            .map(|label| Entry {
                label: label.into(),
                hue: Hue::Blue,
                joined: true,
                marker: None,
            })
            .into();
        let title = "response latency of each second";
        let wide = Legend::new(title, "", &entries, 1_000);
        assert_eq!((wide.title.len(), wide.rows), (1, 1));
        let narrow = Legend::new(title, "a note", &entries, 300);
        assert!(narrow.rows >= 3 && narrow.height() > wide.height());
        for (_, x, entry, _) in &narrow.entries {
            assert!(x + width_of_entry(entry) - ENTRY_GAP <= 300, "{}", entry.label);
        }
        let mut long = entries[0].clone();
        long.label = "a broker with a long name, on a machine with a longer one".into();
        let shown = &Legend::new(title, "", std::slice::from_ref(&long), 300).entries[0]
            .3
            .clone();
        assert!(shown.ends_with('…') && long.label.starts_with(&shown[..20]));
        assert_eq!(Legend::new(title, "", &[], 1_000).rows, 1);
    }
}
