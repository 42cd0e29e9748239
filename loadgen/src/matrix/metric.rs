//! The figures that a matrix compares, taken from a run's summary.

use std::collections::BTreeMap;

use crate::result::Summary;
use crate::units;

/// What a figure counts, and so how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Messages a second.
    PerSecond,
    /// Microseconds of latency or CPU time.
    Microseconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// A figure for people.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => units::rate(value),
            Self::Microseconds => units::latency_us(value),
            Self::Bytes => units::bytes(value),
        }
    }
}

/// A figure of a run.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in `matrix.json`.
    pub id: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Whether more of it is better; of all others less is.
    pub more_is_better: bool,
    /// The figure; `None` when the run did not measure it.
    pub of: fn(&Summary) -> Option<f64>,
}

const fn metric(
    id: &'static str,
    label: &'static str,
    unit: Unit,
    of: fn(&Summary) -> Option<f64>,
) -> Metric {
    Metric {
        id,
        label,
        unit,
        more_is_better: matches!(unit, Unit::PerSecond),
        of,
    }
}

/// All of them, in the order of tables and pages.
pub const METRICS: &[Metric] = &[
    metric("publish_rate", "published", Unit::PerSecond, |run| {
        Some(run.publish_rate)
    }),
    metric("consume_rate", "consumed", Unit::PerSecond, |run| {
        (run.consumed > 0).then_some(run.consume_rate)
    }),
    metric("response_us_p50", "response p50", Unit::Microseconds, |run| {
        run.latency_us.map(|latency| latency.p50)
    }),
    metric("response_us_p99", "response p99", Unit::Microseconds, |run| {
        run.latency_us.map(|latency| latency.p99)
    }),
    metric("response_us_p99_9", "response p99.9", Unit::Microseconds, |run| {
        run.latency_us.map(|latency| latency.p99_9)
    }),
    metric("confirm_us_p99", "confirm p99", Unit::Microseconds, |run| {
        run.confirm_latency_us.map(|latency| latency.p99)
    }),
    metric(
        "broker_cpu_us_per_message",
        "broker CPU a message",
        Unit::Microseconds,
        |run| run.broker.cpu_us_per_message,
    ),
    metric(
        "generator_cpu_us_per_message",
        "generator CPU a message",
        Unit::Microseconds,
        |run| run.generator.cpu_us_per_message,
    ),
    metric(
        "broker_rss_anon_bytes_max",
        "broker memory, anonymous",
        Unit::Bytes,
        |run| run.broker.rss_anon_bytes_max.map(|bytes| bytes as f64),
    ),
    metric("broker_rss_bytes_max", "broker memory, all", Unit::Bytes, |run| {
        run.broker.rss_bytes_max.map(|bytes| bytes as f64)
    }),
    metric(
        "broker_written_bytes_per_message",
        "broker's disk writes a message",
        Unit::Bytes,
        |run| run.cost.broker_written_bytes,
    ),
];

/// The figures that a run has, by [`Metric::id`].
#[must_use]
pub(super) fn figures(run: &Summary) -> BTreeMap<String, f64> {
    METRICS
        .iter()
        .filter_map(|metric| Some((metric.id.to_owned(), (metric.of)(run)?)))
        .filter(|(_, value)| value.is_finite())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn a_run_has_the_figures_that_it_measured() {
        let mut run = run_result("20p20c").summary;
        run.confirm_latency_us = None;
        run.broker.rss_bytes_max = None;
        let found = figures(&run);
        assert_eq!(found["publish_rate"], run.publish_rate);
        assert_eq!(found["response_us_p99"], run.latency_us.unwrap().p99);
        assert!(!found.contains_key("confirm_us_p99") && !found.contains_key("broker_rss_bytes_max"));
    }
}
