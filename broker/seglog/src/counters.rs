//! What the logs of one data directory have done and hold.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot. Totals since the store was opened, except where "now" is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Bytes of records, markers, headers and footers.
    pub bytes_written: u64,
    /// Positional writes.
    pub writes: u64,
    /// Syncs of segment files.
    pub syncs: u64,
    /// Segments that came to be by appends.
    pub segments_created: u64,
    /// Files of settled segments that were kept for new ones.
    pub segments_recycled: u64,
    /// Settled segments that are gone, recycled ones among them.
    pub segments_removed: u64,
    /// Sparse segments that were rewritten.
    pub segments_rewritten: u64,
    /// Bytes that were copied to rewrite them.
    pub bytes_rewritten: u64,
    /// Bytes of file that removing and rewriting gave back.
    pub bytes_reclaimed: u64,
    /// Mapped segments now.
    pub mappings: u64,
    /// Segments now.
    pub segments: u64,
    /// Bytes of all segment files now.
    pub bytes_on_disk: u64,
}

/// Relaxed throughout: each is a number for people, and orders nothing.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_written: Counter,
    pub(crate) writes: Counter,
    pub(crate) syncs: Counter,
    pub(crate) segments_created: Counter,
    pub(crate) segments_recycled: Counter,
    pub(crate) segments_removed: Counter,
    pub(crate) segments_rewritten: Counter,
    pub(crate) bytes_rewritten: Counter,
    pub(crate) bytes_reclaimed: Counter,
    pub(crate) mappings: Counter,
    pub(crate) segments: Counter,
    pub(crate) bytes_on_disk: Counter,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> LogCounters {
        LogCounters {
            bytes_written: self.bytes_written.get(),
            writes: self.writes.get(),
            syncs: self.syncs.get(),
            segments_created: self.segments_created.get(),
            segments_recycled: self.segments_recycled.get(),
            segments_removed: self.segments_removed.get(),
            segments_rewritten: self.segments_rewritten.get(),
            bytes_rewritten: self.bytes_rewritten.get(),
            bytes_reclaimed: self.bytes_reclaimed.get(),
            mappings: self.mappings.get(),
            segments: self.segments.get(),
            bytes_on_disk: self.bytes_on_disk.get(),
        }
    }

    /// A segment of `bytes` is there now.
    pub(crate) fn segment_added(&self, bytes: u64) {
        self.segments.add(1);
        self.bytes_on_disk.add(bytes);
    }

    /// A segment of `bytes` is no longer there.
    pub(crate) fn segment_dropped(&self, bytes: u64) {
        self.segments.subtract(1);
        self.bytes_on_disk.subtract(bytes);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
