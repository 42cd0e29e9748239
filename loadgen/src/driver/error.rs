//! Why a driver gave up.

use std::io;

use thiserror::Error;
use wire::{ReplyCode, WireError};

/// A broker (or the way to it) failed during a run. `connection` names whose connection it was, e.g. `producer 3`.
#[derive(Debug, Error)]
pub enum DriverError {
    /// No TCP connection.
    #[error("{connection} cannot connect to {address}: {source}")]
    Connect {
        /// Whose connection.
        connection: String,
        /// Host and port.
        address: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A socket broke.
    #[error("the connection of {connection} broke: {source}")]
    Io {
        /// Whose connection.
        connection: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The broker hung up without a word.
    #[error("the broker hung up on {connection} without connection.close")]
    Disconnected {
        /// Whose connection.
        connection: String,
    },
    /// The broker closed the connection or the channel and said why.
    #[error("the broker closed the {scope} of {connection}: {code} {}{text}", code_name(*code, text))]
    Closed {
        /// Whose connection.
        connection: String,
        /// `connection` or `channel`.
        scope: &'static str,
        /// AMQP reply code.
        code: u16,
        /// The broker's text.
        text: String,
    },
    /// The broker did not answer in time.
    #[error("{connection} got no answer to {request} within {seconds} s")]
    Timeout {
        /// Whose connection.
        connection: String,
        /// What was asked.
        request: &'static str,
        /// How long it waited.
        seconds: u64,
    },
    /// The broker sent a method that has no place here.
    #[error("the broker sent {method} to {connection}, which did not expect it")]
    Unexpected {
        /// Whose connection.
        connection: String,
        /// What came.
        method: &'static str,
    },
    /// The broker sent bytes that are not AMQP 0-9-1.
    #[error("the broker sent malformed bytes to {connection}: {source}")]
    Wire {
        /// Whose connection.
        connection: String,
        /// What is wrong with them.
        source: WireError,
    },
    /// Queues with fixed names hold messages that the ledger would take for the run's own.
    #[error(
        "the queues hold {messages} messages already, which this run would receive among its own: empty them first"
    )]
    Occupied {
        /// How many.
        messages: u64,
    },
    /// The broker broke a rule of the protocol.
    #[error("the broker broke the protocol on the connection of {connection}: {what}")]
    Protocol {
        /// Whose connection.
        connection: String,
        /// Which rule.
        what: String,
    },
    /// The lapin client reported an error.
    #[error("lapin failed on the connection of {connection}: {source}")]
    Lapin {
        /// Whose connection.
        connection: String,
        /// The client's reason, including what the broker said.
        source: Box<lapin::Error>,
    },
    /// The generator's own resources failed.
    #[error("the generator cannot {what}: {source}")]
    Generator {
        /// What it tried.
        what: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// One of several generators failed.
    #[error("worker {name} {what}")]
    Worker {
        /// Where it was reached.
        name: String,
        /// What it did, or did not.
        what: String,
    },
    /// Interrupted before the load began: there is nothing to report.
    #[error("interrupted while connecting, before any load")]
    Interrupted,
}

/// The code's name, unless the broker's text starts with it already (RabbitMQ's do).
fn code_name(code: u16, text: &str) -> String {
    match ReplyCode::from_code(code) {
        Some(known) if !text.starts_with(known.name()) => format!("{} ", known.name()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_names_its_code_once() {
        let closed = |text: &str| DriverError::Closed {
            connection: "producer 3".into(),
            scope: "connection",
            code: 403,
            text: text.into(),
        };
        let expected = "the broker closed the connection of producer 3: 403 ACCESS_REFUSED - no";
        assert_eq!(closed("ACCESS_REFUSED - no").to_string(), expected);
        assert_eq!(closed("- no").to_string(), expected);
    }
}
