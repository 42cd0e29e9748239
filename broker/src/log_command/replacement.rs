//! A new segment in the place of a damaged one.
//!
//! ```text
//! step                                   a crash after it leaves
//! 1 write the new segment elsewhere      the damaged one; a broker does not start
//! 2 sync it, read it back                the same
//! 3 link the damaged one as .damaged     the same
//! 4 rename the new one into the log      the new one, or, when its first offset and so its name is another, both: the damaged
//!                                        one reaches into the new one, and a broker does not start
//! 5 remove the damaged one (its name     the new one
//!   is another, or nothing was readable)
//! ```
//! The directory is synced after 3, 4 and 5. Messages that a start would drop anyway, those that were only spilled, are not
//! copied.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use seglog::inspect::{Found, Inspection};
use seglog::{Batch, FLAG_KEEP, FsStorage, Log, LogOptions, LogStore, SyncPolicy};

use super::repair::{DAMAGED_SUFFIX, sync_directory_of, with_suffix};
use super::segment::{self, Segment};
use super::survey::{QUEUES, segments};

/// Where new segments are written, below the data directory.
const WORK: &str = "repair";
/// Copied with one write.
const BATCH_BYTES: usize = 1 << 20;
/// What the new segment may have more than the old one: markers, and a run of offsets for each gap.
const SLACK_BYTES: u64 = 1 << 20;
/// Damaged segments of one name that are kept.
const DAMAGED_MAX: usize = 1000;

/// Puts a new segment with the readable records of offsets below `limit` in the place of `damaged`, and returns where
/// that is kept.
pub(super) fn replace(directory: &Path, id: &str, damaged: &Segment, limit: u64) -> anyhow::Result<PathBuf> {
    let work = directory.join(WORK);
    clear(&work)?;
    let new = write(&work, id, damaged, limit)?;
    let kept_as = keep(&damaged.path)?;
    sync_directory_of(&damaged.path)?;
    let path = match &new {
        Some(new) => {
            let name = new.file_name().context("a segment has a name")?;
            let path = damaged.path.with_file_name(name);
            fs::rename(new, &path).with_context(|| format!("cannot rename {}", new.display()))?;
            sync_directory_of(&path)?;
            Some(path)
        }
        None => None,
    };
    if path.as_ref() != Some(&damaged.path) {
        let removed = fs::remove_file(&damaged.path);
        removed.with_context(|| format!("cannot remove {}", damaged.path.display()))?;
        sync_directory_of(&damaged.path)?;
    }
    clear(&work)?;
    Ok(kept_as)
}

/// The new segment, durable and read back; none when nothing can be read.
fn write(work: &Path, id: &str, damaged: &Segment, limit: u64) -> anyhow::Result<Option<PathBuf>> {
    let bytes = damaged.bytes + SLACK_BYTES;
    let options = LogOptions {
        segment_bytes_first: bytes,
        segment_bytes_max: bytes,
        ..LogOptions::default()
    };
    let (root, recycle) = (work.join(QUEUES), work.join("recycle"));
    let store = LogStore::open(Arc::new(FsStorage), root, recycle, options)?;
    let log = Log::create(&store, id)?;
    let copied = copy(&log, damaged, limit)?;
    drop(log);
    // Cuts the file behind its last record, and seals it.
    Log::recover(&store, id)?;
    let written = segments(work, id)?;
    let read_back = written
        .iter()
        .map(|(first, path)| Segment::read(&FsStorage, path, *first))
        .collect::<Result<Vec<_>, _>>()?;
    let is_whole = |segment: &Segment| segment.gaps.is_empty() && segment.footer.is_some();
    match read_back.as_slice() {
        [] if copied.is_empty() => Ok(None),
        [new] if is_whole(new) && new.kept == copied => Ok(Some(new.path.clone())),
        _ => anyhow::bail!(
            "the new segment in {} is not what was written: nothing was changed",
            work.display()
        ),
    }
}

/// Appends what is readable and to be kept; returns its offsets.
fn copy(log: &Log, damaged: &Segment, limit: u64) -> anyhow::Result<Vec<Range<u64>>> {
    let mut inspection = Inspection::open(&FsStorage, &damaged.path)?;
    let (mut batch, mut copied) = (Batch::new(), Vec::new());
    while let Some(found) = inspection.next() {
        if let Found::Record {
            offset,
            position,
            length,
            flags,
        } = found
            && offset < limit
            && flags & FLAG_KEEP != 0
        {
            let position = position as usize;
            batch.push(offset, &inspection.bytes()[position..position + length as usize]);
            segment::push(&mut copied, offset);
        }
        if batch.bytes() >= BATCH_BYTES {
            log.append(&mut batch, SyncPolicy::Sync)?;
            batch.clear();
        }
    }
    log.append(&mut batch, SyncPolicy::Sync)?;
    log.sync()?;
    Ok(copied)
}

/// Gives a damaged file a second name that the broker ignores.
fn keep(path: &Path) -> anyhow::Result<PathBuf> {
    for number in 1..=DAMAGED_MAX {
        let suffix = match number {
            1 => DAMAGED_SUFFIX.to_owned(),
            _ => format!("{DAMAGED_SUFFIX}-{number}"),
        };
        let kept_as = with_suffix(path, &suffix);
        match fs::hard_link(path, &kept_as) {
            // The same file when an earlier repair was cut off here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !is_same(path, &kept_as)? => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(kept_as),
            linked => {
                linked.with_context(|| format!("cannot link {}", kept_as.display()))?;
                return Ok(kept_as);
            }
        }
    }
    anyhow::bail!(
        "{} was damaged {DAMAGED_MAX} times: remove old {DAMAGED_SUFFIX} files",
        path.display()
    )
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

fn clear(work: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(work) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", work.display())),
    }
}
