//! Files of settled segments, kept for new ones: their blocks are allocated already.
//!
//! Their names are temporary: at every start the directory is emptied. Nobody reads or maps a file that is here.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::failed;
use crate::storage::Storage;
use crate::{LogStore, SeglogError};

/// A bounded number of files of the maximum segment size.
#[derive(Debug)]
pub(crate) struct RecycledFiles {
    directory: PathBuf,
    files_max: usize,
    files: Mutex<Vec<PathBuf>>,
    named: AtomicU64,
}

impl RecycledFiles {
    /// Makes the directory when missing, and empties it.
    pub(crate) fn open(
        storage: &dyn Storage,
        directory: PathBuf,
        files_max: usize,
    ) -> Result<RecycledFiles, SeglogError> {
        storage
            .create_dir_all(&directory)
            .map_err(failed("create", &directory))?;
        for name in storage.list(&directory).map_err(failed("list", &directory))? {
            let path = directory.join(name);
            storage.remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok(RecycledFiles {
            directory,
            files_max,
            files: Mutex::default(),
            named: AtomicU64::new(0),
        })
    }

    /// A path that a file may be moved to, unless there are enough. The file counts once it is put there.
    pub(crate) fn vacancy(&self) -> Option<PathBuf> {
        if self.files.lock().len() >= self.files_max {
            return None;
        }
        // Relaxed: only that each name is another matters.
        let name = format!("{:020}.log", self.named.fetch_add(1, Ordering::Relaxed));
        Some(self.directory.join(name))
    }

    /// Offers a file for the next segment. That its old name is gone must be durable by now: its bytes will change.
    pub(crate) fn put(&self, path: PathBuf) {
        self.files.lock().push(path);
    }

    /// A file for a new segment, which is the caller's from now on.
    pub(crate) fn take(&self) -> Option<PathBuf> {
        self.files.lock().pop()
    }
}

impl LogStore {
    /// Whether a settled segment's file of `bytes` may become a new segment.
    pub(crate) fn is_recyclable(&self, bytes: u64) -> bool {
        bytes == self.options.segment_bytes_max
    }
}
