//! The one byte format of a message, in memory now and on disk later.
//!
//! A record is written once, when a publish enters its queue, and is copied unchanged from there: to a
//! consumer's outbox, and to the log by whoever spills or persists it. All integers are little-endian.
//!
//! ```text
//!  0        4        8                16               24    26  27  28       32
//!  +--------+--------+----------------+----------------+-----+---+---+--------+----------+-------------+
//!  | crc32  | length | offset         | timestamp, ms  |flags|xl |kl |   hl   | exchange | routing key | …
//!  +--------+--------+----------------+----------------+-----+---+---+--------+----------+-------------+
//!  … | content header frame payload, as it came (hl bytes) | body (the rest of length) |
//! ```
//!
//! `length` counts the whole record. `crc32` covers every byte after itself and, like `offset`, is filled
//! in when a record leaves memory for the log: in the ring the position already names the offset, and a
//! checksum over memory that never left the process would only cost time.

/// Bytes before the exchange name.
pub const RECORD_HEADER_BYTES: usize = 32;

/// Set when the publisher asked for persistence (`delivery_mode` 2).
pub const FLAG_PERSISTENT: u16 = 1 << 0;

/// The fields of a message on its way into a queue, each borrowed from where it lies.
#[derive(Clone, Copy, Debug)]
pub struct RecordFields<'a> {
    /// Milliseconds since the Unix epoch at which the broker accepted the message.
    pub timestamp_ms: u64,
    /// `FLAG_…` bits.
    pub flags: u16,
    /// Exchange it was published to; at most 255 bytes.
    pub exchange: &'a [u8],
    /// Routing key; at most 255 bytes.
    pub routing_key: &'a [u8],
    /// Payload of the content header frame: class, weight, body size, property flags and list.
    pub header: &'a [u8],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> RecordFields<'a> {
    /// The fixed-size head; with the four variable parts it makes the record.
    #[inline]
    pub fn head(&self) -> [u8; RECORD_HEADER_BYTES] {
        debug_assert!(self.exchange.len() <= 255 && self.routing_key.len() <= 255);
        let mut head = [0; RECORD_HEADER_BYTES];
        head[4..8].copy_from_slice(&(self.encoded_len() as u32).to_le_bytes());
        head[16..24].copy_from_slice(&self.timestamp_ms.to_le_bytes());
        head[24..26].copy_from_slice(&self.flags.to_le_bytes());
        head[26] = self.exchange.len() as u8;
        head[27] = self.routing_key.len() as u8;
        head[28..32].copy_from_slice(&(self.header.len() as u32).to_le_bytes());
        head
    }

    /// Bytes of the whole record.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        RECORD_HEADER_BYTES
            + self.exchange.len()
            + self.routing_key.len()
            + self.header.len()
            + self.body.len()
    }
}

/// A record read back; every field borrows from the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Milliseconds since the Unix epoch at which the broker accepted the message.
    pub timestamp_ms: u64,
    /// `FLAG_…` bits.
    pub flags: u16,
    /// Exchange it was published to.
    pub exchange: &'a [u8],
    /// Routing key it was published with.
    pub routing_key: &'a [u8],
    /// Payload of the content header frame.
    pub header: &'a [u8],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Splits `bytes` into its fields, or `None` when the lengths inside do not fit: a record that this
    /// process wrote always fits.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Record<'a>> {
        let (head, rest) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let timestamp_ms = u64::from_le_bytes(head[16..24].try_into().ok()?);
        let flags = u16::from_le_bytes([head[24], head[25]]);
        let header_len = u32::from_le_bytes([head[28], head[29], head[30], head[31]]) as usize;
        let (exchange, rest) = rest.split_at_checked(head[26] as usize)?;
        let (routing_key, rest) = rest.split_at_checked(head[27] as usize)?;
        let (header, body) = rest.split_at_checked(header_len)?;
        Some(Record {
            timestamp_ms,
            flags,
            exchange,
            routing_key,
            header,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(fields: &RecordFields<'_>) -> Vec<u8> {
        [
            &fields.head()[..],
            fields.exchange,
            fields.routing_key,
            fields.header,
            fields.body,
        ]
        .concat()
    }

    #[test]
    fn reads_back_what_was_written() {
        let fields = RecordFields {
            timestamp_ms: 1_700_000_000_123,
            flags: FLAG_PERSISTENT,
            exchange: b"orders",
            routing_key: b"eu.new",
            header: &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0],
            body: b"hello",
        };
        let bytes = encode(&fields);
        assert_eq!(bytes.len(), fields.encoded_len());
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(record.timestamp_ms, fields.timestamp_ms);
        assert_eq!(record.flags, fields.flags);
        assert_eq!(record.exchange, fields.exchange);
        assert_eq!(record.routing_key, fields.routing_key);
        assert_eq!(record.header, fields.header);
        assert_eq!(record.body, fields.body);
    }

    #[test]
    fn refuses_every_truncation_that_cuts_a_named_field() {
        let fields = RecordFields {
            timestamp_ms: 1,
            flags: 0,
            exchange: b"x",
            routing_key: b"key",
            header: &[7; 14],
            body: b"",
        };
        let bytes = encode(&fields);
        for cut in 0..bytes.len() {
            assert_eq!(Record::parse(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
