//! Metrics by which runs are compared: one number of a run's summary, and which direction is good.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::{Serialize, Serializer};

use crate::result::Summary;
use crate::units::{bytes, latency_us, rate};

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// A number of a run's summary; named as the field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Messages sent per second.
    PublishRate,
    /// Deliveries received per second.
    ConsumeRate,
    /// Response latency, median.
    LatencyP50,
    /// Response latency, 99th percentile.
    LatencyP99,
    /// Response latency, 99.9th percentile.
    LatencyP999,
    /// Confirm latency, 99th percentile.
    ConfirmLatencyP99,
    /// The broker's CPU time per message.
    BrokerCpu,
    /// The broker's peak of resident memory.
    BrokerMemory,
    /// The broker's peak of anonymous memory.
    BrokerAnonymousMemory,
}

/// All of them, in the order of tables.
pub const METRICS: [Metric; 9] = [
    Metric::PublishRate,
    Metric::ConsumeRate,
    Metric::LatencyP50,
    Metric::LatencyP99,
    Metric::LatencyP999,
    Metric::ConfirmLatencyP99,
    Metric::BrokerCpu,
    Metric::BrokerMemory,
    Metric::BrokerAnonymousMemory,
];

impl Metric {
    /// The field's path in the summary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PublishRate => "publish_rate",
            Self::ConsumeRate => "consume_rate",
            Self::LatencyP50 => "latency_us.p50",
            Self::LatencyP99 => "latency_us.p99",
            Self::LatencyP999 => "latency_us.p99_9",
            Self::ConfirmLatencyP99 => "confirm_latency_us.p99",
            Self::BrokerCpu => "broker.cpu_us_per_message",
            Self::BrokerMemory => "broker.rss_bytes_max",
            Self::BrokerAnonymousMemory => "broker.rss_anon_bytes_max",
        }
    }

    /// Which direction is good.
    #[must_use]
    pub fn better(self) -> Better {
        match self {
            Self::PublishRate | Self::ConsumeRate => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// Its value in a run; `None` when it was not measured, or is 0 because nothing of the kind happened.
    #[must_use]
    pub fn of(self, summary: &Summary) -> Option<f64> {
        let value = match self {
            Self::PublishRate => Some(summary.publish_rate),
            Self::ConsumeRate => Some(summary.consume_rate),
            Self::LatencyP50 => summary.latency_us.map(|latency| latency.p50),
            Self::LatencyP99 => summary.latency_us.map(|latency| latency.p99),
            Self::LatencyP999 => summary.latency_us.map(|latency| latency.p99_9),
            Self::ConfirmLatencyP99 => summary.confirm_latency_us.map(|latency| latency.p99),
            Self::BrokerCpu => summary.broker.cpu_us_per_message,
            Self::BrokerMemory => summary.broker.rss_bytes_max.map(|bytes| bytes as f64),
            Self::BrokerAnonymousMemory => summary.broker.rss_anon_bytes_max.map(|bytes| bytes as f64),
        };
        value.filter(|value| *value > 0.0)
    }

    /// A value for people.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::PublishRate | Self::ConsumeRate => rate(value),
            Self::BrokerMemory | Self::BrokerAnonymousMemory => bytes(value),
            Self::BrokerCpu => format!("{value:.3} µs"),
            _ => latency_us(value),
        }
    }

    /// Whether `ratio` (new ÷ old) is an improvement.
    #[must_use]
    pub fn improves(self, ratio: f64) -> bool {
        match self.better() {
            Better::Higher => ratio > 1.0,
            Better::Lower => ratio < 1.0,
        }
    }
}

impl ValueEnum for Metric {
    fn value_variants<'a>() -> &'a [Self] {
        &METRICS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    /// Each name is the path of the field that the value comes from.
    #[test]
    fn a_metric_is_the_field_that_it_names() {
        let summary = run_result("crash").summary;
        let json = serde_json::to_value(&summary).unwrap();
        for metric in METRICS {
            let field = json.pointer(&format!("/{}", metric.name().replace('.', "/")));
            assert_eq!(metric.of(&summary), field.unwrap().as_f64(), "{metric:?}");
        }
    }

    #[test]
    fn nothing_consumed_is_no_rate() {
        let mut summary = run_result("20p20c").summary;
        summary.consume_rate = 0.0;
        assert_eq!(Metric::ConsumeRate.of(&summary), None);
    }

    #[test]
    fn directions_differ() {
        assert!(Metric::ConsumeRate.improves(1.1) && !Metric::LatencyP99.improves(1.1));
    }
}
