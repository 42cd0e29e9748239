//! Numbers that one thread writes and any thread may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer at a time: an addition is a load and a store, no locked instruction. Relaxed: it is a number for
/// people, and orders nothing.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; to be called by the one writer only, or additions are lost.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down; whoever sets it last is right.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The last value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
