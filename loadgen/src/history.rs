//! `results/history.ndjson`: one line for every valid run, only ever appended to.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::environment::Environment;
use crate::result::{RunResult, Summary};

/// The file's name within the results directory.
pub const FILE: &str = "history.ndjson";

/// One line: what is needed to compare runs. `scenario_hash` tells overridden loads from the named scenario.
#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: u32,
    id: &'a str,
    started: &'a str,
    seed: u64,
    environment: &'a Environment,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// Appends a run. The line is written in one call, so that concurrent runs do not mix.
///
/// # Errors
/// When the file cannot be written.
pub fn append(results: &Path, run: &RunResult) -> io::Result<()> {
    let line = Line {
        schema: run.schema,
        id: &run.id,
        started: &run.started,
        seed: run.seed,
        environment: &run.environment,
        summary: &run.summary,
    };
    let mut text = serde_json::to_string(&line)?;
    text.push('\n');
    std::fs::create_dir_all(results)?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(results.join(FILE))?
        .write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn every_run_is_a_line_of_its_own() {
        let results = tempfile::tempdir().unwrap();
        let run = run_result("20p20c");
        append(results.path(), &run).unwrap();
        append(results.path(), &run).unwrap();
        let text = std::fs::read_to_string(results.path().join(FILE)).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["id"], run.id);
        assert_eq!(lines[0]["scenario_hash"], built_in_hash());
        assert_eq!(lines[1]["verdict"], "pass");
        assert!(lines[1]["environment"]["commit"].is_string());
    }

    fn built_in_hash() -> String {
        crate::scenario::built_in("20p20c").unwrap().hash()
    }
}
