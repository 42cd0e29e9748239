//! The messages of a queue: which state each is in, and how it passes from one to the next.
//!
//! Every message is named by its [`Offset`] and is in exactly one state:
//!
//! ```text
//!             publish            take                  settle (ack, no-ack, purge, drop)
//!  (nowhere) ---------> ready ---------> unsettled ----------------------------------> settled
//!                         ^  \             |   \                                          ^
//!                         |   `-- kill     |    `-- kill                                  |
//!                         |        \       |          \                                   |
//!                         +---------\- give back       `--> dead --------- bury ----------+
//!                                    `-------------------->
//! ```
//!
//! Ready messages are those at or after `cursor`, never taken, and those in `requeued`, all of which lie before
//! `cursor`: serving `requeued` first therefore keeps the original order. A queue with priorities keeps its ready
//! messages in [`Lanes`](super::lanes::Lanes) instead, and its cursor is always at the end. *Dead* messages wait to be
//! dead-lettered; a queue without a dead-letter exchange settles them at once.
//!
//! Where a message lies is another matter: in the ring, in the log, or in both, as `Journal` keeps track of. What
//! is in the log only is *cold*: it is read from a `ColdWindow`, which the owner of this state fills, outside of
//! any lock, when a call answers that it wants an offset from there.

use std::collections::BTreeSet;
use std::sync::Arc;

use ring::{ChunkPool, Offset, Ring, RingFull, SettledSet};
use wire::{BasicProperties, FieldTable};

use super::cold::ColdWindow;
use super::journal::Journal;
use super::options::Overflow;
use super::special::{DeathReason, Special, properties};
use super::state::{QueueConfig, Remains};
use crate::headers::edited;
use crate::record::{FLAG_EXPIRES, Record, RecordFields};

/// Header that tells how often a message came back; quorum queues only.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) ring: Ring,
    pub(super) journal: Journal,
    pub(super) cold: Option<ColdWindow>,
    pub(super) settled: SettledSet,
    /// First offset that was never taken.
    pub(super) cursor: Offset,
    /// A first delivery below this offset is flagged all the same: see [`Remains::redeliver_below`].
    pub(super) redeliver_below: Offset,
    /// Taken once, given back, and ready again.
    pub(super) requeued: BTreeSet<Offset>,
    pub(super) unsettled: usize,
    pub(super) special: Option<Box<Special>>,
}

/// The ready message that is to be taken next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) offset: Offset,
    /// It was delivered before, or may have been.
    pub(super) redelivered: bool,
}

impl Backlog {
    /// With what a log has kept.
    pub(super) fn recovered(config: QueueConfig, pool: Arc<ChunkPool>, remains: &Remains) -> Backlog {
        let mut settled = SettledSet::new(remains.live.first().map_or(remains.next, |range| range.start));
        let ends = remains.live.iter().map(|range| range.end);
        let starts = remains.live.iter().skip(1).map(|range| range.start);
        for (end, start) in ends.zip(starts.chain([remains.next])) {
            settled.settle_range(end, start.distance_from(end));
        }
        let first = settled.frontier();
        let mut special = Special::new(&config.options, first);
        if remains.expiring {
            special
                .get_or_insert_with(|| Special::expiring(first))
                .set_expiring(true);
        }
        if let Some(attempts) = special.as_mut().and_then(|special| special.attempts.as_mut()) {
            let counts = remains.attempts.iter().copied();
            attempts.restore(counts.filter(|&(offset, _)| !settled.is_settled(offset)));
        }
        Backlog {
            ring: Ring::new(config.ring, pool, remains.next),
            journal: Journal::new(config.durable, config.spill, remains.next),
            cold: None,
            cursor: first,
            settled,
            redeliver_below: remains.redeliver_below,
            requeued: BTreeSet::new(),
            unsettled: 0,
            special,
        }
    }

    /// Appends one message, or says what is full; then nothing has changed.
    #[inline(always)]
    pub(super) fn publish(&mut self, fields: &RecordFields<'_>) -> Result<Offset, RingFull> {
        let head = fields.head();
        let offset = self
            .ring
            .try_append(&[&head, fields.names, fields.content.frames()])?;
        if self.special.is_some() || fields.flags & FLAG_EXPIRES != 0 {
            self.note(offset, &Record::from(*fields));
        }
        Ok(offset)
    }

    /// What only some queues remember of a message.
    #[cold]
    fn note(&mut self, offset: Offset, record: &Record<'_>) {
        if record.flags & FLAG_EXPIRES != 0 {
            self.set_expiring();
        }
        let Some(special) = &mut self.special else { return };
        if let Some(sizes) = &mut special.sizes {
            sizes.push(offset, record.content.body_len());
        }
        if let Some(delays) = &mut special.delays {
            delays.push(offset, record);
            self.cursor = offset.next();
        }
        if let Some(lanes) = &mut special.lanes {
            let priority = properties(record).and_then(|properties| properties.priority);
            lanes.push(offset, priority.unwrap_or(0));
            self.cursor = offset.next();
        }
    }

    /// Some message here has an expiration of its own.
    pub(super) fn set_expiring(&mut self) {
        let first = self.settled.frontier();
        self.special
            .get_or_insert_with(|| Special::expiring(first))
            .set_expiring(true);
    }

    /// True when every message in the log must be passed to `index` before anything else is done.
    pub(super) fn wants_index(&self) -> bool {
        let wanted = self.special.as_ref().is_some_and(|special| special.wants_index());
        wanted && self.cursor < self.ring.next_offset()
    }

    /// Takes notice of a message that a restart has left; all of them, in order.
    pub(super) fn index(&mut self, offset: Offset, record: &Record<'_>) {
        if !self.settled.is_settled(offset) {
            self.note(offset, record);
        }
    }

    /// Everything that a restart has left was passed to `index`.
    pub(super) fn end_index(&mut self) {
        let special = self.special.as_ref();
        if special.is_some_and(|special| special.lanes.is_some() || special.delays.is_some()) {
            self.cursor = self.ring.next_offset();
        }
    }

    /// First offset that was surely never delivered, nor any after it: not in this broker's life, and not before it.
    pub(super) fn dispatched(&self) -> Offset {
        let taken = match self.special.as_ref().and_then(|special| special.lanes.as_ref()) {
            Some(lanes) => lanes.taken_through(),
            None => self.cursor,
        };
        taken.max(self.redeliver_below)
    }

    /// Messages published and not settled.
    pub(super) fn live_len(&self) -> usize {
        let above = self.ring.next_offset().distance_from(self.settled.frontier());
        (above - self.settled.sparse_len()) as usize
    }

    /// Messages that wait to be dead-lettered, or for their time.
    pub(super) fn dead_len(&self) -> usize {
        self.special.as_ref().map_or(0, |special| special.dead_len())
    }

    /// Messages waiting for a consumer.
    pub(super) fn ready_len(&self) -> usize {
        self.live_len() - self.unsettled - self.dead_len()
    }

    /// True when no more messages should die for now than must.
    pub(super) fn is_full_of_dead(&self) -> bool {
        self.special
            .as_ref()
            .is_some_and(|special| special.is_full_of_dead())
    }

    /// True when messages must be dealt one by one, by way of `head` and `take`.
    pub(super) fn is_each_looked_at(&self) -> bool {
        self.special
            .as_ref()
            .is_some_and(|special| special.is_each_looked_at())
    }

    /// The next message; `None` when none is ready, or none may be taken because all are delayed.
    pub(super) fn head(&mut self) -> Option<Head> {
        let is_delayed = self
            .special
            .as_ref()
            .is_some_and(|special| special.delays.is_some());
        if is_delayed || self.ready_len() == 0 {
            return None;
        }
        let (offset, again) = match self.special.as_ref().and_then(|special| special.lanes.as_ref()) {
            Some(lanes) => lanes.head()?,
            None => match self.requeued.first() {
                Some(&offset) => (offset, true),
                None => {
                    while self.settled.is_settled(self.cursor) {
                        self.cursor = self.cursor.next();
                    }
                    (self.cursor, false)
                }
            },
        };
        let redelivered = again || offset < self.redeliver_below;
        Some(Head { offset, redelivered })
    }

    /// Takes the head out of the ready messages; the caller says what it is now.
    pub(super) fn take(&mut self, head: Head) {
        if let Some(special) = &mut self.special {
            if let Some(sizes) = &mut special.sizes {
                sizes.take(head.offset);
            }
            if let Some(lanes) = &mut special.lanes {
                return lanes.take();
            }
        }
        if !self.requeued.remove(&head.offset) {
            self.cursor = head.offset.next();
        }
    }

    /// The record at `offset`, if it is in memory.
    pub(super) fn record(&self, offset: Offset) -> Option<Record<'_>> {
        lookup(&self.ring, self.cold.as_ref(), offset).map(parse)
    }

    /// True when the message's time is over.
    pub(super) fn is_expired(&self, offset: Offset, record: &Record<'_>, now_ms: u64) -> bool {
        let special = self.special.as_ref();
        special.is_some_and(|special| special.is_expired(offset, record, now_ms))
    }

    /// The record with the number of times that it came back in its headers, where the queue counts that and it did.
    pub(super) fn counted<'a>(
        &self,
        offset: Offset,
        record: Record<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Record<'a> {
        let attempts = self
            .special
            .as_ref()
            .and_then(|special| special.attempts.as_ref());
        let count = attempts.map_or(0, |attempts| attempts.of(offset));
        if count == 0 {
            return record;
        }
        let edit = |headers: &mut FieldTable, _: &mut BasicProperties<'_>| {
            headers.insert(DELIVERY_COUNT, i64::from(count));
        };
        match edited(&record.content, buffer, edit) {
            Ok(content) => Record { content, ..record },
            // There is no room for one more header.
            Err(_) => record,
        }
    }

    /// Settles one message, whatever it was.
    pub(super) fn settle_one(&mut self, offset: Offset) {
        assert!(self.settled.settle(offset), "offset {offset} settled twice");
        self.ring.release(offset);
        if let Some(special) = &mut self.special {
            special.forget(offset, self.settled.frontier());
        }
        self.pass_settled();
    }

    /// Settles `count` unsettled messages from `first` on.
    pub(super) fn settle_run(&mut self, first: Offset, count: usize) {
        let each = self.special.as_ref().is_some_and(|special| special.remembers());
        if count == 1 || each {
            for index in 0..count as u64 {
                self.settle_one(first.advance(index));
            }
        } else {
            self.settled.settle_range(first, count as u64);
            self.ring.release_range(first, count as u64);
            self.pass_settled();
        }
        self.unsettled -= count;
    }

    /// Makes one unsettled message ready again; once too often, and it is dead instead.
    pub(super) fn give_back(&mut self, offset: Offset) {
        self.unsettled -= 1;
        if let Some(special) = &mut self.special {
            if let Some(attempts) = &mut special.attempts
                && attempts.add(offset)
            {
                return self.kill(offset, DeathReason::DeliveryLimit);
            }
            if let Some(sizes) = &mut special.sizes {
                sizes.give_back(offset);
            }
            if let Some(lanes) = &mut special.lanes {
                return lanes.give_back(offset);
            }
        }
        assert!(self.requeued.insert(offset), "offset {offset} requeued twice");
    }

    /// Ends a message that is neither ready nor unsettled any more.
    pub(super) fn kill(&mut self, offset: Offset, reason: DeathReason) {
        match self.special.as_mut().and_then(|special| special.dead.as_mut()) {
            Some(dead) => dead.waiting.push_back((offset, reason)),
            None => self.settle_one(offset),
        }
    }

    /// Kills `count` unsettled messages from `first` on that a consumer does not want.
    pub(super) fn reject_run(&mut self, first: Offset, count: usize) {
        if self.special.as_ref().is_none_or(|special| special.dead.is_none()) {
            return self.settle_run(first, count);
        }
        self.unsettled -= count;
        for index in 0..count as u64 {
            self.kill(first.advance(index), DeathReason::Rejected);
        }
    }

    /// Kills the messages at the head whose time is over. When the next one's will be over, if that is known; or the
    /// offset that must be read from the log first.
    pub(super) fn expire(&mut self, now_ms: u64) -> Result<Option<u64>, Offset> {
        if self
            .special
            .as_ref()
            .is_some_and(|special| special.delays.is_some())
        {
            return Ok(self.release_due(now_ms));
        }
        if !self.special.as_ref().is_some_and(|special| special.may_expire()) {
            return Ok(None);
        }
        while let Some(head) = self.head() {
            let record = self.record(head.offset).ok_or(head.offset)?;
            let special = self.special.as_ref().expect("looked at above");
            if special.is_full_of_dead() {
                return Ok(None);
            }
            if !special.is_expired(head.offset, &record, now_ms) {
                return Ok(special.deadline_ms(&record));
            }
            self.take(head);
            self.kill(head.offset, DeathReason::Expired);
        }
        if self.live_len() == 0 {
            self.special
                .as_mut()
                .expect("looked at above")
                .set_expiring(false);
            self.special.take_if(|special| !special.is_needed());
        }
        Ok(None)
    }

    /// Sends on what has been delayed for long enough, as dead letters are; when the next message is due.
    fn release_due(&mut self, now_ms: u64) -> Option<u64> {
        loop {
            let special = self.special.as_mut()?;
            if special.is_full_of_dead() {
                return None;
            }
            let delays = special.delays.as_mut()?;
            match delays.take_due(now_ms) {
                Some(offset) => self.kill(offset, DeathReason::Due),
                None => return delays.next_due_ms(),
            }
        }
    }

    /// Drops the oldest ready messages while there are too many.
    pub(super) fn drop_surplus(&mut self) {
        loop {
            let ready = self.ready_len();
            let is_over = |special: &Special| {
                special.overflow() == Overflow::DropHead
                    && special.is_over(ready)
                    && !special.is_full_of_dead()
            };
            if !self.special.as_ref().is_some_and(|special| is_over(special)) {
                return;
            }
            let Some(head) = self.head() else { return };
            self.take(head);
            self.kill(head.offset, DeathReason::MaxLength);
        }
    }

    /// Settles every ready message and says how many there were. Unsettled and dead ones stay.
    pub(super) fn purge(&mut self) -> usize {
        let purged = self.ready_len();
        let mut indexed: Vec<Offset> = Vec::new();
        if let Some(special) = &mut self.special {
            indexed.extend(special.lanes.iter_mut().flat_map(|lanes| lanes.drain()));
            indexed.extend(special.delays.iter_mut().flat_map(|delays| delays.drain()));
        }
        let requeued = std::mem::take(&mut self.requeued);
        for offset in requeued.into_iter().chain(indexed) {
            self.settle_one(offset);
        }
        let fresh = self.ring.next_offset().distance_from(self.cursor);
        if fresh > 0 {
            self.settled.settle_range(self.cursor, fresh);
            self.ring.release_range(self.cursor, fresh);
            self.cursor = self.ring.next_offset();
        }
        if let Some(sizes) = self.special.as_mut().and_then(|special| special.sizes.as_mut()) {
            sizes.clear_ready();
            sizes.forget_below(self.settled.frontier());
        }
        if let Some(attempts) = self
            .special
            .as_mut()
            .and_then(|special| special.attempts.as_mut())
        {
            attempts.retain(|offset| !self.settled.is_settled(offset));
        }
        self.cold = None;
        purged
    }

    /// Settles the dead that wait: the queue is deleted.
    pub(super) fn forget_dead(&mut self) {
        let dead = self.special.as_mut().and_then(|special| special.dead.as_mut());
        let waiting = dead
            .map(|dead| std::mem::take(&mut dead.waiting))
            .unwrap_or_default();
        for (offset, _) in waiting {
            self.settle_one(offset);
        }
    }

    /// What a restart has left may have gaps right after the cursor: once the frontier passes over them, so does the cursor.
    pub(super) fn pass_settled(&mut self) {
        self.cursor = self.cursor.max(self.settled.frontier());
    }

    /// Once a dispatch, not once a message.
    pub(super) fn check(&self) {
        assert!(self.settled.frontier() <= self.cursor && self.cursor <= self.ring.next_offset());
        let live = self.live_len();
        let dead = self.special.as_ref().map_or(0, |special| special.dead_len());
        assert!(
            self.unsettled + self.requeued.len() + dead <= live,
            "a message is in two states"
        );
        let is_all_in_memory = self.journal.gate() <= self.settled.frontier();
        assert!(
            self.ring.len() == live || !is_all_in_memory && self.ring.len() < live,
            "a message is in memory and settled, or nowhere"
        );
    }
}

/// The record at `offset`, if it is in memory.
pub(super) fn lookup<'a>(ring: &'a Ring, cold: Option<&'a ColdWindow>, offset: Offset) -> Option<&'a [u8]> {
    ring.get(offset).or_else(|| cold?.get(offset))
}

#[inline]
pub(super) fn parse(bytes: &[u8]) -> Record<'_> {
    Record::parse(bytes).expect("the ring and the log hold what publish wrote")
}
