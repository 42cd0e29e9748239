//! Two connections that the proxy makes one of: a client's and its own to the broker.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

use crate::scenario::CutBy;

/// Octets of one direction that the proxy holds.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers that one direction moves before the other pairs get their turn.
const ROUNDS_MAX: usize = 16;

/// Which side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Broker,
}

/// A client's connection and its continuation.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) client: TcpStream,
    pub(super) broker: TcpStream,
    /// Where the client connects from.
    pub(super) client_address: SocketAddr,
    upwards: Direction,
    downwards: Direction,
    /// It was cut with FIN: what is still said reaches nobody.
    finished: bool,
}

/// The octets that go one way.
#[derive(Debug)]
struct Direction {
    buffer: Vec<u8>,
    filled: usize,
    written: usize,
    ended: bool,
}

/// What a pair waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Its sockets.
    Waiting,
    /// Nothing: it has more to move at once.
    More,
    /// It is over.
    Over,
}

impl Pair {
    pub(super) fn new(client: TcpStream, broker: TcpStream, client_address: SocketAddr) -> Self {
        Self {
            client,
            broker,
            client_address,
            upwards: Direction::new(),
            downwards: Direction::new(),
            finished: false,
        }
    }

    /// Moves what there is to move.
    pub(super) fn pump(&mut self) -> Progress {
        let Self { client, broker, .. } = self;
        if self.finished {
            return match (self.upwards.discard(client), self.downwards.discard(broker)) {
                (true, true) => Progress::Over,
                (_, _) => Progress::Waiting,
            };
        }
        let moved = self
            .upwards
            .pump(client, broker)
            .and_then(|up| Ok((up, self.downwards.pump(broker, client)?)));
        match moved {
            // One side is gone; the other learns of it when its socket closes.
            Err(_) => Progress::Over,
            Ok(_) if self.upwards.ended && self.downwards.ended => Progress::Over,
            Ok((false, false)) => Progress::Waiting,
            Ok((_, _)) => Progress::More,
        }
    }

    /// Cuts it; whether it is over at once. A socket that is gone already needs no cutting.
    pub(super) fn cut(&mut self, by: CutBy) -> bool {
        match by {
            CutBy::Reset => {
                for stream in [&self.client, &self.broker] {
                    // Closed without lingering, a socket sends RST.
                    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
                }
                true
            }
            CutBy::Finish => {
                for stream in [&self.client, &self.broker] {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                // Closed with input that nobody has read it would send RST.
                self.finished = true;
                (self.upwards.ended, self.downwards.ended) = (false, false);
                self.pump() == Progress::Over
            }
        }
    }
}

impl Direction {
    fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
            written: 0,
            ended: false,
        }
    }

    /// Moves octets from `source` to `sink` until one of them has to wait; whether it stopped before that.
    fn pump(&mut self, source: &mut TcpStream, sink: &mut TcpStream) -> io::Result<bool> {
        for _ in 0..ROUNDS_MAX {
            if self.written < self.filled {
                match sink.write(&self.buffer[self.written..self.filled]) {
                    Ok(count) => self.written += count,
                    Err(error) if waits(&error) => return Ok(false),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            if self.ended {
                return Ok(false);
            }
            match source.read(&mut self.buffer) {
                Ok(0) => {
                    self.ended = true;
                    sink.shutdown(Shutdown::Write)?;
                }
                Ok(count) => (self.filled, self.written) = (count, 0),
                Err(error) if waits(&error) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads and forgets; whether the end has come.
    fn discard(&mut self, source: &mut TcpStream) -> bool {
        while !self.ended {
            match source.read(&mut self.buffer) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if waits(&error) => break,
                Err(_) => self.ended = true,
            }
        }
        self.ended
    }
}

/// Whether a socket has to be waited for; one that still connects says so in its own way.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
