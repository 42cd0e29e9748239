//! `loadgen chart`: draws the pictures of runs, and of the history over commits, from what was recorded.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::charts;
use crate::failure::Failure;
use crate::history::{self, Line};
use crate::result::RunResult;

/// `loadgen chart RUN…` or `loadgen chart --history`.
#[derive(Clone, Debug, Args)]
pub struct ChartArguments {
    /// Runs to draw: their ids (below RESULTS/runs), their directories or their run.json files.
    #[arg(
        value_name = "RUN",
        required_unless_present = "history",
        conflicts_with = "history"
    )]
    pub runs: Vec<PathBuf>,

    /// Draw the history over commits instead: throughput, latency and memory, a page for each scenario.
    #[arg(long)]
    pub history: bool,

    /// Only this scenario's history; all by default.
    #[arg(long, value_name = "NAME", requires = "history")]
    pub scenario: Option<String>,

    /// Where runs and history are kept.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// Where pictures go: by default a run's into its own directory, the history's into RESULTS/charts. With it each run gets a
    /// directory of its own below.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Width of the pictures in pixels; PNG files have twice as many.
    #[arg(long, value_name = "PIXELS", default_value_t = charts::WIDTH, value_parser = clap::value_parser!(u32).range(320..=4_000))]
    pub width: u32,
}

/// Draws.
///
/// # Errors
/// When a run or the history cannot be read, which is found before anything is drawn, or a picture cannot be written.
pub fn run(arguments: &ChartArguments) -> Result<u8, Failure> {
    let drawn = if arguments.history {
        draw_history(arguments)?
    } else {
        draw_runs(arguments)?
    };
    for path in drawn {
        // A closed output is no failure.
        let _ = writeln!(io::stdout(), "{}", path.display());
    }
    Ok(0)
}

fn draw_runs(arguments: &ChartArguments) -> Result<Vec<PathBuf>, Failure> {
    let mut runs = Vec::new();
    for given in &arguments.runs {
        let file = file_of(given, &arguments.results);
        let run = RunResult::read(&file)
            .with_context(|| format!("{} is no readable run", file.display()))
            .map_err(Failure::usage)?;
        let own = file.parent().unwrap_or(Path::new(".")).to_path_buf();
        let directory = match &arguments.output {
            None => own,
            Some(output) => {
                // The name of the directory that was given, not the id in the file, which might lead elsewhere.
                let name = own.canonicalize().unwrap_or(own);
                output.join(name.file_name().unwrap_or_default())
            }
        };
        runs.push((run, directory));
    }
    let mut drawn = Vec::new();
    for (run, directory) in runs {
        std::fs::create_dir_all(&directory)
            .and_then(|()| charts::write_run_to(&directory, &run, arguments.width))
            .with_context(|| format!("cannot draw {} into {}", run.id, directory.display()))
            .map_err(Failure::results)?;
        drawn.push(directory);
    }
    Ok(drawn)
}

/// A path that exists, or else an id.
fn file_of(given: &Path, results: &Path) -> PathBuf {
    let path = if given.exists() {
        given.to_path_buf()
    } else {
        results.join("runs").join(given)
    };
    if path.is_file() {
        path
    } else {
        path.join("run.json")
    }
}

fn draw_history(arguments: &ChartArguments) -> Result<Vec<PathBuf>, Failure> {
    let lines = history::read(&arguments.results).map_err(Failure::usage)?;
    let known = scenarios(&lines);
    let wanted = match &arguments.scenario {
        None if known.is_empty() => {
            return Err(Failure::usage(anyhow!(
                "{} holds no run yet",
                arguments.results.join(history::FILE).display()
            )));
        }
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => {
            return Err(Failure::usage(anyhow!(
                "--scenario {name}: the history has no run of it; it has {}",
                if known.is_empty() {
                    "none at all".into()
                } else {
                    known.join(", ")
                }
            )));
        }
    };
    let directory = match &arguments.output {
        Some(output) => output.clone(),
        None => arguments.results.join("charts"),
    };
    let mut drawn = Vec::new();
    for scenario in wanted {
        let stem = directory.join(format!("{scenario}-history"));
        let runs: Vec<&Line> = lines
            .iter()
            .filter(|line| line.summary.scenario == scenario)
            .collect();
        std::fs::create_dir_all(&directory)
            .and_then(|()| {
                charts::trend::write(&stem, &format!("{scenario} over commits"), &runs, arguments.width)
            })
            .with_context(|| format!("cannot draw {}", stem.display()))
            .map_err(Failure::results)?;
        drawn.push(stem);
    }
    Ok(drawn)
}

/// The names of all scenarios of the history that can be part of a file's name, in the order of their first runs.
fn scenarios(lines: &[Line]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in lines {
        let name = &line.summary.scenario;
        if !names.contains(name) && !name.contains(['/', '\\']) {
            names.push(name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn arguments(results: &Path, runs: &[&str]) -> ChartArguments {
        ChartArguments {
            runs: runs.iter().map(PathBuf::from).collect(),
            history: runs.is_empty(),
            scenario: None,
            results: results.into(),
            output: None,
            width: 600,
        }
    }

    #[test]
    fn runs_are_drawn_again_from_their_file_by_id_or_path() {
        let results = tempfile::tempdir().unwrap();
        let directory = results.path().join("runs/one");
        std::fs::create_dir_all(&directory).unwrap();
        run_result("20p20c").write(&directory).unwrap();
        run(&arguments(results.path(), &["one"])).unwrap();
        assert!(directory.join("heat.svg").is_file() && directory.join("percentiles.png").is_file());
        let file = directory.join("run.json");
        let mut elsewhere = arguments(results.path(), &[file.to_str().unwrap()]);
        elsewhere.output = Some(results.path().join("other"));
        run(&elsewhere).unwrap();
        assert!(results.path().join("other/one/memory-dark.svg").is_file());
    }

    #[test]
    fn the_history_is_drawn_by_scenario() {
        let results = tempfile::tempdir().unwrap();
        for scenario in ["20p20c", "crash", "20p20c"] {
            history::append(results.path(), &run_result(scenario)).unwrap();
        }
        let mut arguments = arguments(results.path(), &[]);
        run(&arguments).unwrap();
        for scenario in ["20p20c", "crash"] {
            let file = results.path().join(format!("charts/{scenario}-history.svg"));
            assert!(file.is_file(), "{scenario}");
        }
        arguments.scenario = Some("fanout".into());
        let failure = run(&arguments).unwrap_err();
        assert_eq!(failure.exit_code, 2);
        let message = failure.error.to_string();
        assert!(message.contains("it has 20p20c, crash"), "{message}");
    }

    #[test]
    fn what_is_not_there_or_damaged_is_wrong_usage_and_draws_nothing() {
        let results = tempfile::tempdir().unwrap();
        let good = results.path().join("runs/good");
        std::fs::create_dir_all(&good).unwrap();
        run_result("20p20c").write(&good).unwrap();
        let failure = run(&arguments(results.path(), &["good", "missing"])).unwrap_err();
        assert_eq!(failure.exit_code, 2);
        assert!(format!("{:#}", failure.error).contains("missing"));
        assert!(!good.join("heat.svg").exists());
        assert_eq!(run(&arguments(results.path(), &[])).unwrap_err().exit_code, 2);
    }
}
