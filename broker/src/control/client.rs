//! The other end: asks a broker, and says in a sentence why there is no answer.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::place::{CONTROL_SOCKET, connect};
use super::protocol::{REPLY_BYTES_MAX, Refusal, Reply, Request, VERSION};
use crate::data_dir;

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
    #[error("no answer within {} s (--timeout)", .0.as_secs_f64())]
    Late(Duration),
    /// It does as it was told, and has not come to its end.
    #[error("it is still stopping after {} s (--timeout)", .0.as_secs_f64())]
    StillStopping(Duration),
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

/// What the broker has less than the command, to answer in.
const GRACE_MAX: Duration = Duration::from_secs(1);

/// A connection to a broker that runs.
#[derive(Debug)]
pub(super) struct Client {
    stream: BufReader<UnixStream>,
    directory: PathBuf,
    timeout: Duration,
    /// It has answered once.
    answered: bool,
}

impl Client {
    /// Connects to the broker that owns `directory`, and waits for `timeout` at most for each of its answers.
    ///
    /// # Errors
    /// When there is none, or the user may not.
    pub(super) fn connect(directory: &Path, timeout: Duration) -> Result<Client, Trouble> {
        let socket = directory.join(CONTROL_SOCKET);
        let stream = connect(directory, timeout).map_err(|error| match is_late(&error) {
            true => Trouble::Late(timeout),
            false => unreachable(directory, &socket, &error),
        })?;
        Ok(Client {
            stream: BufReader::new(stream),
            directory: directory.to_owned(),
            timeout,
            answered: false,
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When it is refused, or there is none.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Value, Trouble> {
        // It waits before it answers, for as long as it is told to.
        self.wait_for(Some(self.timeout + request.interval()))?;
        // Its word, that it takes longer, is to come in time.
        let patience = self.timeout - GRACE_MAX.min(self.timeout / 10);
        // One that sends us away may have closed its end already, and has said why.
        let written = self.stream.get_mut().write_all(&request.line(patience));
        let reply = match self.reply() {
            Err(Trouble::Ended(_)) if written.is_err() => Err(Trouble::Ended(
                "the broker hung up before it had taken the request",
            )),
            other => other,
        };
        self.answered |= reply.is_ok();
        reply
    }

    /// Asks, as often as one likes: a broker hangs up on who says nothing for long, and another one may run there by now.
    ///
    /// # Errors
    /// As [`Client::ask`] and [`Client::connect`].
    pub(super) fn ask_again(&mut self, request: &Request) -> Result<Value, Trouble> {
        match self.ask(request) {
            Err(Trouble::Ended(_)) if self.answered => {
                *self = Client::connect(&self.directory, self.timeout)?;
                self.ask(request)
            }
            other => other,
        }
    }

    fn wait_for(&self, patience: Option<Duration>) -> Result<(), Trouble> {
        let set = self.stream.get_ref().set_read_timeout(patience);
        set.map_err(|error| self.broken(&error))
    }

    /// Waits for what the broker says at its end, and for the end of its process: as long as that takes, or for `patience`.
    ///
    /// # Errors
    /// When it ends without a word, or not in time.
    pub(super) fn last_word(&mut self, patience: Option<Duration>) -> Result<Value, Trouble> {
        self.wait_for(patience)?;
        let still = || Trouble::StillStopping(patience.unwrap_or_default());
        let word = match self.reply() {
            Err(Trouble::Late(_)) => return Err(still()),
            word => word?,
        };
        // The socket is open until the process has ended.
        match io::copy(&mut self.stream, &mut io::sink()) {
            Err(error) if is_late(&error) => Err(still()),
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
            Err(error) if is_late(&error) => return Err(Trouble::Late(self.timeout)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(Trouble::Ended("the broker ended before it had answered"));
            }
            Err(error) => return Err(self.broken(&error)),
        }
        let reply: Reply = serde_json::from_slice(&line).map_err(|error| {
            Trouble::Version(format!(
                "what listens on {} is no broker, or a very different one: {error}",
                self.socket().display()
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

    fn socket(&self) -> PathBuf {
        self.directory.join(CONTROL_SOCKET)
    }

    fn broken(&self, error: &io::Error) -> Trouble {
        Trouble::Connection(format!("{}: {error}", self.socket().display()))
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn unreachable(directory: &Path, socket: &Path, error: &io::Error) -> Trouble {
    let is_absence = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
    if let Some(owner) = is_absence.then(|| data_dir::owner(directory)).flatten() {
        return Trouble::Connection(format!(
            "process {owner} runs on data directory {}, and nobody listens on its {CONTROL_SOCKET}: it has just begun or is about to end, \
             somebody has taken the socket away, or its log says why there is none",
            directory.display()
        ));
    }
    let (directory, shown) = (directory.display(), socket.display());
    match error.kind() {
        ErrorKind::NotFound if socket.parent().is_some_and(|parent| !parent.exists()) => Trouble::Nobody(
            format!("there is no directory {directory}: choose the broker's --data-dir"),
        ),
        ErrorKind::NotFound => Trouble::Nobody(format!(
            "no broker runs on data directory {directory}: there is no {CONTROL_SOCKET} in it"
        )),
        ErrorKind::ConnectionRefused if !is_socket(socket) => Trouble::Nobody(format!(
            "no broker runs on data directory {directory}: {shown} is no socket"
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
    use crate::data_dir::DataDir;

    #[test]
    fn why_a_broker_cannot_be_reached_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let _left = std::os::unix::net::UnixListener::bind(path.join(CONTROL_SOCKET)).unwrap();
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
        std::fs::remove_file(path.join(CONTROL_SOCKET)).unwrap();
        std::fs::write(path.join(CONTROL_SOCKET), "").unwrap();
        let (is_nobody, text) = said(ErrorKind::ConnectionRefused, path);
        assert!(is_nobody && text.contains("is no socket"), "{text}");
        let owned = DataDir::open(path).unwrap();
        let (is_nobody, text) = said(ErrorKind::ConnectionRefused, path);
        let expected = format!("process {} runs on data directory", std::process::id());
        assert!(!is_nobody && text.contains(&expected), "{text}");
        drop(owned);
        assert!(said(ErrorKind::NotFound, path).0);
    }

    #[test]
    fn another_version_is_told_from_something_else() {
        let asked = |reply: &str| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(reply.as_bytes()).unwrap();
            drop(theirs);
            let mut client = Client {
                stream: BufReader::new(ours),
                directory: "d".into(),
                timeout: Duration::from_secs(1),
                answered: false,
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
