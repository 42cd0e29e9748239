//! Where a run stands: what the live view, the plain lines and the metrics show.

use std::time::Duration;

use crate::control::Phase;
use crate::live::{Interval, Totals};
use crate::sampler::RecentUsage;

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The phase.
    pub phase: Phase,
    /// Since the phase began.
    pub elapsed: Duration,
    /// Length of the phase; for the drain its deadline. Zero while connecting.
    pub length: Duration,
    /// The last whole second.
    pub last: Option<Interval>,
    /// Running totals.
    pub totals: Totals,
    /// Deliveries so far that were duplicated, reordered or corrupt, and messages refused. What is lost shows in the end.
    pub harm: u64,
    /// Faults that were made so far.
    pub faults: usize,
    /// What broker and generator used within the last second or so.
    pub usage: Option<RecentUsage>,
    /// How far a phase has come that ends by count: messages, of how many. Its length is then only its limit.
    pub goal: Option<(u64, u64)>,
    /// Whether the warm-up fills a backlog.
    pub fills: bool,
}

impl Standing {
    /// The phase's name for people and for metrics.
    #[must_use]
    pub fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Connect => "connect",
            Phase::WarmUp if self.fills => "fill",
            Phase::WarmUp => "warm-up",
            Phase::Measure => "measure",
            Phase::Drain => "drain",
            Phase::Done => "done",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::live::Quantiles;
    use crate::recorder::LatencyBuckets;

    /// The twelfth second of a minute's measurement.
    pub(crate) fn standing() -> Standing {
        let quantiles = |count: u64, p50_ns: u64| Quantiles {
            count,
            p50_ns,
            p90_ns: p50_ns * 2,
            p99_ns: p50_ns * 3,
            p99_9_ns: p50_ns * 5,
            max_ns: p50_ns * 9,
        };
        Standing {
            phase: Phase::Measure,
            elapsed: Duration::from_secs(12),
            length: Duration::from_secs(60),
            last: Some(Interval {
                t_s: 22.0,
                length_s: 1.0,
                published: 1_620_000,
                confirmed: 1_610_000,
                consumed: 1_600_000,
                response: quantiles(1_600_000, 480_000),
                service: quantiles(1_600_000, 470_000),
                confirm: quantiles(1_610_000, 300_000),
                schedule_lag: quantiles(1_620_000, 4_000),
                latency: LatencyBuckets::default(),
                backlog: 3_998,
            }),
            totals: Totals {
                published: 33_000_000,
                confirmed: 32_900_000,
                consumed: 32_996_002,
                acked: 32_996_000,
            },
            harm: 0,
            faults: 0,
            usage: Some(RecentUsage {
                broker_cpu_cores: Some(0.84),
                broker_rss_anon_bytes: Some(38 << 20),
                broker_rss_file_bytes: Some(6 << 20),
                generator_cpu_cores: 0.72,
            }),
            goal: None,
            fills: false,
        }
    }
}
