//! What a connection is sent: its socket, and what that has not taken yet.

use std::io::{ErrorKind, Write as _};

use mio::net::TcpStream;
use wire::Method;
use wire::fast::DeliverTemplate;

/// The sending side of a connection, with the socket of both.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stream: TcpStream,
    /// What the socket has not taken.
    pub(super) outbox: Vec<u8>,
    /// Whether the socket may take something: false from a write that had to wait to the next event.
    pub(super) is_writable: bool,
    /// As a consumer: its deliveries' constant part and the last tag.
    pub(super) deliveries: Option<(DeliverTemplate, u64)>,
}

impl Output {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            outbox: Vec::new(),
            is_writable: true,
            deliveries: None,
        }
    }

    pub(super) fn send(&mut self, channel: u16, method: &Method<'_>) {
        method.encode(channel, &mut self.outbox);
    }

    /// Writes what the socket takes. A broken connection is noticed by whoever reads from it.
    pub(super) fn flush(&mut self) {
        let mut sent = 0;
        while self.is_writable && sent < self.outbox.len() {
            match self.stream.write(&self.outbox[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.is_writable = false,
            }
        }
        self.outbox.drain(..sent);
    }
}
