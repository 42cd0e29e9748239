//! What all threads count together, because it is rare: one a broker.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::Histogram;
use super::reactor::ReactorCounts;
use super::stages::Stages;
use crate::queue::DeathReason;

/// See the module documentation. Totals since the start.
#[derive(Debug, Default)]
pub struct Tallies {
    /// What the HTTP thread has published and got; it alone writes there.
    pub http: ReactorCounts,
    /// Where sampled messages have spent their time.
    pub stages: Stages,
    /// Microseconds of one look at everything, for whoever asked.
    pub snapshot_us: Histogram,
    queues_created: AtomicU64,
    queues_deleted: AtomicU64,
    expired: AtomicU64,
    rejected: AtomicU64,
    max_length: AtomicU64,
    delivery_limit: AtomicU64,
    /// Unix time of the end of the last round of checkpoints, in milliseconds; 0 before the first.
    checkpointed_ms: AtomicU64,
    checkpoints: AtomicU64,
    checkpoints_failed: AtomicU64,
}

/// Messages that went to a dead-letter exchange, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterCounts {
    /// Their time was over.
    pub expired: u64,
    /// A consumer did not want them.
    pub rejected: u64,
    /// There were too many.
    pub max_length: u64,
    /// They came back too often.
    pub delivery_limit: u64,
}

impl Tallies {
    /// A queue was declared that was not there.
    pub fn queue_created(&self) {
        self.queues_created.fetch_add(1, Ordering::Relaxed);
    }

    /// A queue was deleted, by whomever.
    pub fn queue_deleted(&self) {
        self.queues_deleted.fetch_add(1, Ordering::Relaxed);
    }

    /// Queues created and deleted.
    pub fn queues(&self) -> (u64, u64) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (get(&self.queues_created), get(&self.queues_deleted))
    }

    /// A dead letter was sent. What a delayed exchange held for long enough is none.
    pub fn dead_letter(&self, reason: DeathReason) {
        let count = match reason {
            DeathReason::Expired => &self.expired,
            DeathReason::Rejected => &self.rejected,
            DeathReason::MaxLength => &self.max_length,
            DeathReason::DeliveryLimit => &self.delivery_limit,
            DeathReason::Due => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Dead letters sent.
    pub fn dead_letters(&self) -> DeadLetterCounts {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DeadLetterCounts {
            expired: get(&self.expired),
            rejected: get(&self.rejected),
            max_length: get(&self.max_length),
            delivery_limit: get(&self.delivery_limit),
        }
    }

    /// A round of checkpoints ended at this Unix time, in milliseconds, has written so many and failed to write so many.
    pub fn checkpointed(&self, now_ms: u64, written: u64, failed: u64) {
        self.checkpoints_failed.fetch_add(failed, Ordering::Relaxed);
        self.checkpointed_ms.store(now_ms, Ordering::Relaxed);
        self.checkpoints.fetch_add(written, Ordering::Relaxed);
    }

    /// Checkpoints that could not be written.
    pub fn checkpoints_failed(&self) -> u64 {
        self.checkpoints_failed.load(Ordering::Relaxed)
    }

    /// Checkpoints written, and the Unix time of the last round in milliseconds, if there was one.
    pub fn checkpoints(&self) -> (u64, Option<u64>) {
        let last = self.checkpointed_ms.load(Ordering::Relaxed);
        (
            self.checkpoints.load(Ordering::Relaxed),
            (last > 0).then_some(last),
        )
    }
}
