//! A stretch of a queue's log in memory: what a queue deals from while its next messages are not in the ring.
//!
//! Filled outside the queue's lock with verified records, read under it. There is one per queue, and none while
//! nothing of the queue is cold.

use ring::Offset;
use seglog::Records;

/// Records of the offsets `first..next` as far as the log has them: an offset in between that is missing was settled
/// before it was written.
#[derive(Debug, Default)]
pub(super) struct ColdWindow {
    first: Offset,
    next: Offset,
    bytes: Vec<u8>,
    /// Where the record of each offset lies in `bytes`; ascending.
    index: Vec<(Offset, std::ops::Range<usize>)>,
}

impl ColdWindow {
    /// `bytes` are whole records, as [`seglog::Log::read`] gives them for offsets from `first` up to `next`.
    pub(super) fn new(first: Offset, next: Offset, bytes: Vec<u8>) -> ColdWindow {
        let mut end = 0;
        let index = Records::new(&bytes).map(|(offset, record)| {
            let start = end;
            end += record.len();
            (Offset(offset), start..end)
        });
        ColdWindow {
            first,
            next,
            index: index.collect(),
            bytes,
        }
    }

    /// Whether the window can tell what the log has at `offset`.
    pub(super) fn covers(&self, offset: Offset) -> bool {
        self.first <= offset && offset < self.next
    }

    /// End of the stretch.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// The record at `offset`, if it has one.
    pub(super) fn get(&self, offset: Offset) -> Option<&[u8]> {
        let at = self.index.binary_search_by_key(&offset, |entry| entry.0).ok()?;
        Some(&self.bytes[self.index[at].1.clone()])
    }

    /// The records from `offset` on.
    pub(super) fn records_from(&self, offset: Offset) -> impl Iterator<Item = (Offset, &[u8])> {
        let at = self.index.partition_point(|entry| entry.0 < offset);
        self.index[at..]
            .iter()
            .map(|(offset, range)| (*offset, &self.bytes[range.clone()]))
    }

    /// Bytes on the heap.
    pub(super) fn bytes_held(&self) -> usize {
        self.bytes.capacity() + self.index.capacity() * size_of::<(Offset, std::ops::Range<usize>)>()
    }

    /// The buffer, to be filled again.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bytes;
        bytes.clear();
        bytes
    }
}
