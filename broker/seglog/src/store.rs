//! What all logs of one data directory share: storage, sizes, open files, mappings, recycled files, counters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::counters::Counters;
use crate::error::failed;
use crate::mapped::MappingCache;
use crate::open_files::OpenFiles;
use crate::recycle::RecycledFiles;
use crate::storage::Storage;
use crate::{LogCounters, LogOptions, SeglogError};

/// The logs of one data directory. Whoever opens it has seen to it that nobody else does (a lock file).
#[derive(Debug)]
pub struct LogStore {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: LogOptions,
    pub(crate) counters: Arc<Counters>,
    pub(crate) open_files: OpenFiles,
    pub(crate) mappings: MappingCache,
    pub(crate) recycled: RecycledFiles,
    root: PathBuf,
}

impl LogStore {
    /// Opens the directory with a directory for each log, and the one for recycled files, on the same file system.
    /// Makes both when missing and empties the second.
    pub fn open(
        storage: Arc<dyn Storage>,
        root: PathBuf,
        recycle: PathBuf,
        options: LogOptions,
    ) -> Result<Arc<LogStore>, SeglogError> {
        /// Positions in a segment are 32 bits wide.
        const SEGMENT_BYTES_LIMIT: u64 = 1 << 31;
        /// A header, a marker and a footer leave room for some records.
        const SEGMENT_BYTES_LEAST: u64 = 1024;
        let segment_bytes_max = options
            .segment_bytes_max
            .clamp(SEGMENT_BYTES_LEAST, SEGMENT_BYTES_LIMIT);
        let segment_bytes_first = options
            .segment_bytes_first
            .clamp(SEGMENT_BYTES_LEAST, segment_bytes_max);
        let options = LogOptions {
            segment_bytes_first,
            segment_bytes_max,
            ..options
        };
        storage.create_dir_all(&root).map_err(failed("create", &root))?;
        // A log that a dead process removed must not come back after a power cut.
        storage.sync_dir(&root).map_err(failed("sync", &root))?;
        Ok(Arc::new(LogStore {
            counters: Arc::default(),
            open_files: OpenFiles::new(options.open_files_max),
            mappings: MappingCache::new(options.mappings_max),
            recycled: RecycledFiles::open(&*storage, recycle, options.recycled_max)?,
            storage,
            options,
            root,
        }))
    }

    /// The storage that everything goes through.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The directory with a directory for each log.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the logs have done and hold.
    pub fn counters(&self) -> LogCounters {
        self.counters.snapshot()
    }

    /// The logs that have a directory, in ascending order.
    pub fn log_names(&self) -> Result<Vec<String>, SeglogError> {
        self.storage.list(&self.root).map_err(failed("list", &self.root))
    }
}
