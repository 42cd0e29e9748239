//! The null sink as a child process.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::embedded::{BrokerError, Process};

/// The hidden subcommand that is the null sink.
pub(super) const SUBCOMMAND: &str = "null-sink";
/// What it says, before the address, when it listens.
pub(super) const LISTENING: &str = "null sink listening on ";

/// A null sink of ours; killed when dropped without [`NullSink::stop`].
#[derive(Debug)]
pub struct NullSink {
    process: Process,
}

impl NullSink {
    /// Starts it on a free loopback port. Returns when it listens.
    ///
    /// # Errors
    /// When it cannot start, ends early or does not listen in time.
    pub fn start() -> Result<Self, BrokerError> {
        let executable = std::env::current_exe().map_err(BrokerError::Start)?;
        let process = Process::start(&executable, &[OsString::from(SUBCOMMAND)], LISTENING)?;
        Ok(Self { process })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it in order; after a deadline by force.
    ///
    /// # Errors
    /// When it had ended before, or ends with a failure.
    pub fn stop(mut self) -> Result<(), BrokerError> {
        self.process.stop()
    }
}
