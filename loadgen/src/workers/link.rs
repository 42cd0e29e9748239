//! A coordinator's connection to one worker.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::protocol::{Assignment, LINE_BYTES_MAX, Lines, Order, Report, VERSION, send};

/// How long a worker may take to accept and to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A worker that has accepted.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) commit: String,
    stream: TcpStream,
}

impl Link {
    /// Connects and introduces itself; says what went wrong.
    pub(super) fn open(name: &str, token: Option<&str>) -> Result<(Self, Lines<TcpStream>), String> {
        let stream = connect(name).map_err(|error| format!("cannot be reached: {error}"))?;
        let broke = |error: io::Error| format!("cannot be spoken to: {error}");
        stream.set_nodelay(true).map_err(broke)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(broke)?;
        stream.set_write_timeout(Some(ANSWER_MAX)).map_err(broke)?;
        let mut lines = Lines::new(stream.try_clone().map_err(broke)?);
        let mut link = Self {
            name: name.to_owned(),
            commit: String::new(),
            stream,
        };
        let hello = Order::Hello {
            version: VERSION,
            token: token.map(str::to_owned),
        };
        link.order(&hello)?;
        match lines.receive(LINE_BYTES_MAX) {
            Ok(Report::Welcome {
                version: VERSION,
                commit,
            }) => link.commit = commit,
            Ok(Report::Welcome { version, .. }) => {
                return Err(format!("speaks version {version} of the protocol, not {VERSION}"));
            }
            Ok(Report::Refused { why }) => return Err(format!("refused: {why}")),
            Ok(_) => return Err("answered something else than welcome".into()),
            Err(error) => return Err(format!("did not answer: {error}")),
        }
        // From now on the coordinator itself watches how long a worker is silent.
        link.stream.set_read_timeout(None).map_err(broke)?;
        Ok((link, lines))
    }

    /// Sends an order; says what went wrong.
    pub(super) fn order(&mut self, order: &Order) -> Result<(), String> {
        send(&mut self.stream, order).map_err(|error| format!("is gone: {error}"))
    }

    /// Hands out a share.
    pub(super) fn assign(&mut self, assignment: Assignment) -> Result<(), String> {
        self.order(&Order::Assignment(Box::new(assignment)))
    }

    /// Whether it is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.stream
            .peer_addr()
            .is_ok_and(|address| address.ip().is_loopback())
    }

    /// Ends the connection, and with it whoever reads from it.
    pub(super) fn close(&self) {
        // It may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn connect(name: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ANSWER_MAX) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
