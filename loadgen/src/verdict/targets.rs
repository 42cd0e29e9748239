//! Targets: what a passing run reaches. One that could not be measured is shown as such and not judged.

use hdrhistogram::Histogram;

use super::{Check, Evidence};
use crate::expression::Expression;
use crate::figures;
use crate::recorder::Recording;
use crate::scenario::Scenario;

/// Every target, with what was measured.
pub(super) fn checks(evidence: &Evidence<'_>) -> Vec<Check> {
    let mut checks = limits(evidence);
    checks.extend(expressions(evidence));
    checks
}

/// The targets that are expressions over the summary.
fn expressions(evidence: &Evidence<'_>) -> Vec<Check> {
    let texts = &evidence.scenario.targets.expressions;
    let summary = serde_json::to_value(evidence.summary).expect("a summary is plain data");
    let figure = |name: &str| figures::find(&summary, name);
    let judged = texts.iter().filter_map(|text| {
        let expression = Expression::parse(text, figures::NAMES).ok()?;
        let compared = expression.comparisons(&figure);
        let first = compared.first()?;
        let shown: Vec<_> = compared.iter().map(ToString::to_string).collect();
        let passed = expression.holds(&figure);
        Some(Check {
            target: expression.text().to_owned(),
            limit: first.right.unwrap_or_default(),
            measured: first.left.filter(|_| passed.is_some()),
            passed,
            compared: Some(shown.join(", ")),
        })
    });
    judged.collect()
}

/// The targets that are plain limits.
fn limits(evidence: &Evidence<'_>) -> Vec<Check> {
    let Evidence {
        scenario,
        recording,
        usage,
        ..
    } = *evidence;
    let targets = &scenario.targets;
    let rate = |count: u64| (recording.window_s > 0.0).then(|| count as f64 / recording.window_s);
    let at_least = |target: &str, limit: Option<f64>, measured: Option<f64>| {
        check(target, limit, measured, |measured, limit| measured >= limit)
    };
    let at_most = |target: &str, limit: Option<f64>, measured: Option<f64>| {
        check(target, limit, measured, |measured, limit| measured <= limit)
    };
    let broker = usage.and_then(|usage| usage.broker);
    let rss = broker.map(|broker| broker.rss_bytes_max as f64);
    let rss_anon = broker.map(|broker| broker.rss_anon_bytes_max as f64);
    let p99_us = |histogram: &Histogram<u64>| {
        (!histogram.is_empty()).then(|| histogram.value_at_quantile(0.99) as f64 / 1e3)
    };
    [
        at_least(
            "publish_rate_min",
            targets.publish_rate_min,
            rate(recording.published_in_window),
        ),
        at_least(
            "consume_rate_min",
            targets.consume_rate_min,
            rate(recording.consumed_in_window),
        ),
        at_most(
            "broker_rss_bytes_max",
            targets.broker_rss_bytes_max.map(|bytes| bytes as f64),
            rss,
        ),
        at_most(
            "broker_rss_anon_bytes_max",
            targets.broker_rss_anon_bytes_max.map(|bytes| bytes as f64),
            rss_anon,
        ),
        at_most(
            "schedule_lag_p99_us_max",
            targets.schedule_lag_p99_us_max,
            p99_us(&recording.schedule_lag),
        ),
        at_most(
            "latency_p99_us_max",
            targets.latency_p99_us_max,
            p99_us(&recording.response),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check(
    target: &str,
    limit: Option<f64>,
    measured: Option<f64>,
    reached: fn(f64, f64) -> bool,
) -> Option<Check> {
    let limit = limit?;
    let passed = measured.map(|measured| reached(measured, limit));
    Some(Check {
        target: target.into(),
        limit,
        measured,
        passed,
        compared: None,
    })
}

/// A line for each target that was missed.
pub(super) fn missed(checks: &[Check]) -> impl Iterator<Item = String> {
    checks
        .iter()
        .filter(|check| check.passed == Some(false))
        .map(|check| match &check.compared {
            Some(compared) => format!("{} missed: {compared}", check.target),
            None => {
                let measured = check.measured.unwrap_or_default();
                format!(
                    "{} missed: {measured:.0}, target {:.0}",
                    check.target, check.limit
                )
            }
        })
}

/// What was due, or counted, and never sent.
pub(super) fn unsent(scenario: &Scenario, recording: &Recording) -> Option<String> {
    let unsent = recording.unsent;
    let limit_s = if scenario.backlog_first {
        scenario.warmup_s
    } else {
        scenario.duration_s
    };
    (unsent > 0).then(|| match scenario.messages {
        Some(messages) => format!("messages not sent within {limit_s} s: {unsent} of {messages}"),
        None => format!("messages due but not sent before the drain's deadline: {unsent}"),
    })
}
