//! The log of one queue, copied while it is written.
//!
//! What can happen to a segment while it is copied, and what is done about it:
//!
//! | meanwhile | seen by | then |
//! |---|---|---|
//! | nothing: it is sealed | its footer, and every record behind its checksum | it is kept |
//! | records are appended | no footer | it is cut behind the last record before the first that is not whole: what was written before the copy began is before that |
//! | it is filled and sealed | a footer, and a gap before it | it is copied again |
//! | it is settled in whole: recycled, for another queue's messages perhaps, or deleted | its name is gone, or is another file's | it is left out: so would a checkpoint that came a little later |
//! | it is rewritten without what is settled | its name is another file's | that one is copied |
//! | a new one is made | it is not in the list of names that was taken before | it is left out: everything in it is younger than the backup |
//!
//! The name is looked at after the copy: a file loses its name before its bytes change. A list of names that was taken while
//! a name changed hands may lack it, so it is taken again until it has no more names among those that count.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use seglog::{Cut, FsStorage, Log, LogOptions, LogStore, SeglogError};

use crate::log_command::{QUEUES, Segment, Verdict, judge, problems, segments};
use crate::store::RECYCLE;

/// Times that a segment, or a list of them, is tried: each time, something else had happened to it.
const TRIES_MAX: usize = 10;
/// Behind the records of a segment that has no footer: nothing was ever written here.
const END: [u8; 8] = [0; 8];

/// What was copied of a queue.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) segments: u64,
    /// What a start on the copy cuts, as it would on the original: of a broker that has crashed.
    pub(super) notes: Vec<String>,
}

/// Copies the log of queue `id` from one data directory to another. `is_written` says that a broker runs on the first.
///
/// # Errors
/// When a file cannot be read or written, or something durable is damaged.
pub(super) fn copy(from: &Path, to: &Path, id: &str, is_written: bool) -> anyhow::Result<Copied> {
    let mut copied: BTreeMap<u64, Segment> = BTreeMap::new();
    let mut last = None;
    for _ in 0..TRIES_MAX {
        let listed = match segments(from, id) {
            // Not one message has been written, or the queue has gone.
            Err(SeglogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => break,
            listed => listed?,
        };
        let last = *last.get_or_insert_with(|| listed.last().map_or(0, |(first, _)| *first));
        let missing: Vec<(u64, PathBuf)> = listed
            .into_iter()
            .filter(|(first, _)| *first <= last && !copied.contains_key(first))
            .collect();
        if missing.is_empty() {
            break;
        }
        for (first, path) in missing {
            let target = segment_path(to, id, &path)?;
            if let Some(segment) = copy_segment(&path, &target, first, is_written, &mut copy_file)? {
                copied.insert(first, segment);
            }
        }
    }
    if copied.is_empty() {
        return Ok(Copied::default());
    }
    let segments: Vec<Segment> = copied.into_values().collect();
    check(&segments)?;
    seal(to, id)
}

/// Refuses what was durable and is damaged. What a broker that has crashed has left unfinished is none of that.
fn check(segments: &[Segment]) -> anyhow::Result<()> {
    for (segment, verdict) in segments.iter().zip(judge(segments)) {
        if let Some(problem) = problems(segment, verdict).first()
            && verdict != Verdict::Torn
        {
            bail!("{problem}; see `broker log repair` for the data directory");
        }
    }
    Ok(())
}

/// Seals what has no footer, and lets every footer say that what it vouches for is durable, as a start would: from here on
/// nothing that happens to the copy can be taken for a write that broke off, but at its very end.
fn seal(to: &Path, id: &str) -> anyhow::Result<Copied> {
    let store = LogStore::open(
        Arc::new(FsStorage),
        to.join(QUEUES),
        to.join(RECYCLE),
        LogOptions::default(),
    )?;
    let (_, recovered) = Log::recover(&store, id)?;
    let kept = recovered.kept.iter();
    Ok(Copied {
        records: kept.map(|range| range.end - range.start).sum(),
        bytes: recovered.bytes,
        segments: recovered.segments as u64,
        notes: recovered
            .cuts
            .iter()
            .map(|cut| {
                let Cut { path, position, .. } = cut;
                let name = path.strip_prefix(to).unwrap_or(path);
                format!(
                    "{} at byte {position}: an unfinished write was cut off",
                    name.display()
                )
            })
            .collect(),
    })
}

fn segment_path(to: &Path, id: &str, path: &Path) -> anyhow::Result<PathBuf> {
    let directory = to.join(QUEUES).join(id);
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory.join(path.file_name().unwrap_or_default()))
}

/// Copies one segment by `copy_file` until the copy is one that recovery takes; `None` when it is gone.
fn copy_segment(
    path: &Path,
    target: &Path,
    first: u64,
    is_written: bool,
    copy_file: &mut dyn FnMut(&Path, &Path) -> io::Result<Named>,
) -> anyhow::Result<Option<Segment>> {
    for _ in 0..TRIES_MAX {
        let is_same = copy_file(path, target)
            .with_context(|| format!("cannot copy {} to {}", path.display(), target.display()))?;
        match is_same {
            Named::Still => {}
            Named::Other => continue,
            Named::Nothing => {
                fs::remove_file(target).with_context(|| format!("cannot remove {}", target.display()))?;
                return Ok(None);
            }
        }
        let segment = Segment::read(&FsStorage, target, first)?;
        if !is_written || (segment.footer.is_some() && segment.gaps.is_empty()) {
            return Ok(Some(segment));
        }
        if segment.header.is_none() && segment.is_blank {
            // It is being made.
            fs::remove_file(target).with_context(|| format!("cannot remove {}", target.display()))?;
            return Ok(None);
        }
        if segment.footer.is_none() && segment.header.is_some() {
            cut(target, segment.end).with_context(|| format!("cannot cut {}", target.display()))?;
            return Ok(Some(Segment::read(&FsStorage, target, first)?));
        }
        // It was sealed while it was copied.
    }
    bail!(
        "{} could not be copied in {TRIES_MAX} tries: it is damaged, or changes all the time; see `broker log verify` on the stopped \
         broker's data directory",
        path.display()
    )
}

/// What a file's name stands for after it was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Still,
    Other,
    Nothing,
}

fn copy_file(path: &Path, target: &Path) -> io::Result<Named> {
    let mut source = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // So that there is something to remove.
            File::create(target)?;
            return Ok(Named::Nothing);
        }
        source => source?,
    };
    let mut copy = File::create(target)?;
    io::copy(&mut source, &mut copy)?;
    copy.flush()?;
    copy.sync_data()?;
    named(path, &source)
}

/// Whether the name is still that of the file that was opened by it.
fn named(path: &Path, opened: &File) -> io::Result<Named> {
    let opened = opened.metadata()?;
    Ok(match fs::metadata(path) {
        Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => Named::Still,
        Ok(_) => Named::Other,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Named::Nothing,
        Err(error) => return Err(error),
    })
}

/// Ends the file at this position as an append would have.
fn cut(target: &Path, end: u64) -> io::Result<()> {
    let file = File::options().write(true).open(target)?;
    file.set_len(end)?;
    file.write_all_at(&END, end)?;
    file.sync_all()
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
