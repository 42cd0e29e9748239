//! A small AMQP peer with faults on demand: what the generator's tests drive instead of a broker.
//!
//! Blocking sockets, a thread a connection. It knows queues, fanout exchanges, competing consumers (in turn) and confirms;
//! no prefetch, no persistence. It misbehaves exactly as its [`Faults`] say, counting messages in the order in which it
//! takes them.
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
}

impl Seen {
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Acquire)
    }
}

/// A listening peer; it stops when dropped.
pub struct FakePeer {
    port: u16,
    shared: Arc<Shared>,
}

/// What all connections of a peer share.
pub struct Shared {
    pub faults: Faults,
    pub seen: Seen,
    pub routes: Mutex<Routes>,
    pub stopped: AtomicBool,
}

impl FakePeer {
    /// Listens on a free loopback port.
    pub fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            routes: Mutex::new(Routes::new(&faults)),
            faults,
            seen: Seen::default(),
            stopped: AtomicBool::new(false),
        });
        let for_connections = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if for_connections.stopped.load(Ordering::Acquire) {
                    break;
                }
                let shared = Arc::clone(&for_connections);
                shared.seen.connections.fetch_add(1, Ordering::AcqRel);
                std::thread::spawn(move || connection::serve(stream.unwrap(), &shared));
            }
        });
        Self { port, shared }
    }

    pub fn target(&self) -> Target {
        Target::guest("127.0.0.1", self.port)
    }

    pub fn seen(&self) -> &Seen {
        &self.shared.seen
    }

    /// Queues and exchanges that still stand.
    pub fn leftovers(&self) -> usize {
        self.shared.routes.lock().unwrap().len()
    }
}

impl Drop for FakePeer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
