//! Makes a data directory usable again.
//!
//! Can be cut off and called again at any point: until a segment's replacement is whole and durable the damaged one stays in place,
//! and a broker does not start on it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use seglog::{CheckpointStore, FsStorage, Log, LogOptions, LogStore};

use super::plan::{Step, steps};
use super::problem::Kind;
use super::replacement;
use super::run::Outcome;
use super::survey::{OFFSETS, QUEUES, QueueSurvey, Survey};

/// Below the data directory, as in [`crate::store`].
const RECYCLE: &str = "recycle";
/// Appended to the name of a file that is kept to be looked at.
pub(super) const DAMAGED_SUFFIX: &str = ".damaged";

/// Says what is to be done and, with `apply`, does it.
pub(super) fn repair(directory: &Path, apply: bool, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let survey = Survey::read(directory)?;
    for queue in &survey.queues {
        let steps = steps(queue);
        if !apply {
            for step in &steps {
                writeln!(out, "to do: {step}")?;
            }
        } else if !steps.is_empty() {
            make_durable(queue)?;
            for step in &steps {
                let done = carry_out(directory, queue, step).with_context(|| step.to_string())?;
                writeln!(out, "done: {step}{done}")?;
            }
        }
    }
    let left = if apply { Survey::read(directory)? } else { survey };
    let mut is_clean = true;
    for problem in &left.problems {
        is_clean = false;
        if apply || matches!(problem.kind, Kind::Description | Kind::Orphan) {
            writeln!(out, "left: {problem}")?;
        }
    }
    if is_clean {
        writeln!(out, "nothing is wrong")?;
        return Ok(Outcome::Clean);
    }
    if !apply {
        writeln!(out, "nothing was changed; --apply does what is to do")?;
    }
    Ok(Outcome::Problems)
}

/// A replacement says that what is before it is durable; what was read may be in memory only.
fn make_durable(queue: &QueueSurvey) -> anyhow::Result<()> {
    for segment in &queue.segments {
        let synced = File::open(&segment.path).and_then(|file| file.sync_all());
        synced.with_context(|| format!("cannot sync {}", segment.path.display()))?;
    }
    Ok(())
}

/// Returns what there is to add to what the step says of itself.
fn carry_out(directory: &Path, queue: &QueueSurvey, step: &Step<'_>) -> anyhow::Result<String> {
    match step {
        Step::Replace { segment, limit } => {
            let kept_as = replacement::replace(directory, &queue.id, segment, *limit)?;
            Ok(format!("; the original is kept as {}", kept_as.display()))
        }
        Step::Cut { .. } => {
            let (root, recycle) = (directory.join(QUEUES), directory.join(RECYCLE));
            let store = LogStore::open(Arc::new(FsStorage), root, recycle, LogOptions::default())?;
            Log::recover(&store, &queue.id)?;
            Ok(String::new())
        }
        Step::SetAside { path } => {
            for path in [path.to_path_buf(), seglog::atomic_file::previous(path)] {
                set_aside(&path)?;
            }
            sync_directory_of(path)?;
            Ok(String::new())
        }
        Step::Restore { checkpoint, .. } => {
            let store = CheckpointStore::open(Arc::new(FsStorage), directory.join(OFFSETS))?;
            // So that the store knows which file must not become the one before.
            store.read(&queue.id)?;
            store.write(&queue.id, checkpoint)?;
            Ok(String::new())
        }
    }
}

fn set_aside(path: &Path) -> anyhow::Result<()> {
    match std::fs::rename(path, with_suffix(path, DAMAGED_SUFFIX)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.with_context(|| format!("cannot rename {}", path.display())),
    }
}

/// Makes the names beside a file durable.
pub(super) fn sync_directory_of(path: &Path) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.with_context(|| format!("cannot sync {}", directory.display()))
}

/// The path with something behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
