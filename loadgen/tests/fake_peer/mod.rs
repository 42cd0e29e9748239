//! A small AMQP peer with faults on demand: what the generator's tests drive instead of a broker.
//!
//! Blocking sockets, a thread a connection. It knows queues, exchanges, competing consumers (in turn), prefetch and
//! confirms. It keeps everything through a crash ([`FakePeer::crash`]), like a broker with a perfect disk. It misbehaves
//! exactly as its [`Faults`] say, counting messages in the order in which it takes them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each test file uses its part of the peer"
)]

mod connection;
mod routing;

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use loadgen::target::Target;

use routing::Routes;

/// How the peer misbehaves. The default is not at all.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Refuses every login with 403.
    pub refuse_login: bool,
    /// Drops every n-th message.
    pub drop_every: Option<u64>,
    /// Delivers every n-th message twice.
    pub duplicate_every: Option<u64>,
    /// Sets the redelivered flag on the second copies.
    pub flag_duplicates: bool,
    /// Delivers every n-th message after its successor.
    pub swap_every: Option<u64>,
    /// Flips a bit in every n-th message.
    pub corrupt_every: Option<u64>,
    /// Adds an octet to every n-th message.
    pub lengthen_every: Option<u64>,
    /// Leaves every n-th message nothing but its first 16 octets.
    pub truncate_every: Option<u64>,
    /// Which octet of the body the flipped bit is in.
    pub corrupt_at: usize,
    /// Keeps every delivery back for so long.
    pub hold: Option<Duration>,
    /// Stops reading publishes, once, after so many messages and for so long.
    pub stall: Option<(u64, Duration)>,
    /// After so many messages: `connection.close` with 541.
    pub close_after: Option<u64>,
    /// After so many messages: hangs up without a word.
    pub hang_up_after: Option<u64>,
    /// After so many messages: an octet stream that is not AMQP.
    pub babble_after: Option<u64>,
    /// Takes publishes and never confirms them.
    pub never_confirm: bool,
    /// Confirms one by one, the later of each pair first.
    pub confirm_backwards: bool,
    /// Refuses every n-th message with `basic.nack` (and drops it).
    pub nack_every: Option<u64>,
    /// Frame size that the peer insists on; 0 = 128 KiB.
    pub frame_bytes_max: u32,
    /// After so many messages: takes what comes, but neither keeps nor confirms it, until it crashes.
    pub swallow_after: Option<u64>,
    /// A crash costs every n-th message that it had kept.
    pub crash_loses_every: Option<u64>,
    /// After a crash, or the end of a connection, nothing is flagged as redelivered.
    pub crash_loses_flags: bool,
    /// The end of a connection costs what was not acknowledged on it, and every message that its queue holds.
    pub end_loses_unacked: bool,
}

/// What the peer saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Messages taken.
    pub published: AtomicU64,
    /// Deliveries sent.
    pub delivered: AtomicU64,
    /// Deliveries that were acknowledged.
    pub acked: AtomicU64,
    /// Ack frames.
    pub ack_frames: AtomicU64,
    /// `connection.close` of the clients.
    pub closed: AtomicU64,
    /// Connections taken.
    pub connections: AtomicU64,
    /// Delivery mode of the last message.
    pub delivery_mode: AtomicU64,
    /// Declarations of quorum queues.
    pub quorum_queues: AtomicU64,
}

impl Seen {
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Acquire)
    }
}

/// A listening peer; it stops when dropped.
pub struct FakePeer {
    listener: Listener,
    shared: Arc<Shared>,
}

/// What all connections of a peer share.
pub struct Shared {
    pub faults: Faults,
    pub seen: Seen,
    pub routes: Mutex<Routes>,
    /// Those that a crash ends.
    pub streams: Mutex<Vec<TcpStream>>,
}

/// A listening port; it stops when dropped.
struct Listener {
    port: u16,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(shared: &Arc<Shared>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stopped = Arc::new(AtomicBool::new(false));
        let (for_thread, shared) = (Arc::clone(&stopped), Arc::clone(shared));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_thread.load(Ordering::Acquire) {
                    break;
                }
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                shared.seen.connections.fetch_add(1, Ordering::AcqRel);
                shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let incarnation = shared.routes.lock().unwrap().incarnation();
                std::thread::spawn(move || connection::serve(stream, incarnation, &shared));
            }
        });
        Self {
            port,
            stopped,
            thread: Some(thread),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the thread.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl FakePeer {
    /// Listens on a free loopback port.
    pub fn start(faults: Faults) -> Self {
        let shared = Arc::new(Shared {
            routes: Mutex::new(Routes::new(&faults)),
            faults,
            seen: Seen::default(),
            streams: Mutex::new(Vec::new()),
        });
        Self {
            listener: Listener::start(&shared),
            shared,
        }
    }

    /// Ends every connection without a word and comes back on another port, with what it had kept.
    pub fn crash(&mut self) {
        self.shared.routes.lock().unwrap().crash(&self.shared.faults);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        self.listener = Listener::start(&self.shared);
    }

    pub fn target(&self) -> Target {
        Target::guest("127.0.0.1", self.listener.port)
    }

    pub fn seen(&self) -> &Seen {
        &self.shared.seen
    }

    /// Queues and exchanges that still stand.
    pub fn leftovers(&self) -> usize {
        self.shared.routes.lock().unwrap().len()
    }
}
