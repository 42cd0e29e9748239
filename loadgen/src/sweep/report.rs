//! A sweep's files and its table.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::charts::{Caption, curve};
use crate::environment::Environment;
use crate::reading::{CSV_COLUMNS, Reading};
use crate::result::LatencyUs;
use crate::statistics::{Interval, median};
use crate::units::{latency_us, rate};
use crate::verdict::Outcome;

/// The field whose values make a throughput–latency curve.
const RATE_FIELD: &str = "load.rate";
const CONFIDENCE: f64 = 0.95;

/// One combination and its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointReport {
    /// The value of each field, in the order of [`Report::fields`].
    pub values: Vec<Value>,
    /// Hash of its load.
    pub scenario_hash: String,
    /// Its runs, in the order in which they were made.
    pub runs: Vec<Reading>,
    /// Median and 95 % interval of the rate consumed, over valid runs; `None` with fewer than five.
    pub consume_rate: Option<Interval>,
    /// Likewise of the response latency's p99.
    pub latency_us_p99: Option<Interval>,
}

/// `sweep.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// What the command line changed beside the swept fields.
    pub overrides: Vec<String>,
    /// Whom it drove.
    pub target: String,
    /// Where and with what.
    pub environment: Environment,
    /// Seed of the order, and of each point's first run.
    pub seed: u64,
    /// The swept fields.
    pub fields: Vec<String>,
    /// The points of the grid.
    pub points: Vec<PointReport>,
}

impl PointReport {
    /// Values of the valid runs.
    fn values_of(&self, of: impl Fn(&Reading) -> Option<f64>) -> Vec<f64> {
        let valid = self.runs.iter().filter(|run| run.verdict != Outcome::Invalid);
        valid.filter_map(of).collect()
    }

    /// Their median; `None` when none gave a value.
    fn median_of(&self, of: impl Fn(&Reading) -> Option<f64>) -> Option<f64> {
        let values = self.values_of(of);
        (!values.is_empty()).then(|| median(&values))
    }

    fn latency(&self, of: fn(&LatencyUs) -> f64) -> Option<f64> {
        self.median_of(|run| run.latency_us.as_ref().map(of))
    }
}

impl Report {
    /// Fills in the intervals.
    pub fn conclude(&mut self) {
        for point in &mut self.points {
            let interval = |values: Vec<f64>| Interval::of_median(&values, CONFIDENCE, self.seed).ok();
            point.consume_rate = interval(point.values_of(|run| Some(run.consume_rate)));
            point.latency_us_p99 = interval(point.values_of(|run| run.latency_us.map(|latency| latency.p99)));
        }
    }

    /// One line a run, for spreadsheets.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut out = format!("{},{CSV_COLUMNS}\n", self.fields.join(","));
        for point in &self.points {
            for run in &point.runs {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "{},{}", words(&point.values).join(","), run.csv());
            }
        }
        out
    }

    /// `load.rate = 1000, size_bytes = 64`
    #[must_use]
    pub fn label(&self, point: usize) -> String {
        let pairs = self.fields.iter().zip(words(&self.points[point].values));
        let pairs = pairs.map(|(field, value)| format!("{field} = {value}"));
        pairs.collect::<Vec<_>>().join(", ")
    }
}

fn words(values: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.iter().map(word).collect()
}

/// Draws the throughput–latency curve, `<stem>.svg`, `<stem>-dark.svg` and `<stem>.png`; nothing when no point has a latency.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(stem: &Path, report: &Report) -> io::Result<()> {
    let points = curve(report);
    if points.is_empty() {
        return Ok(());
    }
    let runs = report.points.iter().flat_map(|point| &point.runs);
    let caption = Caption::of_series(
        &report.scenario,
        format!("sweep of {}", report.fields.join(", ")),
        &report.target,
        &report.environment,
        runs.map(|run| run.run.clone()).collect(),
    );
    let series = curve::Series {
        name: report.target.clone(),
        points,
    };
    curve::write(stem, caption, &[series])
}

/// The medians at each rate, ascending; empty unless the sweep is one over `load.rate` alone.
fn curve(report: &Report) -> Vec<curve::Point> {
    if report.fields != [RATE_FIELD] {
        return Vec::new();
    }
    let point = |point: &PointReport| {
        Some(curve::Point {
            offered_rate: point.values[0].as_f64()?,
            achieved_rate: point.median_of(|run| Some(run.consume_rate))?,
            p50_us: point.latency(|it| it.p50)?,
            p99_us: point.latency(|it| it.p99)?,
            p99_9_us: point.latency(|it| it.p99_9)?,
            held: point.runs.iter().all(|run| run.verdict != Outcome::Fail),
        })
    };
    let mut points: Vec<curve::Point> = report.points.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.offered_rate.total_cmp(&b.offered_rate));
    points
}

/// The sweep for people: medians of valid runs.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "\n{} ({}): medians of valid runs\n",
        report.scenario, report.target
    )?;
    for field in &report.fields {
        write!(out, "  {field:>14}")?;
    }
    writeln!(
        out,
        "{:>8}{:>12}{:>12}{:>12}{:>12}  95 % interval of the p99",
        "valid", "published", "consumed", "p50", "p99"
    )?;
    let shown = |value: Option<f64>, show: fn(f64) -> String| value.map_or("–".into(), show);
    for point in &report.points {
        for value in words(&point.values) {
            write!(out, "  {value:>14}")?;
        }
        let valid = point.values_of(|_| Some(0.0)).len();
        let interval = point.latency_us_p99.map_or("–".into(), |interval| {
            format!("{} to {}", latency_us(interval.low), latency_us(interval.high))
        });
        writeln!(
            out,
            "{:>8}{:>12}{:>12}{:>12}{:>12}  {interval}",
            format!("{valid}/{}", point.runs.len()),
            shown(point.median_of(|run| Some(run.publish_rate)), rate),
            shown(point.median_of(|run| Some(run.consume_rate)), rate),
            shown(point.latency(|it| it.p50), latency_us),
            shown(point.latency(|it| it.p99), latency_us),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::result::tests::run_result;

    /// Points of descending rates, each with `runs` runs, the last of each invalid.
    fn report(runs: usize) -> Report {
        let reading = Reading::of(&run_result("20p20c-latency"));
        let point = |rate: u64| {
            let runs = (0..runs).map(|index| Reading {
                consume_rate: rate as f64 + index as f64,
                verdict: if index + 1 == runs {
                    Outcome::Invalid
                } else {
                    Outcome::Pass
                },
                ..reading.clone()
            });
            PointReport {
                values: vec![json!(rate)],
                scenario_hash: "0".into(),
                runs: runs.collect(),
                consume_rate: None,
                latency_us_p99: None,
            }
        };
        let mut report = Report {
            scenario: "20p20c-latency".into(),
            overrides: vec![],
            target: "embedded".into(),
            environment: Environment::detect(),
            seed: 1,
            fields: vec!["load.rate".into()],
            points: vec![point(2_000), point(1_000)],
        };
        report.conclude();
        report
    }

    #[test]
    fn invalid_runs_do_not_count() {
        let report = report(6);
        let interval = report.points[0].consume_rate.unwrap();
        assert_eq!(
            (interval.low, interval.point, interval.high),
            (2_000.0, 2_002.0, 2_004.0)
        );
        assert!(table(&report).contains("5/6"), "{}", table(&report));
    }

    #[test]
    fn few_runs_have_medians_but_no_interval() {
        let report = report(3);
        assert_eq!(report.points[0].consume_rate, None);
        let table = table(&report);
        assert!(table.contains("2/3") && table.contains("596 µs"), "{table}");
    }

    #[test]
    fn rates_make_a_curve_and_every_run_a_line() {
        let mut report = report(3);
        let rates: Vec<_> = curve(&report).iter().map(|point| point.achieved_rate).collect();
        assert_eq!(rates, [1_000.5, 2_000.5]);
        assert_eq!(report.csv().lines().count(), 7);
        assert!(report.csv().starts_with("load.rate,run,"));
        assert_eq!(report.label(1), "load.rate = 1000");
        report.fields = vec!["size_bytes".into()];
        assert!(curve(&report).is_empty());
    }
}
