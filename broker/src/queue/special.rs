//! What only some queues need to know about their messages: times to live, limits, priorities, delivery counts, dead letters.
//!
//! A queue that uses none of it has no [`Special`] at all, and its path knows no more of it than two null checks a message.

use std::collections::{BTreeSet, VecDeque};

use ring::Offset;
use rustc_hash::FxHashMap;
use wire::{BasicProperties, ContentHeader};

use super::delays::Delays;
use super::lanes::Lanes;
use super::options::{Overflow, QueueOptions};
use super::sizes::Sizes;
use crate::record::{FLAG_EXPIRES, Record};

/// Why a message was dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeathReason {
    /// A consumer rejected it for good.
    Rejected,
    /// Its time to live was over.
    Expired,
    /// The queue was over its length limit.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
    /// It did not die: it has waited in a delayed exchange for as long as it was to.
    Due,
}

impl DeathReason {
    /// As `x-death` spells it.
    pub fn name(self) -> &'static str {
        match self {
            DeathReason::Rejected => "rejected",
            DeathReason::Expired => "expired",
            DeathReason::MaxLength => "maxlen",
            DeathReason::DeliveryLimit => "delivery_limit",
            DeathReason::Due => "due",
        }
    }
}

/// Dead messages that wait at the same time: what is too old or too much besides stays where it is until some of them are
/// gone, since it cannot be delivered any more anyway. Rejected ones are not counted.
const DEAD_WAITING_MAX: usize = 4096;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Special {
    ttl_ms: Option<u64>,
    /// Some message here may have an expiration of its own.
    expiring: bool,
    /// Messages from here on have not seen the end of a dispatch: one that lives for 0 ms may still be delivered.
    unseen: Offset,
    length_max: Option<u64>,
    bytes_max: Option<u64>,
    overflow: Overflow,
    pub(super) lanes: Option<Lanes>,
    pub(super) delays: Option<Delays>,
    pub(super) sizes: Option<Sizes>,
    pub(super) attempts: Option<Attempts>,
    pub(super) dead: Option<Dead>,
}

/// How often messages came back.
#[derive(Debug)]
pub(super) struct Attempts {
    limit: Option<u32>,
    counts: FxHashMap<Offset, u32>,
}

/// Messages that are to be dead-lettered, or were and are not yet safe where they went.
#[derive(Debug, Default)]
pub(super) struct Dead {
    /// In the order of their deaths.
    pub(super) waiting: VecDeque<(Offset, DeathReason)>,
    pub(super) posted: BTreeSet<Offset>,
}

impl Special {
    /// What a queue with these options needs, if it needs anything; `first` will be its oldest message.
    pub(super) fn new(options: &QueueOptions, first: Offset) -> Option<Box<Special>> {
        let special = Special {
            ttl_ms: options.ttl_ms,
            expiring: false,
            unseen: first,
            length_max: options.length_max,
            bytes_max: options.bytes_max,
            overflow: options.overflow,
            lanes: options.priority_max.map(Lanes::new),
            delays: options.delayed_exchange.as_ref().map(|_| Delays::default()),
            sizes: options.bytes_max.map(|_| Sizes::new(first)),
            attempts: (options.kind == super::QueueKind::Quorum).then(|| Attempts {
                limit: options.delivery_limit,
                counts: FxHashMap::default(),
            }),
            dead: (options.dead_letter.is_some() || options.delayed_exchange.is_some()).then(Dead::default),
        };
        special.is_needed().then(|| Box::new(special))
    }

    /// For a message with an expiration in a queue without options.
    pub(super) fn expiring(first: Offset) -> Box<Special> {
        Box::new(Special {
            ttl_ms: None,
            expiring: true,
            unseen: first,
            length_max: None,
            bytes_max: None,
            overflow: Overflow::DropHead,
            lanes: None,
            delays: None,
            sizes: None,
            attempts: None,
            dead: None,
        })
    }

    /// False when the queue is as well off without.
    pub(super) fn is_needed(&self) -> bool {
        self.is_each_looked_at() || self.length_max.is_some() || self.dead.is_some()
    }

    /// True when messages must be dealt one by one.
    pub(super) fn is_each_looked_at(&self) -> bool {
        self.may_expire()
            || self.lanes.is_some()
            || self.delays.is_some()
            || self.sizes.is_some()
            || self.attempts.is_some()
    }

    /// True when ready messages must be looked at before the queue can be used again after a restart.
    pub(super) fn wants_index(&self) -> bool {
        self.lanes.is_some() || self.sizes.is_some() || self.delays.is_some()
    }

    /// True when some message may have an expiration of its own.
    pub(super) fn is_expiring(&self) -> bool {
        self.expiring
    }

    /// True when some message may expire.
    pub(super) fn may_expire(&self) -> bool {
        self.expiring || self.ttl_ms.is_some()
    }

    /// A message has an expiration of its own; or none has any more.
    pub(super) fn set_expiring(&mut self, expiring: bool) {
        self.expiring = expiring;
    }

    /// Milliseconds since the Unix epoch at which a message expires, if it does.
    pub(super) fn deadline_ms(&self, record: &Record<'_>) -> Option<u64> {
        Some(record.timestamp_ms.saturating_add(self.lifetime_ms(record)?))
    }

    fn lifetime_ms(&self, record: &Record<'_>) -> Option<u64> {
        let own = match record.flags & FLAG_EXPIRES {
            0 => None,
            _ => properties(record).and_then(|properties| properties.expiration?.parse().ok()),
        };
        match (own, self.ttl_ms) {
            (Some(own), Some(ttl)) => Some(ttl.min(own)),
            (own, ttl) => own.or(ttl),
        }
    }

    /// True when the message's time is over. One that lives for 0 ms has the time until its first dispatch has ended.
    pub(super) fn is_expired(&self, offset: Offset, record: &Record<'_>, now_ms: u64) -> bool {
        match self.lifetime_ms(record) {
            None => false,
            Some(0) => offset < self.unseen,
            Some(lifetime) => record.timestamp_ms.saturating_add(lifetime) <= now_ms,
        }
    }

    /// The dispatch of everything below `next` has ended.
    pub(super) fn set_seen(&mut self, next: Offset) {
        self.unseen = next;
    }

    /// True when `ready` messages are too many.
    pub(super) fn is_over(&self, ready: usize) -> bool {
        self.length_max.is_some_and(|max| ready as u64 > max)
            || self
                .bytes_max
                .zip(self.sizes.as_ref())
                .is_some_and(|(max, sizes)| sizes.ready_bytes() > max)
    }

    /// What becomes of the surplus.
    pub(super) fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// True when one more message of `bytes` is too much, where new ones are refused. `ready`: how many there are.
    pub(super) fn refuses(&self, ready: usize, bytes: usize) -> bool {
        let bytes_ready = self.sizes.as_ref().map_or(0, Sizes::ready_bytes);
        self.overflow != Overflow::DropHead
            && (self.length_max.is_some_and(|max| ready as u64 >= max)
                || self.bytes_max.is_some_and(|max| bytes_ready + bytes as u64 > max))
    }

    /// A message came to its end.
    pub(super) fn forget(&mut self, offset: Offset, frontier: Offset) {
        if let Some(lanes) = &mut self.lanes {
            lanes.forget(offset);
        }
        if let Some(attempts) = &mut self.attempts {
            attempts.counts.remove(&offset);
        }
        if let Some(sizes) = &mut self.sizes {
            sizes.forget_below(frontier);
        }
    }

    /// True when `forget` must be called for each message.
    pub(super) fn remembers(&self) -> bool {
        self.lanes.is_some() || self.attempts.is_some() || self.sizes.is_some()
    }

    /// True when no more messages should die for now than must.
    pub(super) fn is_full_of_dead(&self) -> bool {
        self.dead
            .as_ref()
            .is_some_and(|dead| dead.waiting.len() >= DEAD_WAITING_MAX)
    }

    /// Messages that are dead and not settled.
    pub(super) fn dead_len(&self) -> usize {
        self.dead
            .as_ref()
            .map_or(0, |dead| dead.waiting.len() + dead.posted.len())
    }
}

impl Attempts {
    /// How often a message came back.
    pub(super) fn of(&self, offset: Offset) -> u32 {
        self.counts.get(&offset).copied().unwrap_or(0)
    }

    /// A message came back; true when that was once too often.
    pub(super) fn add(&mut self, offset: Offset) -> bool {
        let count = self.counts.entry(offset).or_insert(0);
        *count += 1;
        self.limit.is_some_and(|limit| *count > limit)
    }

    /// As counted before a restart.
    pub(super) fn restore(&mut self, counts: impl Iterator<Item = (Offset, u32)>) {
        self.counts.extend(counts);
    }

    /// Keeps the counts of these messages only.
    pub(super) fn retain(&mut self, keeps: impl Fn(Offset) -> bool) {
        self.counts.retain(|&offset, _| keeps(offset));
    }

    /// All counts, by offset.
    pub(super) fn counts(&self) -> Vec<(Offset, u32)> {
        let mut counts: Vec<_> = self
            .counts
            .iter()
            .map(|(&offset, &count)| (offset, count))
            .collect();
        counts.sort_unstable();
        counts
    }
}

/// The properties of a record; `None` when they are malformed, which a publisher cannot achieve.
pub(super) fn properties<'a>(record: &Record<'a>) -> Option<BasicProperties<'a>> {
    let header = ContentHeader::decode(record.content.header()).ok()?;
    BasicProperties::decode(header.properties).ok()
}
