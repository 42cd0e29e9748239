//! The figures of a summary by name, as targets speak of them: `latency_us.p99` is `summary.latency_us.p99`.

use serde_json::Value;

/// Every figure that an expression may name. One that a run did not measure is `null`.
pub const NAMES: &[&str] = &[
    "duration_s",
    "published",
    "consumed",
    "publish_rate",
    "consume_rate",
    "latency_us.p50",
    "latency_us.p90",
    "latency_us.p99",
    "latency_us.p99_9",
    "latency_us.max",
    "latency_us.count",
    "service_latency_us.p50",
    "service_latency_us.p90",
    "service_latency_us.p99",
    "service_latency_us.p99_9",
    "service_latency_us.max",
    "service_latency_us.count",
    "confirm_latency_us.p50",
    "confirm_latency_us.p90",
    "confirm_latency_us.p99",
    "confirm_latency_us.p99_9",
    "confirm_latency_us.max",
    "confirm_latency_us.count",
    "ledger.published",
    "ledger.expected",
    "ledger.received",
    "ledger.confirmed",
    "ledger.lost",
    "ledger.confirmed_lost",
    "ledger.unconfirmed_lost",
    "ledger.duplicated",
    "ledger.redelivered",
    "ledger.reordered",
    "ledger.corrupt",
    "ledger.nacked",
    "broker.rss_anon_bytes_max",
    "broker.rss_file_bytes_max",
    "broker.rss_bytes_max",
    "broker.cpu_cores",
    "broker.cpu_us_per_message",
    "generator.cpu_cores",
    "generator.cpu_us_per_message",
    "generator.schedule_lag_us_p99",
    "generator.unsent",
    "generator.messages_per_read",
    "generator.messages_per_write",
    "generator.ceiling_msgs_per_s",
    "generator.ceiling_share",
    "machine.steal",
    "machine.foreign_cpu",
    "machine.hiccup_us.p50",
    "machine.hiccup_us.p99",
    "machine.hiccup_us.p99_9",
    "machine.hiccup_us.max",
    "cost.broker_cpu_us",
    "cost.generator_cpu_us",
    "cost.broker_written_bytes",
    "cost.broker_read_bytes",
    "cost.broker_read_calls",
    "cost.broker_write_calls",
    "cost.broker_voluntary_switches",
    "cost.broker_involuntary_switches",
    "cost.broker_anonymous_bytes",
    "cost.generator_voluntary_switches",
    "cost.generator_involuntary_switches",
];

/// The figure called `name` in a summary; `None` when it was not measured.
#[must_use]
pub fn find(summary: &Value, name: &str) -> Option<f64> {
    name.split('.')
        .try_fold(summary, |value, part| value.get(part))?
        .as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn every_name_is_a_figure_of_a_run() {
        // A latency, a confirm latency and the ledger of a crash: between them two runs have everything.
        let runs =
            ["20p20c-latency", "crash"].map(|name| serde_json::to_value(run_result(name).summary).unwrap());
        for name in NAMES {
            assert!(runs.iter().any(|summary| find(summary, name).is_some()), "{name}");
        }
        assert_eq!(find(&runs[0], "latency_us.p98"), None);
        assert_eq!(find(&runs[0], "latency_us"), None);
    }
}
