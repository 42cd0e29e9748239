//! The queue as the broker shares it: name, declaration, lock, dirty flag, waiting publishers, log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use ring::{ChunkPool, Offset, RingFull};

use super::consumer::ConsumerId;
use super::dead_letters::Letters;
use super::dealing::Got;
use super::declaration::Declaration;
use super::lease::unix_ms;
use super::options::{Overflow, QueueOptions};
use super::parts::{Placed, Published, QueueParts, Subscription, Turned};
use super::starved::Starved;
use super::state::{QueueState, Refusal, Snapshot};
use super::waiter::{Publisher, Waiter};
use crate::connection::{ConsumerTarget, Link, Signal};
use crate::inbox::Inbox;
use crate::observe::{Samples, Tallies};
use crate::record::{Record, RecordFields};
use crate::store::{Durability, LogOwner, QueueLog};
use crate::vhost::VirtualHost;

/// Bytes read from the log at once.
pub(super) const COLD_READ_BYTES: usize = 256 << 10;
/// The same when the memory of all queues is short.
const COLD_READ_BYTES_PRESSED: usize = 16 << 10;
/// Reads from the log in one dispatch; after that the other queues and connections get their turn.
const COLD_READS_MAX: usize = 4;

/// One queue of the broker, shared by the topology, its publishers and its consumers.
#[derive(Debug)]
pub struct Queue {
    vhost: Weak<VirtualHost>,
    name: String,
    id: String,
    declaration: Declaration,
    options: QueueOptions,
    /// Set by whoever gave dispatch something to do, cleared by the reactor that dispatches.
    dirty: AtomicBool,
    /// The reactor that dispatches what no reactor has caused.
    home: Arc<Inbox>,
    log: Arc<QueueLog>,
    pool: Arc<ChunkPool>,
    starved: Arc<Starved>,
    pub(super) tallies: Arc<Tallies>,
    /// Of the last checkpoint.
    pub(super) generation: AtomicU64,
    /// When the queue is to be dispatched again, as reactors were told; 0 when they were not.
    pub(super) wake_at_ms: AtomicU64,
    /// When somebody last declared it, consumed or got from it: milliseconds since the Unix epoch.
    pub(super) used_ms: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) state: QueueState<ConsumerTarget>,
    /// Messages whose way is timed.
    pub(super) samples: Samples,
    /// Dead letters on their way, where the queue has somewhere to send them.
    pub(super) letters: Option<Box<Letters>>,
    /// Publishers to call back when the ring has room.
    pub(super) waiting: Vec<Waiter>,
    /// Publishers to call back once every message below an offset is kept.
    pub(super) unkept: Vec<(Offset, Waiter)>,
    /// A publisher with confirms has published since the last time something was handed to the log.
    urgent: bool,
    /// Somebody reads from the log, outside of this lock.
    pub(super) reading: bool,
    /// Somebody else wanted to, meanwhile: the queue is dispatched once more when that read has ended.
    pub(super) wants_read: bool,
    /// The log could not be read: nothing cold is delivered any more.
    pub(super) unreadable: bool,
    /// See [`Queue::note_stored`].
    pub(super) stored: bool,
    /// The oldest message, when it was in the log only, and when that was published: see [`Queue::look_up_oldest`].
    pub(super) oldest_stored: Option<(Offset, u64)>,
    /// What the last checkpoint says.
    pub(super) checkpointed: Option<Snapshot>,
    pub(super) deleted: bool,
}

impl Queue {
    /// A queue, empty or with what a restart has left.
    pub fn new(parts: QueueParts) -> Arc<Queue> {
        let options = parts.config.options.clone();
        let state = QueueState::recovered(parts.config, Arc::clone(&parts.pool), &parts.remains);
        let inner = Mutex::new(Inner {
            state,
            samples: Samples::default(),
            letters: options.onward().map(|_| Box::default()),
            waiting: Vec::new(),
            unkept: Vec::new(),
            urgent: false,
            reading: false,
            wants_read: false,
            unreadable: false,
            stored: parts.stored,
            oldest_stored: None,
            checkpointed: None,
            deleted: false,
        });
        let queue = Arc::new(Queue {
            vhost: parts.vhost,
            name: parts.name,
            id: parts.id,
            declaration: parts.declaration,
            options,
            wake_at_ms: AtomicU64::new(0),
            used_ms: AtomicU64::new(unix_ms()),
            dirty: AtomicBool::new(false),
            home: parts.home,
            log: parts.log,
            pool: parts.pool,
            starved: parts.starved,
            tallies: parts.tallies,
            generation: AtomicU64::new(parts.generation),
            inner,
        });
        let owner: Weak<Queue> = Arc::downgrade(&queue);
        queue.log.set_owner(owner);
        if queue.options != QueueOptions::default() {
            // Its clocks run from here on.
            queue.dispatch_at_home();
        }
        queue
    }

    /// Where it belongs; `None` once that is gone.
    pub fn vhost(&self) -> Option<Arc<VirtualHost>> {
        self.vhost.upgrade()
    }

    /// Its name, unique in the vhost.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names its log and its checkpoint.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it was declared with.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// What its arguments ask for.
    pub fn options(&self) -> &QueueOptions {
        &self.options
    }

    /// Its log.
    pub fn log(&self) -> &Arc<QueueLog> {
        &self.log
    }

    /// True when the confirm of a persistent message has to wait for the log.
    pub fn keeps(&self) -> bool {
        self.declaration.is_stored() && self.log.durability() != Durability::None
    }

    /// Notes that there is something to dispatch; true for the first to say so since the last
    /// [`Queue::dispatch`], who must see to it that a reactor does.
    pub fn mark_dirty(&self) -> bool {
        // Relaxed read first: during a busy turn the flag is nearly always set already. The swap's
        // acquire-release pairs with the one in `dispatch`; what it guards is under the lock anyway.
        !self.dirty.load(Ordering::Relaxed) && !self.dirty.swap(true, Ordering::AcqRel)
    }

    /// Appends the messages of one publisher, in order, under one lock. `urgent`: it waits for the confirm. `read_us`:
    /// when they were read from a socket, Unix time in microseconds; `None` for what the broker itself sends on.
    ///
    /// A deleted queue takes and forgets them, as if they had arrived just before the deletion.
    pub fn publish<'a>(
        &self,
        messages: impl Iterator<Item = RecordFields<'a>>,
        publisher: Publisher<'_>,
        urgent: bool,
        read_us: Option<u64>,
    ) -> Published {
        let mut inner = self.inner.lock();
        let first = inner.state.next_offset();
        let mut placed = Placed::All;
        let mut refused = Vec::new();
        if !inner.deleted {
            for (index, fields) in messages.enumerate() {
                match inner.state.publish(&fields) {
                    Ok(_) => {}
                    Err(Refusal::Full(full)) => {
                        if full == RingFull::Budget {
                            self.starved.add(publisher);
                        }
                        if !inner.waiting.iter().any(|waiter| waiter.is(publisher)) {
                            inner.waiting.extend(publisher.waiter());
                        }
                        placed = Placed::First(index);
                        break;
                    }
                    Err(Refusal::OverLimit) => {
                        refused.push(index);
                        if self.options.overflow == Overflow::RejectPublishDlx
                            && let Some(letters) = &mut inner.letters
                        {
                            letters.add_refused(&fields);
                        }
                    }
                }
            }
            inner.urgent |= urgent;
        }
        if let Some(chosen) = Samples::chosen(first, inner.state.next_offset()) {
            inner.begin_sample(chosen, read_us, &self.tallies.stages);
        }
        Published {
            placed,
            next: inner.state.next_offset(),
            refused,
        }
    }

    /// True when every message below `offset` is kept or settled, or went with the queue.
    pub fn is_kept_through(&self, offset: Offset) -> bool {
        self.inner.lock().is_kept_through(offset)
    }

    /// The queue's own description is stored: from here on its messages can be called kept.
    pub fn note_stored(self: &Arc<Self>) {
        self.inner.lock().stored = true;
        self.dispatch_at_home();
    }

    /// As [`Queue::is_kept_through`]; when it is not so, `publisher` gets
    /// [`Signal::Kept`] when that is so, or when the log has failed.
    pub fn await_kept(&self, offset: Offset, publisher: Publisher<'_>) -> bool {
        let mut inner = self.inner.lock();
        let kept = inner.is_kept_through(offset);
        if !kept {
            inner
                .unkept
                .extend(publisher.waiter().map(|waiter| (offset, waiter)));
        }
        kept
    }

    /// Deals what is ready; `touched` sees each connection that got something. Then hands to the log what it has to have.
    /// Then sends dead letters. `now_us` is Unix time in microseconds.
    pub fn dispatch(self: &Arc<Self>, now_us: u64, mut touched: impl FnMut(&Arc<Link>)) -> Turned {
        // Cleared before the lock: what is published after this point marks the queue again.
        self.dirty.swap(false, Ordering::AcqRel);
        let mut inner = self.inner.lock();
        inner.state.log_progressed(self.log.written(), self.log.kept());
        let before = inner.state.counts.delivered;
        let mut reads = 0;
        let mut dispatched;
        loop {
            dispatched = inner.state.dispatch(now_us, |target| touched(target.link()));
            let Some(from) = dispatched
                .cold
                .filter(|_| reads < COLD_READS_MAX && inner.may_read())
            else {
                break;
            };
            reads += 1;
            inner = self.read_cold(inner, from);
        }
        let mut more = dispatched.cold.is_some() && inner.may_read();
        inner.wants_read |= dispatched.cold.is_some() && inner.reading;
        let delivered = inner.state.counts.delivered - before;
        if !inner.samples.is_idle() {
            inner.follow_samples(now_us, &self.tallies.stages);
        }
        self.starved.call_back(&self.pool);
        self.hand_to_log(&mut inner);
        inner.call_back_publishers();
        inner.call_back_kept(self.log.poison().is_some());
        let mut wake_at_ms = dispatched.wake_at_ms;
        if self.options.is_plain() {
            return Turned {
                delivered,
                more,
                wake_at_ms,
            };
        }
        let now_ms = now_us / 1000;
        let has_letters = inner.has_letters();
        let lease_end_ms = self.lease_end_ms(&inner);
        drop(inner);
        if let Some(onward) = self.options.onward().filter(|_| has_letters) {
            more |= self.send_dead_letters(onward, now_ms);
        }
        match lease_end_ms {
            Some(end_ms) if end_ms <= now_ms => self.end_lease(),
            Some(end_ms) => wake_at_ms = Some(wake_at_ms.map_or(end_ms, |at_ms| at_ms.min(end_ms))),
            None => {}
        }
        Turned {
            delivered,
            more,
            wake_at_ms,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Gives the log everything that it has to have and has room for.
    fn hand_to_log(&self, inner: &mut Inner) {
        if inner.deleted {
            return;
        }
        let urgent = std::mem::take(&mut inner.urgent);
        let state = &mut inner.state;
        let pressed = self.is_pressed();
        if !self.declaration.is_stored() && !state.may_spill(pressed) {
            return;
        }
        // Memory comes back only when it is written.
        let urgent = urgent || pressed || !inner.waiting.is_empty();
        self.log.stage(urgent, |push| {
            state.stage(pressed, |offset, record| push(offset, record))
        });
    }

    /// True when the memory of all queues together is short.
    fn is_pressed(&self) -> bool {
        self.starved.is_pressed(&self.pool)
    }

    /// Reads a stretch of the log, from an offset that is not in memory; the lock is not held meanwhile.
    pub(super) fn read_cold<'a>(
        self: &'a Arc<Self>,
        mut inner: MutexGuard<'a, Inner>,
        from: Offset,
    ) -> MutexGuard<'a, Inner> {
        inner.reading = true;
        inner.state.counts.cold_reads += 1;
        let mut buffer = inner.state.take_cold_buffer();
        let bytes_max = if self.is_pressed() {
            buffer = Vec::new();
            COLD_READ_BYTES_PRESSED
        } else {
            COLD_READ_BYTES
        };
        drop(inner);
        let read = self.log.read(from, bytes_max, &mut buffer);
        let mut inner = self.inner.lock();
        inner.reading = false;
        if std::mem::take(&mut inner.wants_read) {
            self.dispatch_at_home();
        }
        match read {
            Ok(next) => inner.state.install_cold(from, next, buffer),
            Err(error) => {
                inner.unreadable = true;
                // Of the store, whose lines are never left out: each queue says it once.
                tracing::error!(
                    target: "broker::store",
                    queue = self.name, offset = from.0, %error,
                    "cannot read messages back: nothing from there on is delivered (see `broker log verify`)"
                );
            }
        }
        inner
    }

    /// Adds a consumer. `subscribed` runs under the lock, before anything can be delivered: the place to
    /// write `basic.consume-ok`. `None` when exclusive use stands in the way or the queue is deleted.
    pub fn subscribe(
        &self,
        subscription: Subscription,
        subscribed: impl FnOnce(ConsumerId),
    ) -> Option<ConsumerId> {
        let mut inner = self.inner.lock();
        let others = inner.state.consumer_count() > 0;
        let refused = subscription.exclusive && (others || self.options.single_active);
        if inner.deleted || inner.state.has_exclusive_consumer() || refused {
            return None;
        }
        let Subscription {
            target,
            prefetch,
            priority,
            exclusive,
        } = subscription;
        let id = inner.state.subscribe(target, prefetch, priority, exclusive);
        subscribed(id);
        Some(id)
    }

    /// Removes a consumer; true when it was the last one of an auto-delete queue, which must go now.
    pub fn unsubscribe(&self, id: ConsumerId) -> bool {
        let mut inner = self.inner.lock();
        let removed = inner.state.unsubscribe(id).is_some();
        if removed {
            self.touch();
        }
        removed && self.declaration.auto_delete && inner.state.consumer_count() == 0
    }

    /// A consumer's connection or channel has room again.
    pub fn unstall(&self, id: ConsumerId) {
        self.inner.lock().state.unstall(id);
    }

    /// `basic.get`; see [`QueueState::get`]. Waits for the disk when the message is not in memory.
    pub fn get<R>(
        self: &Arc<Self>,
        no_ack: bool,
        now_ms: u64,
        mut take: impl FnMut(Offset, bool, &Record<'_>, usize) -> R,
    ) -> Option<R> {
        let mut inner = self.inner.lock();
        self.touch();
        let got = loop {
            match inner.state.get(no_ack, now_ms, &mut take) {
                Got::Message(result) => {
                    inner.call_back_publishers();
                    break Some(result);
                }
                Got::Cold(from) if inner.may_read() => inner = self.read_cold(inner, from),
                Got::Cold(_) if inner.reading && !inner.deleted => {
                    // As long as its own read would take.
                    MutexGuard::unlocked(&mut inner, std::thread::yield_now);
                }
                Got::Cold(_) | Got::Empty => break None,
            }
        };
        let has_letters = inner.has_letters();
        drop(inner);
        if has_letters {
            self.dispatch_at_home();
        }
        got
    }

    /// True once it is deleted.
    pub fn is_deleted(&self) -> bool {
        self.inner.lock().deleted
    }

    /// Marks the queue deleted unless `veto` (given ready messages and consumers) objects. Returns how many
    /// ready messages went with it and the consumers that are to be told, or what `veto` said.
    pub fn delete<E>(
        &self,
        veto: impl FnOnce(usize, usize) -> Result<(), E>,
    ) -> Result<(usize, Vec<ConsumerTarget>), E> {
        let mut inner = self.inner.lock();
        veto(inner.state.ready_len(), inner.state.consumer_count())?;
        inner.deleted = true;
        self.log.retire();
        for publisher in inner.waiting.drain(..) {
            publisher.raise(Signal::RetryPublish);
        }
        let purged = inner.state.purge();
        inner.state.forget_dead();
        inner.call_back_kept(true);
        Ok((purged, inner.state.unsubscribe_all()))
    }
}

impl LogOwner for Queue {
    fn log_progressed(self: Arc<Self>) {
        self.dispatch_at_home();
    }
}

impl Queue {
    /// Has its home reactor dispatch it, from whatever thread.
    pub fn dispatch_at_home(self: &Arc<Self>) {
        if self.mark_dirty() {
            self.home.add(Arc::clone(self));
        }
    }
}

impl Inner {
    /// True when dead letters wait or are on their way.
    pub(super) fn has_letters(&self) -> bool {
        self.state.has_dead() || self.letters.as_ref().is_some_and(|letters| !letters.is_idle())
    }

    /// True when a dispatch would have something to do.
    pub(super) fn has_work(&self) -> bool {
        self.state.ready_len() > 0 || self.state.has_dead()
    }

    /// Whether the log may be read on now.
    pub(super) fn may_read(&self) -> bool {
        !self.reading && !self.unreadable && !self.deleted
    }

    fn is_kept_through(&self, offset: Offset) -> bool {
        self.deleted || self.stored && self.state.kept_through() >= offset
    }
}
