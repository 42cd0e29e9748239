//! Records on their way to one log.
//!
//! They lie in memory as they will lie on disk, with room in front for the commit marker, so that a batch becomes
//! durable with one write.

use crate::record::{FLAG_MARKER, HEAD_BYTES, Head, MARKER_BYTES, write_offset};

/// Records with ascending offsets, contiguous, to be appended together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Room for a marker, then whole records; checksums are missing until the batch is appended.
    pub(crate) buffer: Vec<u8>,
    records: usize,
    first: Option<u64>,
    next: u64,
}

impl Batch {
    /// No records.
    pub fn new() -> Batch {
        Batch {
            buffer: vec![0; MARKER_BYTES],
            records: 0,
            first: None,
            next: 0,
        }
    }

    /// Copies a whole record, whose head holds its length and flags, and gives it `offset`.
    ///
    /// # Panics
    /// When the length in the head is not `record.len()`, when the marker flag is set, or when `offset` is not above
    /// the last one: each would make the log unreadable.
    pub fn push(&mut self, offset: u64, record: &[u8]) {
        let head = Head::parse(record).expect("a record starts with its head");
        assert_eq!(head.bytes(), record.len(), "a record's head holds its length");
        assert_eq!(head.flags & FLAG_MARKER, 0, "markers are the log's own");
        assert!(
            offset >= self.next,
            "offset {offset} does not follow {}",
            self.next
        );
        let start = self.buffer.len();
        self.buffer.extend_from_slice(record);
        write_offset(&mut self.buffer[start..start + HEAD_BYTES], offset);
        self.records += 1;
        self.first.get_or_insert(offset);
        self.next = offset + 1;
    }

    /// Bytes of the records.
    pub fn bytes(&self) -> usize {
        self.buffer.len() - MARKER_BYTES
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The lowest offset.
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// One past the highest offset; 0 when there is none.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.buffer.truncate(MARKER_BYTES);
        self.records = 0;
        self.first = None;
        self.next = 0;
    }
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Records;
    use crate::testing::record;

    #[test]
    fn holds_records_behind_room_for_a_marker() {
        let mut batch = Batch::default();
        assert_eq!((batch.first(), batch.next(), batch.is_empty()), (None, 0, true));
        batch.push(7, &record(0, b"seven"));
        batch.push(9, &record(0, b"nine"));
        assert_eq!((batch.first(), batch.next(), batch.records()), (Some(7), 10, 2));
        assert_eq!(batch.bytes(), 2 * HEAD_BYTES + 9);
        let offsets: Vec<_> = Records::new(&batch.buffer[MARKER_BYTES..])
            .map(|(offset, _)| offset)
            .collect();
        assert_eq!(offsets, [7, 9]);
        batch.clear();
        assert_eq!((batch.first(), batch.next(), batch.bytes()), (None, 0, 0));
    }

    #[test]
    #[should_panic(expected = "does not follow")]
    fn refuses_an_offset_twice() {
        let mut batch = Batch::new();
        batch.push(7, &record(0, b""));
        batch.push(7, &record(0, b""));
    }
}
