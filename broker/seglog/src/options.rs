//! The sizes and bounds of the logs of one data directory.

/// How large segments are, and how much of each scarce thing all logs together may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Size of a log's first segment; each later one is four times as large as the one before, up to the maximum.
    pub segment_bytes_first: u64,
    /// Size of a large log's segments; only a single record that needs more makes a larger one. Below 4 GiB.
    pub segment_bytes_max: u64,
    /// Sealed segments that are kept mapped for later reads.
    pub mappings_max: usize,
    /// Active segments whose files are kept open for later appends.
    pub open_files_max: usize,
    /// Files of settled segments that are kept for new ones.
    pub recycled_max: usize,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes_first: 1 << 20,
            segment_bytes_max: 64 << 20,
            mappings_max: 128,
            open_files_max: 256,
            recycled_max: 4,
        }
    }
}

/// Whether segments are made durable as they are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// The operating system writes them when it likes; `Log::sync` still makes everything durable.
    None,
    /// Before a new segment is created, everything before it is durable.
    Sync,
}
