//! The bounded record buffer of one queue.
//!
//! A chain of chunks from the shared pool. Appending claims, writes and publishes in one step, because the ring
//! has one owner at a time (`&mut self`; the queue's mutex is outside): what [`Ring::next_offset`] has passed is
//! readable. There is no waiting: a full ring answers [`RingFull`] and changes nothing.
//!
//! ```text
//!   sealed chunks, by first offset                open chunk
//!   [live ..][.. live ..]   (gap: freed)  [live]  [live ......  free ]
//!   ^ head()                                                   ^ next_offset()
//! ```
//!
//! Invariants: chunks are disjoint and ascending in offset; a sealed chunk has a live record (without one it is
//! freed at once, wherever it stands); `bytes_held` is the sum of the chunks' capacities and is charged to the pool.
//!
//! Memory: an idle ring holds nothing. A first chunk is small, and each next one is four times as large up to the
//! pool's chunk size. A ring that becomes empty rewinds its last chunk in place, so a busy queue that empties at
//! every turn asks the pool for nothing; [`Ring::trim`], called now and then, gives an idle one's chunk back.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    ChunkPool, Offset, Records,
    chunk::{CHUNK_BYTES_MAX, Chunk, SLOT_BYTES},
};

/// Each chunk of a busy ring is this many times as large as the one before.
const CHUNK_GROWTH: usize = 4;

/// The limits of one ring.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig {
    /// The most records that are held and not released.
    pub messages_max: usize,
    /// The most bytes of chunks that are held, the index of 4 bytes a record included.
    pub bytes_max: usize,
    /// The size of the first chunk.
    pub chunk_bytes_first: usize,
}

impl Default for RingConfig {
    fn default() -> Self {
        RingConfig {
            messages_max: 65_536,
            bytes_max: 64 * 1024 * 1024,
            chunk_bytes_first: 4 * 1024,
        }
    }
}

/// Which limit keeps a record out. A normal answer: the publisher holds back and tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFull {
    /// `messages_max` records are live.
    Messages,
    /// The chunk that the record needs would pass `bytes_max`.
    Bytes,
    /// The pool's budget, shared with all other queues, is used up.
    Budget,
}

/// A bounded buffer of records, numbered from an [`Offset`] on.
#[derive(Debug)]
pub struct Ring {
    config: RingConfig,
    pool: Arc<ChunkPool>,
    sealed: VecDeque<Chunk>,
    /// Takes the appends; without memory while the ring is idle.
    open: Chunk,
    chunk_bytes_next: usize,
    live: usize,
    live_bytes: usize,
    bytes_held: usize,
    /// The sealed chunk that the last release fell in: a guess for the next one.
    hint: usize,
    /// `next_offset` at the last trim: equal means that nothing was appended in between.
    next_at_trim: Offset,
}

impl Ring {
    /// An empty ring whose first record will be `first`.
    pub fn new(config: RingConfig, pool: Arc<ChunkPool>, first: Offset) -> Ring {
        Ring {
            chunk_bytes_next: chunk_bytes_smallest(&config, &pool),
            config,
            pool,
            sealed: VecDeque::new(),
            open: Chunk::new(Vec::new(), first),
            live: 0,
            live_bytes: 0,
            bytes_held: 0,
            hint: 0,
            next_at_trim: first,
        }
    }

    /// Appends one record, the concatenation of `parts`, and publishes it under the offset it answers with.
    #[inline]
    pub fn try_append(&mut self, parts: &[&[u8]]) -> Result<Offset, RingFull> {
        if self.live >= self.config.messages_max {
            return Err(RingFull::Messages);
        }
        let bytes = parts.iter().map(|part| part.len()).sum();
        if !self.open.has_room(bytes) {
            self.open_chunk(bytes)?;
        }
        let offset = self.open.next();
        self.open.push(parts);
        self.live += 1;
        self.live_bytes += bytes;
        Ok(offset)
    }

    /// The record at `offset`. `None` when it is not yet published, or was released.
    #[inline]
    pub fn get(&self, offset: Offset) -> Option<&[u8]> {
        if let Some(index) = self.open.index_of(offset) {
            return self.open.get(index);
        }
        let chunk = &self.sealed[self.sealed_at(offset)?];
        chunk.get(chunk.index_of(offset)?)
    }

    /// All records held from `offset` on, in order, without a lookup for each. Released ones are passed over.
    pub fn records_from(&self, offset: Offset) -> Records<'_> {
        let after = self.sealed.partition_point(|chunk| chunk.next() <= offset);
        Records::new(self.sealed.range(after..), &self.open, offset)
    }

    /// Says that the record at `offset` will not be read again. False when it was released before or never appended.
    #[inline]
    pub fn release(&mut self, offset: Offset) -> bool {
        if let Some(index) = self.open.index_of(offset) {
            let Some(bytes) = self.open.release(index) else {
                return false;
            };
            self.note_released(1, bytes);
            if self.open.live() == 0 {
                self.open_emptied();
            }
            return true;
        }
        self.release_sealed(offset)
    }

    #[inline]
    fn release_sealed(&mut self, offset: Offset) -> bool {
        let Some(at) = self.sealed_at(offset) else {
            return false;
        };
        let chunk = &mut self.sealed[at];
        let Some(index) = chunk.index_of(offset) else {
            return false;
        };
        let Some(bytes) = chunk.release(index) else {
            return false;
        };
        let is_empty = chunk.live() == 0;
        self.hint = at;
        self.note_released(1, bytes);
        if is_empty {
            self.free_sealed(at);
        }
        true
    }

    /// Releases every record of `count` offsets from `first` on that is still held, and answers how many those were.
    pub fn release_range(&mut self, first: Offset, count: u64) -> u64 {
        let end = first.advance(count);
        let live_before = self.live;
        let mut at = self.sealed.partition_point(|chunk| chunk.next() <= first);
        while at < self.sealed.len() && self.sealed[at].first() < end {
            let (records, bytes) = self.sealed[at].release_range(first, end);
            self.note_released(records, bytes);
            if self.sealed[at].live() == 0 {
                self.free_sealed(at);
            } else {
                at += 1;
            }
        }
        let (records, bytes) = self.open.release_range(first, end);
        self.note_released(records, bytes);
        if records > 0 && self.open.live() == 0 {
            self.open_emptied();
        }
        (live_before - self.live) as u64
    }

    /// Releases all records, gives back all memory, and answers how many records those were.
    pub fn clear(&mut self) -> usize {
        let dropped = self.live;
        self.live = 0;
        self.live_bytes = 0;
        while !self.sealed.is_empty() {
            self.free_sealed(self.sealed.len() - 1);
        }
        self.make_idle();
        dropped
    }

    /// Gives back the memory of an empty ring to which nothing was appended since the last call, and answers
    /// whether it did. The next append starts with a small chunk again. For a timer of a second or so.
    pub fn trim(&mut self) -> bool {
        let next = self.next_offset();
        let is_idle = self.is_empty() && next == self.next_at_trim && self.bytes_held > 0;
        self.next_at_trim = next;
        if is_idle {
            self.make_idle();
        }
        is_idle
    }

    /// The lowest offset still held, or [`next_offset`](Self::next_offset) when there is none.
    pub fn head(&self) -> Offset {
        self.sealed.front().unwrap_or(&self.open).head()
    }

    /// The offset of the next record to be appended.
    #[inline]
    pub fn next_offset(&self) -> Offset {
        self.open.next()
    }

    /// Records held and not released.
    #[inline]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether every record was released.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Bytes of the records held and not released.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes of the chunks held, which is what the pool's budget is charged with.
    #[inline]
    pub fn bytes_held(&self) -> usize {
        self.bytes_held
    }

    /// The most records that may be held.
    #[inline]
    pub fn capacity_messages(&self) -> usize {
        self.config.messages_max
    }

    /// How full the ring is, from 0 to 1: by records or by memory in use, whichever is more. The free part of
    /// the open chunk does not count.
    pub fn fill_ratio(&self) -> f64 {
        let messages = self.live as f64 / self.config.messages_max as f64;
        let bytes = (self.bytes_held - self.open.bytes_free()) as f64 / self.config.bytes_max as f64;
        messages.max(bytes)
    }

    #[inline]
    fn note_released(&mut self, records: usize, bytes: usize) {
        self.live -= records;
        self.live_bytes -= bytes;
    }

    /// The one sealed chunk that may hold `offset`.
    #[inline]
    fn sealed_at(&self, offset: Offset) -> Option<usize> {
        if let Some(chunk) = self.sealed.get(self.hint)
            && chunk.index_of(offset).is_some()
        {
            return Some(self.hint);
        }
        let after = self.sealed.partition_point(|chunk| chunk.first() <= offset);
        after.checked_sub(1)
    }

    /// Seals the open chunk and opens one with room for a record of `bytes`.
    #[cold]
    fn open_chunk(&mut self, bytes: usize) -> Result<(), RingFull> {
        let needed = bytes.saturating_add(SLOT_BYTES);
        let held = if self.open.live() == 0 {
            self.bytes_held - self.open.capacity()
        } else {
            self.bytes_held
        };
        let allowed = self.config.bytes_max.saturating_sub(held).min(CHUNK_BYTES_MAX);
        if needed > allowed {
            return Err(RingFull::Bytes);
        }
        if self.open.live() == 0 {
            self.close_open();
        }
        let memory = self.take_chunk(needed, allowed).ok_or(RingFull::Budget)?;
        self.bytes_held += memory.len();
        let next = self.open.next();
        let full = std::mem::replace(&mut self.open, Chunk::new(memory, next));
        if full.live() > 0 {
            self.sealed.push_back(full);
        }
        Ok(())
    }

    /// Memory of the size that is next in turn, or a smaller one where the limits leave no more; never below
    /// `needed`. A record that no ordinary chunk can hold gets exactly what it needs.
    fn take_chunk(&mut self, needed: usize, allowed: usize) -> Option<Vec<u8>> {
        let mut wanted = self.chunk_bytes_next;
        while wanted < needed && wanted < self.pool.chunk_bytes() {
            wanted = self.grown(wanted);
        }
        let mut bytes = wanted.min(allowed).max(needed);
        loop {
            if let Some(memory) = self.pool.try_take(bytes) {
                if bytes == wanted {
                    self.chunk_bytes_next = self.grown(wanted);
                }
                return Some(memory);
            }
            if bytes == needed {
                return None;
            }
            bytes = (bytes / CHUNK_GROWTH).max(needed);
        }
    }

    fn grown(&self, bytes: usize) -> usize {
        (bytes * CHUNK_GROWTH).min(self.pool.chunk_bytes())
    }

    /// All records of the open chunk are released: use it again from its start, unless memory is short or it is
    /// an oversized one.
    #[inline]
    fn open_emptied(&mut self) {
        let is_ordinary = self.open.capacity() <= self.pool.chunk_bytes();
        if is_ordinary && self.pool.bytes_used() <= self.pool.bytes_budget() / 2 {
            self.open.rewind(self.open.next());
        } else {
            self.close_open();
        }
    }

    /// Gives up everything that an empty ring still holds, so that it starts small again.
    fn make_idle(&mut self) {
        self.close_open();
        self.sealed = VecDeque::new();
        self.chunk_bytes_next = chunk_bytes_smallest(&self.config, &self.pool);
    }

    /// Gives back the memory of the open chunk, in which nothing is live.
    fn close_open(&mut self) {
        let next = self.open.next();
        let chunk = std::mem::replace(&mut self.open, Chunk::new(Vec::new(), next));
        self.give_back(chunk);
    }

    /// Gives back a sealed chunk, in which nothing is live.
    fn free_sealed(&mut self, at: usize) {
        let chunk = self.sealed.remove(at).expect("the chunk was just found there");
        self.give_back(chunk);
    }

    fn give_back(&mut self, chunk: Chunk) {
        let memory = chunk.into_bytes();
        self.bytes_held -= memory.len();
        if !memory.is_empty() {
            self.pool.give_back(memory);
        }
    }
}

fn chunk_bytes_smallest(config: &RingConfig, pool: &ChunkPool) -> usize {
    config.chunk_bytes_first.clamp(1, pool.chunk_bytes())
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.clear();
    }
}
