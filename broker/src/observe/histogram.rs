//! Histograms over powers of two that many threads may write: for what happens rarely, or is sampled.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets: one for each power of two below this, and one for everything above.
pub const BUCKETS_LOG2: usize = 40;

/// Counts values by the power of two that is not below them. One relaxed addition to a bucket and one to the sum.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_LOG2 + 1],
    sum: AtomicU64,
}

/// A copy of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramView {
    /// Values v with 2^(i-1) < v ≤ 2^i; the first also has 0, the last everything above.
    pub buckets: [u64; BUCKETS_LOG2 + 1],
    /// Of all values.
    pub sum: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: [const { AtomicU64::new(0) }; BUCKETS_LOG2 + 1],
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts a value.
    pub fn record(&self, value: u64) {
        let index = match value {
            0 | 1 => 0,
            _ => (64 - (value - 1).leading_zeros() as usize).min(BUCKETS_LOG2),
        };
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// As it is now; values that come meanwhile may be in or not.
    pub fn view(&self) -> HistogramView {
        HistogramView {
            buckets: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl HistogramView {
    /// Number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_below_the_power_of_two_that_is_not_below_it() {
        let histogram = Histogram::default();
        for (value, index) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (1 << 39, 39),
            (1 << 40, 40),
            (u64::MAX >> 8, BUCKETS_LOG2),
        ] {
            let before = histogram.view().buckets[index];
            histogram.record(value);
            assert_eq!(histogram.view().buckets[index], before + 1, "{value}");
        }
        assert_eq!(histogram.view().count(), 9);
    }
}
