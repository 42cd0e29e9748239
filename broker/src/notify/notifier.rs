//! The socket of the service manager, and the sentences that it understands.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Variable that names the socket: `/PATH`, or `@NAME` of an abstract one.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// How long a word that must not get lost may wait for room at the service manager. Others do not wait: who sends them has
/// connections to accept.
const SEND_DEADLINE: Duration = Duration::from_secs(1);

/// Tells the service manager, if there is one. What cannot be sent is told in the log, and the broker goes on.
#[derive(Debug)]
pub(crate) struct Notifier {
    manager: Option<Manager>,
}

#[derive(Debug)]
struct Manager {
    /// Waits for room, until the deadline.
    patient: UnixDatagram,
    /// Never waits.
    hasty: UnixDatagram,
    address: SocketAddr,
    /// The last word did not arrive, and the log says so.
    is_lost: AtomicBool,
}

impl Notifier {
    /// As the environment says.
    pub(crate) fn from_environment() -> Notifier {
        let manager = std::env::var_os(VARIABLE)
            .filter(|name| !name.is_empty())
            .and_then(|name| {
                Manager::new(&name)
                    .inspect_err(|error| {
                        tracing::warn!(variable = VARIABLE, value = ?name, %error, "the service manager is told nothing");
                    })
                    .ok()
            });
        Notifier { manager }
    }

    /// True when somebody is to be told.
    pub(crate) fn has_manager(&self) -> bool {
        self.manager.is_some()
    }

    /// What the broker does, for people. False when there was no room for it.
    pub(crate) fn status(&self, status: &str) -> bool {
        self.try_send(&status_line(status))
    }

    /// Clients can connect.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&["READY=1", &status_line(status)]);
    }

    /// The configuration is read again from now on.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&["RELOADING=1", &format!("MONOTONIC_USEC={now_us}")]);
    }

    /// It has been read.
    pub(crate) fn reloaded(&self) {
        self.send(&["READY=1"]);
    }

    /// Nothing more is accepted.
    pub(crate) fn stopping(&self) {
        let status = "stopping: what was published is written and confirmed, then connections are closed";
        self.send(&["STOPPING=1", &status_line(status)]);
    }

    /// All threads make progress.
    pub(super) fn alive(&self) {
        // Without room there are signs that the service manager has not seen yet.
        self.try_send("WATCHDOG=1");
    }

    /// False when there was no room.
    fn try_send(&self, line: &str) -> bool {
        self.manager.as_ref().is_none_or(|manager| {
            let sent = manager.hasty.send_to_addr(line.as_bytes(), &manager.address);
            let is_full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            match sent {
                Err(error) if is_full(&error) => false,
                sent => {
                    manager.note(line, sent);
                    true
                }
            }
        })
    }

    fn send(&self, lines: &[&str]) {
        if let Some(manager) = &self.manager {
            let sent = manager
                .patient
                .send_to_addr(lines.join("\n").as_bytes(), &manager.address);
            manager.note(lines[0], sent);
        }
    }
}

impl Manager {
    fn new(name: &OsStr) -> io::Result<Manager> {
        let (patient, hasty) = (UnixDatagram::unbound()?, UnixDatagram::unbound()?);
        patient.set_write_timeout(Some(SEND_DEADLINE))?;
        hasty.set_nonblocking(true)?;
        Ok(Manager {
            patient,
            hasty,
            address: address(name)?,
            is_lost: AtomicBool::new(false),
        })
    }

    /// Tells in the log when words begin to get lost.
    fn note(&self, what: &str, sent: io::Result<usize>) {
        let was_lost = self.is_lost.swap(sent.is_err(), Ordering::Relaxed);
        if let Err(error) = sent
            && !was_lost
        {
            tracing::warn!(%error, what, "cannot tell the service manager");
        }
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        #[cfg(target_os = "linux")]
        [b'@', abstract_name @ ..] => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(abstract_name)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected /PATH, or @NAME of an abstract socket",
        )),
    }
}

/// One line, whatever is in the sentence: a line break would begin another word to the service manager.
fn status_line(status: &str) -> String {
    let status: String = status
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("STATUS={status}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_and_abstract_names_are_sockets() {
        assert!(
            address(OsStr::new("/run/notify"))
                .unwrap()
                .as_pathname()
                .is_some()
        );
        assert!(address(OsStr::new("@notify")).unwrap().as_pathname().is_none());
        for name in ["notify", "vsock:2:1", "./notify"] {
            let refused = address(OsStr::new(name)).unwrap_err().to_string();
            assert!(refused.contains("expected /PATH, or @NAME"), "{refused}");
        }
    }

    #[test]
    fn a_status_cannot_say_anything_else() {
        assert_eq!(status_line("failed:\nREADY=1"), "STATUS=failed: READY=1");
    }
}
