//! Writing to a log: append, roll over to the next segment, sync.
//!
//! The first failed write or sync poisons the log: what is on disk is unknown from then on, so nothing more is
//! written or promised. Reads go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use crate::active::{ActiveSegment, TERMINATOR_BYTES};
use crate::create::create_segment;
use crate::error::failed;
use crate::footer::FooterBuilder;
use crate::header::{HEADER_BYTES, SegmentHeader, seed_next};
use crate::record::{Head, MARKER_BYTES, Marker};
use crate::sealed::SealedSegment;
use crate::storage::OpenMode;
use crate::{Batch, Log, SeglogError, SyncPolicy};

/// Segments grow by this factor.
const SEGMENT_GROWTH: u64 = 4;
/// Fewer segments than this are remembered for the next sync without a look at which of them are gone.
const UNSYNCED_MIN: usize = 64;
/// Oversized segments are a multiple of this.
const BLOCK_BYTES: u64 = 4096;

/// What only the writer of a log needs.
#[derive(Debug)]
pub(crate) struct Writer {
    active: Option<Arc<ActiveSegment>>,
    /// Goes up with each sync.
    epoch: u64,
    /// Bytes of the active segment before this position are durable.
    durable: u64,
    /// Sealed segments that may not be durable yet, ascending.
    unsynced: Vec<Arc<SealedSegment>>,
    /// So many of them, and those that are gone by then are forgotten.
    unsynced_max: usize,
    /// Size of the next segment.
    segment_bytes: u64,
}

impl Writer {
    pub(crate) fn new(epoch: u64, segment_bytes: u64) -> Writer {
        Writer {
            active: None,
            epoch,
            durable: 0,
            unsynced: Vec::new(),
            unsynced_max: UNSYNCED_MIN,
            segment_bytes,
        }
    }

    /// Notes a sealed segment for the next sync. A log that nobody asks to sync does not remember what has come and gone.
    fn sync_later(&mut self, sealed: Arc<SealedSegment>) {
        if self.unsynced.len() >= self.unsynced_max {
            // Nobody else has it: it is in the log no more, and whoever has removed it has made sure of that.
            self.unsynced.retain(|sealed| Arc::strong_count(sealed) > 1);
            self.unsynced_max = UNSYNCED_MIN.max(2 * self.unsynced.len());
        }
        self.unsynced.push(sealed);
    }
}

impl Log {
    /// Writes a batch behind everything before, with one write for each segment touched. Its records can be read
    /// when this returns; they are durable after the next [`sync`](Log::sync).
    ///
    /// # Panics
    /// When the first offset is below [`written`](Log::written): offsets ascend.
    pub fn append(&self, batch: &mut Batch, policy: SyncPolicy) -> Result<(), SeglogError> {
        let mut writer = self.writer.lock();
        self.usable()?;
        let Some(first) = batch.first() else { return Ok(()) };
        assert!(
            first >= self.written(),
            "offset {first} was written already, or one above it was"
        );
        let outcome = self.append_all(&mut writer, batch, policy);
        self.poison_on_error(outcome)
    }

    /// Makes everything that was appended durable.
    pub fn sync(&self) -> Result<(), SeglogError> {
        let mut writer = self.writer.lock();
        self.usable()?;
        let outcome = self.sync_all(&mut writer);
        self.poison_on_error(outcome)
    }

    fn append_all(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        batch: &mut Batch,
        policy: SyncPolicy,
    ) -> Result<(), SeglogError> {
        let mut position = MARKER_BYTES;
        while let Some(head) = Head::parse(&batch.buffer[position..]) {
            let active = match &writer.active {
                Some(active) => Arc::clone(active),
                None => self.start_segment(writer, &head)?,
            };
            let marker = Marker {
                epoch: writer.epoch,
                durable: writer.durable,
            };
            let bytes = active.append(&self.store, batch, position, marker, policy)?;
            self.written.store(active.next(), Ordering::Release);
            position += bytes;
            if position < batch.buffer.len() {
                self.seal(writer, &active, policy)?;
            }
        }
        Ok(())
    }

    /// Creates the segment that starts with this record.
    fn start_segment(&self, writer: &mut Writer, record: &Head) -> Result<Arc<ActiveSegment>, SeglogError> {
        let footer = FooterBuilder::new(record.offset, writer.epoch);
        let footer_bytes = footer.bytes_with(record.offset).unwrap_or(footer.bytes());
        let needed =
            HEADER_BYTES + MARKER_BYTES as u64 + u64::from(record.length) + TERMINATOR_BYTES + footer_bytes;
        let capacity = match needed > writer.segment_bytes {
            true => needed.next_multiple_of(BLOCK_BYTES),
            false => writer.segment_bytes,
        };
        if capacity > u64::from(u32::MAX) {
            let text = format!("a record of {} bytes fits in no segment", record.length);
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, text);
            return Err(failed("append to", &self.directory)(source));
        }
        let segment_bytes_max = self.store.options.segment_bytes_max;
        writer.segment_bytes = writer
            .segment_bytes
            .saturating_mul(SEGMENT_GROWTH)
            .min(segment_bytes_max);
        let header = SegmentHeader {
            first: record.offset,
            seed: seed_next(),
            capacity,
            epoch: writer.epoch,
            durable_before: writer
                .unsynced
                .first()
                .map_or(record.offset, |sealed| sealed.header.first),
        };
        if self.segments() == 0 {
            self.store
                .storage
                .create_dir_all(&self.directory)
                .map_err(failed("create", &self.directory))?;
        }
        let active = Arc::new(create_segment(&self.store, &self.directory, header)?);
        self.segments.write().active = Some(Arc::clone(&active));
        writer.active = Some(Arc::clone(&active));
        writer.durable = HEADER_BYTES;
        Ok(active)
    }

    /// Ends the active segment; under `Sync`, everything so far is durable afterwards.
    fn seal(
        &self,
        writer: &mut Writer,
        active: &Arc<ActiveSegment>,
        policy: SyncPolicy,
    ) -> Result<(), SeglogError> {
        let sealed = active.seal(&self.store, policy)?;
        match policy {
            SyncPolicy::Sync => self.sync_all(writer)?,
            SyncPolicy::None => writer.sync_later(Arc::clone(&sealed)),
        }
        {
            let mut segments = self.segments.write();
            segments.active = None;
            segments.sealed.push(sealed);
        }
        writer.active = None;
        active.finish(&self.store);
        Ok(())
    }

    fn sync_all(&self, writer: &mut Writer) -> Result<(), SeglogError> {
        for sealed in &writer.unsynced {
            self.sync_sealed(sealed)?;
        }
        writer.unsynced.clear();
        if let Some(active) = &writer.active {
            active.sync(&self.store)?;
            writer.durable = active.end();
        }
        writer.epoch += 1;
        self.synced.store(self.written(), Ordering::Release);
        Ok(())
    }

    /// Its file was closed when it was sealed: nobody had asked for it to be synced by then.
    fn sync_sealed(&self, sealed: &SealedSegment) -> Result<(), SeglogError> {
        let slot = sealed.lock();
        if slot.is_retired {
            return Ok(());
        }
        let path = &sealed.path;
        let file = self
            .store
            .storage
            .open(path, OpenMode::ReadWrite)
            .map_err(failed("open", path))?;
        drop(slot);
        self.store.counters.syncs.add(1);
        file.sync_data().map_err(failed("sync", path))
    }

    fn poison_on_error(&self, outcome: Result<(), SeglogError>) -> Result<(), SeglogError> {
        outcome.inspect_err(|error| {
            // A second failure cannot come: the first one closed the log to the writer.
            let _ = self.poison.set(error.to_string());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Found, Inspection};
    use crate::record::{FLAG_KEEP, HEAD_BYTES, checksum};
    use crate::testing::{Directory, append, body, offsets, record, small};
    use crate::{FsStorage, LogOptions};

    #[test]
    fn a_batch_is_laid_down_behind_a_marker() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        assert_eq!(directory.files("q").len(), 0);
        append(&log, [7, 9], 3, SyncPolicy::Sync);
        let bytes = std::fs::read(&directory.files("q")[0]).unwrap();
        assert!(directory.files("q")[0].ends_with("00000000000000000007.log"));
        assert_eq!(bytes.len(), 4096);
        let header = SegmentHeader::parse(&bytes).unwrap();
        assert_eq!(
            (header.first, header.capacity, header.epoch, header.durable_before),
            (7, 4096, 1, 7)
        );
        assert_eq!(
            bytes[64..98],
            Marker {
                epoch: 1,
                durable: 64
            }
            .encode(7, header.seed)
        );
        let golden = [[21, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0].as_slice(), b"000"].concat();
        assert_eq!(bytes[98..102], checksum(&golden, header.seed).to_le_bytes());
        assert_eq!(bytes[102..119], golden);
        assert!(bytes[140..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn epochs_count_syncs_and_markers_tell_what_was_durable() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, [0], 3, SyncPolicy::Sync);
        append(&log, [1], 3, SyncPolicy::Sync);
        assert_eq!((log.written(), log.synced()), (2, 0));
        log.sync().unwrap();
        assert_eq!((log.written(), log.synced()), (2, 2));
        append(&log, [2], 3, SyncPolicy::Sync);
        let found = Inspection::open(&FsStorage, &directory.files("q")[0]).unwrap();
        let markers: Vec<_> = found
            .filter_map(|found| match found {
                Found::Marker {
                    position,
                    epoch,
                    durable,
                } => Some((position, epoch, durable)),
                _ => None,
            })
            .collect();
        assert_eq!(markers, [(64, 1, 64), (119, 1, 64), (174, 2, 174)]);
    }

    #[test]
    fn rolls_over_into_ever_larger_segments() {
        let options = LogOptions {
            segment_bytes_first: 4096,
            segment_bytes_max: 65_536,
            ..small()
        };
        let directory = Directory::new(options);
        let store = directory.open();
        let log = Log::create(&store, "q").unwrap();
        append(&log, 0..1000, 100, SyncPolicy::Sync);
        let lengths = directory
            .files("q")
            .into_iter()
            .map(|path| path.metadata().unwrap().len());
        assert_eq!(lengths.collect::<Vec<_>>(), [4096, 16_384, 65_536, 65_536]);
        assert_eq!(offsets(&log, 0), (0..1000).collect::<Vec<_>>());
        assert_eq!((log.segments(), log.bytes_on_disk()), (4, 151_552));
        assert_eq!(
            (store.counters().segments, store.counters().bytes_on_disk),
            (4, 151_552)
        );
        // Each sealed one is durable; the last is not yet.
        assert!(log.synced() > 0 && log.synced() < 1000);
        for path in &directory.files("q")[..3] {
            let found: Vec<_> = Inspection::open(&FsStorage, path).unwrap().collect();
            assert!(matches!(found.last(), Some(Found::Footer { .. })), "{found:?}");
        }
    }

    #[test]
    fn segments_that_are_gone_need_no_sync() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        let mut most = 0;
        for next in (0..20_000).step_by(100) {
            append(&log, next..next + 100, 100, SyncPolicy::None);
            let settled = crate::Settled {
                frontier: next,
                ranges: Vec::new(),
            };
            log.collect(&settled, 0).unwrap();
            most = most.max(log.writer.lock().unsynced.len());
        }
        assert!(log.store.counters().segments_removed > 100);
        assert!(most <= 2 * UNSYNCED_MIN, "{most}");
        log.sync().unwrap();
        assert_eq!(log.writer.lock().unsynced.len(), 0);
    }

    #[test]
    fn a_batch_is_unchanged_by_being_split() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        let mut batch = Batch::new();
        for offset in 0..100 {
            batch.push(offset, &record(FLAG_KEEP, &body(offset, 100)));
        }
        let (bytes, ends) = (batch.bytes(), (batch.first(), batch.next()));
        log.append(&mut batch, SyncPolicy::None).unwrap();
        assert_eq!((batch.bytes(), (batch.first(), batch.next())), (bytes, ends));
        let offsets: Vec<_> = crate::Records::new(&batch.buffer[MARKER_BYTES..])
            .map(|record| record.0)
            .collect();
        assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_larger_than_a_segment_has_its_own() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, [0], 10, SyncPolicy::None);
        append(&log, [1], 100_000, SyncPolicy::None);
        append(&log, [2], 5000, SyncPolicy::None);
        assert_eq!(offsets(&log, 0), [0, 1, 2]);
        let lengths = directory
            .files("q")
            .into_iter()
            .map(|path| path.metadata().unwrap().len());
        assert_eq!(lengths.collect::<Vec<_>>(), [4096, 102_400, 8192]);
        let mut out = Vec::new();
        assert_eq!(log.read(1, 1, &mut out).unwrap(), 2);
        assert_eq!(out.len(), 100_000 + HEAD_BYTES);
    }

    #[test]
    fn every_size_around_a_segments_end_fits_somewhere() {
        for bytes in 3700..4000 {
            let directory = Directory::new(small());
            let log = Log::create(&directory.open(), "q").unwrap();
            append(&log, [0], bytes, SyncPolicy::None);
            append(&log, [1], 1, SyncPolicy::None);
            assert_eq!(offsets(&log, 0), [0, 1], "{bytes}");
        }
    }

    #[test]
    fn offsets_too_far_from_the_first_start_a_segment() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, [1, 5, 1 << 33, (1 << 33) + 2], 10, SyncPolicy::Sync);
        assert_eq!(log.segments(), 2);
        assert_eq!(offsets(&log, 0), [1, 5, 1 << 33, (1 << 33) + 2]);
        assert_eq!(offsets(&log, 6), [1 << 33, (1 << 33) + 2]);
    }

    #[test]
    fn few_files_are_open_at_a_time() {
        let directory = Directory::new(small());
        let store = directory.open();
        let logs: Vec<_> = (0..10)
            .map(|log| Log::create(&store, &log.to_string()).unwrap())
            .collect();
        for round in 0..5 {
            for log in &logs {
                append(log, [round], 10, SyncPolicy::Sync);
                assert!(store.open_files.count() <= 2);
            }
            for log in &logs {
                log.sync().unwrap();
                assert_eq!(log.synced(), round + 1);
                assert_eq!(offsets(log, 0).len() as u64, round + 1);
            }
        }
        assert!(store.open_files.count() <= 2);
    }

    #[test]
    fn a_removed_log_refuses_appends_and_leaves_nothing() {
        let directory = Directory::new(small());
        let store = directory.open();
        let log = Log::create(&store, "q").unwrap();
        append(&log, 0..100, 100, SyncPolicy::None);
        log.remove().unwrap();
        let mut batch = Batch::new();
        batch.push(100, &record(0, b""));
        assert!(matches!(
            log.append(&mut batch, SyncPolicy::None),
            Err(SeglogError::Removed { .. })
        ));
        assert!(matches!(log.sync(), Err(SeglogError::Removed { .. })));
        assert_eq!(offsets(&log, 0), [0; 0]);
        assert_eq!(store.log_names().unwrap(), [""; 0]);
        assert_eq!(
            (store.counters().segments, store.counters().bytes_on_disk),
            (0, 0)
        );
        log.remove().unwrap();
    }

    #[test]
    fn a_failure_ends_writing_and_not_reading() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..10, 100, SyncPolicy::Sync);
        // The next segment's name is taken: creating it fails.
        std::fs::write(
            directory.root().join("q").join(crate::create::segment_name(10)),
            b"",
        )
        .unwrap();
        let mut batch = Batch::new();
        batch.push(10, &record(0, &[0; 4000]));
        assert!(matches!(
            log.append(&mut batch, SyncPolicy::Sync),
            Err(SeglogError::Io { .. })
        ));
        assert!(matches!(
            log.append(&mut batch, SyncPolicy::Sync),
            Err(SeglogError::Poisoned { .. })
        ));
        assert!(matches!(log.sync(), Err(SeglogError::Poisoned { .. })));
        assert_eq!(offsets(&log, 0), (0..10).collect::<Vec<_>>());
    }
}
