//! The queue state machine: messages ([`Backlog`](super::backlog::Backlog)) and consumers
//! ([`Roster`](super::roster::Roster)), and what happens between them.
//!
//! Invariants, asserted: settled ≤ dispatched ≤ published; a message is settled exactly once; a consumer's
//! credit never exceeds its prefetch.

use std::ops::Range;
use std::sync::Arc;

use ring::{ChunkPool, Offset, RingConfig, RingFull};

use super::backlog::Backlog;
use super::cold::ColdWindow;
use super::consumer::{ConsumerId, DeliveryTarget};
use super::journal::SpillLimits;
use super::options::QueueOptions;
use super::pace::Pace;
use super::roster::Roster;
use super::special::DeathReason;
use crate::observe::QueueCounts;
use crate::record::{Record, RecordFields};

/// What a queue is made with.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// Limits of its ring.
    pub ring: RingConfig,
    /// When messages leave the ring for the log.
    pub spill: SpillLimits,
    /// Every message goes to the log, not only what must leave memory.
    pub durable: bool,
    /// What its arguments ask for.
    pub options: QueueOptions,
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
    /// How often messages came back, where the queue counts that.
    pub attempts: Vec<(Offset, u32)>,
    /// Some message may have an expiration of its own.
    pub expiring: bool,
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
    /// As [`Remains::attempts`].
    pub attempts: Vec<(Offset, u32)>,
    /// As [`Remains::expiring`].
    pub expiring: bool,
}

/// Why a queue did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room for now.
    Full(RingFull),
    /// It has as many as it may have, and refuses more.
    OverLimit,
}

/// One queue's messages and consumers. `T` is where deliveries go.
#[derive(Debug)]
pub struct QueueState<T> {
    pub(super) backlog: Backlog,
    pub(super) roster: Roster<T>,
    pub(super) pace: Pace,
    pub(super) counts: QueueCounts,
    /// First offset that was not there when it was made.
    first: Offset,
}

impl<T: DeliveryTarget> QueueState<T> {
    /// An empty queue whose first message will be offset 0.
    pub fn new(config: QueueConfig, pool: Arc<ChunkPool>) -> Self {
        QueueState::recovered(config, pool, &Remains::default())
    }

    /// A queue with what its log has kept for it.
    pub fn recovered(config: QueueConfig, pool: Arc<ChunkPool>, remains: &Remains) -> Self {
        QueueState {
            roster: Roster::new(config.options.single_active),
            backlog: Backlog::recovered(config, pool, remains),
            pace: Pace::default(),
            counts: QueueCounts::default(),
            first: remains.next,
        }
    }

    /// Appends one message, or says why not; then nothing has changed.
    #[inline(always)]
    pub fn publish(&mut self, fields: &RecordFields<'_>) -> Result<Offset, Refusal> {
        if self.backlog.special.is_some() && self.refuses(fields) {
            return Err(Refusal::OverLimit);
        }
        self.backlog.publish(fields).map_err(Refusal::Full)
    }

    /// True when the queue refuses what it cannot hold, and consumers would not take the message from it at once.
    #[cold]
    fn refuses(&self, fields: &RecordFields<'_>) -> bool {
        let special = self.backlog.special.as_ref().expect("asked by the caller");
        let ready = self.backlog.ready_len();
        special.refuses(ready, fields.content.body_len())
            && special.refuses(
                ready.saturating_sub(self.roster.credit()),
                fields.content.body_len(),
            )
    }

    /// Messages waiting for a consumer.
    pub fn ready_len(&self) -> usize {
        self.backlog.ready_len()
    }

    /// Messages delivered and not yet settled.
    pub fn unsettled_len(&self) -> usize {
        self.backlog.unsettled
    }

    /// Lowest offset that is not settled.
    pub fn frontier(&self) -> Offset {
        self.backlog.settled.frontier()
    }

    /// Share of the ring in use, 0 to 1, by messages or bytes, whichever is more.
    pub fn fill_ratio(&self) -> f64 {
        self.backlog.ring.fill_ratio()
    }

    /// True when publishers that found no room are to be called back: see `Journal::has_room`.
    pub fn has_room(&self) -> bool {
        self.backlog.journal.has_room(&self.backlog.ring)
    }

    /// Bytes of ring memory held.
    pub fn bytes_held(&self) -> usize {
        self.backlog.ring.bytes_held()
    }

    /// Bytes that the stretch read from the log takes.
    pub fn cold_bytes_held(&self) -> usize {
        self.backlog.cold.as_ref().map_or(0, ColdWindow::bytes_held)
    }

    /// First offset of a message that is not published yet.
    pub fn next_offset(&self) -> Offset {
        self.backlog.ring.next_offset()
    }

    /// Messages published since it was made.
    pub fn published(&self) -> u64 {
        self.next_offset().distance_from(self.first)
    }

    /// What a checkpoint has to know.
    pub fn snapshot(&self) -> Snapshot {
        let backlog = &self.backlog;
        let special = backlog.special.as_ref();
        let attempts = special.and_then(|special| special.attempts.as_ref());
        Snapshot {
            next: backlog.ring.next_offset(),
            dispatched: backlog.dispatched(),
            frontier: backlog.settled.frontier(),
            settled: backlog.settled.ranges().collect(),
            attempts: attempts.map(|attempts| attempts.counts()).unwrap_or_default(),
            expiring: special.is_some_and(|special| special.is_expiring()),
        }
    }

    /// True for a message that is not settled and in the log only.
    pub fn is_stored_only(&self, offset: Offset) -> bool {
        self.backlog.live_len() > 0 && self.backlog.record(offset).is_none()
    }

    /// True when something may have to leave memory: see `Journal`.
    pub fn may_spill(&self, pressed: bool) -> bool {
        self.backlog.journal.may_spill(&self.backlog.ring, pressed)
    }

    /// Hands records to the log; see `Journal::stage`. `pressed`: the memory of all queues together is short.
    pub fn stage(&mut self, pressed: bool, push: impl FnMut(Offset, &[u8]) -> bool) {
        self.backlog.journal.stage(&self.backlog.ring, pressed, push);
    }

    /// The log has come so far: everything handed over below `written` can be read from it, everything below `kept` is as
    /// safe as the queue asks for. The ring's oldest part may go now.
    pub fn log_progressed(&mut self, written: Offset, kept: Offset) {
        self.backlog.journal.progress(written, kept);
        self.backlog.journal.evict(&mut self.backlog.ring);
    }

    /// Every message below is kept, or settled.
    pub fn kept_through(&self) -> Offset {
        self.backlog.journal.kept_through(self.frontier())
    }

    /// True when the log has not yet kept everything that it was given.
    pub fn is_journal_busy(&self) -> bool {
        self.backlog.journal.is_busy()
    }

    /// Takes a stretch of the log, read for an offset that a call said it wants.
    pub fn install_cold(&mut self, first: Offset, next: Offset, records: Vec<u8>) {
        // Nothing at all from there on: what lies between there and the ring was settled before it was written.
        let next = if next > first {
            next
        } else {
            first.max(self.backlog.journal.gate())
        };
        self.backlog.cold = Some(ColdWindow::new(first, next, records));
    }

    /// The buffer of the last stretch, to be filled again; the stretch is gone.
    pub fn take_cold_buffer(&mut self) -> Vec<u8> {
        let cold = self.backlog.cold.take();
        cold.map(ColdWindow::into_bytes).unwrap_or_default()
    }

    /// True when every message that a restart has left must be passed to `index`, in order, before anything else; then
    /// `end_index`.
    pub fn wants_index(&self) -> bool {
        self.backlog.wants_index()
    }

    /// See `wants_index`.
    pub fn index(&mut self, offset: Offset, record: &Record<'_>) {
        self.backlog.index(offset, record);
    }

    /// See `wants_index`.
    pub fn end_index(&mut self) {
        self.backlog.end_index();
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.roster.len()
    }

    /// True when a consumer asked to be the only one.
    pub fn has_exclusive_consumer(&self) -> bool {
        self.roster.has_exclusive()
    }

    /// Adds a consumer with `prefetch` messages of credit (0 = no limit); higher priorities are served first.
    pub fn subscribe(&mut self, target: T, prefetch: u16, priority: i32, exclusive: bool) -> ConsumerId {
        self.roster.add(target, prefetch, priority, exclusive)
    }

    /// Removes a consumer. What it holds unsettled stays unsettled: its channel still may ack or requeue it.
    pub fn unsubscribe(&mut self, id: ConsumerId) -> Option<T> {
        self.roster.remove(id)
    }

    /// Removes every consumer and returns their targets, highest priority first, then in subscription order.
    pub fn unsubscribe_all(&mut self) -> Vec<T> {
        self.roster.remove_all()
    }

    /// The target of a stalled consumer has room again.
    pub fn unstall(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.roster.get_mut(id) {
            consumer.stalled = false;
        }
    }

    /// Settles `count` messages from `first` on, that `consumer` (or a get) held: they are done with.
    pub fn settle(&mut self, consumer: Option<ConsumerId>, first: Offset, count: usize) {
        self.check_unsettled(first, count);
        self.backlog.settle_run(first, count);
        self.counts.acknowledged += count as u64;
        self.restore_credit(consumer, count);
    }

    /// Ends `count` messages from `first` on that `consumer` (or a get) held and does not want: where the queue has a
    /// dead-letter exchange they become dead, otherwise settled.
    pub fn reject(&mut self, consumer: Option<ConsumerId>, first: Offset, count: usize) {
        self.check_unsettled(first, count);
        self.backlog.reject_run(first, count);
        self.counts.rejected += count as u64;
        self.restore_credit(consumer, count);
    }

    /// Gives `count` messages from `first` on back: ready again, in their old place, as redelivered.
    pub fn requeue(&mut self, consumer: Option<ConsumerId>, first: Offset, count: usize) {
        self.check_unsettled(first, count);
        for index in 0..count as u64 {
            let offset = first.advance(index);
            assert!(
                !self.backlog.settled.is_settled(offset),
                "requeued what was not unsettled"
            );
            self.backlog.give_back(offset);
        }
        self.counts.requeued += count as u64;
        self.restore_credit(consumer, count);
    }

    /// Drops every ready message and says how many there were. Unsettled ones stay.
    pub fn purge(&mut self) -> usize {
        let purged = self.backlog.purge();
        self.backlog.check();
        purged
    }

    /// Applies the length limit now, for whoever is going to count: messages that a consumer could still take stay.
    pub fn trim_surplus(&mut self) {
        if self.backlog.special.is_some() && self.roster.credit() == 0 {
            self.backlog.drop_surplus();
        }
    }

    /// The oldest message that is to be dead-lettered, if it is in memory; otherwise the offset to be read first.
    pub fn dead_head(&self) -> Option<Result<(Offset, DeathReason, Record<'_>), Offset>> {
        let dead = self.backlog.special.as_ref()?.dead.as_ref()?;
        let &(offset, reason) = dead.waiting.front()?;
        let record = self.backlog.record(offset).ok_or(offset);
        Some(record.map(|record| (offset, reason, record)))
    }

    /// The head of the dead was sent on; it stays until `bury`.
    pub fn post_dead_head(&mut self) {
        let special = self.backlog.special.as_mut();
        if let Some(dead) = special.and_then(|special| special.dead.as_mut())
            && let Some((offset, _)) = dead.waiting.pop_front()
        {
            dead.posted.insert(offset);
        }
    }

    /// A dead message is safe where it was sent: it is settled here.
    pub fn bury(&mut self, offset: Offset) {
        let special = self.backlog.special.as_mut();
        let dead = special.and_then(|special| special.dead.as_mut());
        let posted = dead.is_some_and(|dead| dead.posted.remove(&offset));
        assert!(posted, "buried what was not posted");
        self.backlog.settle_one(offset);
    }

    /// Settles the dead that wait: the queue is deleted.
    pub fn forget_dead(&mut self) {
        self.backlog.forget_dead();
    }

    /// True when some message waits to be dead-lettered.
    pub fn has_dead(&self) -> bool {
        let special = self.backlog.special.as_ref();
        special.is_some_and(|special| special.dead.as_ref().is_some_and(|dead| !dead.waiting.is_empty()))
    }

    /// Gives memory back that an idle queue does not need; to be called about once a second.
    pub fn trim(&mut self) {
        self.backlog.ring.trim();
    }

    fn check_unsettled(&self, first: Offset, count: usize) {
        assert!(
            count <= self.backlog.unsettled,
            "more messages settled or requeued than were delivered"
        );
        assert!(
            first.advance(count as u64) <= self.backlog.cursor,
            "settled or requeued before it was delivered"
        );
    }

    fn restore_credit(&mut self, consumer: Option<ConsumerId>, count: usize) {
        if let Some(consumer) = consumer.and_then(|id| self.roster.get_mut(id)) {
            consumer.credit.restore(count);
        }
    }
}
