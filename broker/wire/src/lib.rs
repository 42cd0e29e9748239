//! AMQP 0-9-1 on the wire: frames, methods, content headers, properties and field tables.
//!
//! The crate turns bytes into borrowed values and values into bytes; it owns no socket, no thread and no
//! state. Decoding never copies, never allocates by a length that the peer states, and answers malformed
//! input with a [`WireError`] that carries the specification's reply code.
//!
//! Two ways lead through the same bytes:
//! - the general one: [`decode_frame`], then [`Method::decode`], [`ContentHeader::decode`],
//!   [`BasicProperties::decode`];
//! - the hot one, [`fast`]: publish, deliver and ack recognised in a single pass. It never rejects anything:
//!   whatever it does not recognise is left to the general decoder, which alone names errors.
//!
//! The dialect is RabbitMQ's where it differs from the specification: its field-table tags (`s` is a signed
//! 16-bit integer), `basic.nack`, `confirm.select`, `exchange.bind`, `connection.blocked` and
//! `connection.update-secret`.
#![forbid(unsafe_code)]

pub mod error;
pub mod fast;
pub mod frame;
pub mod method;
pub mod properties;
pub mod table;

mod cursor;

pub use error::{ReplyCode, WireError};
pub use frame::{
    FRAME_END, FRAME_HEADER_SIZE, FRAME_MIN_SIZE, FRAME_OVERHEAD, Frame, FrameKind, PROTOCOL_HEADER,
    decode_frame, encode_body_frames, encode_header_frame, encode_heartbeat,
};
pub use method::Method;
pub use properties::{
    BasicProperties, CONTENT_PREFIX_SIZE, ContentHeader, FLAG_EXPIRATION, FLAG_HEADERS, FLAG_REPLY_TO,
    FLAG_USER_ID, check_content_header, delivery_mode, encode_content_header, is_like_sound_header,
    property_flags,
};
pub use table::{ArrayRef, FieldTable, FieldValue, TABLE_DEPTH_MAX, TableRef, ValueRef};
