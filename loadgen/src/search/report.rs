//! A search's files and its table. All its points together are the throughput–latency curve.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::engine::{Bound, Finding, Found, Phase, Plan};
use super::judge::{Criteria, Judgement};
use crate::charts::{Caption, curve};
use crate::environment::Environment;
use crate::reading::{CSV_COLUMNS, Reading};
use crate::statistics::{Interval, holds_at_least};
use crate::units::{latency_us, percent, rate};

/// One run of the search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// What it was made for.
    pub phase: Phase,
    /// Messages a second that were due.
    pub rate: u64,
    /// The run.
    #[serde(flatten)]
    pub reading: Reading,
    /// Whether it held the rate, and from what that follows.
    pub judgement: Judgement,
}

/// `search.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Hash of its load, before the rate was changed.
    pub scenario_hash: String,
    /// What else the command line changed in it.
    pub overrides: Vec<String>,
    /// Whom it drove.
    pub target: String,
    /// Where and with what.
    pub environment: Environment,
    /// What a rate must do to be held.
    pub criteria: Criteria,
    /// How it was searched.
    pub plan: Plan,
    /// Every run, in order.
    pub points: Vec<Point>,
    /// What was found; `None` when the search was cut short or failed.
    pub found: Option<Found>,
    /// 95 % intervals of the medians over the confirming runs; `None` with fewer than five of them.
    pub consume_rate: Option<Interval>,
    /// Likewise of the left side of each objective's first comparison.
    pub objectives: Vec<Option<Interval>>,
    /// At least this share of runs hold the rate, with 95 % confidence, given that all confirming runs did.
    pub holds_at_least: f64,
}

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;

impl Report {
    /// Fills in what follows from the confirming runs at the rate that was found.
    pub fn conclude(&mut self, found: Found) {
        self.found = Some(found);
        let confirming: Vec<&Point> = self
            .points
            .iter()
            .filter(|point| {
                point.phase == Phase::Confirm
                    && Some(point.rate) == found.rate
                    && point.judgement.finding == Finding::Held
            })
            .collect();
        let interval = |values: Vec<f64>| Interval::of_median(&values, CONFIDENCE, self.plan.seed).ok();
        let rates = confirming.iter().map(|point| point.reading.consume_rate);
        let consume_rate = interval(rates.collect());
        let objectives = (0..self.criteria.objectives.len())
            .map(|index| {
                let values = confirming.iter();
                interval(
                    values
                        .filter_map(|point| point.judgement.measured[index])
                        .collect(),
                )
            })
            .collect();
        let holds = holds_at_least(confirming.len(), CONFIDENCE);
        self.consume_rate = consume_rate;
        self.objectives = objectives;
        self.holds_at_least = holds;
    }

    /// One line a run, for spreadsheets.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut out = format!("phase,rate,finding,{CSV_COLUMNS}\n");
        for point in &self.points {
            let _ = writeln!(
                out,
                "{},{},{},{}",
                phase_name(point.phase),
                point.rate,
                finding_name(point.judgement.finding),
                point.reading.csv()
            );
        }
        out
    }

    /// 0 when a rate was found, 1 when messages were harmed or no rate holds, 3 when only invalid runs stood in the way.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let harmed = self.points.iter().any(|point| point.judgement.harmed);
        match self.found {
            _ if harmed => 1,
            None => crate::failure::EXIT_INVALID,
            Some(Found { rate: Some(_), .. }) => 0,
            Some(Found {
                bound: Bound::Unmeasured,
                ..
            }) => crate::failure::EXIT_INVALID,
            Some(_) => 1,
        }
    }
}

/// Draws the throughput–latency curve: `<stem>.svg`, `<stem>-dark.svg` and `<stem>.png`.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(stem: &Path, report: &Report) -> io::Result<()> {
    let points = curve(report);
    let objectives: Vec<String> = report
        .criteria
        .objectives
        .iter()
        .map(ToString::to_string)
        .collect();
    let caption = Caption::of_series(
        &report.scenario,
        format!(
            "search for the highest rate that holds {}",
            objectives.join(" and ")
        ),
        &report.target,
        &report.environment,
        report
            .points
            .iter()
            .map(|point| point.reading.run.clone())
            .collect(),
    );
    let series = curve::Series {
        name: report.target.clone(),
        points,
    };
    curve::write(stem, caption, &[series])
}

/// The valid points by rate, for the chart.
fn curve(report: &Report) -> Vec<curve::Point> {
    let mut points: Vec<curve::Point> = report
        .points
        .iter()
        .filter(|point| point.judgement.finding != Finding::Unmeasured)
        .filter_map(|point| {
            let latency = point.reading.latency_us?;
            Some(curve::Point {
                offered_rate: point.rate as f64,
                achieved_rate: point.reading.consume_rate,
                p50_us: latency.p50,
                p99_us: latency.p99,
                p99_9_us: latency.p99_9,
                held: point.judgement.finding == Finding::Held,
            })
        })
        .collect();
    points.sort_by(|a, b| a.offered_rate.total_cmp(&b.offered_rate));
    points
}

impl Point {
    /// The line that says what came of the run.
    #[must_use]
    pub fn line(&self) -> String {
        let judgement = &self.judgement;
        let p99 = self
            .reading
            .latency_us
            .map_or("–".into(), |latency| latency_us(latency.p99));
        let mut line = format!(
            "{:<8}{:>10}  {:<10} {:>10} consumed  p99 {p99}",
            phase_name(self.phase),
            rate(self.rate as f64),
            finding_name(judgement.finding),
            rate(self.reading.consume_rate),
        );
        for reason in &judgement.reasons {
            let _ = write!(line, " · {reason}");
        }
        if judgement.generator_decides {
            line.push_str(" · WARNING: most of the p99 is the generator's own lag");
        }
        line + "\n"
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Bracket => "bracket",
        Phase::Bisect => "bisect",
        Phase::Confirm => "confirm",
    }
}

fn finding_name(finding: Finding) -> &'static str {
    match finding {
        Finding::Held => "held",
        Finding::Missed => "missed",
        Finding::Unmeasured => "invalid",
    }
}

/// What was found, for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_found(&mut out, report);
    out
}

fn write_found(out: &mut String, report: &Report) -> std::fmt::Result {
    let Some(found) = report.found else {
        return writeln!(
            out,
            "\n{}: nothing found: the search did not end",
            report.scenario
        );
    };
    let objectives: Vec<String> = report
        .criteria
        .objectives
        .iter()
        .map(ToString::to_string)
        .collect();
    let objectives = objectives.join(" and ");
    writeln!(out, "\n{} ({}), {objectives}:", report.scenario, report.target)?;
    let Some(highest) = found.rate else {
        return writeln!(
            out,
            "  no rate holds, down to {}",
            rate(report.plan.rate_min as f64)
        );
    };
    writeln!(
        out,
        "  highest rate   {}, held in {} of {} runs (at {} confidence, at least {} of runs hold it)",
        rate(highest as f64),
        report.plan.confirm,
        report.plan.confirm,
        percent(CONFIDENCE),
        percent(report.holds_at_least),
    )?;
    let above = found
        .rate_not_held
        .map(|above| rate(above as f64))
        .unwrap_or_default();
    match found.bound {
        Bound::Objective => writeln!(out, "  not held       {above}")?,
        Bound::Unmeasured => writeln!(
            out,
            "  not measured   {above}: the runs were invalid; the limit is the generator's or the machine's, not the broker's"
        )?,
        Bound::RateMax => writeln!(out, "  the highest rate that was allowed; the broker may do more")?,
    }
    let show = |interval: &Option<Interval>, show: &dyn Fn(f64) -> String| match interval {
        Some(it) => format!("{} ({} to {})", show(it.point), show(it.low), show(it.high)),
        None => "no interval: fewer than five confirming runs".into(),
    };
    writeln!(out, "  consumed       {}", show(&report.consume_rate, &rate))?;
    for (objective, interval) in report.criteria.objectives.iter().zip(&report.objectives) {
        let plain = |value: f64| format!("{value:.1}");
        let objective = objective.to_string();
        writeln!(out, "  {objective:<14} {}", show(interval, &plain))?;
    }
    if report
        .points
        .iter()
        .any(|point| point.judgement.generator_decides && Some(point.rate) == found.rate)
    {
        writeln!(
            out,
            "  WARNING: at this rate most of the p99 is the generator's own lag"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn point(phase: Phase, rate: u64, finding: Finding) -> Point {
        let mut reading = Reading::of(&run_result("20p20c-latency"));
        reading.consume_rate = rate as f64;
        Point {
            phase,
            rate,
            reading,
            judgement: Judgement {
                finding,
                reasons: vec![],
                measured: vec![Some(600.0)],
                backlog_slope: Some(0.0),
                consumed_share: 1.0,
                generator_decides: false,
                harmed: false,
            },
        }
    }

    fn report(points: Vec<Point>) -> Report {
        Report {
            scenario: "20p20c-latency".into(),
            scenario_hash: "0".into(),
            overrides: vec![],
            target: "embedded".into(),
            environment: Environment::detect(),
            criteria: Criteria {
                objectives: vec!["latency_us.p99 <= 1000".parse().unwrap()],
                backlog_slope_max: 0.01,
                consumed_share_min: 0.99,
            },
            plan: Plan {
                rate_first: 1_000,
                rate_min: 10,
                rate_max: 100_000,
                factor: 2.0,
                resolution: 0.05,
                confirm: 5,
                steps_down_max: 3,
                invalid_max: 2,
                seed: 1,
            },
            points,
            found: None,
            consume_rate: None,
            objectives: vec![],
            holds_at_least: 0.0,
        }
    }

    fn found() -> Report {
        let mut points = vec![
            point(Phase::Bracket, 4_000, Finding::Missed),
            point(Phase::Bracket, 1_000, Finding::Held),
            point(Phase::Bracket, 8_000, Finding::Unmeasured),
        ];
        points.extend((0..5).map(|_| point(Phase::Confirm, 2_000, Finding::Held)));
        let mut report = report(points);
        report.conclude(Found {
            rate: Some(2_000),
            rate_not_held: Some(4_000),
            bound: Bound::Objective,
        });
        report
    }

    #[test]
    fn the_table_states_rate_bracket_and_confidence() {
        let table = table(&found());
        for expected in [
            "highest rate   2.00 k/s, held in 5 of 5 runs (at 95.0 % confidence, at least 54.9 % of runs hold it)",
            "not held       4.00 k/s",
            "latency_us.p99 <= 1000 600.0 (600.0 to 600.0)",
        ] {
            assert!(table.contains(expected), "{expected} is not in\n{table}");
        }
    }

    #[test]
    fn the_curve_ascends_and_leaves_invalid_runs_out() {
        let rates: Vec<f64> = curve(&found()).iter().map(|point| point.offered_rate).collect();
        assert_eq!(
            rates,
            [1_000.0, 2_000.0, 2_000.0, 2_000.0, 2_000.0, 2_000.0, 4_000.0]
        );
        assert_eq!(found().csv().lines().count(), 9);
    }

    #[test]
    fn exit_codes_tell_found_harmed_and_unmeasurable() {
        let mut report = found();
        assert_eq!(report.exit_code(), 0);
        report.points[0].judgement.harmed = true;
        assert_eq!(report.exit_code(), 1);
        report.points[0].judgement.harmed = false;
        report.found = Some(Found {
            rate: None,
            rate_not_held: Some(10),
            bound: Bound::Unmeasured,
        });
        assert_eq!(report.exit_code(), 3);
        report.found = None;
        assert!(table(&report).contains("did not end") && report.exit_code() == 3);
    }
}
