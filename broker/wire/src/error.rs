//! Reply codes of the specification, and the one error type of this crate.

use thiserror::Error;

macro_rules! reply_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $scope:ident;)*) => {
        /// A reply code of AMQP 0-9-1 (section 1.2), as sent in `connection.close`, `channel.close` and
        /// `basic.return`.
        #[repr(u16)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum ReplyCode {
            $($(#[$doc])* $variant = $code,)*
        }

        impl ReplyCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as brokers write it at the start of a reply text, for example `NOT_FOUND`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether the specification makes this a hard error, which closes the whole connection.
            pub const fn is_connection_error(self) -> bool {
                match self { $(Self::$variant => reply_codes!(@$scope),)* }
            }

            /// The code with this number.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
    (@connection) => { true };
    (@channel) => { false };
    (@none) => { false };
}

reply_codes! {
    /// Normal close.
    Success = 200, "SUCCESS", none;
    /// The content is larger than the peer accepts.
    ContentTooLarge = 311, "CONTENT_TOO_LARGE", channel;
    /// A mandatory message reached no queue.
    NoRoute = 312, "NO_ROUTE", channel;
    /// An immediate message found no ready consumer.
    NoConsumers = 313, "NO_CONSUMERS", channel;
    /// An operator closed the connection.
    ConnectionForced = 320, "CONNECTION_FORCED", connection;
    /// The virtual host is unknown.
    InvalidPath = 402, "INVALID_PATH", connection;
    /// The user may not do this.
    AccessRefused = 403, "ACCESS_REFUSED", channel;
    /// The entity does not exist.
    NotFound = 404, "NOT_FOUND", channel;
    /// Another connection holds the entity exclusively.
    ResourceLocked = 405, "RESOURCE_LOCKED", channel;
    /// The entity exists with other settings, or a delivery tag is unknown.
    PreconditionFailed = 406, "PRECONDITION_FAILED", channel;
    /// A frame could not be decoded.
    FrameError = 501, "FRAME_ERROR", connection;
    /// A frame held an illegal value.
    SyntaxError = 502, "SYNTAX_ERROR", connection;
    /// A method is unknown or not allowed here.
    CommandInvalid = 503, "COMMAND_INVALID", connection;
    /// The channel is not open, or is open already.
    ChannelError = 504, "CHANNEL_ERROR", connection;
    /// A frame came that the sequence does not allow.
    UnexpectedFrame = 505, "UNEXPECTED_FRAME", connection;
    /// The peer ran out of a resource.
    ResourceError = 506, "RESOURCE_ERROR", connection;
    /// The peer may not work with this entity in this way.
    NotAllowed = 530, "NOT_ALLOWED", connection;
    /// The feature does not exist in this peer.
    NotImplemented = 540, "NOT_IMPLEMENTED", connection;
    /// An internal fault.
    InternalError = 541, "INTERNAL_ERROR", connection;
}

impl ReplyCode {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// Why bytes from a peer are not valid AMQP 0-9-1. Bytes that merely have not all arrived are no error.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WireError {
    /// The first octet of a frame is none of the four kinds.
    #[error("unknown frame type {kind}: expected 1 (method), 2 (header), 3 (body) or 8 (heartbeat)")]
    UnknownFrameKind {
        /// The octet found.
        kind: u8,
    },
    /// A frame announces more bytes than were negotiated.
    #[error("frame of {frame_bytes} bytes exceeds the negotiated maximum of {frame_bytes_max}")]
    FrameTooLarge {
        /// Announced size, with the 8 bytes of overhead.
        frame_bytes: u64,
        /// The limit, with the 8 bytes of overhead.
        frame_bytes_max: usize,
    },
    /// The octet after the payload is not 0xCE.
    #[error("frame does not end in 0xCE but in {found:#04x}")]
    FrameEndMissing {
        /// The octet found.
        found: u8,
    },
    /// A payload ends inside a value, or a length runs over the end of what holds it.
    #[error("the payload ends inside a value: {needed} more bytes expected, {available} left")]
    Truncated {
        /// Bytes that the value needs.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// A short string or a table key is not UTF-8.
    #[error("a short string is not valid UTF-8 (valid up to byte {valid_bytes})")]
    InvalidUtf8 {
        /// Length of the valid prefix.
        valid_bytes: usize,
    },
    /// A field value has a tag that is not in RabbitMQ's list.
    #[error("unknown field value tag {tag:#04x} in a table")]
    UnknownFieldTag {
        /// The tag found.
        tag: u8,
    },
    /// Tables and arrays are nested deeper than [`TABLE_DEPTH_MAX`](crate::TABLE_DEPTH_MAX).
    #[error("a table is nested deeper than {depth_max} levels")]
    TableTooDeep {
        /// The limit.
        depth_max: usize,
    },
    /// The property flags announce properties that class basic does not have.
    #[error("property flags {flags:#06x} name a property that class basic does not have")]
    UnknownProperty {
        /// The flags found.
        flags: u16,
    },
    /// A content header is not of the class that the publish before it has.
    #[error("expected content header for class 60, got one for class {class_id} instead")]
    ForeignContent {
        /// The class found.
        class_id: u16,
    },
    /// Something follows the last property of a content header.
    #[error("{octets} octets follow the last property")]
    TrailingOctets {
        /// How many.
        octets: usize,
    },
    /// No method has this class and method id.
    #[error("unknown method: class {class_id}, method {method_id}")]
    UnknownMethod {
        /// Class id found.
        class_id: u16,
        /// Method id found.
        method_id: u16,
    },
}

impl WireError {
    /// The code to close the connection with: 501 for what cannot be decoded, as RabbitMQ has it, and 502 for values that
    /// are not legal. All of these are connection errors.
    pub const fn reply_code(&self) -> ReplyCode {
        match self {
            Self::UnknownFrameKind { .. }
            | Self::FrameTooLarge { .. }
            | Self::FrameEndMissing { .. }
            | Self::Truncated { .. }
            | Self::TrailingOctets { .. }
            | Self::UnknownMethod { .. } => ReplyCode::FrameError,
            Self::ForeignContent { .. } => ReplyCode::UnexpectedFrame,
            Self::InvalidUtf8 { .. }
            | Self::UnknownFieldTag { .. }
            | Self::TableTooDeep { .. }
            | Self::UnknownProperty { .. } => ReplyCode::SyntaxError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_agree_both_ways() {
        for &code in ReplyCode::ALL {
            assert_eq!(ReplyCode::from_code(code.code()), Some(code));
            assert_eq!(code.name(), code.name().to_uppercase());
        }
        assert_eq!(ReplyCode::from_code(0), None);
        assert_eq!(ReplyCode::NotFound.name(), "NOT_FOUND");
    }

    #[test]
    fn hard_errors_are_those_of_the_specification() {
        let hard: Vec<u16> = ReplyCode::ALL
            .iter()
            .filter(|code| code.is_connection_error())
            .map(|code| code.code())
            .collect();
        assert_eq!(hard, [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541]);
    }
}
