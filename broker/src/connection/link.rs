//! The part of a connection that other threads may touch: its outbox, its windows, its signals.
//!
//! Two locks, always taken in this order when both are needed: `writer`, then `outbound`. A queue's lock may
//! be held when `outbound` is taken, never when `writer` is: no socket call happens under a queue's lock.
//!
//! Bytes go from `outbound.pending`, where deliveries and replies are encoded, to the socket by swapping
//! buffers, so that encoding and writing never wait for each other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use ring::ChunkPool;
use slab::Slab;

use super::socket::Writer as SocketWriter;
use super::unacked::Unacked;
use super::window::DeliveryWindow;
use crate::observe::LinkObserved;

/// Names a connection for as long as the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// Something a connection's task should look at; several may be pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Signal {
    /// A second has passed: check heartbeats and deadlines.
    Tick = 1 << 0,
    /// The outbox has drained: its consumers can take messages again.
    ResumeConsumers = 1 << 1,
    /// A full queue has room again: place the messages that wait.
    RetryPublish = 1 << 2,
    /// The broker shuts down: close with 320.
    Shutdown = 1 << 3,
    /// The socket failed, or its write buffer is full.
    Socket = 1 << 4,
    /// Messages that this connection published are kept, so that their confirms can go out; or the log has failed.
    Kept = 1 << 5,
    /// Declarations and deletions that this connection asked for are stored.
    Stored = 1 << 6,
    /// An alarm was raised or cleared: publishers wait, or go on.
    Alarm = 1 << 7,
    /// The broker is about to stop: read nothing more.
    Quiesce = 1 << 8,
    /// The broker is about to stop: give back what is delivered and not settled, and take nothing more.
    GiveBack = 1 << 9,
    /// Consumers of this connection went with their queue: see [`Outbound::cancelled`].
    Cancelled = 1 << 11,
    /// Close with 320, for the reason that [`Outbound`] holds.
    ForceClose = 1 << 10,
}

/// Pending signals, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals(u32);

impl From<Signal> for Signals {
    fn from(signal: Signal) -> Signals {
        Signals(signal as u32)
    }
}

impl Signals {
    /// No signal.
    pub fn none() -> Signals {
        Signals(0)
    }

    /// The set with these bits.
    pub fn from_bits(bits: u32) -> Signals {
        Signals(bits)
    }

    /// True when there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when `signal` is among them.
    pub fn has(self, signal: Signal) -> bool {
        self.0 & signal as u32 != 0
    }
}

/// What is encoded and not yet written, and what was delivered and not yet settled.
#[derive(Debug)]
pub struct Outbound {
    /// Encoded frames.
    pub pending: Vec<u8>,
    /// One window a channel.
    pub windows: Slab<DeliveryWindow>,
    /// What of all windows together is unsettled.
    pub unacked: Unacked,
    /// Largest frame that the peer accepts, overhead included.
    pub frame_bytes_max: usize,
    /// The peer understands a server-sent `basic.cancel`.
    pub consumer_cancel_notify: bool,
    /// Channels and tags of consumers that went with their queue, until the connection's task has forgotten them.
    pub cancelled: Vec<(u16, String)>,
    /// The peer understands `connection.blocked`.
    pub blocked_notify: bool,
    /// Why the connection is to be closed; see [`Link::force_close`].
    pub(super) close_reason: Option<Box<str>>,
    /// Bytes swapped out and not yet written.
    writing: usize,
    /// Bytes of the memory budget that this outbox holds.
    charged: usize,
    /// A delivery was refused for want of room.
    stalled: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
    sent: usize,
    /// Socket calls that wrote something.
    calls: u64,
    /// Bytes that they wrote.
    written: u64,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Link {
    id: ConnectionId,
    socket: SocketWriter,
    outbound: Mutex<Outbound>,
    writer: Mutex<Writer>,
    /// The socket took less than it was given; the connection's task waits until it is writable.
    write_blocked: AtomicBool,
    /// Times that the socket could be written again after that.
    relieved: AtomicU64,
    /// In some reactor's flush list.
    flush_queued: AtomicBool,
    signals: AtomicU32,
    waker: Mutex<Option<Waker>>,
    outbox_bytes_max: usize,
    pool: Arc<ChunkPool>,
    observed: Arc<LinkObserved>,
}

/// Memory is charged to the budget in steps of this many bytes.
const CHARGE_STEP: usize = 64 * 1024;
/// Outboxes full of answers by direct reply-to that a connection may have.
const REPLY_OUTBOXES_MAX: usize = 16;
/// Buffers that grew beyond this are given back when they run empty at a tick.
const IDLE_BUFFER_BYTES: usize = 16 * 1024;

impl Link {
    /// A link over the write half of a fresh connection.
    pub(super) fn new(
        id: ConnectionId,
        socket: SocketWriter,
        outbox_bytes_max: usize,
        pool: Arc<ChunkPool>,
    ) -> Link {
        Link {
            id,
            socket,
            outbound: Mutex::new(Outbound {
                pending: Vec::new(),
                windows: Slab::new(),
                unacked: Unacked::default(),
                frame_bytes_max: wire::FRAME_MIN_SIZE,
                consumer_cancel_notify: false,
                cancelled: Vec::new(),
                blocked_notify: false,
                close_reason: None,
                writing: 0,
                charged: 0,
                stalled: false,
                closed: false,
            }),
            writer: Mutex::new(Writer::default()),
            write_blocked: AtomicBool::new(false),
            relieved: AtomicU64::new(0),
            flush_queued: AtomicBool::new(false),
            signals: AtomicU32::new(0),
            waker: Mutex::new(None),
            outbox_bytes_max,
            pool,
            observed: Arc::default(),
        }
    }

    /// Whose link this is.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// What can be seen of the connection.
    pub fn observed(&self) -> &Arc<LinkObserved> {
        &self.observed
    }

    /// The outbox and the windows.
    pub fn outbound(&self) -> MutexGuard<'_, Outbound> {
        self.outbound.lock()
    }

    /// Raises signals and wakes the connection's task.
    pub fn raise(&self, signals: impl Into<Signals>) {
        // Release pairs with the acquire in `take_signals`.
        self.signals.fetch_or(signals.into().0, Ordering::Release);
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// Makes the connection close with 320 CONNECTION_FORCED; the first reason counts.
    pub fn force_close(&self, reason: &str) {
        self.outbound().close_reason.get_or_insert_with(|| reason.into());
        self.raise(Signal::ForceClose);
    }

    /// Takes all pending signals; a task calls this after [`Link::register`], so none is missed.
    pub fn take_signals(&self) -> Signals {
        if self.signals.load(Ordering::Relaxed) == 0 {
            return Signals(0);
        }
        Signals(self.signals.swap(0, Ordering::Acquire))
    }

    /// Makes `waker` the one that [`Link::raise`] wakes.
    pub fn register(&self, waker: &Waker) {
        let mut slot = self.waker.lock();
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// True for the first caller since the last [`Link::flush`], who must see to it that one follows.
    pub fn mark_flush(&self) -> bool {
        !self.flush_queued.load(Ordering::Relaxed) && !self.flush_queued.swap(true, Ordering::AcqRel)
    }

    /// Writes as much as the socket takes, without blocking.
    pub fn flush(&self) {
        self.flush_queued.store(false, Ordering::Release);
        if self.write_blocked.load(Ordering::Relaxed) {
            return;
        }
        let mut writer = self.writer.lock();
        loop {
            let is_done = writer.sent == writer.bytes.len() && !self.refill(&mut writer);
            let written = if is_done {
                self.socket.try_finish().map(|()| 0)
            } else {
                self.socket.try_write(&writer.bytes[writer.sent..])
            };
            match written {
                Ok(_) if is_done => return,
                Ok(written) => {
                    writer.sent += written;
                    writer.calls += 1;
                    writer.written += written as u64;
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.outbound.lock().closed = true;
                    }
                    self.write_blocked.store(true, Ordering::Relaxed);
                    drop(writer);
                    self.raise(Signal::Socket);
                    return;
                }
            }
        }
    }

    /// Takes the next bytes to write; false when there are none.
    fn refill(&self, writer: &mut Writer) -> bool {
        writer.bytes.clear();
        writer.sent = 0;
        let mut outbound = self.outbound.lock();
        std::mem::swap(&mut outbound.pending, &mut writer.bytes);
        outbound.writing = writer.bytes.len();
        let unsent = outbound.writing;
        if outbound.charged > unsent + CHARGE_STEP || unsent == 0 {
            let keep = unsent.next_multiple_of(CHARGE_STEP).min(outbound.charged);
            self.pool.release(outbound.charged - keep);
            outbound.charged = keep;
        }
        if outbound.stalled && unsent <= self.outbox_bytes_max / 2 {
            outbound.stalled = false;
            drop(outbound);
            self.raise(Signal::ResumeConsumers);
        }
        !writer.bytes.is_empty()
    }

    /// Goes on writing when the socket is writable again; called by the connection's task only.
    /// `Ready(Err)` when the socket has failed.
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.write_blocked.load(Ordering::Relaxed) {
            if self.outbound.lock().closed {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            match self.socket.poll_write_ready(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    self.write_blocked.store(false, Ordering::Relaxed);
                    self.relieved.fetch_add(1, Ordering::Relaxed);
                    self.flush();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// While the socket is full: a number that stays the same until the peer has made room.
    pub fn stuck(&self) -> Option<u64> {
        let is_full = self.write_blocked.load(Ordering::Relaxed);
        is_full.then(|| self.relieved.load(Ordering::Relaxed))
    }

    /// Gives up what the operating system holds for a peer that does not take it.
    pub fn abandon(&self) {
        self.socket.abandon();
    }

    /// True when everything encoded has been written.
    pub fn is_flushed(&self) -> bool {
        let writer = self.writer.lock();
        !self.write_blocked.load(Ordering::Relaxed)
            && writer.sent == writer.bytes.len()
            && self.outbound.lock().pending.is_empty()
    }

    /// True when a delivery of about `bytes` still fits the outbox and the memory budget; otherwise the
    /// refusal is remembered and [`Signal::ResumeConsumers`] follows once the outbox has drained.
    #[inline]
    pub fn admit(&self, outbound: &mut Outbound, bytes: usize) -> bool {
        self.admit_below(outbound, bytes, self.outbox_bytes_max)
    }

    /// As [`Link::admit`], for what is lost when it is refused: a burst of answers may take more room.
    pub fn admit_reply(&self, outbound: &mut Outbound, bytes: usize) -> bool {
        self.admit_below(outbound, bytes, REPLY_OUTBOXES_MAX * self.outbox_bytes_max)
    }

    #[inline]
    fn admit_below(&self, outbound: &mut Outbound, bytes: usize, bytes_max: usize) -> bool {
        let unsent = outbound.pending.len() + outbound.writing;
        if outbound.closed || unsent >= bytes_max {
            outbound.stalled = true;
            return false;
        }
        let wanted = unsent + bytes;
        if wanted > outbound.charged {
            let step = (wanted - outbound.charged).next_multiple_of(CHARGE_STEP);
            if self.pool.try_charge(step) {
                outbound.charged += step;
            } else if unsent > 0 {
                outbound.stalled = true;
                return false;
            }
            // An empty outbox takes one message even without budget: delivering is what frees memory.
        }
        true
    }

    /// True when far more than deliveries alone could put there waits to be written: `message_bytes_max` over
    /// the limit and as much as the limit again. [`Signal::ResumeConsumers`] follows once it has drained.
    pub fn is_congested(&self, message_bytes_max: usize) -> bool {
        let mut outbound = self.outbound.lock();
        let congested =
            outbound.pending.len() + outbound.writing > 2 * self.outbox_bytes_max + message_bytes_max;
        outbound.stalled |= congested;
        congested
    }

    /// Gives buffers that are empty and large back to the allocator.
    pub fn shrink_idle(&self) {
        let mut writer = self.writer.lock();
        let mut outbound = self.outbound.lock();
        if writer.bytes.is_empty() && outbound.pending.is_empty() {
            writer.bytes.shrink_to(IDLE_BUFFER_BYTES);
            outbound.pending.shrink_to(IDLE_BUFFER_BYTES);
        }
    }

    /// Nothing is delivered or written from here on; what was charged is given back.
    pub fn close(&self) {
        let mut outbound = self.outbound.lock();
        outbound.closed = true;
        outbound.pending = Vec::new();
        self.pool.release(std::mem::take(&mut outbound.charged));
        drop(outbound);
        self.socket.say_goodbye();
    }

    /// Socket calls that wrote something, so far.
    pub fn write_calls(&self) -> u64 {
        self.written().0
    }

    /// Socket calls that wrote something, and the bytes that they wrote, so far.
    pub fn written(&self) -> (u64, u64) {
        let writer = self.writer.lock();
        (writer.calls, writer.written)
    }
}

impl Outbound {
    /// True once the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes that wait to be written.
    pub fn unsent_bytes(&self) -> usize {
        self.pending.len() + self.writing
    }
}
