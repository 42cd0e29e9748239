//! Files of active segments, of which only a bounded number is open.
//!
//! A file that must be durable is synced before it is closed for want of room: an error of a later write-back could
//! otherwise be reported to nobody.
//!
//! Lock order: no file's state is locked while the registry or another file's state is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::failed;
use crate::storage::{OpenMode, StorageFile};
use crate::{LogStore, SeglogError, SyncPolicy};

/// One active segment's file, reopened on demand until it is finished.
#[derive(Debug)]
pub(crate) struct OpenFile {
    path: PathBuf,
    state: Mutex<FileState>,
    /// When it was last opened or written, by the registry's clock; relaxed, as it only chooses whom to close.
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct FileState {
    file: Option<Arc<dyn StorageFile>>,
    /// Written since the last sync.
    is_unsynced: bool,
    /// Somebody counts on the next sync of what was written.
    syncs_on_close: bool,
    /// Why closing it for want of room failed.
    failure: Option<String>,
    /// The segment is sealed; its path may soon mean another file.
    is_finished: bool,
}

impl OpenFile {
    /// Takes over a file that was just created and synced.
    pub(crate) fn new(path: PathBuf, file: Arc<dyn StorageFile>, store: &LogStore) -> Arc<OpenFile> {
        let state = FileState {
            file: Some(file),
            ..FileState::default()
        };
        let file = Arc::new(OpenFile {
            path,
            state: Mutex::new(state),
            used: AtomicU64::new(0),
        });
        store.open_files.register(&file, store);
        file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file; none once it is finished.
    pub(crate) fn handle(
        self: &Arc<Self>,
        store: &LogStore,
    ) -> Result<Option<Arc<dyn StorageFile>>, SeglogError> {
        let mut state = self.state.lock();
        if state.is_finished {
            return Ok(None);
        }
        let (file, was_closed) = self.opened(&mut state, store)?;
        drop(state);
        if was_closed {
            store.open_files.register(self, store);
        }
        Ok(Some(file))
    }

    pub(crate) fn write(
        self: &Arc<Self>,
        store: &LogStore,
        bytes: &[u8],
        position: u64,
        policy: SyncPolicy,
    ) -> Result<(), SeglogError> {
        let mut state = self.state.lock();
        // Only reads go on after a failed sync.
        state.check()?;
        let (file, was_closed) = self.opened(&mut state, store)?;
        state.is_unsynced = true;
        state.syncs_on_close |= policy == SyncPolicy::Sync;
        file.write_all_at(bytes, position)
            .map_err(failed("write", &self.path))?;
        drop(state);
        store.counters.writes.add(1);
        store.counters.bytes_written.add(bytes.len() as u64);
        store.open_files.touch(self);
        if was_closed {
            store.open_files.register(self, store);
        }
        Ok(())
    }

    /// Makes all that was written durable. The caller is the only writer and does not write meanwhile.
    pub(crate) fn sync(self: &Arc<Self>, store: &LogStore) -> Result<(), SeglogError> {
        if !self.state.lock().is_unsynced {
            return self.state.lock().check();
        }
        // Not under the lock: readers of this segment go on while the disk works.
        if let Some(file) = self.handle(store)? {
            store.counters.syncs.add(1);
            file.sync_data().map_err(failed("sync", &self.path))?;
        }
        let mut state = self.state.lock();
        state.is_unsynced = false;
        state.syncs_on_close = false;
        state.check()
    }

    /// Closes it for good.
    pub(crate) fn finish(self: &Arc<Self>, store: &LogStore) {
        let mut state = self.state.lock();
        state.is_finished = true;
        state.file = None;
        drop(state);
        store.open_files.forget(self);
    }

    fn opened(
        &self,
        state: &mut FileState,
        store: &LogStore,
    ) -> Result<(Arc<dyn StorageFile>, bool), SeglogError> {
        if let Some(file) = &state.file {
            return Ok((Arc::clone(file), false));
        }
        let file = store
            .storage
            .open(&self.path, OpenMode::ReadWrite)
            .map_err(failed("open", &self.path))?;
        state.file = Some(Arc::clone(&file));
        Ok((file, true))
    }

    /// Closes it until it is needed again. A failure is told to the log that owns it, at its next append or sync.
    fn close(&self, store: &LogStore) {
        let mut state = self.state.lock();
        let Some(file) = state.file.take() else { return };
        if state.is_unsynced && state.syncs_on_close {
            store.counters.syncs.add(1);
            match file.sync_data().map_err(failed("sync", &self.path)) {
                Ok(()) => (state.is_unsynced, state.syncs_on_close) = (false, false),
                Err(error) => state.failure = Some(error.to_string()),
            }
        }
    }
}

impl FileState {
    fn check(&self) -> Result<(), SeglogError> {
        match &self.failure {
            Some(reason) => Err(SeglogError::Poisoned {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// The open files of all logs of a store.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    files_max: usize,
    clock: AtomicU64,
    files: Mutex<Vec<Arc<OpenFile>>>,
}

impl OpenFiles {
    pub(crate) fn new(files_max: usize) -> OpenFiles {
        OpenFiles {
            files_max: files_max.max(1),
            clock: AtomicU64::new(0),
            files: Mutex::default(),
        }
    }

    fn touch(&self, file: &OpenFile) {
        file.used
            .store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Counts a file that was just opened; closes the least recently written when there are too many.
    fn register(&self, file: &Arc<OpenFile>, store: &LogStore) {
        self.touch(file);
        let mut files = self.files.lock();
        files.push(Arc::clone(file));
        let surplus = if files.len() > self.files_max {
            let oldest = (0..files.len()).min_by_key(|at| files[*at].used.load(Ordering::Relaxed));
            oldest.map(|at| files.swap_remove(at))
        } else {
            None
        };
        drop(files);
        if let Some(surplus) = surplus {
            surplus.close(store);
        }
    }

    fn forget(&self, file: &Arc<OpenFile>) {
        self.files.lock().retain(|other| !Arc::ptr_eq(other, file));
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.files
            .lock()
            .iter()
            .filter(|file| file.state.lock().file.is_some())
            .count()
    }
}
