//! The one byte format of a message, in memory and on disk.
//!
//! A record is written once, when a publish enters its queue, and is copied unchanged from there: to a
//! consumer's outbox, and to the log by whoever spills or persists it. Names and content keep the form they
//! have on the wire, so that both ways are a copy of one piece. Integers of the head are little-endian, those
//! of the wire parts big-endian.
//!
//! ```text
//!  0        4        8                16    18    20       24               32
//!  +--------+--------+----------------+-----+-----+--------+----------------+-------+--------------+------------+
//!  | crc32  | length | offset         |flags| nl  |   hl   | timestamp, ms  | names | header frame | body frame |
//!  +--------+--------+----------------+-----+-----+--------+----------------+-------+--------------+------------+
//!  '---------- head of seglog ------------'
//!
//!  names         nl bytes: exchange and routing key, two short strings
//!  header frame  7 bytes of frame header, hl bytes of payload (class to properties), frame end
//!  body frame    7 bytes of frame header, the whole body, frame end; absent for an empty body
//! ```
//!
//! The frames keep the publisher's channel, which means nothing. The body lies in one frame, however many it
//! came in and however long it is: a delivery to a peer that accepts less is split again.
//!
//! `length` counts the whole record. `crc32` covers every byte after itself and, like `offset`, is filled
//! in when a record leaves memory for the log: in the ring the position already names the offset, and a
//! checksum over memory that never left the process would only cost time. The first 18 bytes are those that
//! [`seglog`] knows; to it all else is opaque.

use wire::{FRAME_END, FRAME_HEADER_SIZE, FRAME_OVERHEAD, FrameKind};

/// Bytes before the names.
pub const RECORD_HEADER_BYTES: usize = 32;

/// Set when the publisher asked for persistence (`delivery_mode` 2): the log keeps the record over a restart.
pub const FLAG_PERSISTENT: u16 = seglog::FLAG_KEEP;

/// Set when the message has an expiration of its own: whoever deals it has to look at its properties.
pub const FLAG_EXPIRES: u16 = 1 << 1;

/// Set on a dead letter: the broker itself wrote its `x-death`. What a client writes there is not believed.
pub const FLAG_DEAD_LETTER: u16 = 1 << 2;

/// A message's content header and body as frames; see the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    frames: &'a [u8],
    header_len: usize,
}

impl<'a> Content<'a> {
    /// `frames` must be a whole header frame with `header_len` bytes of payload and, unless the body is empty,
    /// one whole body frame.
    #[inline]
    pub fn from_frames(frames: &'a [u8], header_len: usize) -> Content<'a> {
        debug_assert!(frames.len() >= header_len + FRAME_OVERHEAD);
        Content { frames, header_len }
    }

    /// Frames for a content that did not come in this form; they are appended to `buffer`.
    pub fn build(buffer: &'a mut Vec<u8>, header: &[u8], body: &[u8]) -> Content<'a> {
        let start = buffer.len();
        for (kind, payload) in [(FrameKind::Header, header), (FrameKind::Body, body)] {
            if kind == FrameKind::Header || !payload.is_empty() {
                buffer.extend_from_slice(&[kind as u8, 0, 0]);
                buffer.extend_from_slice(&(payload.len() as u32).to_be_bytes());
                buffer.extend_from_slice(payload);
                buffer.push(FRAME_END);
            }
        }
        Content {
            frames: &buffer[start..],
            header_len: header.len(),
        }
    }

    /// All of it, as stored and sent.
    #[inline]
    pub fn frames(&self) -> &'a [u8] {
        self.frames
    }

    /// Size of the header frame's payload.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// Payload of the header frame.
    #[inline]
    pub fn header(&self) -> &'a [u8] {
        &self.frames[FRAME_HEADER_SIZE..FRAME_HEADER_SIZE + self.header_len]
    }

    /// The `FLAG_…` bits that follow from the properties.
    #[inline]
    pub fn record_flags(&self) -> u16 {
        let header = self.header();
        let mut flags = 0;
        if wire::delivery_mode(header) == 2 {
            flags |= FLAG_PERSISTENT;
        }
        if wire::property_flags(header) & wire::FLAG_EXPIRATION != 0 {
            flags |= FLAG_EXPIRES;
        }
        flags
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        let start = self.header_len + FRAME_OVERHEAD + FRAME_HEADER_SIZE;
        match self.frames.len() {
            len if len <= start => &[],
            len => &self.frames[start..len - 1],
        }
    }

    /// Size of the body.
    #[inline]
    pub fn body_len(&self) -> usize {
        self.frames
            .len()
            .saturating_sub(self.header_len + 2 * FRAME_OVERHEAD)
    }
}

/// The fields of a message on its way into a queue, each borrowed from where it lies.
#[derive(Clone, Copy, Debug)]
pub struct RecordFields<'a> {
    /// Milliseconds since the Unix epoch at which the broker accepted the message.
    pub timestamp_ms: u64,
    /// `FLAG_…` bits.
    pub flags: u16,
    /// Exchange and routing key as two short strings: at most 512 bytes.
    pub names: &'a [u8],
    /// Header and body.
    pub content: Content<'a>,
}

impl<'a> From<Record<'a>> for RecordFields<'a> {
    fn from(record: Record<'a>) -> RecordFields<'a> {
        RecordFields {
            timestamp_ms: record.timestamp_ms,
            flags: record.flags,
            names: record.names,
            content: record.content,
        }
    }
}

impl<'a> RecordFields<'a> {
    /// A message as it is published; the flags follow from its properties. `names`: see [`join_names`].
    #[inline]
    pub fn new(timestamp_ms: u64, names: &'a [u8], content: Content<'a>) -> RecordFields<'a> {
        RecordFields {
            timestamp_ms,
            flags: content.record_flags(),
            names,
            content,
        }
    }

    /// True when the publisher asked for persistence.
    #[inline]
    pub fn is_persistent(&self) -> bool {
        self.flags & FLAG_PERSISTENT != 0
    }

    /// The fixed-size head; followed by names and frames it makes the record.
    #[inline]
    pub fn head(&self) -> [u8; RECORD_HEADER_BYTES] {
        debug_assert!(self.names.len() <= 512);
        let mut head = [0; RECORD_HEADER_BYTES];
        head[4..8].copy_from_slice(&(self.encoded_len() as u32).to_le_bytes());
        head[16..18].copy_from_slice(&self.flags.to_le_bytes());
        head[18..20].copy_from_slice(&(self.names.len() as u16).to_le_bytes());
        head[20..24].copy_from_slice(&(self.content.header_len as u32).to_le_bytes());
        head[24..32].copy_from_slice(&self.timestamp_ms.to_le_bytes());
        head
    }

    /// Bytes of the whole record.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        RECORD_HEADER_BYTES + self.names.len() + self.content.frames.len()
    }
}

/// A record read back; every field borrows from the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Milliseconds since the Unix epoch at which the broker accepted the message.
    pub timestamp_ms: u64,
    /// `FLAG_…` bits.
    pub flags: u16,
    /// Exchange and routing key as two short strings.
    pub names: &'a [u8],
    /// Header and body.
    pub content: Content<'a>,
}

impl<'a> From<RecordFields<'a>> for Record<'a> {
    fn from(fields: RecordFields<'a>) -> Record<'a> {
        Record {
            timestamp_ms: fields.timestamp_ms,
            flags: fields.flags,
            names: fields.names,
            content: fields.content,
        }
    }
}

impl<'a> Record<'a> {
    /// Bytes of the whole record.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        RECORD_HEADER_BYTES + self.names.len() + self.content.frames.len()
    }

    /// Splits `bytes` into its fields, or `None` when the lengths inside do not fit: a record that this
    /// process wrote always fits.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Record<'a>> {
        let (head, rest) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let flags = u16::from_le_bytes([head[16], head[17]]);
        let names_len = u16::from_le_bytes([head[18], head[19]]) as usize;
        let header_len = u32::from_le_bytes([head[20], head[21], head[22], head[23]]) as usize;
        let timestamp_ms = u64::from_le_bytes(head[24..32].try_into().ok()?);
        let (names, frames) = rest.split_at_checked(names_len)?;
        (frames.len() >= header_len + FRAME_OVERHEAD).then_some(Record {
            timestamp_ms,
            flags,
            names,
            content: Content { frames, header_len },
        })
    }

    /// Exchange and routing key.
    pub fn split_names(&self) -> (&'a [u8], &'a [u8]) {
        let (exchange, rest) = short_string(self.names);
        (exchange, short_string(rest).0)
    }
}

/// The short string at the start of `bytes`, and the rest.
fn short_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (&len, rest) = bytes.split_first().unwrap_or((&0, &[]));
    rest.split_at_checked(len.into()).unwrap_or((rest, &[]))
}

/// Exchange and routing key as the two short strings of a record.
pub fn join_names(exchange: &str, routing_key: &str) -> Vec<u8> {
    debug_assert!(exchange.len() <= 255 && routing_key.len() <= 255);
    let lengths = [exchange.len() as u8, routing_key.len() as u8];
    [
        &lengths[..1],
        exchange.as_bytes(),
        &lengths[1..],
        routing_key.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; 14] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0];

    fn encode(fields: &RecordFields<'_>) -> Vec<u8> {
        [&fields.head()[..], fields.names, fields.content.frames()].concat()
    }

    #[test]
    fn reads_back_what_was_written() {
        for body in [&b"hello"[..], b""] {
            let (names, mut buffer) = (join_names("orders", "eu.new"), Vec::new());
            let fields = RecordFields {
                timestamp_ms: 1_700_000_000_123,
                flags: FLAG_PERSISTENT,
                names: &names,
                content: Content::build(&mut buffer, &HEADER, body),
            };
            let bytes = encode(&fields);
            assert_eq!(bytes.len(), fields.encoded_len());
            let record = Record::parse(&bytes).unwrap();
            assert_eq!(
                (record.timestamp_ms, record.flags),
                (fields.timestamp_ms, fields.flags)
            );
            assert_eq!(record.split_names(), (&b"orders"[..], &b"eu.new"[..]));
            assert_eq!(record.content.header(), HEADER);
            assert_eq!(
                (record.content.body(), record.content.body_len()),
                (body, body.len())
            );
        }
    }

    #[test]
    fn built_frames_are_what_a_publisher_sends() {
        let mut sent = Vec::new();
        wire::encode_header_frame(&mut sent, 0, &HEADER);
        wire::encode_body_frames(&mut sent, 0, b"hello", 4096);
        let mut buffer = Vec::new();
        assert_eq!(Content::build(&mut buffer, &HEADER, b"hello").frames(), sent);
    }

    #[test]
    fn refuses_every_truncation_that_cuts_a_named_field() {
        let (names, mut buffer) = (join_names("x", "key"), Vec::new());
        let content = Content::build(&mut buffer, &HEADER, b"");
        let fields = RecordFields {
            timestamp_ms: 1,
            flags: 0,
            names: &names,
            content,
        };
        let bytes = encode(&fields);
        for cut in 0..bytes.len() {
            assert_eq!(Record::parse(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
