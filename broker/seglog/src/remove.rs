//! The end of a log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::failed;
use crate::{Log, SeglogError};

impl Log {
    /// Deletes every file and the directory. Reads find nothing from now on, and appends are refused. After an
    /// error it may be called again.
    pub fn remove(&self) -> Result<(), SeglogError> {
        let _collecting = self.collecting.lock();
        let _writer = self.writer.lock();
        self.is_removed.store(true, Ordering::Release);
        let segments = std::mem::take(&mut *self.segments.write());
        let store = &self.store;
        for sealed in &segments.sealed {
            sealed.retire(store);
            store.counters.segment_dropped(sealed.bytes);
        }
        if let Some(active) = &segments.active {
            active.finish(store);
            store.counters.segment_dropped(active.header.capacity);
        }
        store.counters.segments_removed.add(segments.sealed.len() as u64);
        let storage = Arc::clone(&store.storage);
        let directory = &self.directory;
        for name in storage.list(directory).map_err(failed("list", directory))? {
            let path = directory.join(name);
            storage.remove_file(&path).map_err(failed("remove", &path))?;
        }
        match storage.remove_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
            outcome => outcome.map_err(failed("remove", directory))?,
        }
        storage
            .sync_dir(store.root())
            .map_err(failed("sync", store.root()))
    }
}
