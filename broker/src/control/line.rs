//! Lines in and out, with limits of size and time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::protocol::{PLAIN_BYTES_MAX, REQUEST_BYTES_MAX};

/// Time for a request, the wait for it included.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Time for a client to take a reply.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;

/// One client's lines.
#[derive(Debug)]
pub(super) struct Lines {
    stream: UnixStream,
    /// Read, and not yet taken.
    input: Vec<u8>,
    /// Whoever reads a long request has this.
    long: Arc<Semaphore>,
}

/// A request, and the right to be long while it is looked at.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    _long: Option<OwnedSemaphorePermit>,
}

/// What came of waiting for a request.
#[derive(Debug)]
pub(super) enum Next {
    Line(Line),
    /// The client has gone, or says nothing.
    End,
    /// It does not keep to the limits; the text tells which one.
    Unruly(&'static str),
}

impl Lines {
    pub(super) fn new(stream: UnixStream, long: Arc<Semaphore>) -> Lines {
        Lines {
            stream,
            input: Vec::new(),
            long,
        }
    }

    /// Waits for a request.
    pub(super) async fn next(&mut self) -> Next {
        match timeout(READ_DEADLINE, self.read()).await {
            Ok(next) => next,
            Err(_) if self.input.is_empty() => Next::End,
            Err(_) => Next::Unruly("the request did not come to its end in time"),
        }
    }

    async fn read(&mut self) -> Next {
        let mut long = None;
        let mut searched = 0;
        loop {
            let end = self.input[searched..].iter().position(|&byte| byte == b'\n');
            if let Some(end) = end.map(|end| searched + end) {
                let rest = self.input.split_off(end + 1);
                let mut bytes = std::mem::replace(&mut self.input, rest);
                bytes.pop();
                return Next::Line(Line { bytes, _long: long });
            }
            searched = self.input.len();
            if searched > REQUEST_BYTES_MAX {
                return Next::Unruly("the request is longer than 64 MiB");
            }
            if searched > PLAIN_BYTES_MAX && long.is_none() {
                long = Arc::clone(&self.long).acquire_owned().await.ok();
            }
            self.input.reserve(READ_BYTES);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return Next::End,
                Ok(_) => {}
            }
        }
    }

    /// Sends a reply.
    ///
    /// # Errors
    /// When the client has gone or does not take it in time.
    pub(super) async fn send(&mut self, line: &[u8]) -> io::Result<()> {
        match timeout(WRITE_DEADLINE, self.stream.write_all(line)).await {
            Ok(sent) => sent,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The socket itself.
    pub(super) fn into_stream(self) -> UnixStream {
        self.stream
    }
}
