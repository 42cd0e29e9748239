//! Consumers as a queue sees them: an identity, a credit and a place to put deliveries.

use ring::Offset;

use crate::record::Record;

/// Names one consumer of one queue, never reused within that queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerId {
    /// Slot in the queue's consumer table.
    pub(super) slot: usize,
    /// Tells successive owners of a slot apart.
    pub(super) serial: u64,
}

/// What a delivery session did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is the consumer's now.
    Taken,
    /// Its outbox or its channel's window is full: not taken, and the consumer is stalled until
    /// [`QueueState::unstall`](super::QueueState::unstall).
    Full,
}

/// Where a consumer's deliveries go. The broker's is a connection's outbox; tests use a vector.
pub trait DeliveryTarget {
    /// Holds whatever must be locked while a chunk of messages is handed over.
    type Session<'a>: DeliverySession
    where
        Self: 'a;

    /// Starts a chunk, or `None` when the consumer can take nothing now (it is then stalled).
    fn open(&self) -> Option<Self::Session<'_>>;

    /// True when deliveries are settled as they are sent (`no-ack`).
    fn no_ack(&self) -> bool;
}

/// One consumer's turn within a dispatch.
pub trait DeliverySession {
    /// Hands over one message.
    fn deliver(&mut self, offset: Offset, redelivered: bool, record: &Record<'_>) -> Accepted;
}

/// A consumer's row in the queue's table.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    pub(super) serial: u64,
    pub(super) target: T,
    pub(super) credit: Credit,
    /// Higher ones are served first.
    pub(super) priority: i32,
    pub(super) exclusive: bool,
    /// Its target had no room; skipped until unstalled.
    pub(super) stalled: bool,
}

impl<T> Consumer<T> {
    pub(super) fn can_take(&self) -> bool {
        !self.stalled && self.credit.available() > 0
    }
}

/// How many more messages a consumer may hold unsettled: `basic.qos` prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credit {
    Unlimited,
    Limited { available: u32, limit: u32 },
}

impl Credit {
    /// `prefetch` 0 means no limit, as in `basic.qos`.
    pub(super) fn new(prefetch: u16) -> Credit {
        match prefetch {
            0 => Credit::Unlimited,
            n => Credit::Limited {
                available: n.into(),
                limit: n.into(),
            },
        }
    }

    pub(super) fn available(self) -> usize {
        match self {
            Credit::Unlimited => usize::MAX,
            Credit::Limited { available, .. } => available as usize,
        }
    }

    pub(super) fn take(&mut self, count: usize) {
        if let Credit::Limited { available, .. } = self {
            debug_assert!(*available as usize >= count, "prefetch overdrawn");
            *available -= count as u32;
        }
    }

    pub(super) fn restore(&mut self, count: usize) {
        if let Credit::Limited { available, limit } = self {
            *available += count as u32;
            debug_assert!(*available <= *limit, "prefetch credit restored twice");
        }
    }
}
