//! Giving back the space of settled records.
//!
//! Only sealed segments are touched. The last segment of a log stays, even settled, as it is what proves how far the
//! log was durable and which offsets were used; with nothing live in it, it is rewritten to almost nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::failed;
use crate::sealed::SealedSegment;
use crate::{Log, SeglogError, Settled};

/// What one collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Segments that are gone as nobody needs them.
    pub removed: usize,
    /// Those of them whose files wait for new segments.
    pub recycled: usize,
    /// Segments that were rewritten with what is live in them.
    pub rewritten: usize,
    /// Bytes of live records that were copied.
    pub bytes_rewritten: u64,
    /// Bytes of file that were given back.
    pub bytes_reclaimed: u64,
}

/// Live bytes are counted again when a further fraction of one in so many of a segment's records is settled.
const EXAMINATIONS: u64 = 8;

impl Log {
    /// Removes or recycles the sealed segments of which everything is settled, and rewrites those of which less than
    /// half of the bytes is live, as long as the copied bytes stay within the budget.
    ///
    /// # Errors
    /// The first failure, after everything else was tried. A segment that could not be rewritten stays as it was,
    /// and the log is not poisoned.
    pub fn collect(&self, settled: &Settled, bytes_budget: u64) -> Result<Collected, SeglogError> {
        let _collecting = self.collecting.lock();
        let (mut sealed, is_active) = {
            let segments = self.segments.read();
            (segments.sealed.clone(), segments.active.is_some())
        };
        let last = if is_active { None } else { sealed.pop() };
        let mut collected = Collected::default();
        let mut failure = Ok(());
        let (mut dead, mut alive) = (Vec::new(), Vec::new());
        for segment in sealed {
            match segment.is_settled(&self.store, settled) {
                Ok(true) => dead.push(segment),
                Ok(false) => alive.push(segment),
                Err(error) => failure = failure.and(Err(error)),
            }
        }
        failure = failure.and(self.drop_segments(&dead, &mut collected));
        for segment in alive.iter().chain(&last) {
            let outcome = self.rewrite_if_sparse(segment, settled, bytes_budget, &mut collected);
            failure = failure.and(outcome);
        }
        failure.map(|()| collected)
    }

    fn drop_segments(
        &self,
        dead: &[Arc<SealedSegment>],
        collected: &mut Collected,
    ) -> Result<(), SeglogError> {
        if dead.is_empty() {
            return Ok(());
        }
        // Out of the list first: a reader that comes upon a retired segment looks there again.
        let is_dead = |segment: &Arc<SealedSegment>| dead.iter().any(|dead| Arc::ptr_eq(dead, segment));
        self.segments.write().sealed.retain(|segment| !is_dead(segment));
        let mut failure = Ok(());
        for segment in dead {
            failure = failure.and(self.drop_segment(segment, collected));
        }
        let directory = &self.directory;
        failure.and(
            self.store
                .storage
                .sync_dir(directory)
                .map_err(failed("sync", directory)),
        )
    }

    fn drop_segment(&self, segment: &SealedSegment, collected: &mut Collected) -> Result<(), SeglogError> {
        let store = &self.store;
        let is_unread = segment.retire(store);
        store.counters.segment_dropped(segment.bytes);
        store.counters.segments_removed.add(1);
        store.counters.bytes_reclaimed.add(segment.bytes);
        collected.removed += 1;
        collected.bytes_reclaimed += segment.bytes;
        let is_recyclable = is_unread && store.is_recyclable(segment.bytes);
        let Some(vacancy) = is_recyclable.then(|| store.recycled.vacancy()).flatten() else {
            return store
                .storage
                .remove_file(&segment.path)
                .map_err(failed("remove", &segment.path));
        };
        store
            .storage
            .rename(&segment.path, &vacancy)
            .map_err(failed("rename", &segment.path))?;
        // Before its bytes change, the old name must be gone for good.
        store
            .storage
            .sync_dir(&self.directory)
            .map_err(failed("sync", &self.directory))?;
        store.recycled.put(vacancy);
        store.counters.segments_recycled.add(1);
        collected.recycled += 1;
        Ok(())
    }

    fn rewrite_if_sparse(
        &self,
        segment: &Arc<SealedSegment>,
        settled: &Settled,
        bytes_budget: u64,
        collected: &mut Collected,
    ) -> Result<(), SeglogError> {
        let settled_now = settled.count_in(segment.summary.first..segment.summary.next);
        let examined = segment.examined.load(Ordering::Relaxed);
        let is_due = settled_now > examined + u64::from(segment.summary.records) / EXAMINATIONS
            || settled_now == segment.summary.next - segment.summary.first;
        if segment.body_bytes() == 0 || settled_now == 0 || !is_due {
            return Ok(());
        }
        let Some(live) = self.live_records(segment, settled)? else {
            return Ok(());
        };
        let live_bytes = live.summary().end - crate::header::HEADER_BYTES;
        let is_sparse = live_bytes < segment.body_bytes() / 2;
        if is_sparse && live_bytes > bytes_budget.saturating_sub(collected.bytes_rewritten) {
            return Ok(());
        }
        segment.examined.store(settled_now, Ordering::Relaxed);
        if !is_sparse {
            return Ok(());
        }
        let bytes = self.rewrite(segment, settled, live)?;
        let reclaimed = segment.bytes.saturating_sub(bytes);
        self.store.counters.segments_rewritten.add(1);
        self.store.counters.bytes_rewritten.add(live_bytes);
        self.store.counters.bytes_reclaimed.add(reclaimed);
        collected.rewritten += 1;
        collected.bytes_rewritten += live_bytes;
        collected.bytes_reclaimed += reclaimed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SyncPolicy;
    use crate::testing::{Directory, append, append_flagged, offsets, small};

    fn below(frontier: u64) -> Settled {
        Settled {
            frontier,
            ranges: Vec::new(),
        }
    }

    #[test]
    fn settled_segments_go_and_their_files_come_back_as_new_ones() {
        let directory = Directory::new(small());
        let store = directory.open();
        let log = Log::create(&store, "q").unwrap();
        let mut next = 0;
        for _ in 0..20 {
            append(&log, next..next + 200, 50, SyncPolicy::Sync);
            log.sync().unwrap();
            next += 200;
            log.collect(&below(next - 10), 1 << 20).unwrap();
            let expected: Vec<_> = (offsets(&log, 0)[0]..next).collect();
            assert_eq!(offsets(&log, 0), expected);
            assert!(log.segments() <= 2);
        }
        let counters = store.counters();
        assert!(counters.segments_recycled > 10, "{counters:?}");
        assert_eq!(counters.segments as usize, log.segments());
        assert_eq!(counters.bytes_on_disk, log.bytes_on_disk());
        drop(log);
        let (log, recovered) = Log::recover(&directory.open(), "q").unwrap();
        assert_eq!((recovered.next, recovered.cuts.len()), (next, 0));
        let all: Vec<_> = recovered.kept.into_iter().flatten().collect();
        assert_eq!(all.last(), Some(&(next - 1)));
        assert_eq!(offsets(&log, 0), all);
    }

    #[test]
    fn a_recycled_files_old_records_stay_dead() {
        let directory = Directory::new(crate::LogOptions {
            segment_bytes_first: 8192,
            ..small()
        });
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..300, 50, SyncPolicy::Sync);
        assert!(log.collect(&below(250), 0).unwrap().recycled > 0);
        append(&log, 300..500, 50, SyncPolicy::Sync);
        append(&log, 500..501, 4, SyncPolicy::Sync);
        let all = offsets(&log, 250);
        assert_eq!(all, (250..501).collect::<Vec<_>>());
        let (log, recovered) = Log::recover(&directory.open(), "q").unwrap();
        assert_eq!((recovered.next, recovered.cuts), (501, Vec::new()));
        assert_eq!(offsets(&log, 250), all);
    }

    #[test]
    fn sparse_segments_are_rewritten_within_the_budget() {
        for flags in [crate::FLAG_KEEP, 0] {
            let directory = Directory::new(small());
            let log = Log::create(&directory.open(), "q").unwrap();
            append_flagged(&log, 0..400, 50, flags, SyncPolicy::Sync);
            let live = |offset: &u64| offset.is_multiple_of(10) || *offset > 350;
            let ranges = (0..36)
                .map(|tens| tens * 10 + 1..(tens * 10 + 10).min(351))
                .filter(|r| !r.is_empty());
            let settled = Settled {
                frontier: 0,
                ranges: ranges.collect(),
            };
            let before = log.bytes_on_disk();
            assert_eq!(log.collect(&settled, 0).unwrap(), Collected::default());
            let collected = log.collect(&settled, 1 << 20).unwrap();
            assert!(collected.rewritten > 1 && collected.bytes_rewritten > 0);
            assert_eq!(log.bytes_on_disk(), before - collected.bytes_reclaimed);
            let left = offsets(&log, 0);
            assert!((0..400).filter(live).all(|offset| left.contains(&offset)));
            assert!(left.len() < 150, "{}", left.len());
            assert_eq!(log.collect(&settled, 1 << 20).unwrap(), Collected::default());
            let (log, recovered) = Log::recover(&directory.open(), "q").unwrap();
            let kept: Vec<_> = recovered.kept.into_iter().flatten().collect();
            assert_eq!(kept, if flags == 0 { Vec::new() } else { left });
            assert_eq!(offsets(&log, 0), kept);
            assert_eq!(recovered.next, 400);
        }
    }

    #[test]
    fn the_last_segment_shrinks_and_still_tells_where_offsets_go_on() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..20, 50, SyncPolicy::Sync);
        let (log, _) = Log::recover(&directory.open(), "q").unwrap();
        assert_eq!(log.collect(&below(20), 0).unwrap().rewritten, 1);
        assert_eq!(log.collect(&below(20), 0).unwrap(), Collected::default());
        assert_eq!((log.segments(), log.bytes_on_disk()), (1, 128));
        let (log, recovered) = Log::recover(&directory.open(), "q").unwrap();
        assert_eq!((recovered.next, recovered.kept), (20, Vec::new()));
        append(&log, 20..21, 50, SyncPolicy::Sync);
        assert_eq!(offsets(&log, 0), [20]);
    }

    #[test]
    fn readers_go_on_through_collections() {
        const OFFSETS: u64 = 6000;
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        std::thread::scope(|scope| {
            let reader = || {
                while log.written() < OFFSETS {
                    let read = offsets(&log, log.written().saturating_sub(400));
                    assert!(read.is_sorted());
                    std::thread::yield_now();
                }
            };
            scope.spawn(reader);
            scope.spawn(reader);
            for start in (0..OFFSETS).step_by(100) {
                append(&log, start..start + 100, 40, SyncPolicy::None);
                let frontier = start.saturating_sub(300);
                let odd = (frontier..start)
                    .filter(|offset| offset % 8 != 0)
                    .map(|offset| offset..offset + 1);
                log.collect(
                    &Settled {
                        frontier,
                        ranges: odd.collect(),
                    },
                    1 << 20,
                )
                .unwrap();
                let left = offsets(&log, frontier);
                assert!(
                    (frontier..start + 100)
                        .filter(|o| o % 8 == 0 || *o >= start)
                        .all(|o| left.contains(&o))
                );
            }
        });
    }
}
