//! What all threads count together, because it is rare: one a broker.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::histogram::Histogram;
use super::reactor::ReactorCounts;
use super::stages::Stages;
use crate::queue::DeathReason;
use crate::tls::Expiry;

/// See the module documentation. Totals since the start.
#[derive(Debug, Default)]
pub struct Tallies {
    /// What the HTTP thread has published and got; it alone writes there.
    pub http: ReactorCounts,
    /// Where sampled messages have spent their time.
    pub stages: Stages,
    /// Microseconds of one look at everything, for whoever asked.
    pub snapshot_us: Histogram,
    certificates: RwLock<Vec<Expiry>>,
    amqp_logins: Logins,
    http_logins: Logins,
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

/// How somebody has reached the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginProtocol {
    /// AMQP 0-9-1, over whatever socket.
    Amqp,
    /// The management API.
    Http,
}

/// Logins by one protocol.
#[derive(Debug, Default)]
pub struct Logins {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Logins {
    /// Somebody has tried.
    pub fn count(&self, succeeded: bool) {
        let count = if succeeded { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that succeeded and those that failed.
    pub fn counts(&self) -> (u64, u64) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (get(&self.succeeded), get(&self.failed))
    }
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
    /// The broker's certificates in use, and when they end.
    pub fn certificates(&self) -> Vec<Expiry> {
        self.certificates.read().clone()
    }

    /// Others are in use from here on.
    pub fn set_certificates(&self, certificates: Vec<Expiry>) {
        *self.certificates.write() = certificates;
    }

    /// Logins by a protocol.
    pub fn logins(&self, protocol: LoginProtocol) -> &Logins {
        match protocol {
            LoginProtocol::Amqp => &self.amqp_logins,
            LoginProtocol::Http => &self.http_logins,
        }
    }

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
