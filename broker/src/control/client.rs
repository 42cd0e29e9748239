//! The other end: asks a broker, and says in a sentence why there is no answer.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::place::{CONTROL_SOCKET, connect};
use super::protocol::{REPLY_BYTES_MAX, Refusal, Reply, Request, VERSION};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No broker runs there.
    #[error("{0}")]
    Nobody(String),
    #[error("{0}")]
    Usage(String),
    #[error("{}", .0.text)]
    Refused(Refusal),
    /// Another version of the broker.
    #[error("{0}")]
    Version(String),
    #[error("{0}")]
    Connection(String),
    /// The broker has gone.
    #[error("{0}")]
    Ended(&'static str),
    /// Done in part.
    #[error("{0}")]
    Incomplete(String),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

/// A connection to a broker that runs.
#[derive(Debug)]
pub(super) struct Client {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    /// Connects to the broker that owns `directory`, and waits for `timeout` at most for each of its answers.
    ///
    /// # Errors
    /// When there is none, or the user may not.
    pub(super) fn connect(directory: &Path, timeout: Duration) -> Result<Client, Trouble> {
        let socket = directory.join(CONTROL_SOCKET);
        let stream = connect(directory).map_err(|error| unreachable(directory, &socket, &error))?;
        stream
            .set_write_timeout(Some(timeout))
            .map_err(|error| Trouble::Connection(format!("{}: {error}", socket.display())))?;
        Ok(Client {
            stream: BufReader::new(stream),
            socket,
            timeout,
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When it is refused, or there is none.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Value, Trouble> {
        // It waits before it answers, for as long as it is told to.
        let patience = self.timeout + request.interval();
        let set = self.stream.get_ref().set_read_timeout(Some(patience));
        set.map_err(|error| Trouble::Connection(format!("{}: {error}", self.socket.display())))?;
        // One that sends us away may have closed its end already, and has said why.
        let written = self.stream.get_mut().write_all(&request.line());
        match self.reply() {
            Err(Trouble::Ended(_)) if written.is_err() => Err(Trouble::Connection(format!(
                "{}: the broker took no request",
                self.socket.display()
            ))),
            other => other,
        }
    }

    /// Waits for what the broker says at its end, and for the end of its process.
    ///
    /// # Errors
    /// When it ends without a word, or not in time.
    pub(super) fn last_word(&mut self) -> Result<Value, Trouble> {
        let word = self.reply()?;
        // The socket is open until the process has ended.
        match self.stream.read(&mut [0; 1]) {
            Err(error) if is_late(&error) => Err(self.late()),
            _ => Ok(word),
        }
    }

    fn reply(&mut self) -> Result<Value, Trouble> {
        let mut line = Vec::new();
        let limit = REPLY_BYTES_MAX as u64 + 4096;
        let read = self.stream.by_ref().take(limit).read_until(b'\n', &mut line);
        match read {
            Ok(_) if line.last() == Some(&b'\n') => {}
            Ok(_) => return Err(Trouble::Ended("the broker ended before it had answered")),
            Err(error) if is_late(&error) => return Err(self.late()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(Trouble::Ended("the broker ended before it had answered"));
            }
            Err(error) => return Err(Trouble::Connection(format!("{}: {error}", self.socket.display()))),
        }
        let reply: Reply = serde_json::from_slice(&line).map_err(|error| {
            Trouble::Version(format!(
                "what listens on {} is no broker, or a very different one: {error}",
                self.socket.display()
            ))
        })?;
        if reply.version != VERSION {
            let (theirs, ours) = (reply.version, VERSION);
            return Err(Trouble::Version(format!(
                "the broker that runs is version {} and speaks version {theirs} of the control protocol, this command speaks {ours}: use the \
                 command of that broker's own version",
                reply.broker
            )));
        }
        match (reply.answer, reply.error) {
            (_, Some(refusal)) => Err(Trouble::Refused(refusal)),
            (Some(answer), None) => Ok(answer),
            (None, None) => Err(Trouble::Version(
                "the reply has neither an answer nor an error".to_owned(),
            )),
        }
    }

    fn late(&self) -> Trouble {
        Trouble::Connection(format!(
            "no answer within {} s (--timeout)",
            self.timeout.as_secs()
        ))
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn unreachable(directory: &Path, socket: &Path, error: &io::Error) -> Trouble {
    let (directory, shown) = (directory.display(), socket.display());
    match error.kind() {
        ErrorKind::NotFound if socket.parent().is_some_and(|parent| !parent.exists()) => Trouble::Nobody(
            format!("there is no directory {directory}: choose the broker's --data-dir"),
        ),
        ErrorKind::NotFound => Trouble::Nobody(format!(
            "no broker runs on data directory {directory}: there is no {CONTROL_SOCKET} in it"
        )),
        ErrorKind::ConnectionRefused => Trouble::Nobody(format!(
            "no broker runs on data directory {directory}: nobody listens on {shown}, which one left that did not stop in good order"
        )),
        ErrorKind::PermissionDenied => {
            let owner =
                std::fs::metadata(socket).or_else(|_| std::fs::metadata(socket.parent().unwrap_or(socket)));
            let owner = owner.map_or_else(
                |_| "that the broker runs as".to_owned(),
                |metadata| metadata.uid().to_string(),
            );
            Trouble::Connection(format!(
                "{shown}: permission denied: only user {owner} and root may ask this broker"
            ))
        }
        _ => Trouble::Connection(format!("cannot connect to {shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_broker_cannot_be_reached_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let said = |kind: ErrorKind, directory: &Path| {
            let trouble = unreachable(directory, &directory.join(CONTROL_SOCKET), &kind.into());
            (matches!(trouble, Trouble::Nobody(_)), trouble.to_string())
        };
        for (kind, directory, nobody, words) in [
            (
                ErrorKind::NotFound,
                path,
                true,
                "no broker runs on data directory",
            ),
            (
                ErrorKind::NotFound,
                &path.join("no"),
                true,
                "there is no directory",
            ),
            (
                ErrorKind::ConnectionRefused,
                path,
                true,
                "did not stop in good order",
            ),
            (
                ErrorKind::PermissionDenied,
                path,
                false,
                "permission denied: only user",
            ),
            (ErrorKind::OutOfMemory, path, false, "cannot connect to"),
        ] {
            let (is_nobody, text) = said(kind, directory);
            assert!(is_nobody == nobody && text.contains(words), "{text}");
        }
    }

    #[test]
    fn another_version_is_told_from_something_else() {
        let asked = |reply: &str| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(reply.as_bytes()).unwrap();
            drop(theirs);
            let mut client = Client {
                stream: BufReader::new(ours),
                socket: "s".into(),
                timeout: Duration::from_secs(1),
            };
            client.reply().unwrap_err().to_string()
        };
        let text =
            asked("{\"version\":2,\"broker\":\"9.1.0\",\"error\":{\"kind\":\"version\",\"text\":\"t\"}}\n");
        assert!(text.contains("is version 9.1.0 and speaks version 2"), "{text}");
        assert!(asked("HTTP/1.1 400 Bad Request\r\n").contains("is no broker"));
        assert!(asked("{\"version\":1,").contains("ended before"));
    }
}
