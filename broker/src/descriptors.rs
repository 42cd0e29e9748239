//! File descriptors: as many as the operating system allows, a word where they may not suffice, and a polite end for
//! clients that come when there are none left.
//!
//! A connection that cannot be accepted for want of a descriptor stays in the listener's backlog, which makes the listener
//! readable for ever: the accept loop would spin, and the client would wait for an answer until it gives up. So a
//! [`Reserve`] keeps one descriptor back, with which that client is accepted and closed at once.

use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// What is opened to hold a descriptor.
const NOTHING: &str = "/dev/null";
/// How long a client in the backlog may take to be accepted with the reserve: it is there, or it has gone.
const REFUSE_DEADLINE: Duration = Duration::from_millis(100);
/// Descriptors for what does not grow with clients and queues: standard streams, listeners, the data directory's lock,
/// descriptions and checkpoints, and three to four for each thread's event loop.
const BASE: u64 = 64;
const PER_REACTOR: u64 = 4;

/// Raises the soft limit to the hard one, and warns when that may be too few for this configuration.
pub(crate) fn raise(config: &Config, log_files_max: usize, management_connections_max: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit = raised,
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
    let management = match config.management.listen.is_empty() {
        true => 0,
        false => management_connections_max as u64,
    };
    let needed = BASE
        + PER_REACTOR * config.reactors as u64
        + config.connections_max as u64
        + log_files_max as u64
        + management;
    if let Some(allowed) = limit.current.filter(|&allowed| allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            connections_max = config.connections_max,
            "fewer open files are allowed than this configuration may need: clients are refused when they run out; raise the \
             hard limit (ulimit -Hn, LimitNOFILE=) or lower connections_max"
        );
    }
}

/// One accept loop's descriptor for when there is no other.
#[derive(Debug)]
pub(crate) struct Reserve {
    held: Option<File>,
}

impl Reserve {
    /// Takes the descriptor, if there is one.
    pub(crate) fn new() -> Reserve {
        Reserve {
            held: File::open(NOTHING).ok(),
        }
    }

    /// True when an accept failed because the process or the system has no descriptor left.
    pub(crate) fn is_wanted(error: &io::Error) -> bool {
        [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }

    /// Accepts one client with the reserve, closes it and says so. False when that could not be done: the caller waits a little
    /// before it tries again.
    pub(crate) async fn refuse<T>(&mut self, accept: impl Future<Output = io::Result<T>>) -> bool {
        let Some(held) = self.held.take() else {
            // Another thread was faster when it was last given up.
            self.held = File::open(NOTHING).ok();
            tell();
            return false;
        };
        drop(held);
        let accepted = tokio::time::timeout(REFUSE_DEADLINE, accept).await;
        let is_refused = matches!(accepted, Ok(Ok(_)));
        // Its descriptor is the one that is to be held.
        drop(accepted);
        self.held = File::open(NOTHING).ok();
        tell();
        is_refused
    }
}

fn tell() {
    tracing::error!("no file descriptor is left: new connections are closed at once");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_want_of_descriptors_calls_for_the_reserve() {
        for (errno, wanted) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::CONNABORTED, false),
            (Errno::NOBUFS, false),
        ] {
            assert_eq!(Reserve::is_wanted(&errno.into()), wanted, "{errno}");
        }
    }
}
