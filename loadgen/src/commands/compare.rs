//! `loadgen compare`: runs of the history against each other.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::app;
use crate::charts::{Caption, forest};
use crate::cli::{Format, share};
use crate::comparison::{Comparison, Finding, Row, Selector, pair, rows, table};
use crate::failure::Failure;
use crate::history::{self, Line};

/// Decides the resamples; any other number gives the same intervals but for the last digit.
const SEED: u64 = 1;

/// Compares runs of the history: medians, ratios with intervals, significance.
///
/// Only like with like: equal load (scenario hash, which includes the driver) and machine; otherwise it refuses and says what
/// differs. An interval needs five runs on each side. Exit codes: 0 compared, 2 wrong usage (also when a selection
/// matches no run), 3 something was not alike.
///
/// Example: loadgen compare c094a45 1234abc --chart compare
#[derive(Clone, Debug, Args)]
pub struct CompareArguments {
    /// The runs to compare with: a commit of the broker or the beginning of a run's id, or commit=, id=, scenario=, target=,
    /// server=, joined by commas.
    #[arg(value_name = "BASE")]
    base: Selector,

    /// The runs to compare, likewise; ratios are NEW ÷ BASE.
    #[arg(value_name = "NEW")]
    new: Selector,

    /// Where the history is.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,

    /// Only these scenarios.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,

    /// Compare in spite of this difference; the output says so.
    #[arg(long, value_name = "DIFFERENCE", value_enum)]
    allow: Vec<Allowed>,

    /// Confidence of the intervals, and 1 − the chance of any false finding.
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = share)]
    confidence: f64,

    /// Draw the ratios with their intervals: STEM.svg, STEM-dark.svg and STEM.png.
    #[arg(long, value_name = "STEM")]
    chart: Option<PathBuf>,

    /// What to print: a table, or one JSON object.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Differences that may be overlooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Allowed {
    /// Runs of different machines.
    Machine,
}

/// Compares.
///
/// # Errors
/// When the history cannot be read, a selection matches nothing, or the chart cannot be written.
pub fn run(arguments: &CompareArguments) -> Result<u8, Failure> {
    let confidence = arguments.confidence;
    if !(0.5..=0.9999).contains(&confidence) {
        return Err(Failure::usage(anyhow::anyhow!(
            "--confidence is {confidence}; allowed: 50% to 99.99%"
        )));
    }
    let lines = history::read(&arguments.results).map_err(Failure::usage)?;
    let base = select(&lines, &arguments.base, arguments)?;
    let new = select(&lines, &arguments.new, arguments)?;
    let pairing = pair(&base, &new, arguments.allow.contains(&Allowed::Machine));
    let machines_differ = pairing
        .benchmarks
        .iter()
        .filter(|benchmark| benchmark.machines_differ);
    let comparison = Comparison {
        base: arguments.base.to_string(),
        new: arguments.new.to_string(),
        confidence,
        machines_differ: machines_differ
            .map(|benchmark| benchmark.scenario.clone())
            .collect(),
        rows: rows(&pairing.benchmarks, confidence, SEED),
        refusals: pairing.refusals,
        only_base: pairing.only_base,
        only_new: pairing.only_new,
    };
    app::print(&match arguments.format {
        Format::Human => table(&comparison),
        Format::Json => serde_json::to_string(&comparison).expect("a comparison is plain data") + "\n",
    });
    if let Some(stem) = &arguments.chart {
        draw(stem, &comparison, &[base, new].concat()).map_err(Failure::results)?;
    }
    Ok(comparison.exit_code())
}

fn select<'a>(
    lines: &'a [Line],
    selector: &Selector,
    arguments: &CompareArguments,
) -> Result<Vec<&'a Line>, Failure> {
    let names = &arguments.scenario;
    let wanted = |line: &&Line| names.is_empty() || names.contains(&line.summary.scenario);
    let found: Vec<&Line> = lines
        .iter()
        .filter(|line| selector.matches(line))
        .filter(wanted)
        .collect();
    if found.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "selection is {selector}; allowed: one that matches runs of {} ({} runs)",
            arguments.results.join(history::FILE).display(),
            lines.len()
        )));
    }
    Ok(found)
}

/// The rows that have an interval, as a forest plot.
fn draw(stem: &std::path::Path, comparison: &Comparison, lines: &[&Line]) -> anyhow::Result<()> {
    let drawn = |row: &Row| {
        Some(forest::Row {
            label: format!("{} · {}", row.scenario, row.metric.name()),
            ratio: row.ratio_interval?,
            is_better: match row.finding {
                Finding::Better => Some(true),
                Finding::Worse => Some(false),
                Finding::NoDifference | Finding::TooFew => None,
            },
        })
    };
    let rows: Vec<forest::Row> = comparison.rows.iter().filter_map(drawn).collect();
    anyhow::ensure!(
        !rows.is_empty(),
        "{} is not drawn: no row has an interval (five runs on each side are needed)",
        stem.display()
    );
    let title = format!("{} → {}", comparison.base, comparison.new);
    let mut subtitle = format!(
        "ratio of medians, {:.0} % bootstrap intervals",
        comparison.confidence * 100.0
    );
    if !comparison.machines_differ.is_empty() {
        subtitle.push_str(" · THE MACHINES DIFFER");
    }
    let caption = Caption::of_lines(&title, &subtitle, lines);
    forest::write(stem, caption, &rows).with_context(|| format!("cannot write {}", stem.display()))
}
