//! The memory budget of the whole broker and the chunks that rings are made of.
//!
//! Shared by all threads. Every byte that a peer can make the broker hold (ring chunks, outboxes, partial
//! bodies) is charged here first, so the sum stays below one budget whatever the number of queues.
//!
//! Chunks of the full size are recycled through a short free list, so that a busy broker neither asks the
//! allocator nor touches fresh pages. The list is not part of the budget; it adds at most
//! [`FREE_BYTES_MAX`] to it.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::budget::Budget;

/// Chunks kept for reuse hold at most this many bytes.
const FREE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The two sizes of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// All bytes that may be charged at one time.
    pub bytes_budget: usize,
    /// The size of an ordinary chunk, the only one that is recycled.
    pub chunk_bytes: usize,
}

impl PoolConfig {
    /// The size of an ordinary chunk unless configured otherwise.
    pub const CHUNK_BYTES: usize = 256 * 1024;
}

/// The shared budget, with a free list of ordinary chunks.
#[derive(Debug)]
pub struct ChunkPool {
    budget: Budget,
    chunk_bytes: usize,
    free_max: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl ChunkPool {
    /// A pool with nothing charged and no memory allocated yet.
    pub fn new(config: PoolConfig) -> Arc<ChunkPool> {
        assert!(config.chunk_bytes > 0, "a chunk holds at least one byte");
        Arc::new(ChunkPool {
            budget: Budget::new(config.bytes_budget),
            chunk_bytes: config.chunk_bytes,
            free_max: FREE_BYTES_MAX / config.chunk_bytes,
            free: Mutex::new(Vec::new()),
        })
    }

    /// Charges `bytes` and hands out a buffer of exactly that **length**, with unspecified contents.
    /// `None` when the budget does not allow it.
    pub fn try_take(&self, bytes: usize) -> Option<Vec<u8>> {
        if !self.budget.try_charge(bytes) {
            return None;
        }
        let recycled = if bytes == self.chunk_bytes {
            self.free.lock().pop()
        } else {
            None
        };
        Some(recycled.unwrap_or_else(|| vec![0; bytes]))
    }

    /// Takes back a buffer from [`try_take`](Self::try_take), at the length it was handed out with.
    pub fn give_back(&self, chunk: Vec<u8>) {
        let bytes = chunk.len();
        if bytes == self.chunk_bytes {
            let mut free = self.free.lock();
            if free.len() < self.free_max {
                free.push(chunk);
            }
        }
        self.budget.release(bytes);
    }

    /// Charges bytes that live outside the pool's chunks. False when the budget does not allow it.
    #[inline]
    pub fn try_charge(&self, bytes: usize) -> bool {
        self.budget.try_charge(bytes)
    }

    /// Ends a charge made by [`try_charge`](Self::try_charge).
    #[inline]
    pub fn release(&self, bytes: usize) {
        self.budget.release(bytes);
    }

    /// Bytes charged now, by anyone.
    #[inline]
    pub fn bytes_used(&self) -> usize {
        self.budget.used()
    }

    /// The most that may be charged.
    #[inline]
    pub fn bytes_budget(&self) -> usize {
        self.budget.limit()
    }

    /// The size of an ordinary chunk.
    #[inline]
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }
}
