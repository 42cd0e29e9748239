//! What a queue was declared as.

use wire::FieldTable;

use super::arguments::ArgumentError;
use super::options::{QueueFlags, QueueOptions};
use crate::connection::ConnectionId;

/// What `queue.declare` said; a second declaration must say the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Deleted when its last consumer goes.
    pub auto_delete: bool,
    /// Only this connection may use it, and it goes when the connection goes.
    pub owner: Option<ConnectionId>,
    /// The `x-…` arguments, as given.
    pub arguments: FieldTable,
}

impl Declaration {
    /// True when the queue and its persistent messages are there after a restart. An exclusive queue is not, durable
    /// or not: its connection is gone then.
    pub fn is_stored(&self) -> bool {
        self.durable && self.owner.is_none()
    }

    /// What the arguments ask for.
    ///
    /// # Errors
    /// As [`QueueOptions::parse`].
    pub fn options(&self) -> Result<QueueOptions, ArgumentError> {
        let flags = QueueFlags {
            durable: self.durable,
            exclusive: self.owner.is_some(),
            auto_delete: self.auto_delete,
        };
        QueueOptions::parse(&self.arguments, flags)
    }
}
