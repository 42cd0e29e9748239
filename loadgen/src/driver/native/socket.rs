//! A non-blocking socket with its unsent output and its undecoded remainder of input.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::TcpStream;

use super::transport::{Taken, Transport};

/// One socket of the event loop.
///
/// The loop's epoll is edge-triggered, so readiness is remembered here: `readable` until a read comes back short,
/// `writable` until a write does. With TLS a read decrypts all that it got, so the same holds there.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Transport<TcpStream>,
    /// Input that ended inside a message, in front of what comes next.
    pub(super) remainder: Vec<u8>,
    /// Whether nobody has looked at the remainder yet: it came along from the handshake, or was given back.
    carried: bool,
    /// Output; the caller appends, [`Socket::flush`] empties it.
    pub(super) out: Vec<u8>,
    sent: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) reads: u64,
    pub(super) writes: u64,
}

/// What a read left in the shared buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// So many octets, the remainder of the last read included.
    Filled(usize),
    /// Nothing new.
    Nothing,
    /// The peer has closed its side.
    End,
}

impl Socket {
    /// Wraps a connection whose first `remainder` octets have been read already.
    pub(super) fn new(stream: Transport<TcpStream>, remainder: Vec<u8>) -> Self {
        let carried = !remainder.is_empty();
        Self {
            stream,
            remainder,
            carried,
            out: Vec::new(),
            sent: 0,
            readable: carried,
            writable: true,
            reads: 0,
            writes: 0,
        }
    }

    /// Reads once into `buffer`, behind the remainder.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        let kept = self.remainder.len();
        buffer[..kept].copy_from_slice(&self.remainder);
        if std::mem::take(&mut self.carried) {
            self.remainder.clear();
            return Ok(Input::Filled(kept));
        }
        loop {
            match self.stream.read(&mut buffer[kept..]) {
                Ok(Taken { octets: 0, .. }) => return Ok(Input::End),
                Ok(Taken { octets, more }) => {
                    self.reads += 1;
                    self.readable = more;
                    self.remainder.clear();
                    return Ok(Input::Filled(kept + octets));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(Input::Nothing);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it connects from; `None` when the operating system does not know any more.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.socket().local_addr().ok()
    }

    /// Keeps what could not be decoded yet for the next read.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.remainder.extend_from_slice(rest);
    }

    /// Gives a whole read back: the next one returns it again.
    pub(super) fn give_back(&mut self, input: &[u8]) {
        self.remainder.clear();
        self.remainder.extend_from_slice(input);
        (self.carried, self.readable) = (true, true);
    }

    /// Whether output waits for the peer.
    pub(super) fn is_backed_up(&self) -> bool {
        !self.out.is_empty() || self.stream.holds_output()
    }

    /// Writes as much output as the kernel takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.writable && (self.sent < self.out.len() || self.stream.holds_output()) {
            let unsent = &self.out[self.sent..];
            match self.stream.write(unsent, &mut self.writes) {
                Ok(0) if !unsent.is_empty() => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Ok(())
    }
}
