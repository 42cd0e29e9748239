//! What a connection's octets go through: plain TCP, or TLS over it.
//!
//! Which of them is asked once a read or write call. `S` is a blocking socket while the connection is set up and closed
//! (`session`), a non-blocking one in the event loop.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use super::tls_stream::TlsStream;
use crate::target::Target;
use crate::tls::TlsFigures;

/// One connection.
#[derive(Debug)]
pub(super) enum Transport<S> {
    Plain(S),
    /// In a box: it is large, and most connections have none.
    Tls(Box<TlsStream<S>>),
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Octets of AMQP; 0 = the peer has closed its side in order.
    pub(super) octets: usize,
    /// Whether the next read may bring something before the socket is readable again.
    pub(super) more: bool,
}

impl Transport<TcpStream> {
    /// Over a connected socket that blocks: with a handshake, if `target` says so.
    pub(super) fn begin(socket: TcpStream, target: &Target) -> io::Result<Self> {
        match &target.tls {
            None => Ok(Self::Plain(socket)),
            Some(tls) => Ok(Self::Tls(Box::new(TlsStream::connect(socket, tls, target)?))),
        }
    }
}

impl<S> Transport<S> {
    pub(super) fn socket(&self) -> &S {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut S {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket_mut(),
        }
    }

    /// The same connection over the same socket in another form.
    pub(super) fn map<T>(self, change: impl FnOnce(S) -> T) -> Transport<T> {
        match self {
            Self::Plain(socket) => Transport::Plain(change(socket)),
            Self::Tls(stream) => Transport::Tls(Box::new(stream.map(change))),
        }
    }

    /// What the handshake agreed on.
    pub(super) fn tls(&self) -> Option<&TlsFigures> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream.figures()),
        }
    }

    /// Whether it holds output that it took and the socket did not.
    pub(super) fn holds_output(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.holds_output(),
        }
    }
}

impl<S: Read + Write> Transport<S> {
    /// One read of the socket, which fills `buffer` as far as it goes.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Taken> {
        match self {
            Self::Plain(socket) => socket.read(buffer).map(|octets| Taken {
                octets,
                more: octets == buffer.len(),
            }),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Takes some of `bytes`, and writes what it held before. `calls` grows with the writes in which the socket took data.
    pub(super) fn write(&mut self, bytes: &[u8], calls: &mut u64) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes).inspect(|_| *calls += 1),
            Self::Tls(stream) => stream.write(bytes, calls),
        }
    }

    /// Writes all, on a socket that blocks.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut sent, mut calls) = (0, 0);
        while sent < bytes.len() || self.holds_output() {
            match self.write(&bytes[sent..], &mut calls) {
                Ok(0) if sent < bytes.len() => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says, where there are words for it, that nothing more will be sent. Whether anybody hears it changes nothing.
    pub(super) fn say_goodbye(&mut self) {
        if let Self::Tls(stream) = self {
            stream.close_notify();
        }
    }
}
