//! A refused request: the reply code, the text and, from the code, how far the damage reaches.

use wire::{Method, ReplyCode, WireError};

use crate::topology::TopologyError;

/// Ends a channel or the whole connection, as the specification says of its code (section 1.4.1 of the
/// 0-9-1 document: "soft" and "hard" errors).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} - {text}", code.name())]
pub struct Failure {
    /// Reply code of the close method.
    pub code: ReplyCode,
    /// What went wrong, for the person who reads the client's log.
    pub text: String,
    /// Class and method that caused it; zeros when none did.
    pub method: (u16, u16),
}

impl Failure {
    /// A failure with its explanation.
    pub fn new(code: ReplyCode, text: impl Into<String>) -> Failure {
        Failure {
            code,
            text: text.into(),
            method: (0, 0),
        }
    }

    /// A method frame's payload that cannot be decoded; names the method as far as it is there.
    pub fn undecodable(payload: &[u8], error: &WireError) -> Failure {
        let id = |at: usize| {
            payload
                .get(at..at + 2)
                .map_or(0, |id| u16::from_be_bytes([id[0], id[1]]))
        };
        let mut failure = Failure::new(error.reply_code(), error.to_string());
        failure.method = (id(0), id(2));
        failure
    }

    /// A frame that does not belong where it came.
    pub fn unexpected_frame(text: impl Into<String>) -> Failure {
        Failure::new(ReplyCode::UnexpectedFrame, text)
    }

    /// Names the method that caused it, unless that is known already.
    pub fn during(mut self, method: &Method<'_>) -> Failure {
        if self.method == (0, 0) {
            self.method = (method.class_id(), method.method_id());
        }
        self
    }

    /// True when it ends the connection, not only the channel.
    pub fn is_connection_error(&self) -> bool {
        self.code.is_connection_error()
    }

    /// The reply text as RabbitMQ writes it: `NOT_FOUND - no queue 'x' in vhost '/'`, cut to the 255 bytes
    /// of a short string.
    pub fn reply_text(&self) -> String {
        let mut text = self.to_string();
        if text.len() > 255 {
            text.truncate(text.floor_char_boundary(255));
        }
        text
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Failure {
        Failure::new(error.reply_code(), error.to_string())
    }
}

impl From<TopologyError> for Failure {
    fn from(error: TopologyError) -> Failure {
        Failure::new(error.code, error.text)
    }
}
