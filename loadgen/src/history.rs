//! `results/history.ndjson`: one line for every valid run, only ever appended to.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::conditions::Conditions;
use crate::environment::Environment;
use crate::result::{RunResult, SCHEMA, SCHEMA_OLDEST, Summary};

/// The file's name within the results directory.
pub const FILE: &str = "history.ndjson";

/// One line: what is needed to compare runs. `scenario_hash` tells overridden loads from the named scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Version of the line.
    pub schema: u32,
    /// The run's id.
    pub id: String,
    /// When it began, UTC.
    pub started: String,
    /// Seed of its plan.
    pub seed: u64,
    /// The command line, without passwords; empty in lines older than it.
    #[serde(default)]
    pub command: Vec<String>,
    /// Commit, machine, kernel, toolchain.
    pub environment: Environment,
    /// The state of the machine around the run; nothing in lines older than it.
    #[serde(default)]
    pub conditions: Conditions,
    /// What came of it.
    #[serde(flatten)]
    pub summary: Summary,
}

/// Why the history cannot be read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A line is not one of ours.
    #[error("{}, line {line}: {source}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A line was written by another version of loadgen.
    #[error("{}, line {line}: schema {found}; this loadgen reads {SCHEMA_OLDEST} to {SCHEMA}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Its schema.
        found: u32,
    },
}

impl From<&RunResult> for Line {
    fn from(run: &RunResult) -> Self {
        Self {
            schema: run.schema,
            id: run.id.clone(),
            started: run.started.clone(),
            seed: run.seed,
            command: run.command.clone(),
            environment: run.environment.clone(),
            conditions: run.conditions.clone(),
            summary: run.summary.clone(),
        }
    }
}

/// Appends a run. The line is written in one call, so that concurrent runs do not mix.
///
/// # Errors
/// When the file cannot be written.
pub fn append(results: &Path, run: &RunResult) -> io::Result<()> {
    let mut text = serde_json::to_string(&Line::from(run))?;
    text.push('\n');
    std::fs::create_dir_all(results)?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(results.join(FILE))?
        .write_all(text.as_bytes())
}

/// All runs of the history, oldest first as they were appended; none when there is no file yet.
///
/// # Errors
/// When the file cannot be read, or a line is damaged or of an unknown schema: nothing is skipped.
pub fn read(results: &Path) -> Result<Vec<Line>, HistoryError> {
    let path = results.join(FILE);
    match path.try_exists() {
        Ok(false) => Ok(Vec::new()),
        _ => read_file(&path),
    }
}

/// All runs of a history file, whatever its name.
///
/// # Errors
/// As for [`read`], and when there is no such file.
pub fn read_file(path: &Path) -> Result<Vec<Line>, HistoryError> {
    /// Read first, so that a line of a future version is not called damaged.
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let text = std::fs::read_to_string(path).map_err(|source| HistoryError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let parsed = text.lines().enumerate().map(|(index, text)| {
        let damaged = |source| HistoryError::Line {
            path: path.to_path_buf(),
            line: index + 1,
            source,
        };
        let Version { schema } = serde_json::from_str(text).map_err(damaged)?;
        if !(SCHEMA_OLDEST..=SCHEMA).contains(&schema) {
            return Err(HistoryError::Schema {
                path: path.to_path_buf(),
                line: index + 1,
                found: schema,
            });
        }
        serde_json::from_str(text).map_err(damaged)
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn every_run_is_a_line_of_its_own_and_is_read_again() {
        let results = tempfile::tempdir().unwrap();
        assert_eq!(read(results.path()).unwrap(), []);
        assert!(read_file(&results.path().join(FILE)).is_err());
        let runs = [run_result("20p20c"), run_result("crash")];
        for run in &runs {
            append(results.path(), run).unwrap();
        }
        let lines = read(results.path()).unwrap();
        assert_eq!(lines, runs.each_ref().map(Line::from));
        assert_eq!(
            lines[0].summary.scenario_hash,
            crate::scenario::built_in("20p20c").unwrap().hash()
        );
    }

    #[test]
    fn the_committed_history_is_readable() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
        assert!(!read(&results).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_line_is_named_and_never_skipped() {
        let results = tempfile::tempdir().unwrap();
        append(results.path(), &run_result("20p20c")).unwrap();
        let file = results.path().join(FILE);
        let good = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{good}{}", &good[..100])).unwrap();
        let message = read(results.path()).unwrap_err().to_string();
        assert!(message.contains("history.ndjson, line 2: "), "{message}");
        std::fs::write(&file, "{\"schema\":99}\n").unwrap();
        let message = read(results.path()).unwrap_err().to_string();
        assert!(
            message.contains("line 1: schema 99; this loadgen reads 2 to 4"),
            "{message}"
        );
    }
}
