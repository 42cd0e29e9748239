//! Opening a log again: which segments are believed, which are cut, which are gone.
//!
//! The rules are the table in `FORMAT.md`. First every segment is examined and nothing is touched, so that damage is
//! reported with the evidence in place; then the plan is carried out, in an order in which a crash at any point
//! leaves files that are judged the same again.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::create::segment_first;
use crate::error::{damaged, failed};
use crate::examine::{Action, Examined, examine};
use crate::footer::{BODY_DURABLE, BODY_DURABLE_FROM_END, FooterBuilder};
use crate::sealed::SealedSegment;
use crate::storage::{OpenMode, Storage, StorageFile};
use crate::{Log, LogStore, SeglogError};

/// What recovery found in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Offsets of the present records that are to be kept: ascending, disjoint, adjacent ones merged.
    pub kept: Vec<Range<u64>>,
    /// One past the highest offset that was seen, of whatever record; 0 when there was none.
    pub next: u64,
    /// Segments that are there now.
    pub segments: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes of records that had to be read because no footer vouched for them.
    pub scanned_bytes: u64,
    /// What was lost.
    pub cuts: Vec<Cut>,
}

/// Bytes that a crash left unfinished and that were never durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub path: PathBuf,
    /// Where its valid records end.
    pub position: u64,
    /// At most so many bytes were written behind.
    pub bytes: u64,
    /// What was found there.
    pub what: String,
}

/// A rewritten segment that was not finished.
pub(crate) const TEMPORARY_SUFFIX: &str = ".log.tmp";

impl Log {
    /// Opens a log that was left behind, by whatever end. Everything it then holds is durable; the next append
    /// starts a new segment. A log without a directory is empty.
    ///
    /// # Errors
    /// `Damaged` when bytes that were durable are not there any more; nothing was changed then.
    pub fn recover(store: &Arc<LogStore>, name: &str) -> Result<(Log, Recovered), SeglogError> {
        let directory = store.root().join(name);
        let names = store
            .storage
            .list(&directory)
            .map_err(failed("list", &directory))?;
        let mut examined = examine_all(store, &directory, &names)?;
        prove_last(&mut examined);
        let mut recovered = Recovered::default();
        let (mut sealed, mut epoch) = (Vec::new(), 0);
        for segment in &examined {
            recovered.add(segment);
            epoch = epoch.max(segment.epoch());
            if let Some(segment) = finish(store, segment)? {
                sealed.push(Arc::new(segment));
            }
        }
        let leftovers = names.iter().filter(|name| name.ends_with(TEMPORARY_SUFFIX));
        let leftovers = leftovers.map(|name| directory.join(name));
        let removed = examined
            .into_iter()
            .filter(Examined::is_removed)
            .map(|segment| segment.path);
        for path in removed.chain(leftovers) {
            store
                .storage
                .remove_file(&path)
                .map_err(failed("remove", &path))?;
        }
        // Also when nothing was removed now: what was by a process that died must not come back after a power cut.
        sync_names(&*store.storage, &directory)?;
        recovered.segments = sealed.len();
        recovered.bytes = sealed.iter().map(|segment| segment.bytes).sum();
        for segment in &sealed {
            store.counters.segment_added(segment.bytes);
        }
        let log = Log::new(store, name, sealed, recovered.next, epoch);
        Ok((log, recovered))
    }
}

impl Recovered {
    fn add(&mut self, segment: &Examined) {
        self.scanned_bytes += segment.scanned_bytes;
        self.cuts.extend(segment.cut.clone());
        let summary = segment.summary.filter(|summary| summary.next > summary.first);
        self.next = self.next.max(summary.map_or(0, |summary| summary.next));
        for kept in &segment.kept {
            match self.kept.last_mut() {
                Some(last) if last.end == kept.start => last.end = kept.end,
                _ => self.kept.push(kept.clone()),
            }
        }
    }
}

/// Makes the names in a log's directory durable, if there is one.
pub(crate) fn sync_names(storage: &dyn Storage, directory: &Path) -> Result<(), SeglogError> {
    match storage.sync_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(failed("sync", directory)),
    }
}

/// From the last segment to the first, as later ones tell what was durable before them.
fn examine_all(store: &LogStore, directory: &Path, names: &[String]) -> Result<Vec<Examined>, SeglogError> {
    let mut durable_before = 0;
    let mut examined: Vec<Examined> = Vec::new();
    for name in names.iter().rev() {
        let Some(first) = segment_first(name) else {
            continue;
        };
        let is_last = examined.is_empty();
        let segment = examine(store, directory.join(name), first, is_last, durable_before)?;
        durable_before = durable_before.max(segment.durable_before);
        if let Some(later) = examined.last()
            && let (Some(summary), Some(later_header)) = (&segment.summary, &later.header)
            && summary.next > later_header.first
        {
            let what = format!("its records reach into {}", later.path.display());
            return Err(damaged(&segment.path, summary.end, what));
        }
        examined.push(segment);
    }
    examined.reverse();
    Ok(examined)
}

/// When the segments behind it go, the last that stays has to prove by itself that it was durable.
fn prove_last(examined: &mut [Examined]) {
    let is_last_removed = examined.last().is_some_and(Examined::is_removed);
    let last = examined.iter_mut().rev().find(|segment| !segment.is_removed());
    if let Some(last) = last
        && is_last_removed
        && matches!(last.action, Action::Keep { is_proven: false })
    {
        last.action = Action::Prove;
    }
}

/// Makes a segment that stays durable and sealed.
fn finish(store: &LogStore, segment: &Examined) -> Result<Option<SealedSegment>, SeglogError> {
    let path = &segment.path;
    let (Some(header), Some(summary)) = (segment.header, segment.summary) else {
        return Ok(None);
    };
    let bytes = match &segment.action {
        Action::Remove => return Ok(None),
        Action::Keep { .. } => segment.bytes,
        Action::Prove => {
            prove(store, segment)?;
            segment.bytes
        }
        Action::Seal(footer) => seal(store, segment, header.seed, footer)?,
    };
    Ok(Some(SealedSegment::new(
        path.clone(),
        header,
        summary,
        bytes,
        true,
    )))
}

/// Notes in the footer that the body, which was found whole, is durable.
fn prove(store: &LogStore, segment: &Examined) -> Result<(), SeglogError> {
    let path = &segment.path;
    let file = store
        .storage
        .open(path, OpenMode::ReadWrite)
        .map_err(failed("open", path))?;
    mark_durable(&*file, path, segment.bytes)
}

/// Cuts a segment behind its valid records and puts the footer there; returns the file's length.
fn seal(store: &LogStore, segment: &Examined, seed: u32, footer: &FooterBuilder) -> Result<u64, SeglogError> {
    let path = &segment.path;
    let end = footer.summary().end;
    let file = store
        .storage
        .open(path, OpenMode::ReadWrite)
        .map_err(failed("open", path))?;
    file.set_len(end).map_err(failed("cut", path))?;
    let footer = footer.encode(seed, false);
    file.write_all_at(&footer, end).map_err(failed("write", path))?;
    let bytes = end + footer.len() as u64;
    mark_durable(&*file, path, bytes)?;
    Ok(bytes)
}

/// Makes a file with a footer durable, and then lets the footer say so: the next recovery, which may come after the
/// end of the process only, believes that without a sync of its own.
fn mark_durable(file: &dyn StorageFile, path: &Path, bytes: u64) -> Result<(), SeglogError> {
    file.sync_data().map_err(failed("sync", path))?;
    let position = bytes - BODY_DURABLE_FROM_END;
    file.write_all_at(&BODY_DURABLE.to_le_bytes(), position)
        .map_err(failed("write", path))?;
    file.sync_data().map_err(failed("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SyncPolicy;
    use crate::header::HEADER_BYTES;
    use crate::testing::{Directory, append, append_flagged, offsets, small, try_offsets};

    fn recover(directory: &Directory) -> Result<(Log, Recovered), SeglogError> {
        Log::recover(&directory.open(), "q")
    }

    /// Recovers twice: what the first left must be believed by the second.
    fn recover_twice(directory: &Directory) -> (Log, Recovered) {
        let (_, first) = recover(directory).unwrap();
        let (log, second) = recover(directory).unwrap();
        assert_eq!(first.kept, second.kept);
        assert_eq!((second.scanned_bytes, second.cuts.len()), (0, 0));
        (log, first)
    }

    fn expand(ranges: &[Range<u64>]) -> Vec<u64> {
        ranges.iter().cloned().flatten().collect()
    }

    #[test]
    fn finds_everything_again_and_goes_on() {
        for policy in [SyncPolicy::None, SyncPolicy::Sync] {
            let directory = Directory::new(small());
            let mut expected = Vec::new();
            let mut log = Log::create(&directory.open(), "q").unwrap();
            for round in 0..4 {
                let batch = (round * 300..round * 300 + 200).filter(|offset| offset % 9 != 0);
                append(&log, batch.clone(), 50, policy);
                expected.extend(batch);
                drop(log);
                let recovered;
                (log, recovered) = recover_twice(&directory);
                assert_eq!(recovered.cuts, []);
                assert_eq!(expand(&recovered.kept), expected);
                assert_eq!(offsets(&log, 0), expected);
                assert_eq!(recovered.next, round * 300 + 200);
                assert_eq!((log.written(), log.synced()), (recovered.next, recovered.next));
                assert_eq!(recovered.segments, directory.files("q").len());
                if policy == SyncPolicy::Sync {
                    assert!(recovered.scanned_bytes <= 8192, "only the last segment is read");
                }
            }
        }
    }

    #[test]
    fn an_empty_or_missing_log_is_empty() {
        let directory = Directory::new(small());
        assert_eq!(recover(&directory).unwrap().1, Recovered::default());
    }

    #[test]
    fn spilled_records_are_dropped() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..10, 50, SyncPolicy::Sync);
        append_flagged(&log, 10..20, 50, 0, SyncPolicy::Sync);
        append(&log, 20..21, 50, SyncPolicy::Sync);
        append_flagged(&log, 21..200, 50, 0, SyncPolicy::Sync);
        assert_eq!(offsets(&log, 0).len(), 200);
        let (log, recovered) = recover(&directory).unwrap();
        assert_eq!(recovered.kept, [0..10, 20..21]);
        assert_eq!(recovered.next, 200);
        assert_eq!(log.segments(), 1);
        append_flagged(&log, 200..201, 50, 0, SyncPolicy::Sync);
        assert_eq!(offsets(&log, 5), [5, 6, 7, 8, 9, 20, 200]);
        let (_, recovered) = recover_twice(&directory);
        assert_eq!(recovered.kept, [0..10, 20..21]);
    }

    /// Files and what is in them.
    type Files = Vec<(PathBuf, Vec<u8>)>;

    /// A log of a sealed and an active segment, with syncs between batches; its files' bytes.
    fn two_segments() -> (Directory, Files, Vec<u64>) {
        let directory = Directory::new(crate::LogOptions {
            segment_bytes_first: 1024,
            segment_bytes_max: 1024,
            ..small()
        });
        let log = Log::create(&directory.open(), "q").unwrap();
        for start in [0, 4, 8, 12, 16] {
            append(&log, start..start + 4, 40, SyncPolicy::Sync);
            log.sync().unwrap();
        }
        assert_eq!(log.segments(), 2);
        let files = directory
            .files("q")
            .into_iter()
            .map(|path| (path.clone(), std::fs::read(path).unwrap()));
        let files = files.collect();
        (directory, files, (0..20).collect())
    }

    fn restore(files: &[(PathBuf, Vec<u8>)]) {
        for (path, bytes) in files {
            std::fs::write(path, bytes).unwrap();
        }
    }

    /// Whatever was done to file `changed`: a prefix comes back, or damage of that file is reported.
    fn prefix_or_damage(directory: &Directory, changed: &Path, expected: &[u64], what: &str) -> bool {
        let outcome = recover(directory).and_then(|(log, recovered)| {
            let kept = expand(&recovered.kept);
            assert!(expected.starts_with(&kept), "{what}: kept {kept:?}");
            let read = try_offsets(&log, 0, 1000)?;
            assert_eq!(read, kept, "{what}");
            Ok(kept.len())
        });
        match outcome {
            Ok(records) => records == expected.len(),
            Err(SeglogError::Damaged { path, .. }) => {
                assert_eq!(path, changed, "{what}");
                false
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }

    #[test]
    fn every_truncation_gives_a_prefix_or_names_the_damage() {
        let (directory, files, expected) = two_segments();
        for (path, bytes) in &files {
            for length in 0..bytes.len() {
                restore(&files);
                std::fs::write(path, &bytes[..length]).unwrap();
                prefix_or_damage(
                    &directory,
                    path,
                    &expected,
                    &format!("{} cut to {length}", path.display()),
                );
            }
        }
    }

    #[test]
    fn every_flipped_byte_gives_a_prefix_or_names_the_damage() {
        let (directory, files, expected) = two_segments();
        let mut unharmed = 0;
        for (path, bytes) in &files {
            for position in 0..bytes.len() {
                restore(&files);
                let mut bytes = bytes.clone();
                bytes[position] ^= 0xff;
                std::fs::write(path, &bytes).unwrap();
                let what = format!("{} byte {position} flipped", path.display());
                unharmed += usize::from(prefix_or_damage(&directory, path, &expected, &what));
            }
        }
        assert!(unharmed > 0, "bytes behind the records do not matter");
    }

    #[test]
    fn damage_before_a_later_sync_is_reported_and_nothing_touched() {
        let (directory, files, _) = two_segments();
        let (path, bytes) = &files[1];
        let at = HEADER_BYTES as usize + 40;
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(path, &changed).unwrap();
        for _ in 0..2 {
            let error = recover(&directory).unwrap_err();
            assert!(
                matches!(&error, SeglogError::Damaged { path: named, position, .. }
                if named == path && (64..=at as u64).contains(position)),
                "{error}"
            );
            assert_eq!(std::fs::read(path).unwrap(), changed);
        }
    }

    #[test]
    fn batches_lost_out_of_order_without_a_sync_are_cut() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..2, 40, SyncPolicy::Sync);
        log.sync().unwrap();
        append(&log, 2..4, 40, SyncPolicy::Sync);
        append(&log, 4..6, 40, SyncPolicy::Sync);
        let path = &directory.files("q")[0];
        let mut bytes = std::fs::read(path).unwrap();
        // The marker of the second batch did not reach the disk; the third batch did.
        let second = HEADER_BYTES as usize + 34 + 2 * 58;
        bytes[second..second + 34].fill(0);
        std::fs::write(path, &bytes).unwrap();
        let (log, recovered) = recover_twice(&directory);
        assert_eq!(expand(&recovered.kept), [0, 1]);
        assert_eq!(recovered.cuts[0].position, second as u64);
        assert_eq!(offsets(&log, 0), [0, 1]);
    }

    #[test]
    fn a_segment_whose_creation_was_cut_is_removed() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..5, 40, SyncPolicy::Sync);
        log.sync().unwrap();
        let unborn = directory.root().join("q").join(crate::create::segment_name(5));
        for bytes in [vec![], vec![0; 4096], b"SEGLOG\r\n\x01\0\0\0junk".to_vec()] {
            std::fs::write(&unborn, &bytes).unwrap();
            std::fs::write(directory.root().join("q/00000000000000000000.log.tmp"), b"x").unwrap();
            let (log, recovered) = recover(&directory).unwrap();
            assert_eq!(
                (expand(&recovered.kept), recovered.cuts.len()),
                ((0..5).collect(), 1)
            );
            assert_eq!((log.segments(), directory.files("q").len()), (1, 1));
        }
        std::fs::write(&unborn, [&[0; 100], b"records".as_slice()].concat()).unwrap();
        assert!(matches!(
            recover(&directory),
            Err(SeglogError::Damaged { position: 0, .. })
        ));
    }
}
