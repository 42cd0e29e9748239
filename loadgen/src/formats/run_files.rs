//! The files of a run in other tools' formats: in its directory, next to `run.json`.

use std::io;
use std::path::Path;

use super::{IntervalLog, percentiles, series};
use crate::result::RunResult;

/// Values are recorded in ns and shown in µs.
const NS_PER_US: f64 = 1_000.0;

/// Which files follow from `run.json` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// `response.hgrm`, `service.hgrm`, `confirm.hgrm`.
    pub percentiles: bool,
    /// `series.csv`.
    pub series: bool,
}

/// Writes all files of a run: those that follow from `run.json`, and the interval log, which nothing else holds.
///
/// # Errors
/// When a file cannot be written.
pub fn write_run(directory: &Path, run: &RunResult, log: &IntervalLog) -> io::Result<()> {
    if !log.is_empty() {
        std::fs::write(directory.join("intervals.hlog"), &log.0)?;
    }
    let all = Derived {
        percentiles: true,
        series: true,
    };
    write_derived(directory, run, all)
}

/// Writes what follows from `run.json`.
///
/// # Errors
/// When a file cannot be written, or a histogram of the run is damaged.
pub fn write_derived(directory: &Path, run: &RunResult, wanted: Derived) -> io::Result<()> {
    if wanted.percentiles {
        let histograms = &run.histograms;
        let named = [
            ("response", Some(&histograms.response)),
            // Where everything is sent as intended the two are one.
            (
                "service",
                Some(&histograms.service).filter(|service| **service != histograms.response),
            ),
            ("confirm", histograms.confirm.as_ref()),
        ];
        for (name, encoded) in named {
            let Some(encoded) = encoded else { continue };
            let histogram = crate::recorder::decode(encoded).map_err(|why| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{name} histogram: {why}"))
            })?;
            if !histogram.is_empty() {
                let text = percentiles(&histogram, NS_PER_US);
                std::fs::write(directory.join(format!("{name}.hgrm")), text)?;
            }
        }
    }
    if wanted.series {
        let text = series(&run.intervals, &run.samples, run.started_ns);
        std::fs::write(directory.join("series.csv"), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_was_measured_becomes_a_file() {
        let directory = tempfile::tempdir().unwrap();
        // Saturating, without confirms: service latency is response latency.
        write_run(directory.path(), &run_result("20p20c"), &IntervalLog::default()).unwrap();
        assert_eq!(names(directory.path()), ["response.hgrm", "series.csv"]);
        let mut run = run_result("crash");
        run.histograms.service = run_result("fanout").histograms.schedule_lag;
        write_run(directory.path(), &run, &IntervalLog("#\n".into())).unwrap();
        assert_eq!(
            names(directory.path()),
            ["confirm.hgrm", "intervals.hlog", "response.hgrm", "series.csv"]
        );
    }

    #[test]
    fn a_damaged_histogram_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut run = run_result("20p20c");
        run.histograms.response = "AAAA".into();
        let error = write_run(directory.path(), &run, &IntervalLog::default()).unwrap_err();
        assert!(error.to_string().starts_with("response histogram: "), "{error}");
    }
}
