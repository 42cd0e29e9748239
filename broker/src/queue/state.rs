//! The queue state machine: publish, dispatch, settle, requeue, purge.
//!
//! Every message is named by its [`Offset`] and is in exactly one state:
//!
//! ```text
//!             publish            dispatch              settle (ack, reject, no-ack, purge)
//!  (nowhere) ---------> ready --------------> unsettled -----------------> settled
//!                         ^                      |
//!                         +------- requeue ------+      redelivered is set from here on
//! ```
//!
//! Ready messages are those at or after `cursor`, never dispatched, and those in `requeued`, all of which
//! lie before `cursor`: serving `requeued` first therefore keeps the original order.
//!
//! Where a message lies is another matter: in the ring, in the log, or in both, as `Journal` keeps track of. What
//! is in the log only is *cold*: it is dealt from a `ColdWindow`, which the owner of this state fills, outside of
//! any lock, when a call answers that it wants an offset from there.
//!
//! Invariants, asserted: settled ≤ dispatched ≤ published; a message is settled exactly once; a consumer's
//! credit never exceeds its prefetch.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ring::{ChunkPool, Offset, Ring, RingConfig, RingFull, SettledSet};
use slab::Slab;

use super::cold::ColdWindow;
use super::consumer::{Consumer, ConsumerId, Credit, DeliveryTarget};
use super::journal::{Journal, SpillLimits};
use super::pace::Pace;
use crate::record::RecordFields;

/// What a queue is made with.
#[derive(Clone, Copy, Debug)]
pub struct QueueConfig {
    /// Limits of its ring.
    pub ring: RingConfig,
    /// When messages leave the ring for the log.
    pub spill: SpillLimits,
    /// Every message goes to the log, not only what must leave memory.
    pub durable: bool,
}

/// What a queue has left from before a restart, all of it in its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// First offset that no message has yet.
    pub next: Offset,
    /// Offsets whose messages are there and not settled; ascending and disjoint.
    pub live: Vec<Range<Offset>>,
    /// Messages below may have been delivered before: they are flagged as redelivered.
    pub redeliver_below: Offset,
}

/// What is settled of a queue at one moment, for a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// First offset that no message has yet.
    pub next: Offset,
    /// First offset that was never delivered.
    pub dispatched: Offset,
    /// Lowest offset that is not settled.
    pub frontier: Offset,
    /// Settled above the frontier.
    pub settled: Vec<Range<Offset>>,
}

/// One queue's messages and consumers. `T` is where deliveries go.
#[derive(Debug)]
pub struct QueueState<T> {
    pub(super) ring: Ring,
    pub(super) journal: Journal,
    pub(super) cold: Option<ColdWindow>,
    pub(super) settled: SettledSet,
    /// First offset that was never dispatched.
    pub(super) cursor: Offset,
    /// A first delivery below this offset is flagged all the same: see [`Remains::redeliver_below`].
    pub(super) redeliver_below: Offset,
    /// Dispatched once, given back, and ready again.
    pub(super) requeued: BTreeSet<Offset>,
    pub(super) consumers: Slab<Consumer<T>>,
    /// Slots of `consumers` in subscription order, rotated by `next`.
    pub(super) order: Vec<usize>,
    pub(super) next: usize,
    serial: u64,
    pub(super) unsettled: usize,
    pub(super) pace: Pace,
}

impl<T: DeliveryTarget> QueueState<T> {
    /// An empty queue whose first message will be offset 0.
    pub fn new(config: QueueConfig, pool: Arc<ChunkPool>) -> Self {
        QueueState::recovered(config, pool, &Remains::default())
    }

    /// A queue with what its log has kept for it.
    pub fn recovered(config: QueueConfig, pool: Arc<ChunkPool>, remains: &Remains) -> Self {
        let mut settled = SettledSet::new(remains.live.first().map_or(remains.next, |range| range.start));
        let ends = remains.live.iter().map(|range| range.end);
        let starts = remains.live.iter().skip(1).map(|range| range.start);
        for (end, start) in ends.zip(starts.chain([remains.next])) {
            settled.settle_range(end, start.distance_from(end));
        }
        QueueState {
            ring: Ring::new(config.ring, pool, remains.next),
            journal: Journal::new(config.durable, config.spill, remains.next),
            cold: None,
            cursor: settled.frontier(),
            settled,
            redeliver_below: remains.redeliver_below,
            requeued: BTreeSet::new(),
            consumers: Slab::new(),
            order: Vec::new(),
            next: 0,
            serial: 0,
            unsettled: 0,
            pace: Pace::default(),
        }
    }

    /// Appends one message, or says what is full; then nothing has changed.
    #[inline]
    pub fn publish(&mut self, fields: &RecordFields<'_>) -> Result<Offset, RingFull> {
        let head = fields.head();
        self.ring
            .try_append(&[&head, fields.names, fields.content.frames()])
    }

    /// Messages waiting for a consumer.
    pub fn ready_len(&self) -> usize {
        self.live_len() - self.unsettled
    }

    /// Messages published and not settled.
    fn live_len(&self) -> usize {
        let above = self.ring.next_offset().distance_from(self.settled.frontier());
        (above - self.settled.sparse_len()) as usize
    }

    /// Messages delivered and not yet settled.
    pub fn unsettled_len(&self) -> usize {
        self.unsettled
    }

    /// Lowest offset that is not settled.
    pub fn frontier(&self) -> Offset {
        self.settled.frontier()
    }

    /// Share of the ring in use, 0 to 1, by messages or bytes, whichever is more.
    pub fn fill_ratio(&self) -> f64 {
        self.ring.fill_ratio()
    }

    /// Bytes of ring memory held.
    pub fn bytes_held(&self) -> usize {
        self.ring.bytes_held()
    }

    /// Bytes that the stretch read from the log takes.
    pub fn cold_bytes_held(&self) -> usize {
        self.cold.as_ref().map_or(0, ColdWindow::bytes_held)
    }

    /// First offset of a message that is not published yet.
    pub fn next_offset(&self) -> Offset {
        self.ring.next_offset()
    }

    /// What a checkpoint has to know.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            next: self.ring.next_offset(),
            dispatched: self.cursor,
            frontier: self.settled.frontier(),
            settled: self.settled.ranges().collect(),
        }
    }

    /// True when something may have to leave memory: see `Journal`.
    pub fn may_spill(&self, pressed: bool) -> bool {
        self.journal.may_spill(&self.ring, pressed)
    }

    /// Hands records to the log; see `Journal::stage`. `pressed`: the memory of all queues together is short.
    pub fn stage(&mut self, pressed: bool, push: impl FnMut(Offset, &[u8]) -> bool) {
        self.journal.stage(&self.ring, pressed, push);
    }

    /// The log has come so far: everything handed over below `written` can be read from it, everything below `kept` is as
    /// safe as the queue asks for. The ring's oldest part may go now.
    pub fn log_progressed(&mut self, written: Offset, kept: Offset) {
        self.journal.progress(written, kept);
        self.journal.evict(&mut self.ring);
    }

    /// Every message below is kept, or settled.
    pub fn kept_through(&self) -> Offset {
        self.journal.kept_through(self.settled.frontier())
    }

    /// True when the log has not yet kept everything that it was given.
    pub fn is_journal_busy(&self) -> bool {
        self.journal.is_busy()
    }

    /// Takes a stretch of the log, read for an offset that a call said it wants.
    pub fn install_cold(&mut self, first: Offset, next: Offset, records: Vec<u8>) {
        // Nothing at all from there on: what lies between there and the ring was settled before it was written.
        let next = if next > first {
            next
        } else {
            first.max(self.journal.gate())
        };
        self.cold = Some(ColdWindow::new(first, next, records));
    }

    /// The buffer of the last stretch, to be filled again; the stretch is gone.
    pub fn take_cold_buffer(&mut self) -> Vec<u8> {
        self.cold.take().map(ColdWindow::into_bytes).unwrap_or_default()
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// True when a consumer asked to be the only one.
    pub fn has_exclusive_consumer(&self) -> bool {
        self.consumers.iter().any(|(_, consumer)| consumer.exclusive)
    }

    /// Adds a consumer with `prefetch` messages of credit (0 = no limit).
    pub fn subscribe(&mut self, target: T, prefetch: u16, exclusive: bool) -> ConsumerId {
        let serial = self.serial;
        self.serial += 1;
        let credit = Credit::new(prefetch);
        let slot = self.consumers.insert(Consumer {
            serial,
            target,
            credit,
            exclusive,
            stalled: false,
        });
        self.order.push(slot);
        ConsumerId { slot, serial }
    }

    /// Removes a consumer. What it holds unsettled stays unsettled: its channel still may ack or requeue it.
    pub fn unsubscribe(&mut self, id: ConsumerId) -> Option<T> {
        self.consumer_mut(id)?;
        let position = self.order.iter().position(|&slot| slot == id.slot)?;
        self.order.remove(position);
        if position < self.next {
            self.next -= 1;
        }
        Some(self.consumers.remove(id.slot).target)
    }

    /// Removes every consumer and returns their targets in subscription order.
    pub fn unsubscribe_all(&mut self) -> Vec<T> {
        let order = std::mem::take(&mut self.order);
        order
            .into_iter()
            .map(|slot| self.consumers.remove(slot).target)
            .collect()
    }

    /// The target of a stalled consumer has room again.
    pub fn unstall(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumer_mut(id) {
            consumer.stalled = false;
        }
    }

    /// Settles `count` messages from `first` on, that `consumer` (or a get) held: they are done with.
    pub fn settle(&mut self, consumer: Option<ConsumerId>, first: Offset, count: usize) {
        assert!(
            count <= self.unsettled,
            "more messages settled than were delivered"
        );
        assert!(
            first.advance(count as u64) <= self.cursor,
            "settled before it was delivered"
        );
        if count == 1 {
            assert!(self.settled.settle(first), "offset {first} settled twice");
            self.ring.release(first);
        } else {
            self.settled.settle_range(first, count as u64);
            self.ring.release_range(first, count as u64);
        }
        self.pass_settled();
        self.unsettled -= count;
        self.restore_credit(consumer, count);
    }

    /// What a restart has left may have gaps right after the cursor: once the frontier passes over them, so does the cursor.
    pub(super) fn pass_settled(&mut self) {
        self.cursor = self.cursor.max(self.settled.frontier());
    }

    /// Gives `count` messages from `first` on back: ready again, in their old place, as redelivered.
    pub fn requeue(&mut self, consumer: Option<ConsumerId>, first: Offset, count: usize) {
        assert!(
            count <= self.unsettled,
            "more messages requeued than were delivered"
        );
        for index in 0..count as u64 {
            let offset = first.advance(index);
            assert!(
                offset < self.cursor && !self.settled.is_settled(offset),
                "requeued what was not unsettled"
            );
            assert!(self.requeued.insert(offset), "offset {offset} requeued twice");
        }
        self.unsettled -= count;
        self.restore_credit(consumer, count);
    }

    /// Drops every ready message and says how many there were. Unsettled ones stay.
    pub fn purge(&mut self) -> usize {
        let purged = self.ready_len();
        for offset in std::mem::take(&mut self.requeued) {
            self.settled.settle(offset);
            self.ring.release(offset);
        }
        let fresh = self.ring.next_offset().distance_from(self.cursor);
        if fresh > 0 {
            self.settled.settle_range(self.cursor, fresh);
            self.ring.release_range(self.cursor, fresh);
            self.cursor = self.ring.next_offset();
        }
        self.cold = None;
        self.check();
        purged
    }

    /// Gives memory back that an idle queue does not need; to be called about once a second.
    pub fn trim(&mut self) {
        self.ring.trim();
    }

    fn restore_credit(&mut self, consumer: Option<ConsumerId>, count: usize) {
        if let Some(consumer) = consumer.and_then(|id| self.consumer_mut(id)) {
            consumer.credit.restore(count);
        }
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer<T>> {
        self.consumers
            .get_mut(id.slot)
            .filter(|consumer| consumer.serial == id.serial)
    }

    /// Once a dispatch, not once a message.
    pub(super) fn check(&self) {
        assert!(self.settled.frontier() <= self.cursor && self.cursor <= self.ring.next_offset());
        let live = self.live_len();
        assert!(
            self.unsettled + self.requeued.len() <= live,
            "a message is in two states"
        );
        let is_all_in_memory = self.journal.gate() <= self.settled.frontier();
        assert!(
            self.ring.len() == live || !is_all_in_memory && self.ring.len() < live,
            "a message is in memory and settled, or nowhere"
        );
    }
}
