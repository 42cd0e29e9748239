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

use crate::{budget::Budget, chunk::CHUNK_BYTES_MAX};

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
    /// The part of it that is held by what cannot spill.
    held: Budget,
    chunk_bytes: usize,
    free_max: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl ChunkPool {
    /// A pool with nothing charged and no memory allocated yet.
    pub fn new(config: PoolConfig) -> Arc<ChunkPool> {
        ChunkPool::with_reserve(config, 0)
    }

    /// The same, where [`try_hold`](Self::try_hold) leaves `reserve` bytes of the budget to the rings.
    pub fn with_reserve(config: PoolConfig, reserve: usize) -> Arc<ChunkPool> {
        assert!(
            (1..=CHUNK_BYTES_MAX).contains(&config.chunk_bytes),
            "chunk size out of range"
        );
        Arc::new(ChunkPool {
            budget: Budget::new(config.bytes_budget),
            held: Budget::new(config.bytes_budget.saturating_sub(reserve)),
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

    /// Charges bytes that have to stay in memory until they can be put into a ring. False when the budget does not allow it, or when the
    /// rings would be left with less than the reserve: what they hold can spill, and were there no room for them, what is held would
    /// wait for itself.
    pub fn try_hold(&self, bytes: usize) -> bool {
        if !self.held.try_charge(bytes) {
            return false;
        }
        let is_charged = self.budget.try_charge(bytes);
        if !is_charged {
            self.held.release(bytes);
        }
        is_charged
    }

    /// Ends a charge made by [`try_hold`](Self::try_hold).
    pub fn release_held(&self, bytes: usize) {
        self.budget.release(bytes);
        self.held.release(bytes);
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn pool(bytes_budget: usize) -> Arc<ChunkPool> {
        ChunkPool::new(PoolConfig {
            bytes_budget,
            chunk_bytes: 1024,
        })
    }

    #[test]
    fn refuses_what_passes_the_budget_and_recovers() {
        let pool = pool(2048);
        let first = pool.try_take(1024).unwrap();
        assert!(pool.try_charge(1000));
        assert!(pool.try_take(25).is_none());
        assert!(!pool.try_charge(25));
        assert!(!pool.try_charge(usize::MAX), "no overflow");
        assert_eq!(pool.bytes_used(), 2024);
        pool.give_back(first);
        pool.release(1000);
        assert_eq!(pool.bytes_used(), 0);
        assert_eq!(pool.try_take(2048).map(|chunk| chunk.len()), Some(2048));
    }

    #[test]
    fn what_is_held_leaves_the_reserve_to_the_rings() {
        let config = PoolConfig {
            bytes_budget: 4096,
            chunk_bytes: 1024,
        };
        let pool = ChunkPool::with_reserve(config, 1024);
        assert!(pool.try_hold(3000) && !pool.try_hold(73) && pool.try_hold(72));
        let chunk = pool.try_take(1024).unwrap();
        assert!(pool.try_take(1).is_none());
        pool.release_held(3072);
        let others = [pool.try_take(1024).unwrap(), pool.try_take(1024).unwrap()];
        assert!(!pool.try_hold(1025) && pool.try_hold(1024));
        pool.release_held(1024);
        others
            .into_iter()
            .chain([chunk])
            .for_each(|chunk| pool.give_back(chunk));
        assert_eq!(pool.bytes_used(), 0);
    }

    #[test]
    fn recycles_ordinary_chunks_only() {
        let pool = pool(1 << 20);
        let chunk = pool.try_take(1024).unwrap();
        let odd = pool.try_take(1000).unwrap();
        let address = chunk.as_ptr();
        pool.give_back(odd);
        pool.give_back(chunk);
        assert_eq!(pool.free.lock().len(), 1);
        let again = pool.try_take(1024).unwrap();
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn the_free_list_is_bounded() {
        let pool = ChunkPool::new(PoolConfig {
            bytes_budget: usize::MAX,
            chunk_bytes: FREE_BYTES_MAX / 2,
        });
        let chunks: Vec<_> = (0..4)
            .map(|_| pool.try_take(FREE_BYTES_MAX / 2).unwrap())
            .collect();
        chunks.into_iter().for_each(|chunk| pool.give_back(chunk));
        assert_eq!(pool.free.lock().len(), 2);
        assert_eq!(pool.bytes_used(), 0);
    }

    #[test]
    #[should_panic(expected = "released 2 bytes of 1 charged")]
    fn a_release_without_a_charge_is_caught() {
        let pool = pool(100);
        assert!(pool.try_charge(1));
        pool.release(2);
    }
}
