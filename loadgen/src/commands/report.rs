//! `loadgen report`: writes the page that shows the whole history.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::failure::Failure;
use crate::history;
use crate::report::{self, Gathered};
use crate::utc::Utc;

/// `loadgen report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArguments {
    /// Where runs and history are kept.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// The page; RESULTS/report.html by default.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes one HTML file that needs nothing else: every line of the history, and what the runs' own files add where they are there.
///
/// # Errors
/// When the history is damaged, or the page cannot be written. A damaged file of a run is reported on standard error and left out.
pub fn run(arguments: &ReportArguments) -> Result<u8, Failure> {
    let lines = history::read(&arguments.results).map_err(Failure::usage)?;
    let Gathered { details, damaged } = report::gather(&arguments.results, &lines);
    for why in damaged {
        eprintln!("loadgen: left out: {why}");
    }
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => arguments.results.join("report.html"),
    };
    let page = report::page(&lines, &details, &Utc::now().iso());
    std::fs::write(&output, page)
        .with_context(|| format!("cannot write the report {}", output.display()))
        .map_err(Failure::usage)?;
    // A closed output is no failure.
    let _ = writeln!(
        io::stdout(),
        "{}: {} runs, {} of them with their own files",
        output.display(),
        lines.len(),
        details.len()
    );
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn arguments(results: &std::path::Path) -> ReportArguments {
        ReportArguments {
            results: results.into(),
            output: None,
        }
    }

    #[test]
    fn a_page_is_written_beside_the_history() {
        let results = tempfile::tempdir().unwrap();
        let result = run_result("20p20c");
        history::append(results.path(), &result).unwrap();
        assert_eq!(run(&arguments(results.path())).unwrap(), 0);
        let page = std::fs::read_to_string(results.path().join("report.html")).unwrap();
        assert!(page.contains(&result.id));
    }

    #[test]
    fn a_damaged_history_or_a_missing_directory_is_wrong_usage() {
        let results = tempfile::tempdir().unwrap();
        std::fs::write(results.path().join(history::FILE), "{").unwrap();
        assert_eq!(run(&arguments(results.path())).unwrap_err().exit_code, 2);
        let missing = results.path().join("missing");
        assert_eq!(run(&arguments(&missing)).unwrap_err().exit_code, 2);
    }
}
