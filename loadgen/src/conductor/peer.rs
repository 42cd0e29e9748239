//! The broker that is driven: ours or somebody else's.

use std::net::SocketAddr;

use crate::embedded::{BrokerError, EmbeddedBroker};
use crate::target::Target;

/// The broker that is driven.
#[derive(Debug)]
pub enum Peer {
    /// Ours, a child process.
    Embedded(EmbeddedBroker),
    /// Somebody else's; its process is known or not.
    External(Option<u32>),
}

impl Peer {
    /// The process to measure.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Embedded(broker) => Some(broker.pid()),
            Self::External(pid) => *pid,
        }
    }

    /// Our own broker, to which faults may be done.
    pub(crate) fn embedded(&mut self) -> Option<&mut EmbeddedBroker> {
        match self {
            Self::Embedded(broker) => Some(broker),
            Self::External(_) => None,
        }
    }

    pub(super) fn death(&mut self) -> Option<BrokerError> {
        match self {
            Self::Embedded(broker) => broker.death(),
            Self::External(_) => None,
        }
    }
}

/// The target that an embedded broker at `address` is.
#[must_use]
pub fn target_of(address: SocketAddr) -> Target {
    Target::guest(address.ip().to_string(), address.port())
}
