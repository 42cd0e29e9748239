//! The matrix for a terminal: one table for each scenario, a row for each figure, a column for each entrant.

use std::fmt::Write as _;

use super::document::{Cell, Document, ScenarioEntry, Spread};
use super::metric::{METRICS, Metric};

/// The table, with the medians and ranges of the counted runs.
#[must_use]
pub fn table(document: &Document) -> String {
    let mut out = String::new();
    for entry in &document.scenarios {
        // Writing to a String cannot fail.
        let _ = write_scenario(&mut out, document, entry);
    }
    let _ = write_excluded(&mut out, document);
    out
}

fn write_scenario(out: &mut String, document: &Document, entry: &ScenarioEntry) -> std::fmt::Result {
    let cells: Vec<&Cell> = document.cells_of(&entry.scenario.name).collect();
    writeln!(out, "\n{}: {}", entry.scenario.name, entry.scenario.description)?;
    let mark = if entry.comparison.comparable {
        ""
    } else {
        "NOT COMPARABLE: "
    };
    writeln!(out, "  {mark}{}", entry.comparison.reason)?;
    let mut rows = vec![row("", cells.iter().map(|cell| cell.entrant.clone()))];
    let runs = cells.iter().map(|cell| cell.counted().count().to_string());
    rows.push(row("runs", runs));
    for metric in METRICS {
        let spreads: Vec<_> = cells
            .iter()
            .map(|cell| cell.spread(metric.id, document.seed))
            .collect();
        if spreads.iter().any(Option::is_some) {
            rows.push(row(
                metric.label,
                spreads.into_iter().map(|spread| show(metric, spread)),
            ));
        }
    }
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let (name, figures) = row.split_first().expect("a row begins with its name");
        write!(out, "  {name:<width$}", width = widths[0])?;
        for (figure, width) in figures.iter().zip(&widths[1..]) {
            write!(out, "   {figure:>width$}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn row(name: &str, figures: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(figures).collect()
}

/// `31.2 k/s (30.1 k/s – 33.0 k/s)`
pub(super) fn show(metric: &Metric, spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return "–".to_owned();
    };
    let [min, median, max] = [spread.min, spread.median, spread.max].map(|value| metric.unit.show(value));
    if spread.runs == 1 {
        return median;
    }
    format!("{median} ({min} – {max})")
}

/// The runs that are in no figure: they are shown, never dropped in silence.
fn write_excluded(out: &mut String, document: &Document) -> std::fmt::Result {
    if document
        .cells
        .iter()
        .flat_map(|cell| &cell.attempts)
        .any(|attempt| !attempt.counted)
    {
        writeln!(out)?;
    }
    for cell in &document.cells {
        for attempt in cell.attempts.iter().filter(|attempt| !attempt.counted) {
            let reasons = attempt.reasons.join("; ");
            writeln!(
                out,
                "  not counted: {} on {}, round {}: {}: {reasons}",
                cell.scenario,
                cell.entrant,
                attempt.round,
                attempt.verdict.name()
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::document;
    use super::*;

    #[test]
    fn the_table_shows_ranges_and_what_may_not_be_compared() {
        let text = table(&document());
        for expected in [
            "NOT COMPARABLE: durability differs",
            "published   200 k/s (100 k/s – 300 k/s)   30.0 k/s (20.0 k/s – 40.0 k/s)",
            "not counted: 20p20c-durable on ours, round 1: invalid: CPU <used> by others",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
