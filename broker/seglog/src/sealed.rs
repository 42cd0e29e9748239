//! A segment that is complete: read through a mapping, with the index in its own footer.
//!
//! In memory it is only this struct, whatever the segment holds.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use crate::error::{damaged, failed};
use crate::footer::{Footer, Summary};
use crate::header::{HEADER_BYTES, SegmentHeader};
use crate::mapped::Mapped;
use crate::request::{ReadHint, Request, Stop};
use crate::storage::OpenMode;
use crate::{LogStore, SeglogError, Settled};

#[derive(Debug)]
pub(crate) struct SealedSegment {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) summary: Summary,
    /// Of the whole file.
    pub(crate) bytes: u64,
    /// From an earlier run: records without `FLAG_KEEP` are not there for anybody.
    pub(crate) kept_only: bool,
    /// How many of its offsets were settled when its live bytes were last counted.
    pub(crate) examined: AtomicU64,
    slot: Mutex<Slot>,
    hint: ReadHint,
}

/// Guards the path: whoever opens it holds the lock and has seen that the segment is not retired.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The path is or will soon be another file's, or nobody's.
    pub(crate) is_retired: bool,
    mapped: Weak<Mapped>,
}

impl SealedSegment {
    pub(crate) fn new(
        path: PathBuf,
        header: SegmentHeader,
        summary: Summary,
        bytes: u64,
        kept_only: bool,
    ) -> SealedSegment {
        SealedSegment {
            path,
            header,
            summary,
            bytes,
            kept_only,
            examined: AtomicU64::new(0),
            slot: Mutex::default(),
            hint: ReadHint::default(),
        }
    }

    /// Records that somebody may still want.
    pub(crate) fn present(&self) -> u32 {
        if self.kept_only {
            self.summary.kept
        } else {
            self.summary.records
        }
    }

    /// The mapped file; none when the segment is retired.
    pub(crate) fn map(&self, store: &LogStore) -> Result<Option<Arc<Mapped>>, SeglogError> {
        let mut slot = self.slot.lock();
        if slot.is_retired {
            return Ok(None);
        }
        if let Some(mapped) = slot.mapped.upgrade() {
            store.mappings.touch(&mapped);
            return Ok(Some(mapped));
        }
        let file = store
            .storage
            .open(&self.path, OpenMode::Read)
            .map_err(failed("open", &self.path))?;
        let bytes = file.map().map_err(failed("map", &self.path))?;
        let footer = Footer::parse(&bytes, self.header.first, self.header.seed)
            .filter(|footer| footer.summary == self.summary)
            .ok_or_else(|| {
                damaged(
                    &self.path,
                    self.summary.end,
                    "the footer is not the one that was written",
                )
            })?;
        let mapped = Mapped::new(bytes, footer, &store.counters);
        slot.mapped = Arc::downgrade(&mapped);
        store.mappings.insert(&mapped);
        Ok(Some(mapped))
    }

    /// Takes records. False when the segment is retired and the log has to be asked again.
    pub(crate) fn read(&self, store: &LogStore, request: &mut Request<'_>) -> Result<bool, SeglogError> {
        let Some(mapped) = self.map(store)? else {
            return Ok(false);
        };
        request.kept_only = self.kept_only;
        let start = self.hint.position(request.next);
        let start = start.unwrap_or_else(|| mapped.footer.start(mapped.file(), request.next));
        let end = self.summary.end as usize;
        let records = mapped.file().get(start as usize..end);
        let records =
            records.ok_or_else(|| damaged(&self.path, start, "the index points past the records"))?;
        let walked = request.take(records, self.header.seed);
        let position = start + walked.bytes as u64;
        match walked.stop {
            Stop::Invalid(invalid) if request.taken() == 0 => Err(damaged(&self.path, position, invalid)),
            _ => {
                self.hint.set(request.next, position);
                Ok(true)
            }
        }
    }

    /// Whether nobody needs any of its records.
    pub(crate) fn is_settled(&self, store: &LogStore, settled: &Settled) -> Result<bool, SeglogError> {
        let offsets = self.summary.first..self.summary.next;
        if settled.is_all_settled(offsets.clone()) || self.present() == 0 {
            return Ok(true);
        }
        // Offsets between the records to keep may never have been settled by anybody.
        if !self.kept_only || settled.count_in(offsets) < u64::from(self.summary.kept) {
            return Ok(false);
        }
        let Some(mapped) = self.map(store)? else {
            return Ok(false);
        };
        Ok(mapped
            .footer
            .kept(mapped.file())
            .all(|kept| settled.is_all_settled(kept)))
    }

    /// For whoever replaces or removes the file: while this is held, nobody opens the path.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock()
    }

    /// No read starts on this segment from now on. True when none is under way either.
    pub(crate) fn retire(&self, store: &LogStore) -> bool {
        let mut slot = self.slot.lock();
        slot.is_retired = true;
        slot.drop_cached(store);
        slot.mapped.strong_count() == 0
    }

    /// Bytes of markers and records.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.summary.end - HEADER_BYTES
    }
}

impl Slot {
    /// Gives up the cache's hold on the mapping.
    pub(crate) fn drop_cached(&self, store: &LogStore) {
        if let Some(mapped) = self.mapped.upgrade() {
            store.mappings.remove(&mapped);
        }
    }
}
