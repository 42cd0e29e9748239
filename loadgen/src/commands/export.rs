//! `loadgen export`: recorded runs and the history in formats that other tools read.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::failure::Failure;
use crate::formats::{self, Derived};
use crate::history;
use crate::result::RunResult;

/// `loadgen export --csv --hgrm`.
#[derive(Clone, Debug, Args)]
pub struct ExportArguments {
    /// Comma-separated values: history.csv beside history.ndjson, and series.csv in each run's directory.
    #[arg(long, required_unless_present = "hgrm")]
    pub csv: bool,

    /// HdrHistogram percentile distributions in µs: response.hgrm, service.hgrm and confirm.hgrm in each run's directory.
    #[arg(long)]
    pub hgrm: bool,

    /// Only this run, by its id, and not the history; may be repeated.
    #[arg(long, value_name = "ID")]
    pub run: Vec<String>,

    /// Where runs and history are kept.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// Writes what `arguments` ask for and says what it wrote.
///
/// # Errors
/// When a run or the history cannot be read (nothing has been written then), or a file cannot be written.
pub fn export(arguments: &ExportArguments) -> Result<u8, Failure> {
    let (report, _) = write(arguments).map_err(Failure::usage)?;
    // A closed output does not undo what was written.
    let _ = io::stdout().write_all(report.as_bytes());
    Ok(0)
}

/// The report, and how many runs were exported.
fn write(arguments: &ExportArguments) -> anyhow::Result<(String, usize)> {
    let results = &arguments.results;
    let runs = read_runs(&results.join("runs"), &arguments.run)?;
    let lines = history::read(results)?;
    let mut report = String::new();
    if arguments.csv && arguments.run.is_empty() {
        let file = results.join("history.csv");
        std::fs::write(&file, formats::history(&lines))
            .with_context(|| format!("cannot write {}", file.display()))?;
        // Writing to a String cannot fail.
        let _ = writeln!(report, "{}: {} runs", file.display(), lines.len());
    }
    let wanted = Derived {
        percentiles: arguments.hgrm,
        series: arguments.csv,
    };
    for (directory, run) in &runs {
        formats::write_derived(directory, run, wanted)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
        let _ = writeln!(report, "{}", directory.display());
    }
    Ok((report, runs.len()))
}

/// The runs with these ids, or all there are, by name.
fn read_runs(runs: &Path, ids: &[String]) -> anyhow::Result<Vec<(PathBuf, RunResult)>> {
    let mut directories = Vec::new();
    for id in ids {
        anyhow::ensure!(
            !id.contains(['/', '\\']) && id != "..",
            "--run is {id:?}; allowed: the name of a directory in {}",
            runs.display()
        );
        directories.push(runs.join(id));
    }
    if ids.is_empty() && runs.is_dir() {
        let entries = std::fs::read_dir(runs).with_context(|| format!("cannot read {}", runs.display()))?;
        for entry in entries {
            let directory = entry?.path();
            // A run that came to nothing may have left an empty directory.
            if directory.join("run.json").is_file() {
                directories.push(directory);
            }
        }
        directories.sort();
    }
    directories
        .into_iter()
        .map(|directory| {
            let run = read_run(&directory)?;
            Ok((directory, run))
        })
        .collect()
}

fn read_run(directory: &Path) -> anyhow::Result<RunResult> {
    let file = directory.join("run.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a run of this loadgen", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn arguments(results: &Path) -> ExportArguments {
        ExportArguments {
            csv: true,
            hgrm: true,
            run: vec![],
            results: results.to_path_buf(),
        }
    }

    fn recorded(results: &Path, names: &[&str]) {
        for name in names {
            let run = run_result(name);
            let directory = results.join("runs").join(name);
            std::fs::create_dir_all(&directory).unwrap();
            run.write(&directory).unwrap();
            history::append(results, &run).unwrap();
        }
    }

    #[test]
    fn every_recorded_run_and_the_history_are_exported() {
        let results = tempfile::tempdir().unwrap();
        recorded(results.path(), &["20p20c", "crash"]);
        let (report, runs) = write(&arguments(results.path())).unwrap();
        assert_eq!((runs, report.lines().count()), (2, 3));
        for file in ["history.csv", "runs/20p20c/series.csv", "runs/crash/confirm.hgrm"] {
            assert!(results.path().join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn one_run_is_exported_alone() {
        let results = tempfile::tempdir().unwrap();
        recorded(results.path(), &["20p20c", "crash"]);
        let mut arguments = arguments(results.path());
        (arguments.run, arguments.hgrm) = (vec!["crash".into()], false);
        assert_eq!(write(&arguments).unwrap().1, 1);
        assert!(!results.path().join("history.csv").exists());
        assert!(!results.path().join("runs/crash/confirm.hgrm").exists());
        assert!(results.path().join("runs/crash/series.csv").exists());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let results = tempfile::tempdir().unwrap();
        let mut arguments = arguments(results.path());
        arguments.run = vec!["gone".into()];
        let message = format!("{:#}", write(&arguments).unwrap_err());
        assert!(message.contains("gone/run.json"), "{message}");
        arguments.run = vec!["../x".into()];
        assert!(
            write(&arguments)
                .unwrap_err()
                .to_string()
                .contains("--run is \"../x\"")
        );
    }
}
