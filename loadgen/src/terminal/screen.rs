//! Lines drawn in place, below whatever stands on the terminal.
//!
//! Nothing of the terminal's state is changed: no raw mode, no hidden cursor, no second screen. So whatever ends the
//! process leaves a terminal that works, at worst with the last view still on it.

use std::io::Write;

use console::Term;

use super::view::Line;

/// Where the view is drawn: standard error, so that standard output carries only results.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Term,
    color: bool,
    /// Columns of each line that is on the terminal.
    drawn: Vec<usize>,
}

impl Screen {
    pub(super) fn new(color: bool) -> Self {
        Self {
            terminal: Term::stderr(),
            color,
            drawn: Vec::new(),
        }
    }

    /// Columns that a line may have now; one less than the terminal's, where the cursor would wrap.
    pub(super) fn columns(&self) -> usize {
        usize::from(self.terminal.size().1).saturating_sub(1)
    }

    /// Replaces what was drawn.
    pub(super) fn draw(&mut self, lines: &[Line]) {
        let (rows, columns) = self.terminal.size();
        // A view higher than the terminal would scroll away and could not be taken back.
        let shown = &lines[..lines.len().min(usize::from(rows).saturating_sub(1))];
        let mut text = erase(&self.drawn, columns.into());
        for line in shown {
            text += &line.paint(self.color);
            text.push('\n');
        }
        self.write(&text);
        self.drawn = shown.iter().map(Line::columns).collect();
    }

    /// A line that stays, above the view.
    pub(super) fn note(&mut self, text: &str) {
        let erased = erase(&self.drawn, self.terminal.size().1.into());
        self.drawn.clear();
        self.write(&format!("{erased}{text}\n"));
    }

    /// Takes the view away.
    pub(super) fn clear(&mut self) {
        let erased = erase(&self.drawn, self.terminal.size().1.into());
        self.drawn.clear();
        self.write(&erased);
    }

    /// A closed standard error is no reason to stop a run.
    fn write(&mut self, text: &str) {
        let _ = self.terminal.write_all(text.as_bytes());
        let _ = self.terminal.flush();
    }
}

/// Moves to the first of the rows that lines of these widths take on a terminal of `columns` (narrower, perhaps, than when
/// they were drawn, so that they wrapped), and clears from there on.
fn erase(drawn: &[usize], columns: usize) -> String {
    let rows: usize = drawn
        .iter()
        .map(|line| line.div_ceil(columns.max(1)).max(1))
        .sum();
    if rows == 0 {
        return String::new();
    }
    format!("\r\u{1b}[{rows}A\u{1b}[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_are_taken_back_as_the_lines_take_now() {
        assert_eq!(erase(&[], 80), "");
        assert_eq!(erase(&[79, 0, 12], 80), "\r\u{1b}[3A\u{1b}[J");
        // The terminal has become narrower since: 79 columns take two rows of 40.
        assert_eq!(erase(&[79, 0, 12], 40), "\r\u{1b}[4A\u{1b}[J");
        assert_eq!(erase(&[3], 0), "\r\u{1b}[3A\u{1b}[J");
    }
}
