//! What can be seen of a connection.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use wire::FieldTable;

use super::channel::{ChannelObserved, ChannelShare, ChannelView};
use super::count::{Count, Gauge};
use crate::connection::{ConnectionId, Link, Peer};

/// What a client has said about itself.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// SASL mechanism of the login.
    pub mechanism: String,
    /// As `connection.start-ok` brought them.
    pub properties: FieldTable,
}

/// The TLS session of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// As RabbitMQ writes it: `tlsv1.3`.
    pub version: String,
    /// Cipher suite.
    pub cipher: String,
}

/// What is known of a connection once it is open, and stays so.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Who has logged in.
    pub user: String,
    /// The virtual host that it has opened.
    pub vhost: String,
    /// The client's end.
    pub peer: Peer,
    /// The broker's end.
    pub local: Peer,
    /// None without TLS.
    pub encryption: Option<Encryption>,
    /// Unix time, milliseconds.
    pub opened_ms: u64,
    /// Highest channel number.
    pub channel_max: u16,
    /// Largest frame, bytes.
    pub frame_max: usize,
    /// Heartbeat interval, seconds; 0 = none.
    pub heartbeat_s: u64,
    /// See there.
    pub client: Client,
}

/// How a connection's publishes fare, in RabbitMQ's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// They are taken.
    Running,
    /// They wait for room, or are too many, or were a moment ago.
    Flow,
    /// They would wait for the end of an alarm; there were none since it was raised.
    Blocking,
    /// They wait for the end of an alarm.
    Blocked,
}

impl LinkState {
    const ALL: [LinkState; 4] = [
        LinkState::Running,
        LinkState::Flow,
        LinkState::Blocking,
        LinkState::Blocked,
    ];

    /// RabbitMQ's word.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Running => "running",
            LinkState::Flow => "flow",
            LinkState::Blocking => "blocking",
            LinkState::Blocked => "blocked",
        }
    }
}

/// Written by the connection's task.
#[derive(Debug, Default)]
pub struct LinkObserved {
    opened: OnceLock<Opened>,
    channels: Mutex<BTreeMap<u16, Arc<ChannelObserved>>>,
    state: Gauge,
    /// Bytes read from the socket.
    pub bytes_in: Count,
    /// Socket calls that read something.
    pub reads: Count,
    /// 1 while some channel's publishes wait for room, as of the last second.
    pub blocked: Gauge,
    /// 1 while it is read more slowly than it publishes, because it may publish only so much, or was in the last seconds.
    pub throttled: Gauge,
    /// Seconds since the oldest delivery that is not settled went out, as of the last second.
    pub oldest_unsettled_s: Gauge,
}

/// A copy of it, with what its outbox says.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// Names the connection.
    pub id: ConnectionId,
    /// Shared, not copied.
    pub observed: Arc<LinkObserved>,
    /// Bytes written to the socket.
    pub bytes_out: u64,
    /// Socket calls that wrote something.
    pub writes: u64,
    /// Bytes that wait to be written.
    pub pending_bytes: usize,
    /// Bytes of deliveries that are not settled.
    pub unacked_bytes: u64,
    /// Its channels, by number.
    pub channels: Vec<ChannelView>,
}

impl LinkObserved {
    /// The connection is open.
    pub fn open(&self, opened: Opened) {
        // Set once: a connection is opened once.
        let _ = self.opened.set(opened);
    }

    /// Sets what [`LinkObserved::state`] says.
    pub fn set_state(&self, state: LinkState) {
        self.state.set(state as u64);
    }

    /// As of the last second.
    pub fn state(&self) -> LinkState {
        let state = LinkState::ALL.get(self.state.get() as usize);
        state.copied().unwrap_or(LinkState::Running)
    }

    /// What is known since the connection is open.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.get()
    }

    /// Adds a channel.
    pub fn add_channel(self: &Arc<Self>, number: u16, window: usize) -> ChannelShare {
        let observed = Arc::new(ChannelObserved::new(number, window));
        self.channels.lock().insert(number, Arc::clone(&observed));
        ChannelShare {
            observed,
            link: Arc::clone(self),
        }
    }

    pub(super) fn remove_channel(&self, number: u16) {
        self.channels.lock().remove(&number);
    }

    /// Number of channels.
    pub fn channel_count(&self) -> usize {
        self.channels.lock().len()
    }
}

impl Opened {
    /// The connection's name, as RabbitMQ makes it.
    pub fn name(&self) -> String {
        format!("{} -> {}", self.peer, self.local)
    }
}

impl LinkView {
    /// Copies what can be seen of a connection now.
    pub fn of(link: &Link) -> LinkView {
        let observed = Arc::clone(link.observed());
        let channels: Vec<_> = observed.channels.lock().values().cloned().collect();
        let (writes, bytes_out) = link.written();
        let outbound = link.outbound();
        let views = channels
            .iter()
            .map(|channel| channel.view(outbound.windows.get(channel.window)))
            .collect();
        LinkView {
            id: link.id(),
            bytes_out,
            writes,
            pending_bytes: outbound.unsent_bytes(),
            unacked_bytes: outbound.unacked.bytes(),
            channels: views,
            observed,
        }
    }
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
