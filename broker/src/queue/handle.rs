//! The queue as the broker shares it: name, declaration, lock, dirty flag, waiting publishers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use ring::{ChunkPool, Offset, RingConfig};
use wire::FieldTable;

use super::consumer::ConsumerId;
use super::state::QueueState;
use crate::connection::{ConnectionId, ConsumerTarget, Link, Signal};
use crate::record::{Record, RecordFields};

/// Publishers that found the ring full are called back once it is this empty again. The gap keeps a full
/// queue from waking them for every message that leaves.
const RETRY_FILL_RATIO: f64 = 0.75;

/// What `queue.declare` said; a second declaration must say the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Deleted when its last consumer goes.
    pub auto_delete: bool,
    /// Only this connection may use it, and it goes when the connection goes.
    pub owner: Option<ConnectionId>,
    /// The `x-…` arguments, as given.
    pub arguments: FieldTable,
}

/// How much of a batch found its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Every message.
    All,
    /// The first so many; then the ring was full. The publisher is called back with
    /// [`Signal::RetryPublish`].
    First(usize),
}

/// A consumer to add.
#[derive(Debug)]
pub struct Subscription {
    /// Where deliveries go.
    pub target: ConsumerTarget,
    /// Unsettled messages it may hold; 0 = no limit.
    pub prefetch: u16,
    /// It must be the only one.
    pub exclusive: bool,
}

/// One queue of the broker, shared by the topology, its publishers and its consumers.
#[derive(Debug)]
pub struct Queue {
    name: String,
    declaration: Declaration,
    /// Set by whoever gave dispatch something to do, cleared by the reactor that dispatches.
    dirty: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: QueueState<ConsumerTarget>,
    /// Publishers to call back when the ring has room.
    waiting: Vec<Arc<Link>>,
    deleted: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(name: String, declaration: Declaration, config: RingConfig, pool: Arc<ChunkPool>) -> Queue {
        let state = QueueState::new(config, pool);
        let inner = Mutex::new(Inner {
            state,
            waiting: Vec::new(),
            deleted: false,
        });
        Queue {
            name,
            declaration,
            dirty: AtomicBool::new(false),
            inner,
        }
    }

    /// Its name, unique in the vhost.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was declared with.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// True when `connection` may not use it because another one holds it exclusively.
    pub fn is_locked_for(&self, connection: ConnectionId) -> bool {
        self.declaration.owner.is_some_and(|owner| owner != connection)
    }

    /// Notes that there is something to dispatch; true for the first to say so since the last
    /// [`Queue::dispatch`], who must see to it that a reactor does.
    pub fn mark_dirty(&self) -> bool {
        // Relaxed read first: during a busy turn the flag is nearly always set already. The swap's
        // acquire-release pairs with the one in `dispatch`; what it guards is under the lock anyway.
        !self.dirty.load(Ordering::Relaxed) && !self.dirty.swap(true, Ordering::AcqRel)
    }

    /// Appends the messages of one publisher, in order, under one lock.
    ///
    /// A deleted queue takes and forgets them, as if they had arrived just before the deletion.
    pub fn publish<'a>(
        &self,
        messages: impl Iterator<Item = RecordFields<'a>>,
        publisher: &Arc<Link>,
    ) -> Placed {
        let mut inner = self.inner.lock();
        if inner.deleted {
            return Placed::All;
        }
        for (index, fields) in messages.enumerate() {
            if inner.state.publish(&fields).is_err() {
                if !inner.waiting.iter().any(|link| Arc::ptr_eq(link, publisher)) {
                    inner.waiting.push(Arc::clone(publisher));
                }
                return Placed::First(index);
            }
        }
        Placed::All
    }

    /// Deals what is ready; `touched` sees each connection that got something. `now_us`: any clock in
    /// microseconds.
    pub fn dispatch(&self, now_us: u64, mut touched: impl FnMut(&Arc<Link>)) {
        // Cleared before the lock: what is published after this point marks the queue again.
        self.dirty.swap(false, Ordering::AcqRel);
        let mut inner = self.inner.lock();
        inner.state.dispatch(now_us, |target| touched(target.link()));
        inner.call_back_publishers();
    }

    /// Settles runs of messages that one consumer (or gets) held; true when dispatch may now go on.
    pub fn settle(&self, consumer: Option<ConsumerId>, runs: &[(Offset, usize)]) -> bool {
        let mut inner = self.inner.lock();
        if inner.deleted {
            return false;
        }
        for &(first, count) in runs {
            inner.state.settle(consumer, first, count);
        }
        inner.call_back_publishers();
        inner.state.ready_len() > 0
    }

    /// Gives runs of messages back; true when there is something to dispatch.
    pub fn requeue(&self, consumer: Option<ConsumerId>, runs: &[(Offset, usize)]) -> bool {
        let mut inner = self.inner.lock();
        if inner.deleted {
            return false;
        }
        for &(first, count) in runs {
            inner.state.requeue(consumer, first, count);
        }
        inner.state.ready_len() > 0
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
        if inner.deleted || inner.state.has_exclusive_consumer() || (subscription.exclusive && others) {
            return None;
        }
        let id = inner
            .state
            .subscribe(subscription.target, subscription.prefetch, subscription.exclusive);
        subscribed(id);
        Some(id)
    }

    /// Removes a consumer; true when it was the last one of an auto-delete queue, which must go now.
    pub fn unsubscribe(&self, id: ConsumerId) -> bool {
        let mut inner = self.inner.lock();
        let removed = inner.state.unsubscribe(id).is_some();
        removed && self.declaration.auto_delete && inner.state.consumer_count() == 0
    }

    /// A consumer's connection or channel has room again.
    pub fn unstall(&self, id: ConsumerId) {
        self.inner.lock().state.unstall(id);
    }

    /// `basic.get`; see [`QueueState::get`].
    pub fn get<R>(
        &self,
        no_ack: bool,
        take: impl FnOnce(Offset, bool, &Record<'_>, usize) -> R,
    ) -> Option<R> {
        let mut inner = self.inner.lock();
        let result = inner.state.get(no_ack, take);
        inner.call_back_publishers();
        result
    }

    /// Drops what is ready and says how many messages that were.
    pub fn purge(&self) -> usize {
        let mut inner = self.inner.lock();
        let purged = inner.state.purge();
        inner.call_back_publishers();
        purged
    }

    /// Gives memory back that an idle queue does not need; to be called about once a second.
    pub fn trim(&self) {
        self.inner.lock().state.trim();
    }

    /// Messages ready, and consumers.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.state.ready_len(), inner.state.consumer_count())
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
        for publisher in inner.waiting.drain(..) {
            publisher.raise(Signal::RetryPublish);
        }
        let purged = inner.state.purge();
        Ok((purged, inner.state.unsubscribe_all()))
    }
}

impl Inner {
    fn call_back_publishers(&mut self) {
        if !self.waiting.is_empty() && self.state.fill_ratio() <= RETRY_FILL_RATIO {
            for publisher in self.waiting.drain(..) {
                publisher.raise(Signal::RetryPublish);
            }
        }
    }
}
