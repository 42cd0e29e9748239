//! `loadgen gate`: for continuous integration.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::app;
use crate::cli::{Format, share};
use crate::commands::compare::Allowed;
use crate::comparison::{GateRules, Selector, gate, invalid_runs};
use crate::failure::Failure;
use crate::history::{self, Line};
use crate::metric::Metric;

/// Stops a candidate that got worse.
///
/// Every load of the baseline must have runs of the candidate on the same machine. It is stopped (exit code 1) by a
/// regression beyond the margin that is significant (Mann–Whitney; all tests together raise a false alarm with a chance
/// of 1 − confidence), a missing benchmark or metric, an invalid run, harmed messages, a target missed that the baseline reached, or another load or
/// machine. Exit code 3: runs so few that no regression could have been found. Exit code 2: wrong usage, or an empty
/// baseline. Else 0. Six runs of each benchmark on each side are enough for about 40 tests.
///
/// Example: loadgen gate --baseline results --candidate results-of-this-build
#[derive(Clone, Debug, Args)]
pub struct GateArguments {
    /// Results directory, or a history file, of the baseline.
    #[arg(long, value_name = "DIR|FILE")]
    baseline: PathBuf,

    /// Results directory, or a history file, of the candidate; in a directory, invalid runs are found below `runs`.
    #[arg(long, value_name = "DIR|FILE")]
    candidate: PathBuf,

    /// Which runs of the baseline count, as for `loadgen compare`; by default all.
    #[arg(long, value_name = "SELECTION")]
    baseline_runs: Option<Selector>,

    /// Which runs of the candidate's history count, likewise.
    #[arg(long, value_name = "SELECTION")]
    candidate_runs: Option<Selector>,

    /// Metrics that must not get worse.
    #[arg(
        long = "metric",
        value_name = "METRIC",
        value_enum,
        value_delimiter = ',',
        default_values = ["publish_rate", "consume_rate", "latency_us.p99", "broker.cpu_us_per_message"]
    )]
    metrics: Vec<Metric>,

    /// By how much they may.
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    margin: f64,

    /// 1 − the chance that a candidate as good as the baseline is stopped by chance.
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = share)]
    confidence: f64,

    /// Compare in spite of this difference; the output says so.
    #[arg(long, value_name = "DIFFERENCE", value_enum)]
    allow: Vec<Allowed>,

    /// What to print: a line each, or one JSON object.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Judges.
///
/// # Errors
/// When a history cannot be read, or the baseline is empty.
pub fn run(arguments: &GateArguments) -> Result<u8, Failure> {
    let confidence = arguments.confidence;
    if !(0.5..=0.9999).contains(&confidence) {
        return Err(Failure::usage(anyhow::anyhow!(
            "--confidence is {confidence}; allowed: 50% to 99.99%"
        )));
    }
    let baseline = lines(&arguments.baseline)?;
    let candidate = lines(&arguments.candidate)?;
    let baseline = selected(&baseline, arguments.baseline_runs.as_ref());
    let candidate_lines = selected(&candidate, arguments.candidate_runs.as_ref());
    if baseline.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "--baseline is {}; allowed: a history with runs that --baseline-runs selects",
            arguments.baseline.display()
        )));
    }
    let invalid = invalid_runs(&arguments.candidate).map_err(Failure::results)?;
    let mut metrics = arguments.metrics.clone();
    metrics.dedup();
    let rules = GateRules {
        metrics,
        margin: arguments.margin,
        confidence,
        any_machine: arguments.allow.contains(&Allowed::Machine),
    };
    let judged = gate(&rules, &baseline, &candidate_lines, &invalid);
    app::print(&match arguments.format {
        Format::Human => judged.table(),
        Format::Json => serde_json::to_string(&judged).expect("a gate is plain data") + "\n",
    });
    Ok(judged.exit_code())
}

/// A results directory's history, or a history file.
fn lines(path: &Path) -> Result<Vec<Line>, Failure> {
    let read = if path.is_dir() {
        history::read(path)
    } else {
        history::read_file(path)
    };
    read.map_err(Failure::usage)
}

fn selected<'a>(lines: &'a [Line], selector: Option<&Selector>) -> Vec<&'a Line> {
    let matches = |line: &&Line| selector.is_none_or(|selector| selector.matches(line));
    lines.iter().filter(matches).collect()
}
