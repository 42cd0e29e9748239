//! The proxy's thread: accepts, forwards and obeys commands, and owns all of its sockets.
//!
//! Its epoll is edge-triggered: after every event on either socket of a pair both directions are pumped until their sockets
//! have to wait, so no edge is missed.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::pair::{Pair, Progress, Side};
use crate::scenario::CutBy;

pub(super) const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
/// Tokens of a pair: its key twice, plus this, plus its side.
const FIRST_PAIR: usize = 2;
const EVENTS_MAX: usize = 256;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    /// New connections go there.
    Retarget(SocketAddr),
    /// Cut the connections of these clients.
    Cut(Vec<SocketAddr>, CutBy),
    /// End.
    Stop,
}

/// All that the thread owns but its listener.
#[derive(Debug)]
pub(super) struct Server {
    poll: Poll,
    upstream: SocketAddr,
    commands: Receiver<Command>,
    pairs: Slab<Pair>,
    /// Pairs that have more to move.
    busy: Vec<usize>,
}

impl Server {
    pub(super) fn new(
        poll: Poll,
        listener: &mut TcpListener,
        upstream: SocketAddr,
        commands: Receiver<Command>,
    ) -> io::Result<Self> {
        poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            upstream,
            commands,
            pairs: Slab::new(),
            busy: Vec::new(),
        })
    }

    /// Until it is told to stop.
    pub(super) fn run(mut self, listener: &TcpListener) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = (!self.busy.is_empty()).then_some(Duration::ZERO);
            if self.poll.poll(&mut events, timeout).is_err() {
                // Interrupted: the events come again.
                events.clear();
            }
            // Commands first: whoever connects because the broker listens again must find it.
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    Command::Retarget(upstream) => self.upstream = upstream,
                    Command::Cut(clients, by) => self.cut(&clients, by),
                    Command::Stop => return,
                }
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    LISTENER => self.accept(listener),
                    Token(token) => self.busy.push((token - FIRST_PAIR) / 2),
                }
            }
            self.pump();
        }
    }

    fn accept(&mut self, listener: &TcpListener) {
        loop {
            match listener.accept() {
                // A client whose connection cannot be continued loses it, as it would without a proxy.
                Ok((client, address)) => drop(self.join(client, address)),
                // The client has gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn join(&mut self, client: TcpStream, address: SocketAddr) -> io::Result<()> {
        let broker = TcpStream::connect(self.upstream)?;
        for stream in [&client, &broker] {
            stream.set_nodelay(true)?;
        }
        let entry = self.pairs.vacant_entry();
        let key = entry.key();
        let pair = entry.insert(Pair::new(client, broker, address));
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        let registered = registry
            .register(&mut pair.client, token(key, Side::Client), interest)
            .and_then(|()| registry.register(&mut pair.broker, token(key, Side::Broker), interest));
        if registered.is_err() {
            self.pairs.remove(key);
        }
        registered
    }

    /// Lets each busy pair move a part of what it has.
    fn pump(&mut self) {
        self.busy.sort_unstable();
        self.busy.dedup();
        let Self { pairs, busy, .. } = self;
        busy.retain(|&key| {
            let progress = pairs.get_mut(key).map_or(Progress::Waiting, Pair::pump);
            if progress == Progress::Over {
                pairs.remove(key);
            }
            progress == Progress::More
        });
    }

    fn cut(&mut self, clients: &[SocketAddr], by: CutBy) {
        self.pairs
            .retain(|_, pair| !(clients.contains(&pair.client_address) && pair.cut(by)));
    }
}

fn token(key: usize, side: Side) -> Token {
    Token(FIRST_PAIR + 2 * key + usize::from(side == Side::Broker))
}
