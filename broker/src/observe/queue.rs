//! What can be seen of a queue.

use std::sync::Arc;

use ring::Offset;

use crate::connection::Link;
use crate::queue::Queue;

/// What a queue has done since it was made or restored; counted under its lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// What was delivered.
    pub delivered: Delivered,
    /// Messages got that needed no acknowledgement.
    pub got_auto: u64,
    /// Messages got that needed one.
    pub got_manual: u64,
    /// Gets that found nothing.
    pub got_empty: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages rejected without coming back.
    pub rejected: u64,
    /// Messages that came back.
    pub requeued: u64,
    /// Stretches read from the log.
    pub cold_reads: u64,
}

/// Deliveries to consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// To those that do not acknowledge.
    pub auto: u64,
    /// To those that do.
    pub manual: u64,
    /// Of these, and of what was got, what had been delivered before.
    pub redelivered: u64,
}

impl QueueCounts {
    /// Messages that reached consumers, by delivery or get.
    pub fn delivered(&self) -> u64 {
        self.delivered.auto + self.delivered.manual + self.got_auto + self.got_manual
    }
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, other: Delivered) {
        self.auto += other.auto;
        self.manual += other.manual;
        self.redelivered += other.redelivered;
    }
}

impl std::ops::Sub for Delivered {
    type Output = Delivered;

    fn sub(self, earlier: Delivered) -> Delivered {
        Delivered {
            auto: self.auto - earlier.auto,
            manual: self.manual - earlier.manual,
            redelivered: self.redelivered - earlier.redelivered,
        }
    }
}

/// A copy of a queue's figures at one moment.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// The queue itself, for its name and declaration.
    pub queue: Arc<Queue>,
    /// See there.
    pub counts: QueueCounts,
    /// Messages published into it since it was made or restored.
    pub published: u64,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages delivered and not settled.
    pub unsettled: u64,
    /// Messages that wait to be dead-lettered, or for their time.
    pub dead: u64,
    /// Messages that lie in memory.
    pub in_memory: u64,
    /// Messages that lie in the log only.
    pub in_log_only: u64,
    /// Bytes of messages in memory.
    pub memory_bytes: u64,
    /// Bytes of memory that its ring and what was read back hold.
    pub held_bytes: u64,
    /// Share of the ring in use, 0 to 1.
    pub fill: f64,
    /// Consumers.
    pub consumers: u64,
    /// Consumers that could take a message now.
    pub consumers_able: u64,
    /// Publishers that wait for room.
    pub publishers_waiting: u64,
    /// When the oldest message that is not settled was published: Unix time, milliseconds. Of one
    /// in the log only it is known within a second or two.
    pub oldest_ms: Option<u64>,
    /// Messages could not be read back from its log: nothing from there on is delivered.
    pub unreadable: bool,
    /// It is gone.
    pub deleted: bool,
    /// First offset that no message has yet.
    pub next: Offset,
}

/// A consumer as its queue knows it.
#[derive(Clone, Debug)]
pub struct ConsumerView {
    /// Its connection.
    pub link: Arc<Link>,
    /// Key of its channel's window there.
    pub window: usize,
    /// Its channel's number.
    pub channel: u16,
    /// Its tag.
    pub tag: String,
    /// It acknowledges.
    pub acknowledges: bool,
    /// It wants to be the only one.
    pub exclusive: bool,
    /// Messages that it may hold; 0 = no limit.
    pub prefetch: u64,
    /// Higher ones are served first.
    pub priority: i32,
    /// Messages that it holds, where there is a limit.
    pub held: Option<u64>,
    /// It gets messages: with a single active consumer only one does.
    pub active: bool,
    /// Its connection or its channel had no room when something was last offered to it.
    pub stalled: bool,
}

/// Why a consumer takes no message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsumerWait {
    /// It holds as many as it may: it, or its channel.
    Prefetch,
    /// Its connection leaves as many bytes unacknowledged as it may.
    Unacked,
    /// Its client does not read as fast as it is written to.
    Outbox,
    /// Another one is the single active consumer.
    Turn,
}

impl ConsumerWait {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerWait::Prefetch => "prefetch",
            ConsumerWait::Unacked => "unacked",
            ConsumerWait::Outbox => "outbox",
            ConsumerWait::Turn => "turn",
        }
    }
}

impl ConsumerView {
    /// Why it takes no message, if it does not. Takes its connection's lock when it has stalled.
    pub fn waits_for(&self) -> Option<ConsumerWait> {
        if !self.active {
            return Some(ConsumerWait::Turn);
        }
        if self.prefetch > 0 && self.held >= Some(self.prefetch) {
            return Some(ConsumerWait::Prefetch);
        }
        if !self.stalled {
            return None;
        }
        let outbound = self.link.outbound();
        let window = outbound.windows.get(self.window)?.observed();
        let is_full = window.prefetch_global > 0 && window.unsettled >= window.prefetch_global;
        Some(match (is_full, outbound.unacked.is_full()) {
            (true, _) => ConsumerWait::Prefetch,
            (false, true) => ConsumerWait::Unacked,
            (false, false) => ConsumerWait::Outbox,
        })
    }
}

impl QueueView {
    /// Messages of all kinds.
    pub fn messages(&self) -> u64 {
        self.ready + self.unsettled + self.dead
    }

    /// Share of its consumers that could take a message now, 0 to 1.
    pub fn consumer_capacity(&self) -> f64 {
        match self.consumers {
            0 => 0.0,
            consumers => self.consumers_able as f64 / consumers as f64,
        }
    }
}
