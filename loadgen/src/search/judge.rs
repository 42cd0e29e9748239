//! Whether a run held its rate.

use serde::Serialize;
use serde_json::Value;

use super::engine::Finding;
use super::objective::Objective;
use crate::reading::is_harm;
use crate::result::RunResult;
use crate::statistics::slope;
use crate::units::{percent, rate};
use crate::verdict::Outcome;

/// Above this share of the response latency's p99, the schedule lag's p99 decides it.
const LAG_SHARE_MAX: f64 = 0.5;
/// Fewest intervals through which a line is laid.
const INTERVALS_MIN: usize = 3;

/// What a rate must do to be held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Criteria {
    /// All of these.
    pub objectives: Vec<Objective>,
    /// The backlog grows by at most this share of the rate, over the window.
    pub backlog_slope_max: f64,
    /// Deliveries are at least this share of those that were due within the window.
    pub consumed_share_min: f64,
}

/// A judged run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Whether the rate was held.
    pub finding: Finding,
    /// Why not, or why the run says nothing.
    pub reasons: Vec<String>,
    /// What was measured for each objective.
    pub measured: Vec<Option<f64>>,
    /// Growth of the backlog, in messages a second; `None` when the window has too few intervals.
    pub backlog_slope: Option<f64>,
    /// Deliveries ÷ those due.
    pub consumed_share: f64,
    /// Whether the generator's own lag makes up most of the response latency's p99.
    pub generator_decides: bool,
    /// Whether messages were harmed.
    pub harmed: bool,
}

/// Judges a run of an open loop.
#[must_use]
pub fn judge(criteria: &Criteria, run: &RunResult) -> Judgement {
    let summary = &run.summary;
    let scenario = &run.effective_scenario;
    let offered = scenario
        .load
        .rate_mean(scenario.producers)
        .unwrap_or(summary.publish_rate);
    let due = offered * f64::from(scenario.copies()) * summary.duration_s;
    let consumed_share = if due > 0.0 {
        summary.consumed as f64 / due
    } else {
        0.0
    };
    let json = serde_json::to_value(summary).unwrap_or(Value::Null);
    let measured: Vec<Option<f64>> = criteria
        .objectives
        .iter()
        .map(|objective| objective.measured(&json))
        .collect();
    let backlog_slope = backlog_slope(run);
    let mut reasons = Vec::new();
    for objective in &criteria.objectives {
        match objective.is_held(&json) {
            None => reasons.push(format!("{} was not measured", objective.missing(&json))),
            Some(false) => reasons.push(format!("{objective} missed: {}", objective.compared(&json))),
            Some(true) => {}
        }
    }
    if let Some(slope) = backlog_slope.filter(|slope| *slope > criteria.backlog_slope_max * offered) {
        reasons.push(format!("the backlog grew by {}", rate(slope)));
    }
    if consumed_share < criteria.consumed_share_min {
        reasons.push(format!(
            "only {} of what was due was consumed",
            percent(consumed_share)
        ));
    }
    if summary.generator.unsent > 0 {
        reasons.push(format!("{} messages could not be sent", summary.generator.unsent));
    }
    let harmed = is_harm(&summary.ledger);
    if harmed {
        reasons.extend(summary.reasons.iter().cloned());
    }
    let finding = match (summary.verdict, reasons.is_empty()) {
        (Outcome::Invalid, _) => {
            reasons.clone_from(&summary.reasons);
            Finding::Unmeasured
        }
        (_, true) => Finding::Held,
        (_, false) => Finding::Missed,
    };
    Judgement {
        finding,
        reasons,
        measured,
        backlog_slope,
        consumed_share,
        generator_decides: generator_decides(run),
        harmed,
    }
}

/// The line through the backlogs at the ends of the window's whole intervals.
fn backlog_slope(run: &RunResult) -> Option<f64> {
    let (from, to) = run.window_s;
    let points: Vec<(f64, f64)> = run
        .intervals
        .iter()
        .filter(|interval| interval.t_s > from && interval.t_s <= to + 1e-3)
        .map(|interval| (interval.t_s, interval.backlog as f64))
        .collect();
    (points.len() >= INTERVALS_MIN).then(|| slope(&points)).flatten()
}

fn generator_decides(run: &RunResult) -> bool {
    let lag = run.summary.generator.schedule_lag_us_p99;
    let latency = run.summary.latency_us.map(|latency| latency.p99);
    lag.zip(latency)
        .is_some_and(|(lag, latency)| lag > LAG_SHARE_MAX * latency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn criteria() -> Criteria {
        Criteria {
            objectives: vec!["latency_us.p99 <= 1000".parse().unwrap()],
            backlog_slope_max: 0.01,
            consumed_share_min: 0.99,
        }
    }

    /// A run of 250,000 messages a second, whose p99 is 596 µs.
    fn good() -> RunResult {
        let mut run = run_result("20p20c-latency");
        run.intervals
            .iter_mut()
            .for_each(|interval| interval.backlog = 100);
        run
    }

    #[test]
    fn a_good_run_holds_its_rate() {
        let judgement = judge(&criteria(), &good());
        assert_eq!(judgement.finding, Finding::Held, "{judgement:?}");
        assert!(judgement.measured[0].unwrap() < 600.0 && !judgement.harmed);
        assert!((judgement.consumed_share - 1.0).abs() < 0.01, "{judgement:?}");
    }

    #[test]
    fn a_backlog_that_grows_misses_it_however_short_the_latency() {
        let mut run = good();
        for (index, interval) in run.intervals.iter_mut().enumerate() {
            interval.backlog = 5_000 * index as u64;
        }
        let judgement = judge(&criteria(), &run);
        assert_eq!(judgement.finding, Finding::Missed);
        assert!(
            (judgement.backlog_slope.unwrap() - 5_000.0).abs() < 100.0,
            "{judgement:?}"
        );
        assert!(
            judgement.reasons[0].contains("the backlog grew by 5.00 k/s"),
            "{judgement:?}"
        );
    }

    #[test]
    fn each_fault_is_named() {
        let reason = |change: fn(&mut RunResult)| {
            let mut run = good();
            change(&mut run);
            let judgement = judge(&criteria(), &run);
            assert_eq!(judgement.finding, Finding::Missed, "{judgement:?}");
            judgement.reasons.join("; ")
        };
        assert!(reason(|run| run.summary.consumed /= 2).contains("50.0 % of what was due"));
        assert!(reason(|run| run.summary.generator.unsent = 9).contains("9 messages could not be sent"));
        assert!(reason(|run| run.summary.latency_us = None).contains("latency_us.p99 was not measured"));
        let slow = reason(|run| run.summary.latency_us.as_mut().unwrap().p99 = 2_000.0);
        assert!(
            slow.contains("latency_us.p99 <= 1000 missed: 2.00 ms <= 1.00 ms"),
            "{slow}"
        );
        let harmed = reason(|run| {
            run.summary.ledger.lost = 3;
            run.summary.reasons = vec!["messages lost: 3".into()];
        });
        assert_eq!(harmed, "messages lost: 3");
    }

    #[test]
    fn an_invalid_run_says_nothing_whatever_it_measured() {
        let mut run = good();
        run.summary.verdict = Outcome::Invalid;
        run.summary.reasons = vec!["steal".into()];
        let judgement = judge(&criteria(), &run);
        assert_eq!(
            (judgement.finding, judgement.reasons),
            (Finding::Unmeasured, vec!["steal".into()])
        );
    }

    #[test]
    fn a_late_generator_shows() {
        let mut run = good();
        run.summary.generator.schedule_lag_us_p99 = Some(10.0);
        assert!(!judge(&criteria(), &run).generator_decides);
        run.summary.generator.schedule_lag_us_p99 = Some(500.0);
        assert!(judge(&criteria(), &run).generator_decides);
    }
}
