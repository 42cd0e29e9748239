//! What a message cost, beside how many there were: CPU time, disk, system calls, context switches and memory of each.
//!
//! "Per message" is per delivery received within the window; when nobody consumes, per message sent within it. Every
//! figure is `None` when its source could not be read, never 0 and never an estimate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::live::Interval;
use crate::usage::{ProcessUsage, Usage};

/// Fewest messages outstanding at once for which memory per message means anything: with fewer, what the broker needs
/// for itself decides.
const OUTSTANDING_MIN: u64 = 1_000;

/// Per message, within the measured window, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cost {
    /// CPU time of the broker, in µs.
    pub broker_cpu_us: Option<f64>,
    /// CPU time of the generator, in µs.
    pub generator_cpu_us: Option<f64>,
    /// Bytes that the broker handed to the block layer for writing: the disk's work, not the sockets'.
    pub broker_written_bytes: Option<f64>,
    /// Bytes that the broker fetched from the block layer: what was not in the page cache.
    pub broker_read_bytes: Option<f64>,
    /// All system calls of the broker, from the kernel's tracepoint; `None` where that cannot be read.
    pub broker_syscalls: Option<f64>,
    /// The broker's `read`, `readv` and `pread` calls, of files and sockets; `recv` is not among them.
    pub broker_read_calls: Option<f64>,
    /// The broker's `write`, `writev` and `pwrite` calls, of files and sockets; `send` is not among them.
    pub broker_write_calls: Option<f64>,
    /// Context switches of the broker's threads because they waited.
    pub broker_voluntary_switches: Option<f64>,
    /// Context switches because a broker's thread lost its core to another one.
    pub broker_involuntary_switches: Option<f64>,
    /// Bytes of the broker's anonymous memory, of the whole run: its peak less what it had before the load began, over the
    /// largest backlog at the end of any second (copies sent and not yet received). `None` below 1,000 outstanding.
    pub broker_anonymous_bytes: Option<f64>,
    /// Context switches of the generator's threads because they waited.
    pub generator_voluntary_switches: Option<f64>,
    /// Context switches because a generator's thread lost its core.
    pub generator_involuntary_switches: Option<f64>,
}

impl Cost {
    /// What each of `message_rate` messages a second cost.
    #[must_use]
    pub fn of(usage: Option<&Usage>, message_rate: f64, intervals: &[Interval]) -> Self {
        let Some(usage) = usage.filter(|_| message_rate > 0.0) else {
            return Self::default();
        };
        let per_message = |per_second: f64| per_second / message_rate;
        let cpu_us = |process: ProcessUsage| per_message(process.cpu_cores * 1e6);
        let counted =
            |process: ProcessUsage, count: Option<u64>| Some(per_message(process.per_second(count?)));
        let of_broker = |count: fn(&ProcessUsage) -> Option<u64>| {
            let broker = usage.broker?;
            counted(broker, count(&broker))
        };
        let of_generator =
            |count: fn(&ProcessUsage) -> Option<u64>| counted(usage.generator, count(&usage.generator));
        Self {
            broker_cpu_us: usage.broker.map(cpu_us),
            generator_cpu_us: Some(cpu_us(usage.generator)),
            broker_written_bytes: of_broker(|it| it.counters.written_bytes),
            broker_read_bytes: of_broker(|it| it.counters.read_bytes),
            broker_syscalls: None,
            broker_read_calls: of_broker(|it| it.counters.read_calls),
            broker_write_calls: of_broker(|it| it.counters.write_calls),
            broker_voluntary_switches: of_broker(|it| it.counters.voluntary_switches),
            broker_involuntary_switches: of_broker(|it| it.counters.involuntary_switches),
            broker_anonymous_bytes: usage.broker.and_then(|it| anonymous_bytes(&it, intervals)),
            generator_voluntary_switches: of_generator(|it| it.counters.voluntary_switches),
            generator_involuntary_switches: of_generator(|it| it.counters.involuntary_switches),
        }
    }
}

fn anonymous_bytes(broker: &ProcessUsage, intervals: &[Interval]) -> Option<f64> {
    let outstanding = intervals.iter().map(|it| it.backlog).max()?;
    let grown_bytes = broker
        .rss_anon_bytes_max
        .saturating_sub(broker.rss_anon_bytes_first);
    (outstanding >= OUTSTANDING_MIN).then(|| grown_bytes as f64 / outstanding as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::process_meter::Counters;

    fn backlog(backlog: u64) -> Interval {
        Interval {
            backlog,
            ..Interval::default()
        }
    }

    #[test]
    fn every_figure_is_its_source_over_the_messages() {
        let mut usage = fixtures::usage();
        let broker = usage.broker.as_mut().unwrap();
        (broker.cpu_cores, broker.sampled_s) = (0.8, 10.0);
        (broker.rss_anon_bytes_first, broker.rss_anon_bytes_max) = (5_000_000, 15_000_000);
        broker.counters = Counters {
            written_bytes: Some(16_000_000),
            voluntary_switches: Some(80_000),
            ..Counters::default()
        };
        let cost = Cost::of(Some(&usage), 1_600_000.0, &[backlog(4_000), backlog(2_000)]);
        assert_eq!(cost.broker_cpu_us, Some(0.5));
        assert_eq!(cost.broker_written_bytes, Some(1.0));
        assert_eq!(cost.broker_voluntary_switches, Some(0.005));
        assert_eq!(cost.broker_anonymous_bytes, Some(2_500.0));
        assert_eq!((cost.broker_read_bytes, cost.broker_syscalls), (None, None));
    }

    #[test]
    fn what_cannot_be_divided_is_not_stated() {
        let usage = fixtures::usage();
        assert_eq!(Cost::of(None, 1.0, &[]), Cost::default());
        assert_eq!(Cost::of(Some(&usage), 0.0, &[]), Cost::default());
        let few = Cost::of(Some(&usage), 1.0, &[backlog(OUTSTANDING_MIN - 1)]);
        assert_eq!(few.broker_anonymous_bytes, None);
        let unknown = Usage {
            broker: None,
            ..usage
        };
        let cost = Cost::of(Some(&unknown), 1.0, &[backlog(9_999)]);
        assert_eq!((cost.broker_cpu_us, cost.broker_anonymous_bytes), (None, None));
        assert!(cost.generator_cpu_us.is_some());
    }
}
