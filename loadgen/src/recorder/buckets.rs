//! Latencies of one second in few buckets: enough for a heat map, small enough for one a second in `run.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Buckets to a factor of two.
const BUCKETS_PER_OCTAVE: f64 = 4.0;
/// Lower bound of the first bucket in ns; what is below counts in it.
const FIRST_NS: f64 = 1_000.0;

/// Counts by latency: bucket *b* holds latencies from 1 µs × 2^(b/4) up to the next one's bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyBuckets {
    /// Bucket of the first count; buckets before it and behind the last are empty.
    first: usize,
    counts: Vec<u64>,
}

impl LatencyBuckets {
    /// One more than the highest bucket: 60 s lie in the last.
    pub const COUNT: usize = 104;

    /// The bucket of a latency.
    #[must_use]
    pub fn of(latency_ns: u64) -> usize {
        let octaves = (latency_ns as f64 / FIRST_NS).max(1.0).log2();
        ((octaves * BUCKETS_PER_OCTAVE) as usize).min(Self::COUNT - 1)
    }

    /// Lower and upper bound of a bucket in ns.
    #[must_use]
    pub fn bounds_ns(bucket: usize) -> (f64, f64) {
        let bound = |bucket: usize| FIRST_NS * (bucket as f64 / BUCKETS_PER_OCTAVE).exp2();
        (bound(bucket), bound(bucket + 1))
    }

    /// From pairs of bucket and count, in ascending order of buckets; pairs of the same bucket add up.
    pub fn from_counts(pairs: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let mut buckets = Self::default();
        for (bucket, count) in pairs {
            buckets.add(bucket, count);
        }
        buckets
    }

    /// Adds to a bucket that is not below any other one added before.
    pub fn add(&mut self, bucket: usize, count: u64) {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        let index = bucket.saturating_sub(self.first);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += count;
    }

    /// Bucket and count, from the first bucket that is not empty to the last one. Never a bucket from
    /// [`COUNT`](Self::COUNT) on, whatever a file says.
    pub fn counts(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        (self.first..Self::COUNT).zip(self.counts.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_lies_within_its_bucket() {
        for latency_ns in [1_000, 1_200, 1_999, 2_000, 333_333, 60_000_000_000] {
            let (low, high) = LatencyBuckets::bounds_ns(LatencyBuckets::of(latency_ns));
            let latency = latency_ns as f64;
            assert!(low <= latency * 1.000_001 && latency < high, "{latency_ns}");
        }
        assert_eq!(LatencyBuckets::of(0), 0);
        assert_eq!(LatencyBuckets::of(u64::MAX), LatencyBuckets::COUNT - 1);
    }

    #[test]
    fn only_the_range_in_use_is_kept() {
        let buckets = LatencyBuckets::from_counts([(5, 1), (7, 2), (7, 3)]);
        assert_eq!(buckets.counts().collect::<Vec<_>>(), [(5, 1), (6, 0), (7, 5)]);
        assert_eq!(LatencyBuckets::default().counts().count(), 0);
        let damaged: LatencyBuckets = serde_json::from_str("{\"first\":103,\"counts\":[1,2,3]}").unwrap();
        assert_eq!(damaged.counts().collect::<Vec<_>>(), [(103, 1)]);
    }
}
