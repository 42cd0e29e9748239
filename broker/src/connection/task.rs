//! The task of one connection: signals, then writing, then reading.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustc_hash::FxHashMap;
use tokio::io::ReadBuf;
use wire::{Method, ReplyCode};

use super::access::KnownPermissions;
use super::channel::Channel;
use super::failure::Failure;
use super::link::{ConnectionId, Link, Signal, Signals};
use super::login::Login;
use super::patience::Stuck;
use super::peer::Peer;
use super::routes::RouteBudget;
use super::settle::PendingSettles;
use super::shortage::Shortage;
use super::socket::{Reader, Socket};
use super::throttle::Throttle;
use super::window::SettledRun;
use crate::auth::{Account, UserShare};
use crate::broker::Broker;
use crate::observe::{Client, Encryption, Opened, now_ms};
use crate::queue::Queue;
use crate::reactor::{Reactor, remainder_bytes_max};
use crate::store::metadata::UserRecord;
use crate::vhost::VirtualHost;

/// Seconds that a closing connection waits for the peer's close-ok.
pub(super) const CLOSE_TICKS: u64 = 5;

/// Largest frame until the client has tuned the connection: whoever has not logged in may make us keep no more. RabbitMQ's
/// limit is the same.
pub(super) const HANDSHAKE_FRAME_BYTES_MAX: usize = 8192;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Awaits the protocol header.
    Header,
    /// Awaits `connection.start-ok`.
    Start,
    /// Has `connection.start-ok`, and decides about it.
    Authenticating,
    /// Awaits `connection.tune-ok`.
    Tune,
    /// Awaits `connection.open`.
    Opening,
    Open,
    /// We sent `connection.close` and await its close-ok.
    Closing,
    /// Nothing more is read; what is encoded is still written.
    Closed,
}

/// A connection, owned by its task.
#[derive(Debug)]
pub struct Connection {
    pub(super) broker: Arc<Broker>,
    pub(super) reactor: Rc<Reactor>,
    pub(super) link: Arc<Link>,
    pub(super) peer: Peer,
    /// The broker's end of the socket.
    local: Peer,
    encryption: Option<Encryption>,
    /// What the client has said about itself, until the connection is open.
    pub(super) client: Client,
    /// The login, as long as it is not decided.
    pub(super) login: Option<Login>,
    /// Set by the login.
    account: Option<Account>,
    /// Set by `connection.open`.
    vhost: Option<Arc<VirtualHost>>,
    /// Its place among the connections of its user; set by `connection.open`.
    pub(super) user_share: Option<UserShare>,
    pub(super) access: KnownPermissions,
    reader: Reader,
    pub(super) stage: Stage,
    pub(super) channels: FxHashMap<u16, Channel>,
    pub(super) exclusive_queues: Vec<Arc<Queue>>,
    /// What its channels remember of routes.
    pub(super) routes: RouteBudget,
    pub(super) channel_max: u16,
    pub(super) frame_bytes_max: usize,
    /// Heartbeat interval agreed on; 0 = none.
    pub(super) heartbeat_ticks: u64,
    /// Reactor tick at which a handshake or a close has taken too long.
    pub(super) deadline: Option<u64>,
    /// Input that is not a whole frame (or publish) yet.
    pub(super) remainder: Vec<u8>,
    /// Channels that owe confirms for this input.
    pub(super) confirming: Vec<u16>,
    pub(super) settles: PendingSettles,
    /// Scratch of `settle`.
    pub(super) runs: Vec<SettledRun>,
    /// Some channel's publishes wait for room.
    pub(super) blocked: bool,
    pub(super) held_bytes: usize,
    pub(super) held_charged: usize,
    pub(super) budget_spent: bool,
    /// Memory or disk is nearly used up: publishes wait.
    pub(super) alarmed: bool,
    /// What it sends is held against a rate at this moment; see [`Throttle`].
    pub(super) is_metered: bool,
    /// Either of both: nothing takes the fast path of publishes.
    pub(super) frame_by_frame: bool,
    /// What it may publish, where that is limited.
    pub(super) throttle: Option<Box<Throttle>>,
    /// The peer was told `connection.blocked`.
    pub(super) told_blocked: bool,
    /// The broker is about to stop: nothing more is read.
    pub(super) quiet: bool,
    read_tick: u64,
    /// When a body has grown last.
    pub(super) body_tick: u64,
    /// It is not read because its bodies find no memory.
    pub(super) shortage: Option<Shortage>,
    /// It is read although its bodies find no memory.
    pub(super) overdraws: bool,
    write_calls_seen: u64,
    write_tick: u64,
    /// Whether the peer takes what is written.
    pub(super) stuck: Stuck,
    reads: u64,
}

impl Connection {
    /// Serves a client at the start of the AMQP handshake until its socket closes. Runs on the reactor that accepted it.
    pub async fn serve(
        broker: Arc<Broker>,
        reactor: Rc<Reactor>,
        id: ConnectionId,
        socket: impl Into<Socket>,
        peer: impl Into<Peer>,
    ) {
        let (socket, peer) = (socket.into(), peer.into());
        // A socket that has lost its address is about to fail anyway.
        let local = socket.local().map_or_else(|| peer.clone(), Peer::from);
        let encryption = socket.encryption();
        let time_left = broker.limits.handshake_timeout().saturating_sub(socket.spent());
        let (reader, writer) = socket.split();
        let config = &broker.config;
        let link = Arc::new(Link::new(
            id,
            writer,
            config.outbox_bytes,
            Arc::clone(&broker.pool),
        ));
        let key = reactor.join(Arc::clone(&link));
        let now = reactor.ticks();
        let mut connection = Connection {
            link: Arc::clone(&link),
            peer,
            local,
            encryption,
            client: Client::default(),
            login: None,
            account: None,
            vhost: None,
            user_share: None,
            access: KnownPermissions::default(),
            reader,
            stage: Stage::Header,
            channels: FxHashMap::default(),
            exclusive_queues: Vec::new(),
            routes: RouteBudget::default(),
            channel_max: config.channel_max,
            frame_bytes_max: HANDSHAKE_FRAME_BYTES_MAX.min(config.frame_max as usize),
            heartbeat_ticks: 0,
            deadline: Some(now + time_left.as_secs().max(1)),
            remainder: Vec::new(),
            confirming: Vec::new(),
            settles: PendingSettles::default(),
            runs: Vec::new(),
            blocked: false,
            held_bytes: 0,
            held_charged: 0,
            budget_spent: false,
            alarmed: broker.alarms.stops_publishers(),
            is_metered: false,
            frame_by_frame: broker.alarms.stops_publishers(),
            throttle: None,
            told_blocked: false,
            quiet: false,
            read_tick: now,
            body_tick: now,
            shortage: None,
            overdraws: false,
            write_calls_seen: 0,
            write_tick: now,
            stuck: Stuck::default(),
            reads: 0,
            broker,
            reactor: Rc::clone(&reactor),
        };
        let end = poll_fn(|context| connection.poll_caught(context)).await;
        connection.empty_connection();
        if let Some(vhost) = connection.vhost.take() {
            connection.reactor.counts().connections_closed.add(1);
            vhost.leave(id);
        }
        link.close();
        reactor.leave(key);
        tracing::debug!(
            connection = %id, peer = %connection.peer, reads = connection.reads, writes = link.write_calls(),
            end = end.err().map(|error| error.to_string()), "connection ended"
        );
    }

    /// A defect that shows as a panic costs this connection; what it held is given back all the same.
    fn poll_caught(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match catch_unwind(AssertUnwindSafe(|| self.poll(context))) {
            Ok(poll) => poll,
            Err(_) => {
                tracing::error!(connection = %self.link.id(), peer = %self.peer, "connection lost to a defect");
                Poll::Ready(Err(io::Error::other("panicked")))
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Registered before the signals are read: one raised in between wakes this task again.
        self.link.register(context.waker());
        let signals = self.link.take_signals();
        self.on_signals(signals)?;
        let _still_blocked = self.link.poll_flush(context)?;
        if self.stage == Stage::Closed {
            self.link.flush();
            ready!(self.link.poll_flush(context)?);
            return if self.link.is_flushed() {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        }
        loop {
            ready!(self.poll_pause(context));
            ready!(self.poll_shortage(context));
            ready!(self.poll_login(context));
            if self.stage == Stage::Closed {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.may_read() {
                return Poll::Pending;
            }
            let (bytes, full) = ready!(self.poll_read(context))?;
            if bytes == 0 {
                return Poll::Ready(Ok(()));
            }
            if full {
                // More is waiting; the others first.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Reads once and handles what came: how many bytes, and whether more is likely to wait.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(usize, bool)>> {
        let reactor = Rc::clone(&self.reactor);
        let mut scratch = reactor.scratch();
        // The read lands behind the headroom, and the remainder, once there is something to join it with,
        // right before the read: it is moved only when there is news.
        let headroom = remainder_bytes_max(self.broker.config.frame_max as usize);
        let read_max = self.read_bytes_max();
        let mut buffer = ReadBuf::new(&mut scratch[headroom..headroom + read_max]);
        let more = ready!(self.reader.poll_read(context, &mut buffer, &reactor))?;
        let read = buffer.filled().len();
        if read == 0 {
            return Poll::Ready(Ok((0, false)));
        }
        self.reads += 1;
        let (own, all) = (self.link.observed(), reactor.counts());
        own.reads.add(1);
        own.bytes_in.add(read as u64);
        all.reads.add(1);
        all.bytes_in.add(read as u64);
        reactor.read_clock();
        self.read_tick = reactor.ticks();
        let start = headroom - self.remainder.len();
        scratch[start..headroom].copy_from_slice(&self.remainder);
        let input = &scratch[start..headroom + read];
        let consumed = match self.throttle {
            None => self.take_input(input),
            Some(_) => self.take_metered_input(input),
        };
        self.remainder.clear();
        self.remainder.extend_from_slice(&input[consumed..]);
        if !self.remainder.is_empty() {
            // A part of a frame of a body has come, maybe.
            self.body_tick = self.read_tick;
        }
        Poll::Ready(Ok((read, more)))
    }

    /// Handles input, failures too; how much of it need not be kept.
    pub(super) fn take_input(&mut self, input: &[u8]) -> usize {
        match self.handle(input) {
            Ok(consumed) => consumed,
            Err(failure) => {
                match self.stage {
                    // It got its close already and goes on with nonsense.
                    Stage::Closing => self.stage = Stage::Closed,
                    _ => self.fail_connection(&failure),
                }
                input.len()
            }
        }
    }

    fn handle(&mut self, input: &[u8]) -> Result<usize, Failure> {
        let mut at = 0;
        if self.stage == Stage::Header {
            let Some(consumed) = self.on_protocol_header(input) else {
                return Ok(0);
            };
            at = consumed;
        }
        at += self.process(&input[at..])?;
        self.send_confirms();
        Ok(at)
    }

    fn on_signals(&mut self, signals: Signals) -> io::Result<()> {
        if signals.has(Signal::ResumeConsumers) {
            self.resume_consumers();
        }
        // Whatever the stage: it holds for all that is still to come.
        self.quiet |= signals.has(Signal::Quiesce);
        if signals.has(Signal::Alarm) {
            self.on_alarm();
        }
        if self.stage == Stage::Open
            && let Err(failure) = self.on_open_signals(signals)
        {
            self.fail_connection(&failure);
        }
        if signals.has(Signal::ForceClose) {
            let reason = self.link.outbound().close_reason.take();
            self.force_close(&reason.unwrap_or_default());
        }
        if signals.has(Signal::Shutdown) {
            self.force_close("broker is shutting down");
        }
        if signals.has(Signal::Tick) {
            self.on_tick()
        } else {
            Ok(())
        }
    }

    fn force_close(&mut self, reason: &str) {
        match self.stage {
            Stage::Open => self.fail_connection(&Failure::new(ReplyCode::ConnectionForced, reason)),
            Stage::Closing | Stage::Closed => {}
            _ => self.stage = Stage::Closed,
        }
    }

    /// Signals that mean something only while the connection is open.
    fn on_open_signals(&mut self, signals: Signals) -> Result<(), Failure> {
        let retry = [Signal::RetryPublish, Signal::Stored, Signal::Alarm];
        if retry.into_iter().any(|signal| signals.has(signal)) || (self.blocked && signals.has(Signal::Tick))
        {
            self.check_stored()?;
            self.retry_blocked()?;
        }
        if signals.has(Signal::Kept) {
            self.on_kept()?;
            if self.blocked && self.channels.values().any(Channel::is_committing) {
                self.retry_blocked()?;
            }
        }
        if signals.has(Signal::Cancelled) {
            self.forget_cancelled();
        }
        if signals.has(Signal::GiveBack) {
            self.give_back();
        }
        if signals.has(Signal::Tick) {
            self.check_shortage()?;
        }
        Ok(())
    }

    /// Once a second: deadlines and heartbeats (specification 4.2.7: two missed intervals end the connection).
    fn on_tick(&mut self) -> io::Result<()> {
        let now = self.reactor.ticks();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            let text = format!("no progress in stage {:?}", self.stage);
            tracing::info!(connection = %self.link.id(), peer = %self.peer, "{text}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.check_patience()?;
        if self.stage == Stage::Open {
            self.check_consumer_timeouts();
            self.refresh_throttle();
            self.note_state();
        }
        if self.heartbeat_ticks == 0 || self.stage != Stage::Open {
            return Ok(());
        }
        let calls = self.link.write_calls();
        if calls != self.write_calls_seen {
            self.write_calls_seen = calls;
            self.write_tick = now;
        } else if now - self.write_tick >= self.heartbeat_ticks.div_ceil(2) {
            wire::encode_heartbeat(&mut self.link.outbound().pending);
            self.reactor.mark_flush(&self.link);
            // The write of the heartbeat itself is not traffic that would make the next one late.
            self.write_calls_seen = calls + 1;
            self.write_tick = now;
        }
        // A connection that we do not read because its publishes are blocked or too many cannot be missed.
        if !self.is_read() {
            self.read_tick = now;
        }
        if now - self.read_tick > 2 * self.heartbeat_ticks {
            let text = format!(
                "missed heartbeats from client, timeout: {}s",
                self.heartbeat_ticks
            );
            tracing::warn!(connection = %self.link.id(), peer = %self.peer, "{text}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    /// The virtual host that the connection has opened.
    #[inline]
    pub(super) fn vhost(&self) -> &Arc<VirtualHost> {
        let opened = self.vhost.as_ref();
        opened.expect("channels are opened after connection.open")
    }

    /// Who has logged in.
    pub(super) fn account(&self) -> &Account {
        let known = self.account.as_ref();
        known.expect("connection.open comes after the login")
    }

    /// Name and tags of who has logged in.
    pub(super) fn user(&self) -> &UserRecord {
        &self.account().record
    }

    pub(super) fn log_in(&mut self, account: Account) {
        self.account = Some(account);
    }

    pub(super) fn enter(&mut self, vhost: Arc<VirtualHost>) {
        self.reactor.counts().connections_opened.add(1);
        self.link.observed().open(Opened {
            user: self.user().name.clone(),
            vhost: vhost.name().to_owned(),
            peer: self.peer.clone(),
            local: self.local.clone(),
            encryption: self.encryption.clone(),
            opened_ms: now_ms(),
            channel_max: self.channel_max,
            frame_max: self.frame_bytes_max,
            heartbeat_s: self.heartbeat_ticks,
            client: std::mem::take(&mut self.client),
        });
        self.vhost = Some(vhost);
    }

    /// Encodes a method into the outbox.
    pub(super) fn reply(&self, id: u16, method: Method<'_>) {
        method.encode(id, &mut self.link.outbound().pending);
        self.reactor.mark_flush(&self.link);
    }

    /// The state of a channel that is known to be open.
    pub(super) fn channel_mut(&mut self, id: u16) -> &mut Channel {
        self.channels
            .get_mut(&id)
            .expect("handlers run for open channels only")
    }
}
