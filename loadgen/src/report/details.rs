//! What the runs' own files add to their lines of the history: percentile curves and checks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::history::Line;
use crate::result::RunResult;
use crate::verdict::Check;

/// Distance of two points of a curve, in nines: log10(1 / (1 − p)).
const NINES_STEP: f64 = 0.1;

/// Points of (nines, µs), as far as the number of values can tell.
pub type Curve = Vec<(f64, f64)>;

/// By run id.
pub type Details = BTreeMap<String, Detail>;

/// Percentile curves of a run; empty where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curves {
    /// From the intended send instant.
    pub response: Curve,
    /// From the actual send instant.
    pub service: Curve,
    /// From send to confirm.
    pub confirm: Curve,
}

/// What only `run.json` knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detail {
    /// What the scenario is for.
    pub description: String,
    /// Further flags of the broker.
    pub broker_arguments: Vec<String>,
    /// Each target and what was reached.
    pub checks: Vec<Check>,
    /// Latencies.
    pub curves: Curves,
}

/// What was found, and what could not be read.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Of the runs whose files are there.
    pub details: Details,
    /// Why a file was left out, one sentence each.
    pub damaged: Vec<String>,
}

/// Reads `runs/<id>/run.json` of every line, where there is one: the files are not kept with the repository.
#[must_use]
pub fn gather(results: &Path, lines: &[Line]) -> Gathered {
    let mut gathered = Gathered::default();
    for line in lines {
        // An id is the name of a directory, never a path.
        if line.id.contains(['/', '\\']) || line.id.starts_with('.') {
            continue;
        }
        let file = results.join("runs").join(&line.id).join("run.json");
        match detail(&file) {
            Ok(detail) => {
                gathered.details.insert(line.id.clone(), detail);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => gathered.damaged.push(format!("{}: {error}", file.display())),
        }
    }
    gathered
}

fn detail(file: &Path) -> io::Result<Detail> {
    let run = RunResult::read(file)?;
    let histograms = run.histograms.decode()?;
    Ok(Detail {
        description: run.effective_scenario.description,
        broker_arguments: run.broker_arguments,
        checks: run.checks,
        curves: Curves {
            response: curve(&histograms.response),
            service: curve(&histograms.service),
            confirm: histograms.confirm.as_ref().map(curve).unwrap_or_default(),
        },
    })
}

fn curve(histogram: &Histogram<u64>) -> Curve {
    if histogram.is_empty() {
        return Vec::new();
    }
    let nines_max = (histogram.len() as f64).log10();
    let steps = (nines_max / NINES_STEP) as u32;
    let mut points: Curve = (0..=steps)
        .map(|step| f64::from(step) * NINES_STEP)
        .map(|nines| {
            let value_ns = histogram.value_at_quantile(1.0 - 10_f64.powf(-nines));
            ((nines * 1e3).round() / 1e3, value_ns as f64 / 1e3)
        })
        .collect();
    points.push(((nines_max * 1e3).round() / 1e3, histogram.max() as f64 / 1e3));
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn with_file(run: &RunResult) -> (tempfile::TempDir, Line) {
        let results = tempfile::tempdir().unwrap();
        let directory = results.path().join("runs").join(&run.id);
        std::fs::create_dir_all(&directory).unwrap();
        run.write(&directory).unwrap();
        (results, Line::from(run))
    }

    #[test]
    fn curves_agree_with_the_summary() {
        let run = run_result("20p20c-latency");
        let (results, line) = with_file(&run);
        let gathered = gather(results.path(), &[line]);
        assert!(gathered.damaged.is_empty(), "{:?}", gathered.damaged);
        let detail = &gathered.details[&run.id];
        let latency = run.summary.latency_us.unwrap();
        let at = |nines: f64| {
            let point = detail
                .curves
                .response
                .iter()
                .find(|(place, _)| (place - nines).abs() < 1e-6);
            point.unwrap().1
        };
        assert_eq!(
            (at(1.0), at(2.0), at(3.0)),
            (latency.p90, latency.p99, latency.p99_9)
        );
        assert_eq!(detail.curves.response.last().unwrap().1, latency.max);
        assert!(detail.curves.response.is_sorted_by_key(|point| point.1));
        assert_eq!(detail.checks, run.checks);
    }

    #[test]
    fn missing_files_are_no_fault_and_damaged_ones_are_named() {
        let run = run_result("20p20c");
        let (results, line) = with_file(&run);
        let mut missing = line.clone();
        missing.id = "missing".into();
        let mut outside = line.clone();
        outside.id = "../../etc".into();
        let file = results.path().join("runs").join(&run.id).join("run.json");
        std::fs::write(&file, "{").unwrap();
        let gathered = gather(results.path(), &[line, missing, outside]);
        assert!(gathered.details.is_empty());
        assert_eq!(gathered.damaged.len(), 1);
        assert!(gathered.damaged[0].contains(&run.id));
    }
}
