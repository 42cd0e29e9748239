//! Figures about the store, as one line of the log from time to time.

use std::time::{Duration, Instant};

use crate::alarms::Alarm;
use crate::broker::Broker;
use crate::config::Config;

/// Says how the store is doing, once an interval.
#[derive(Debug)]
pub struct Statistics {
    interval: Duration,
    due: Instant,
}

impl Statistics {
    /// As often as `config` says; never when its interval is zero.
    pub fn new(config: &Config) -> Statistics {
        Statistics {
            interval: config.statistics_interval,
            due: Instant::now() + config.statistics_interval,
        }
    }

    /// Writes the line when it is time.
    pub fn log_when_due(&mut self, broker: &Broker) {
        let now = Instant::now();
        if self.interval.is_zero() || now < self.due {
            return;
        }
        self.due = now + self.interval;
        let (logs, spill) = (broker.store.queues().counters(), broker.store.spill().counters());
        let thread = broker.store.log_thread().shared();
        tracing::info!(
            durability = %broker.store.durability(),
            memory_bytes = broker.pool.bytes_used(),
            staged_bytes = thread.staged_bytes(),
            commits = thread.commits(),
            syncs = logs.syncs,
            log_bytes_written = logs.bytes_written,
            log_bytes_on_disk = logs.bytes_on_disk,
            log_segments = logs.segments,
            segments_rewritten = logs.segments_rewritten,
            bytes_rewritten = logs.bytes_rewritten,
            bytes_reclaimed = logs.bytes_reclaimed + spill.bytes_reclaimed,
            spill_bytes_written = spill.bytes_written,
            spill_bytes_on_disk = spill.bytes_on_disk,
            mappings = logs.mappings + spill.mappings,
            resident_bytes = broker.alarms.memory_used(),
            memory_alarm = broker.alarms.is_short_of_memory(),
            disk_alarm = broker.alarms.has(Alarm::Disk),
            poisoned = broker.store.poison_reason().is_some(),
            "store statistics"
        );
    }
}
