//! A comparison for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::likeness::Refusal;
use super::rows::{Finding, Row};
use crate::failure::EXIT_INVALID;
use crate::statistics::Interval;

/// Everything that `loadgen compare` says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Which runs are the base.
    pub base: String,
    /// Which are compared with them.
    pub new: String,
    /// Confidence of the intervals, and 1 − the chance of any false finding.
    pub confidence: f64,
    /// Scenarios whose machines differ, which was allowed: their ratios say nothing about the broker alone.
    pub machines_differ: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// What was not compared, because it is not alike.
    pub refusals: Vec<Refusal>,
    /// Scenarios without a run on the other side.
    pub only_base: Vec<String>,
    /// Likewise.
    pub only_new: Vec<String>,
}

impl Comparison {
    /// 0 when all that is on both sides was compared; 3 when something was refused, or nothing is left.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.refusals.is_empty() && !self.rows.is_empty() {
            0
        } else {
            EXIT_INVALID
        }
    }
}

/// The table.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, comparison);
    out
}

fn write(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let mut scenario = "";
    for row in &comparison.rows {
        if row.scenario != scenario {
            scenario = &row.scenario;
            write_head(out, comparison, row)?;
        }
        write_row(out, row)?;
    }
    for refusal in &comparison.refusals {
        writeln!(out, "\n{}: NOT COMPARED: {}", refusal.scenario, refusal.reason)?;
    }
    for (side, names) in [
        (&comparison.base, &comparison.only_base),
        (&comparison.new, &comparison.only_new),
    ] {
        if !names.is_empty() {
            writeln!(out, "\nonly in {side}: {}", names.join(", "))?;
        }
    }
    if !comparison.rows.is_empty() {
        writeln!(
            out,
            "\n{:.0} % bootstrap intervals; significance by Mann–Whitney, adjusted for {} rows (Holm)",
            comparison.confidence * 100.0,
            comparison.rows.len()
        )?;
    }
    Ok(())
}

fn write_head(out: &mut String, comparison: &Comparison, row: &Row) -> std::fmt::Result {
    writeln!(
        out,
        "\n{}: {} ({} runs) → {} ({} runs)",
        row.scenario, comparison.base, row.base_runs, comparison.new, row.new_runs
    )?;
    if comparison.machines_differ.contains(&row.scenario) {
        writeln!(
            out,
            "  WARNING: the machines differ; this says nothing about the broker alone"
        )?;
    }
    writeln!(
        out,
        "  {:<28}{:>12}{:>12}{:>9}  {:<20}{:>8}  finding",
        "", "base", "new", "ratio", "interval", "p"
    )
}

fn write_row(out: &mut String, row: &Row) -> std::fmt::Result {
    let interval = row
        .ratio_interval
        .map_or("–".into(), |Interval { low, high, .. }| {
            format!("{low:.3} to {high:.3}")
        });
    let finding = match row.finding {
        Finding::Better => "better",
        Finding::Worse => "WORSE",
        Finding::NoDifference => "no difference shown",
        Finding::TooFew => "too few runs to tell",
    };
    writeln!(
        out,
        "  {:<28}{:>12}{:>12}{:>9.3}  {interval:<20}{:>8.4}  {finding}",
        row.metric.name(),
        row.metric.show(row.base),
        row.metric.show(row.new),
        row.ratio,
        row.p_adjusted,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::rows::tests::runs;
    use crate::comparison::{pair, rows};
    use crate::history::Line;

    fn comparison() -> Comparison {
        let (base, new) = (runs("20p20c", 10, 1.0), runs("20p20c", 10, 0.8));
        let (base, new): (Vec<&Line>, Vec<&Line>) = (base.iter().collect(), new.iter().collect());
        Comparison {
            base: "aaaa".into(),
            new: "bbbb".into(),
            confidence: 0.95,
            machines_differ: vec![],
            rows: rows(&pair(&base, &new, false).benchmarks, 0.95, 1),
            refusals: vec![],
            only_base: vec!["fanout".into()],
            only_new: vec![],
        }
    }

    #[test]
    fn the_table_shows_medians_ratio_and_finding() {
        let table = table(&comparison());
        let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [
            "20p20c: aaaa (10 runs) → bbbb (10 runs)",
            "consume_rate 1.60 M/s 1.28 M/s 0.800",
            "WORSE",
            "no difference shown",
            "only in aaaa: fanout",
            "(Holm)",
        ] {
            assert!(words.contains(expected), "{expected} is not in\n{table}");
        }
        assert!(!table.contains("WARNING"));
    }

    #[test]
    fn a_refusal_shows_and_decides_the_exit_code() {
        let mut comparison = comparison();
        assert_eq!(comparison.exit_code(), 0);
        comparison.machines_differ = vec!["20p20c".into()];
        assert!(table(&comparison).contains("WARNING: the machines differ"));
        comparison.refusals = vec![Refusal {
            scenario: "crash".into(),
            reason: "the machines differ: a against b".into(),
        }];
        assert_eq!(comparison.exit_code(), 3);
        assert!(table(&comparison).contains("crash: NOT COMPARED: the machines differ"));
        comparison.refusals.clear();
        comparison.rows.clear();
        assert_eq!(comparison.exit_code(), 3);
    }
}
