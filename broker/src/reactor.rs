//! A reactor: one OS thread, one tokio `current_thread` runtime, and the connections that live on it.
//!
//! Connection tasks read and decode; what they touch — queues with something to deliver, connections with
//! something to write — is only noted here. The dispatcher task runs once all sockets that were ready have
//! been read, deals every noted queue once and then writes every noted connection once: that is what makes
//! system calls large, and messages per system call decide the throughput.
//!
//! Why the order holds: tokio's local scheduler is first in, first out. The driver wakes every ready
//! connection before the first of them runs; the dispatcher, woken by that first one, queues up behind all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::connection::{CIPHERTEXT_BYTES_MAX, Link, Signal, Signals};
use crate::inbox::Inbox;
use crate::observe::{Delivered, ReactorCounts};
use crate::queue::Queue;
use crate::timers::Timers;

/// Bytes read from one socket in one turn.
pub const READ_BYTES_MAX: usize = 256 * 1024;

/// How often connections look at heartbeats, deadlines and publishers that wait for memory.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks at idle buffers.
const SHRINK_TICKS: u64 = 10;

/// State shared by the tasks of one reactor; never leaves its thread.
#[derive(Debug)]
pub struct Reactor {
    dirty: RefCell<Vec<Arc<Queue>>>,
    unflushed: RefCell<Vec<Arc<Link>>>,
    inbox: Arc<Inbox>,
    timers: Timers,
    links: RefCell<slab::Slab<Arc<Link>>>,
    scratch: RefCell<Vec<u8>>,
    /// Made when the first connection with TLS reads.
    ciphertext: RefCell<Vec<u8>>,
    /// Unix time in microseconds, read once a turn.
    now_us: Cell<u64>,
    ticks: Cell<u64>,
}

impl Reactor {
    /// A reactor for frames of up to `frame_bytes_max`, reached from other threads through `inbox`.
    pub fn new(frame_bytes_max: usize, inbox: Arc<Inbox>) -> Rc<Reactor> {
        Rc::new(Reactor {
            dirty: RefCell::default(),
            unflushed: RefCell::default(),
            inbox,
            timers: Timers::default(),
            links: RefCell::default(),
            scratch: RefCell::new(vec![0; READ_BYTES_MAX + remainder_bytes_max(frame_bytes_max)]),
            ciphertext: RefCell::default(),
            now_us: Cell::new(unix_us()),
            ticks: Cell::new(0),
        })
    }

    /// The queue has something to dispatch this turn.
    #[inline]
    pub fn mark_dirty(&self, queue: &Arc<Queue>) {
        if queue.mark_dirty() {
            self.dirty.borrow_mut().push(Arc::clone(queue));
            self.inbox.wake();
        }
    }

    /// The connection has something to write this turn.
    #[inline]
    pub fn mark_flush(&self, link: &Arc<Link>) {
        if link.mark_flush() {
            self.unflushed.borrow_mut().push(Arc::clone(link));
            self.inbox.wake();
        }
    }

    /// The read buffer that all connections share: room for a connection's remainder, then for one read.
    pub fn scratch(&self) -> std::cell::RefMut<'_, Vec<u8>> {
        self.scratch.borrow_mut()
    }

    /// The read buffer for what is still encrypted.
    pub fn ciphertext(&self) -> std::cell::RefMut<'_, Vec<u8>> {
        let mut ciphertext = self.ciphertext.borrow_mut();
        ciphertext.resize(CIPHERTEXT_BYTES_MAX, 0);
        ciphertext
    }

    /// Looks at the clock. A connection does when it has read something: the last turn or tick may be a second ago, and
    /// what was read must not expire that much too early.
    #[inline]
    pub fn read_clock(&self) {
        self.now_us.set(unix_us());
    }

    /// Unix time in milliseconds, as of this turn or of the socket read that is handled.
    pub fn now_ms(&self) -> u64 {
        self.now_us.get() / 1000
    }

    /// Seconds since the reactor started, counted by its ticks.
    pub fn ticks(&self) -> u64 {
        self.ticks.get()
    }

    /// Unix time in microseconds, as of this turn or of the socket read that is handled.
    pub fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// What this reactor has done.
    #[inline]
    pub fn counts(&self) -> &ReactorCounts {
        &self.inbox.counts
    }

    /// Adds a connection to those that get signals; the key is for [`Reactor::leave`].
    pub fn join(&self, link: Arc<Link>) -> usize {
        self.links.borrow_mut().insert(link)
    }

    /// Removes a connection.
    pub fn leave(&self, key: usize) {
        self.links.borrow_mut().remove(key);
    }

    /// Raises signals on every connection of this reactor.
    pub fn raise_all(&self, signals: impl Into<Signals>) {
        let signals = signals.into();
        for (_, link) in self.links.borrow().iter() {
            link.raise(signals);
        }
    }

    /// Number of connections.
    pub fn connection_count(&self) -> usize {
        self.links.borrow().len()
    }

    /// The dispatcher: see the module documentation. Never returns.
    pub async fn run_dispatcher(self: Rc<Self>) {
        loop {
            self.inbox.woken().await;
            if self.turn() {
                // Some queue has more to do: the sockets first.
                tokio::task::yield_now().await;
            }
        }
    }

    /// One turn: deal each dirty queue, then flush each touched connection. True when some queue is to be dealt again.
    fn turn(&self) -> bool {
        self.read_clock();
        self.inbox.pulse.answer();
        let signals = self.inbox.take_signals();
        if !signals.is_empty() {
            self.raise_all(signals);
        }
        let mut queues = self.dirty.take();
        self.inbox.take_queues(&mut queues);
        let mut again = false;
        let mut delivered = Delivered::default();
        for queue in queues.drain(..) {
            let turned = queue.dispatch(self.now_us.get(), |link| {
                if link.mark_flush() {
                    self.unflushed.borrow_mut().push(Arc::clone(link));
                }
            });
            delivered += turned.delivered;
            if turned.more {
                again = true;
                self.mark_dirty(&queue);
            }
            if let Some(at_ms) = turned.wake_at_ms {
                self.timers.add(&queue, at_ms, self.now_ms());
            }
        }
        let counts = self.counts();
        counts.turns.add(1);
        counts.delivered_auto.add(delivered.auto);
        counts.delivered_manual.add(delivered.manual);
        counts.redelivered.add(delivered.redelivered);
        let mut links = self.unflushed.take();
        for link in links.drain(..) {
            link.flush();
        }
        // Both lists give their capacity back to be used again, unless something was noted meanwhile.
        restore(&self.dirty, queues);
        restore(&self.unflushed, links);
        again
    }

    /// Dispatches queues when their time has come. Never returns.
    pub async fn run_timers(self: Rc<Self>) {
        loop {
            for queue in self.timers.due(unix_us() / 1000) {
                self.mark_dirty(&queue);
            }
            self.timers.sleep(unix_us() / 1000).await;
        }
    }

    /// Ticks once a second. Never returns.
    pub async fn run_ticks(self: Rc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            interval.tick().await;
            self.read_clock();
            self.ticks.set(self.ticks.get() + 1);
            self.raise_all(Signal::Tick);
            if self.ticks.get().is_multiple_of(SHRINK_TICKS) {
                for (_, link) in self.links.borrow().iter() {
                    link.shrink_idle();
                }
            }
        }
    }
}

/// Largest remainder of input that a connection carries from one read to the next: a publish that is not
/// complete (see `MAX_INCOMPLETE` there), or one incomplete frame.
pub fn remainder_bytes_max(frame_bytes_max: usize) -> usize {
    frame_bytes_max.max(crate::connection::INCOMPLETE_PUBLISH_BYTES_MAX)
}

fn restore<T>(list: &RefCell<Vec<T>>, empty: Vec<T>) {
    let mut list = list.borrow_mut();
    if list.is_empty() {
        *list = empty;
    }
}

fn unix_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros() as u64)
}
