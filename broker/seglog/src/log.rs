//! One log: a directory of segments, the last of which may be active.
//!
//! Lock order: `collecting`, then `writer`, then `segments`, then what a segment locks itself. Readers take
//! `segments` only for as long as it takes to find one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::active::ActiveSegment;
use crate::append::Writer;
use crate::error::failed;
use crate::recovery::sync_names;
use crate::request::Request;
use crate::sealed::SealedSegment;
use crate::{LogStore, SeglogError};

/// An append-only log. One writer at a time, any number of readers, from any thread.
#[derive(Debug)]
pub struct Log {
    pub(crate) store: Arc<LogStore>,
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    pub(crate) segments: RwLock<Segments>,
    pub(crate) writer: Mutex<Writer>,
    /// Held by whoever removes or replaces sealed segments.
    pub(crate) collecting: Mutex<()>,
    /// Released after the segments that hold the offsets before it; partner: the acquire in `read`.
    pub(crate) written: AtomicU64,
    pub(crate) synced: AtomicU64,
    pub(crate) poison: OnceLock<String>,
    pub(crate) is_removed: AtomicBool,
}

/// Ascending, the active one last.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) sealed: Vec<Arc<SealedSegment>>,
    pub(crate) active: Option<Arc<ActiveSegment>>,
}

/// The segment that a read goes to.
enum Place {
    Sealed(Arc<SealedSegment>),
    Active(Arc<ActiveSegment>),
}

impl Log {
    /// Starts a log of that name, without any file until the first append. Whatever is left in its directory is
    /// removed first.
    pub fn create(store: &Arc<LogStore>, name: &str) -> Result<Log, SeglogError> {
        let directory = store.root().join(name);
        let names = store
            .storage
            .list(&directory)
            .map_err(failed("list", &directory))?;
        for name in &names {
            let path = directory.join(name);
            store
                .storage
                .remove_file(&path)
                .map_err(failed("remove", &path))?;
        }
        sync_names(&*store.storage, &directory)?;
        Ok(Log::new(store, name, Vec::new(), 0, 0))
    }

    /// A log with these durable segments, whose next epoch is `epoch_before` + 1.
    pub(crate) fn new(
        store: &Arc<LogStore>,
        name: &str,
        sealed: Vec<Arc<SealedSegment>>,
        next: u64,
        epoch_before: u64,
    ) -> Log {
        Log {
            store: Arc::clone(store),
            name: name.to_owned(),
            directory: store.root().join(name),
            segments: RwLock::new(Segments { sealed, active: None }),
            writer: Mutex::new(Writer::new(epoch_before + 1, store.options.segment_bytes_first)),
            collecting: Mutex::new(()),
            written: AtomicU64::new(next),
            synced: AtomicU64::new(next),
            poison: OnceLock::new(),
            is_removed: AtomicBool::new(false),
        }
    }

    /// One past the last offset that was written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// One past the last offset of which it is certain that it is durable.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Bytes of its files.
    pub fn bytes_on_disk(&self) -> u64 {
        let segments = self.segments.read();
        let active = segments
            .active
            .as_ref()
            .map_or(0, |active| active.header.capacity);
        segments.sealed.iter().map(|sealed| sealed.bytes).sum::<u64>() + active
    }

    /// Number of its files.
    pub fn segments(&self) -> usize {
        let segments = self.segments.read();
        segments.sealed.len() + usize::from(segments.active.is_some())
    }

    /// Appends to `out` whole, verified records with offsets from `from` on, in order, until `bytes_max` bytes are
    /// there: at least one, whatever its size, and less when a segment ends. Returns where to go on. With nothing
    /// more to read, `out` is unchanged and the answer is `written().max(from)`.
    ///
    /// # Errors
    /// `Damaged` when the next record is; those before it were returned by an earlier call. `out` is unchanged.
    pub fn read(&self, from: u64, bytes_max: usize, out: &mut Vec<u8>) -> Result<u64, SeglogError> {
        // Before any segment is looked at: what is appended meanwhile must not be passed over.
        let written = self.written();
        let bytes_before = out.len();
        let mut request = Request::new(from, bytes_max, out);
        while let Some(place) = self.place(request.next) {
            let (outcome, next) = match &place {
                Place::Sealed(sealed) => (sealed.read(&self.store, &mut request), sealed.summary.next),
                Place::Active(active) => (active.read(&self.store, &mut request), active.next()),
            };
            match outcome {
                Err(error) => {
                    out.truncate(bytes_before);
                    return Err(error);
                }
                // Sealed, replaced or removed meanwhile: the list says what it is now.
                Ok(false) => continue,
                Ok(true) if request.taken() > 0 => return Ok(request.next),
                // Nothing here for this reader.
                Ok(true) if matches!(place, Place::Active(_)) => break,
                Ok(true) => request.next = next,
            }
        }
        Ok(written.max(from))
    }

    /// The segment with the least offset at or above `from`.
    fn place(&self, from: u64) -> Option<Place> {
        let segments = self.segments.read();
        let at = segments
            .sealed
            .partition_point(|sealed| sealed.summary.next <= from);
        match (segments.sealed.get(at), &segments.active) {
            (Some(sealed), _) => Some(Place::Sealed(Arc::clone(sealed))),
            (None, Some(active)) if active.next() > from => Some(Place::Active(Arc::clone(active))),
            (None, _) => None,
        }
    }

    /// Refuses to go on after a failure or a removal.
    pub(crate) fn usable(&self) -> Result<(), SeglogError> {
        if self.is_removed.load(Ordering::Acquire) {
            return Err(SeglogError::Removed {
                name: self.name.clone(),
            });
        }
        match self.poison.get() {
            Some(reason) => Err(SeglogError::Poisoned {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Directory, append, offsets, small, try_offsets};
    use crate::{Records, SyncPolicy};

    #[test]
    fn reads_from_anywhere_across_gaps_and_segments() {
        let directory = Directory::new(small());
        let store = directory.open();
        let log = Log::create(&store, "q").unwrap();
        let present: Vec<u64> = (0..600)
            .filter(|offset| offset % 7 != 3 && offset / 50 != 4)
            .collect();
        for batch in present.chunks(23) {
            append(&log, batch.iter().copied(), 60, SyncPolicy::None);
        }
        assert!(log.segments() > 5);
        for from in 0..610 {
            let expected: Vec<_> = present.iter().copied().filter(|offset| *offset >= from).collect();
            for bytes_max in [0, 100, 1 << 20] {
                assert_eq!(
                    try_offsets(&log, from, bytes_max).unwrap(),
                    expected,
                    "{from} {bytes_max}"
                );
            }
        }
        assert!(store.counters().mappings <= 4);
        let mut out = vec![1, 2, 3];
        assert_eq!(log.read(1000, 10, &mut out).unwrap(), 1000);
        assert_eq!(log.read(600, 10, &mut out).unwrap(), log.written());
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn takes_no_more_than_asked_for_but_one() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..10, 82, SyncPolicy::None);
        for (bytes_max, records) in [(0, 1), (99, 1), (100, 1), (199, 1), (200, 2), (1000, 10)] {
            let mut out = Vec::new();
            assert_eq!(log.read(0, bytes_max, &mut out).unwrap(), records);
            assert_eq!(Records::new(&out).count() as u64, records);
        }
    }

    #[test]
    fn readers_keep_up_with_a_writer() {
        const OFFSETS: u64 = 5000;
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut next = 0;
                    while next < OFFSETS {
                        let read = try_offsets(&log, next, 5000).unwrap();
                        assert!(read.iter().copied().eq(next..next + read.len() as u64));
                        next += read.len() as u64;
                        std::thread::yield_now();
                    }
                });
            }
            for start in (0..OFFSETS).step_by(50) {
                append(&log, start..start + 50, 40, SyncPolicy::None);
            }
        });
        assert_eq!(offsets(&log, OFFSETS - 5).len(), 5);
    }
}
