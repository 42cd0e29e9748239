//! One contiguous run of records: a slotted page.
//!
//! ```text
//!  0                     end                 index_start                capacity
//!  | record 0 | record 1 | ...  free  ...    | slot 1 | slot 0          |
//! ```
//!
//! Records grow from the front, one 4-byte slot a record grows from the back. A slot holds the end of its record
//! (31 bits) and the mark that the record was released (bit 31); a record starts where the one before it ends.
//! So a chunk is one allocation, its index is inside the bytes that the pool counts, and a double release is seen.
//!
//! Owned by a [`Ring`](crate::Ring), which decides when a chunk is opened, sealed, rewound or freed.

use crate::Offset;

/// Bytes of index that each record costs.
pub(crate) const SLOT_BYTES: usize = 4;
/// Set in a slot when its record was released.
const RELEASED: u32 = 1 << 31;
/// The largest chunk, so that every position leaves bit 31 free.
pub(crate) const CHUNK_BYTES_MAX: usize = (RELEASED - 1) as usize;

/// Invariants: `end <= index_start`; `index_start == bytes.len() - 4 * count`; `live` slots lack the mark;
/// every slot before `head` has it.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    first: Offset,
    end: u32,
    index_start: u32,
    count: u32,
    live: u32,
    head: u32,
}

impl Chunk {
    /// An empty chunk over `bytes`, whose first record will be `first`.
    pub(crate) fn new(bytes: Vec<u8>, first: Offset) -> Chunk {
        assert!(bytes.len() <= CHUNK_BYTES_MAX, "chunk positions must fit 31 bits");
        let index_start = bytes.len() as u32;
        Chunk {
            bytes,
            first,
            end: 0,
            index_start,
            count: 0,
            live: 0,
            head: 0,
        }
    }

    /// Forgets all records and starts again at `first`, in the same memory.
    pub(crate) fn rewind(&mut self, first: Offset) {
        debug_assert_eq!(self.live, 0);
        self.first = first;
        self.end = 0;
        self.index_start = self.bytes.len() as u32;
        self.count = 0;
        self.head = 0;
    }

    /// Gives up the memory, whatever is in it.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    #[inline]
    pub(crate) fn has_room(&self, record_bytes: usize) -> bool {
        record_bytes + SLOT_BYTES <= self.bytes_free()
    }

    /// Writes one record. The caller has checked [`has_room`](Self::has_room) for the sum of `parts`.
    #[inline]
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        let mut end = self.end as usize;
        for part in parts {
            self.bytes[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        let slot = self.index_start as usize - SLOT_BYTES;
        debug_assert!(end <= slot);
        self.bytes[slot..slot + SLOT_BYTES].copy_from_slice(&(end as u32).to_le_bytes());
        self.end = end as u32;
        self.index_start = slot as u32;
        self.count += 1;
        self.live += 1;
    }

    #[inline]
    fn slot_position(&self, index: u32) -> usize {
        self.bytes.len() - SLOT_BYTES * (index as usize + 1)
    }

    #[inline]
    fn slot(&self, index: u32) -> u32 {
        let at = self.slot_position(index);
        read_slot(&self.bytes[at..at + SLOT_BYTES])
    }

    #[inline]
    fn start(&self, index: u32) -> u32 {
        if index == 0 {
            0
        } else {
            self.slot(index - 1) & !RELEASED
        }
    }

    /// The record at `index`, which is below `count`. `None` when it was released.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&[u8]> {
        let slot = self.slot(index);
        if slot & RELEASED != 0 {
            return None;
        }
        Some(&self.bytes[self.start(index) as usize..slot as usize])
    }

    /// Marks the record at `index`, which is below `count`, and answers its size. `None` when it was already marked.
    #[inline]
    pub(crate) fn release(&mut self, index: u32) -> Option<usize> {
        let at = self.slot_position(index);
        let start = self.start(index);
        let bytes = &mut self.bytes[at..at + SLOT_BYTES];
        let slot = read_slot(bytes);
        if slot & RELEASED != 0 {
            return None;
        }
        bytes.copy_from_slice(&(slot | RELEASED).to_le_bytes());
        self.live -= 1;
        if index == self.head {
            self.advance_head();
        }
        Some((slot - start) as usize)
    }

    /// Releases what is not yet released from `first` up to `end`: answers records and bytes. When nothing is live
    /// any more the chunk must be freed or rewound.
    pub(crate) fn release_range(&mut self, first: Offset, end: Offset) -> (usize, usize) {
        let from = first.0.saturating_sub(self.first.0).min(u64::from(self.count)) as u32;
        let to = end.0.saturating_sub(self.first.0).min(u64::from(self.count)) as u32;
        if from == 0 && to == self.count && self.live == self.count {
            // All at once: the caller frees or rewinds the chunk, so that the marks are never asked for.
            self.live = 0;
            self.head = self.count;
            return (self.count as usize, self.end as usize);
        }
        let live_before = self.live;
        let bytes = (from.max(self.head)..to)
            .filter_map(|index| self.release(index))
            .sum();
        ((live_before - self.live) as usize, bytes)
    }

    /// Moves `head` over all released records: each is passed once in the life of the chunk.
    #[inline]
    fn advance_head(&mut self) {
        self.head += 1;
        while self.head < self.count && self.slot(self.head) & RELEASED != 0 {
            self.head += 1;
        }
    }

    /// The records from offset `from` on that are not released.
    #[inline]
    pub(crate) fn records(&self, from: Offset) -> ChunkRecords<'_> {
        let index = from.0.saturating_sub(self.first.0).min(u64::from(self.count)) as u32;
        let index = index.max(self.head);
        let slots_end = self.bytes.len() - SLOT_BYTES * index as usize;
        ChunkRecords {
            offset: self.first.advance(u64::from(index)),
            start: self.start(index),
            bytes: &self.bytes[..self.end as usize],
            slots: self.bytes[self.index_start as usize..slots_end].rchunks_exact(SLOT_BYTES),
        }
    }

    /// Where `offset` stands in this chunk, if it was written here.
    #[inline]
    pub(crate) fn index_of(&self, offset: Offset) -> Option<u32> {
        let index = offset.0.wrapping_sub(self.first.0);
        (index < u64::from(self.count)).then_some(index as u32)
    }

    #[inline]
    pub(crate) fn first(&self) -> Offset {
        self.first
    }

    /// The offset after the last record.
    #[inline]
    pub(crate) fn next(&self) -> Offset {
        self.first.advance(u64::from(self.count))
    }

    /// The lowest offset not released, or `next` when there is none.
    #[inline]
    pub(crate) fn head(&self) -> Offset {
        self.first.advance(u64::from(self.head))
    }

    #[inline]
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Bytes that neither records nor their slots take up.
    #[inline]
    pub(crate) fn bytes_free(&self) -> usize {
        (self.index_start - self.end) as usize
    }

    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

#[inline]
fn read_slot(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("a slot is four bytes"))
}

/// Walks one chunk; see [`Chunk::records`].
#[derive(Clone, Debug)]
pub(crate) struct ChunkRecords<'a> {
    offset: Offset,
    start: u32,
    bytes: &'a [u8],
    slots: std::slice::RChunksExact<'a, u8>,
}

impl<'a> Iterator for ChunkRecords<'a> {
    type Item = (Offset, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let slot = read_slot(self.slots.next()?);
            let (offset, start, end) = (self.offset, self.start, slot & !RELEASED);
            self.offset = offset.next();
            self.start = end;
            if slot & RELEASED == 0 {
                return Some((offset, &self.bytes[start as usize..end as usize]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk_of(records: &[&[u8]]) -> Chunk {
        let mut chunk = Chunk::new(vec![0xee; 64], Offset(100));
        for record in records {
            assert!(chunk.has_room(record.len()));
            chunk.push(&[record]);
        }
        chunk
    }

    #[test]
    fn records_and_slots_meet_in_the_middle() {
        let mut chunk = chunk_of(&[b"one", b"", b"three"]);
        assert_eq!(chunk.bytes_free(), 64 - 8 - 3 * SLOT_BYTES);
        assert!(chunk.has_room(40) && !chunk.has_room(41));
        chunk.push(&[&[7; 39], &[8; 1]]);
        assert_eq!(chunk.bytes_free(), 0);
        assert!(!chunk.has_room(0), "an empty record needs a slot too");
        assert_eq!(chunk.get(0), Some(&b"one"[..]));
        assert_eq!(chunk.get(1), Some(&b""[..]));
        assert_eq!(chunk.get(2), Some(&b"three"[..]));
        assert_eq!(chunk.get(3).unwrap()[38..], [7, 8]);
        assert_eq!(chunk.next(), Offset(104));
    }

    #[test]
    fn a_release_counts_once_and_moves_the_head() {
        let mut chunk = chunk_of(&[b"one", b"", b"three"]);
        assert_eq!(chunk.release(1), Some(0));
        assert_eq!(chunk.release(1), None);
        assert_eq!(chunk.head(), Offset(100));
        assert_eq!(chunk.get(1), None);
        assert_eq!(
            chunk.get(2),
            Some(&b"three"[..]),
            "its start is the end of a released one"
        );
        assert_eq!(chunk.release(0), Some(3));
        assert_eq!((chunk.head(), chunk.live()), (Offset(102), 1));
        assert_eq!(chunk.release_range(Offset(0), Offset(u64::MAX)), (1, 5));
        assert_eq!((chunk.head(), chunk.live()), (Offset(103), 0));
        assert_eq!(chunk.release(2), None);
    }

    #[test]
    fn the_walk_starts_anywhere_and_passes_over_released_records() {
        let mut chunk = chunk_of(&[b"a", b"b", b"c", b"d"]);
        chunk.release(0);
        chunk.release(2);
        let walk = |chunk: &Chunk, from| {
            chunk
                .records(Offset(from))
                .map(|(offset, _)| offset.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(walk(&chunk, 0), [101, 103]);
        assert_eq!(walk(&chunk, 102), [103]);
        assert_eq!(walk(&chunk, 104), []);
        assert_eq!(walk(&chunk, u64::MAX), []);
        assert_eq!(chunk.records(Offset(0)).next(), Some((Offset(101), &b"b"[..])));
        assert_eq!(chunk.release_range(Offset(0), Offset(u64::MAX)), (2, 2));
        chunk.rewind(Offset(200));
        chunk.push(&[b"e"]);
        assert_eq!(walk(&chunk, 0), [200]);
        assert_eq!(
            (chunk.index_of(Offset(103)), chunk.index_of(Offset(200))),
            (None, Some(0))
        );
    }
}
