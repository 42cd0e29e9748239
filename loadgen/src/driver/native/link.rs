//! A connection in the event loop: its socket, its decoder, and errors that name whose it is.

use std::io;

use mio::net::TcpStream;
use wire::Method;

use super::inbox::Inbox;
use super::session::Session;
use super::socket::{Input, Socket};
use crate::driver::DriverError;

/// What is wrong with an answer to nothing.
pub(super) const UNASKED: &str = "an answer that nobody asked for";

/// One connection of the load.
#[derive(Debug)]
pub(super) struct Link {
    /// Whose it is, e.g. `producer 3`.
    pub(super) name: String,
    pub(super) socket: Socket,
    pub(super) inbox: Inbox,
    pub(super) frame_bytes_max: usize,
}

impl Link {
    /// Takes over a connection after its handshake.
    pub(super) fn new(session: Session) -> Result<Self, DriverError> {
        let Session {
            name,
            stream,
            input,
            frame_bytes_max,
            ..
        } = session;
        if let Err(source) = stream.socket().set_nonblocking(true) {
            return Err(DriverError::Io {
                connection: name,
                source,
            });
        }
        let socket = Socket::new(stream.map(TcpStream::from_std), input);
        Ok(Self {
            name,
            socket,
            inbox: Inbox::default(),
            frame_bytes_max,
        })
    }

    /// Reads once into `buffer`; how many octets are there to decode.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DriverError> {
        match self.socket.read(buffer) {
            Ok(Input::Filled(count)) => Ok(count),
            Ok(Input::Nothing) => Ok(0),
            Ok(Input::End) => Err(DriverError::Disconnected {
                connection: self.name.clone(),
            }),
            Err(source) => Err(self.broke(source)),
        }
    }

    /// Writes what is there to write. When the broker has hung up, its last words explain why.
    pub(super) fn flush(&mut self, buffer: &mut [u8]) -> Result<(), DriverError> {
        self.socket
            .flush()
            .map_err(|source| self.last_words(buffer).unwrap_or_else(|| self.broke(source)))
    }

    /// The error in what the broker sent before it stopped reading, if it sent one. Whatever else it sent stays to be read.
    fn last_words(&mut self, buffer: &mut [u8]) -> Option<DriverError> {
        let count = self.read(buffer).ok().filter(|count| *count > 0)?;
        self.socket.give_back(&buffer[..count]);
        let (mut input, mut inbox) = (&buffer[..count], self.inbox.clone());
        loop {
            match inbox.decode(&self.name, input, self.frame_bytes_max) {
                Ok(Some((length, _))) => input = &input[length..],
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    }

    /// Answers the broker's `connection.close`, if that is what `error` reports: it waits for the answer before it goes.
    pub(super) fn agree(&mut self, error: &DriverError) {
        if matches!(
            error,
            DriverError::Closed {
                scope: "connection",
                ..
            }
        ) {
            Method::ConnectionCloseOk.encode(0, &mut self.socket.out);
            // When nobody listens any more, nobody waits for it either.
            let _ = self.socket.flush();
        }
    }

    /// Closes the connection in order; one with output that the broker would not take is merely dropped.
    pub(super) fn close(self) {
        if self.socket.is_backed_up() {
            return;
        }
        let Self {
            name,
            socket,
            frame_bytes_max,
            ..
        } = self;
        let stream = socket.stream.map(std::net::TcpStream::from);
        if stream.socket().set_nonblocking(false).is_ok() {
            Session::reopen(name, stream, socket.remainder, frame_bytes_max).close();
        }
    }

    /// An error that ends the run because the broker broke a rule.
    pub(super) fn protocol(&self, what: String) -> DriverError {
        DriverError::Protocol {
            connection: self.name.clone(),
            what,
        }
    }

    fn broke(&self, source: io::Error) -> DriverError {
        DriverError::Io {
            connection: self.name.clone(),
            source,
        }
    }
}
