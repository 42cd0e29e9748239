//! Replacing a sparse segment by one with only its live records: copy, verify, sync, rename, sync the directory.
//!
//! Until the rename the old file is untouched; from then on either file is a whole segment with the same live
//! records. Readers that hold the old mapping go on with it.

use std::path::Path;
use std::sync::Arc;

use crate::error::{damaged, failed};
use crate::footer::{Footer, FooterBuilder};
use crate::header::{SegmentHeader, seed_next};
use crate::mapped::Mapped;
use crate::record::{Head, write_checksum};
use crate::scan::{Step, Walk, scan};
use crate::sealed::SealedSegment;
use crate::storage::{OpenMode, StorageFile};
use crate::{Log, SeglogError, Settled};

/// Copied with one write.
const COPY_BYTES: usize = 256 * 1024;

impl Log {
    /// The footer that the segment's live records would have; none when it is not there any more.
    pub(crate) fn live_records(
        &self,
        segment: &SealedSegment,
        settled: &Settled,
    ) -> Result<Option<FooterBuilder>, SeglogError> {
        let Some(mapped) = segment.map(&self.store)? else {
            return Ok(None);
        };
        let mut footer = FooterBuilder::new(segment.header.first, segment.summary.epoch);
        walk_live(segment, &mapped, settled, |head, _| {
            footer.push(head);
            Ok(())
        })?;
        footer.set_next(segment.summary.next);
        Ok(Some(footer))
    }

    /// Puts a segment of just the live records in the place of this one; returns its file's size.
    pub(crate) fn rewrite(
        &self,
        segment: &Arc<SealedSegment>,
        settled: &Settled,
        live: FooterBuilder,
    ) -> Result<u64, SeglogError> {
        let Some(mapped) = segment.map(&self.store)? else {
            return Ok(segment.bytes);
        };
        let temporary = segment.path.with_extension("log.tmp");
        let bytes = live.summary().end + live.bytes();
        let header = SegmentHeader {
            seed: seed_next(),
            capacity: bytes,
            ..segment.header
        };
        let outcome = self
            .copy(segment, &mapped, settled, &temporary, &header, &live)
            .and_then(|()| self.verify_copy(&temporary, &header, &live))
            .and_then(|()| {
                let summary = *live.summary();
                let path = segment.path.clone();
                let new = SealedSegment::new(path, header, summary, bytes, segment.kept_only);
                self.replace(segment, new, &temporary)
            });
        if outcome.is_err() {
            // Best effort: the next rewrite empties it, the next start removes it.
            let _ = self.store.storage.remove_file(&temporary);
        }
        outcome?;
        self.store
            .storage
            .sync_dir(&self.directory)
            .map_err(failed("sync", &self.directory))?;
        Ok(bytes)
    }

    fn copy(
        &self,
        segment: &SealedSegment,
        mapped: &Mapped,
        settled: &Settled,
        temporary: &Path,
        header: &SegmentHeader,
        live: &FooterBuilder,
    ) -> Result<(), SeglogError> {
        let storage = &self.store.storage;
        let file = storage
            .open(temporary, OpenMode::Truncate)
            .map_err(failed("create", temporary))?;
        file.allocate(header.capacity)
            .map_err(failed("allocate", temporary))?;
        let mut position = 0;
        let mut buffer = Vec::with_capacity(COPY_BYTES);
        buffer.extend_from_slice(&header.encode());
        walk_live(segment, mapped, settled, |_, record| {
            let start = buffer.len();
            buffer.extend_from_slice(record);
            write_checksum(&mut buffer[start..], header.seed);
            match buffer.len() {
                COPY_BYTES.. => self.flush(&*file, temporary, &mut buffer, &mut position),
                _ => Ok(()),
            }
        })?;
        buffer.extend_from_slice(&live.encode(header.seed, true));
        self.flush(&*file, temporary, &mut buffer, &mut position)?;
        self.store.counters.syncs.add(1);
        file.sync_data().map_err(failed("sync", temporary))
    }

    fn flush(
        &self,
        file: &dyn StorageFile,
        path: &Path,
        buffer: &mut Vec<u8>,
        position: &mut u64,
    ) -> Result<(), SeglogError> {
        file.write_all_at(buffer, *position)
            .map_err(failed("write", path))?;
        *position += buffer.len() as u64;
        self.store.counters.writes.add(1);
        self.store.counters.bytes_written.add(buffer.len() as u64);
        buffer.clear();
        Ok(())
    }

    fn verify_copy(
        &self,
        temporary: &Path,
        header: &SegmentHeader,
        live: &FooterBuilder,
    ) -> Result<(), SeglogError> {
        let file = self
            .store
            .storage
            .open(temporary, OpenMode::Read)
            .map_err(failed("open", temporary))?;
        let bytes = file.map().map_err(failed("map", temporary))?;
        let footer = Footer::parse(&bytes, header.first, header.seed);
        let is_footer_right = footer.is_some_and(|footer| footer.summary == *live.summary());
        let found = scan(&bytes, (live.summary().end as usize).min(bytes.len()), header);
        let is_body_right = found.stop.is_none()
            && found.footer.summary().end == live.summary().end
            && found.footer.kept().eq(live.kept());
        match is_footer_right && is_body_right && SegmentHeader::parse(&bytes) == Ok(*header) {
            true => Ok(()),
            false => Err(damaged(
                temporary,
                found.footer.summary().end,
                "a rewritten segment is not what was copied",
            )),
        }
    }

    /// While the old segment is locked nobody opens the path, so no reader takes the new file for the old one.
    fn replace(
        &self,
        old: &Arc<SealedSegment>,
        new: SealedSegment,
        temporary: &Path,
    ) -> Result<(), SeglogError> {
        let mut slot = old.lock();
        self.store
            .storage
            .rename(temporary, &old.path)
            .map_err(failed("rename", temporary))?;
        slot.is_retired = true;
        slot.drop_cached(&self.store);
        self.store.counters.segment_dropped(old.bytes);
        self.store.counters.segment_added(new.bytes);
        let mut segments = self.segments.write();
        let new = Arc::new(new);
        for segment in segments
            .sealed
            .iter_mut()
            .filter(|segment| Arc::ptr_eq(segment, old))
        {
            *segment = Arc::clone(&new);
        }
        Ok(())
    }
}

/// Visits each live record of a sealed segment, verified.
fn walk_live(
    segment: &SealedSegment,
    mapped: &Mapped,
    settled: &Settled,
    mut visit: impl FnMut(&Head, &[u8]) -> Result<(), SeglogError>,
) -> Result<(), SeglogError> {
    let file = mapped.file();
    let mut walk = Walk::new(&segment.header, segment.summary.end as usize);
    while let Some(step) = walk.step(file) {
        match step {
            Err(invalid) => return Err(damaged(&segment.path, walk.position as u64, invalid)),
            Ok((_, Step::Marker(_))) => (),
            Ok((position, Step::Record(head))) => {
                let is_present = head.is_kept() || !segment.kept_only;
                if is_present && !settled.contains(head.offset) {
                    visit(&head, &file[position as usize..walk.position])?;
                }
            }
        }
    }
    Ok(())
}
