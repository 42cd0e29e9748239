//! The messages between coordinator and worker, and how they are read and written: one JSON object a line.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::figures::WorkerFigures;
use crate::live::{Interval, Totals};
use crate::recorder::Recording;
use crate::target::Target;

/// Both sides must speak the same version: a recording has no other description than this code.
pub(super) const VERSION: u32 = 2;
/// The longest first line, from somebody unknown.
pub(super) const HELLO_BYTES_MAX: u64 = 4 * 1024;
/// The longest line: a recording is some 100 KB.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a coordinator says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Order {
    /// The first line.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// The shared secret, if there is one.
        token: Option<String>,
    },
    /// What to do.
    Assignment(Box<Assignment>),
    /// Everybody is connected: the load begins now.
    Begin,
    /// End the load and drain; the second time, give up the drain.
    Interrupt,
}

/// A worker's share of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    /// Its scenario, checked again by the worker.
    pub(super) scenario: serde_json::Value,
    /// Its seed.
    pub(super) seed: u64,
    /// What makes the names of its queues unique.
    pub(super) tag: String,
    /// Whom to drive. Files of TLS are the worker's own, under the same paths.
    pub(super) target: Target,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Report {
    /// It takes the coordinator.
    Welcome {
        /// [`VERSION`].
        version: u32,
        /// The commit that it was built from.
        commit: String,
    },
    /// It does not.
    Refused {
        /// Why.
        why: String,
    },
    /// All its connections are open.
    Connected,
    /// It is alive.
    Progress(Box<Progress>),
    /// Its share is done.
    Finished(Box<Finished>),
    /// Nothing came of its share.
    Failed {
        /// Why.
        why: String,
    },
}

/// What is new since the last time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) totals: Totals,
    pub(super) harm: u64,
    /// Seconds that have ended.
    pub(super) intervals: Vec<Interval>,
    /// The counted latencies of these seconds, where there are any.
    pub(super) histograms: Vec<EncodedInterval>,
}

/// An interval's histograms in HdrHistogram's compressed V2 encoding, base64; empty ones are left out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EncodedInterval {
    pub(super) start_ns: u64,
    pub(super) length_ns: u64,
    pub(super) response: Option<String>,
    pub(super) service: Option<String>,
    pub(super) confirm: Option<String>,
    pub(super) schedule_lag: Option<String>,
}

/// What came of a share.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    /// Without its intervals, which were reported one by one.
    pub(super) recording: Recording,
    pub(super) figures: WorkerFigures,
}

/// Why no message came.
#[derive(Debug, Error)]
pub(super) enum ReceiveError {
    /// The other side is gone.
    #[error("the connection ended")]
    Ended,
    /// Reading failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line that is no message of this protocol.
    #[error("a line is not understood: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A line without end.
    #[error("a line is longer than {0} bytes")]
    TooLong(u64),
}

/// Reads messages from a socket.
#[derive(Debug)]
pub(super) struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self(BufReader::new(input))
    }

    /// The next message, whose line has at most `bytes_max`.
    pub(super) fn receive<T: DeserializeOwned>(&mut self, bytes_max: u64) -> Result<T, ReceiveError> {
        let mut line = Vec::new();
        let length = self.0.by_ref().take(bytes_max).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(if length as u64 == bytes_max {
                ReceiveError::TooLong(bytes_max)
            } else {
                ReceiveError::Ended
            });
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

/// Writes a message in one call.
pub(super) fn send(output: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(bytes: &[u8], bytes_max: u64) -> Result<Order, ReceiveError> {
        Lines::new(bytes).receive(bytes_max)
    }

    #[test]
    fn messages_are_lines() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Order::Begin).unwrap();
        send(
            &mut bytes,
            &Order::Hello {
                version: VERSION,
                token: Some("a\nb".into()),
            },
        )
        .unwrap();
        assert!(bytes.starts_with(b"{\"type\":\"begin\"}\n"));
        let mut lines = Lines::new(bytes.as_slice());
        assert!(matches!(lines.receive(100).unwrap(), Order::Begin));
        let hello = lines.receive(100).unwrap();
        assert!(matches!(hello, Order::Hello { token: Some(token), .. } if token == "a\nb"));
        let end: Result<Order, _> = lines.receive(100);
        assert!(matches!(end, Err(ReceiveError::Ended)));
    }

    #[test]
    fn lines_without_end_or_sense_are_refused() {
        assert!(matches!(receive(&[b'x'; 50], 50), Err(ReceiveError::TooLong(50))));
        assert!(matches!(
            receive(b"{\"type\":\"begin\"}", 100),
            Err(ReceiveError::Ended)
        ));
        assert!(matches!(
            receive(b"{\"type\":\"dance\"}\n", 100),
            Err(ReceiveError::Malformed(_))
        ));
    }
}
