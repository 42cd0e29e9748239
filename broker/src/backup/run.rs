//! The steps of a backup, in their order.

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use seglog::{CheckpointStore, Found, FsStorage};

use super::descriptions;
use super::destination::Destination;
use super::flags::BackupCommand;
use super::order;
use super::rest::Rest;
use super::segments::{self, Copied};
use crate::log_command::{METADATA, OFFSETS, QUEUES, ReadOnly};
use crate::store::CLEAN_FILE;
use crate::store::metadata::MetadataStore;

/// Times that a checkpoint is read which is being replaced.
const CHECKPOINT_TRIES_MAX: usize = 10;

/// Makes a backup and says what is in it.
pub(crate) fn run(command: &BackupCommand) -> ExitCode {
    match back_up(&command.data_dir, &command.to) {
        Ok(all) => {
            for note in &all.copied.notes {
                eprintln!("broker backup: {note}");
            }
            println!(
                "{}: {} of {}; queues: {}, records: {}, segments: {}, bytes: {}",
                command.to.display(),
                if all.is_of_running {
                    "backup while a broker runs"
                } else {
                    "backup"
                },
                command.data_dir.display(),
                all.queues,
                all.copied.records,
                all.copied.segments,
                all.copied.bytes,
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("broker backup: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// All that was copied.
#[derive(Debug)]
struct Everything {
    is_of_running: bool,
    queues: usize,
    copied: Copied,
}

/// Copies a directory at rest as one, and as a running broker's when one starts meanwhile.
fn back_up(from: &Path, to: &Path) -> anyhow::Result<Everything> {
    if let Some(rest) = Rest::of(from)? {
        let copied = copy(from, to, Some(&rest));
        // Whatever went wrong then may be because of that.
        if copied.is_ok() || !rest.is_over() {
            return copied;
        }
    }
    copy(from, to, None)
}

/// Copies a directory; `rest` is of one at rest, which gives up its copy when that is over.
fn copy(from: &Path, to: &Path, rest: Option<&Rest>) -> anyhow::Result<Everything> {
    let is_of_running = rest.is_none();
    let destination = Destination::new(to)?;
    let to = destination.path();
    let entities = descriptions::read(&from.join(METADATA))?;
    MetadataStore::open(Arc::new(FsStorage), to.join(METADATA))?.put_all(&entities)?;
    let ids: Vec<&str> = order::sources_first(&entities)
        .into_iter()
        .map(|queue| queue.id.as_str())
        .collect();
    let notes = copy_checkpoints(from, to, &ids, is_of_running)?;
    let mut all = Everything {
        is_of_running,
        queues: ids.len(),
        copied: Copied {
            notes,
            ..Copied::default()
        },
    };
    for id in ids {
        let copied = segments::copy(from, to, id, is_of_running)?;
        all.copied.records += copied.records;
        all.copied.bytes += copied.bytes;
        all.copied.segments += copied.segments;
        all.copied.notes.extend(copied.notes);
    }
    if let Some(rest) = rest {
        // It says that the checkpoints are the last word.
        if from.join(CLEAN_FILE).exists() {
            let mark = to.join(CLEAN_FILE);
            let made = File::create(&mark).and_then(|mark| mark.sync_all());
            made.with_context(|| format!("cannot make {}", mark.display()))?;
        }
        if rest.is_over() {
            bail!("{} was used while it was copied", from.display());
        }
    }
    destination.complete()?;
    Ok(all)
}

fn copy_checkpoints(
    from: &Path,
    to: &Path,
    ids: &[&str],
    is_of_running: bool,
) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    fs::create_dir_all(to.join(QUEUES)).with_context(|| format!("cannot make {}", to.display()))?;
    let source = CheckpointStore::open(Arc::new(ReadOnly), from.join(OFFSETS))?;
    let target = CheckpointStore::open(Arc::new(FsStorage), to.join(OFFSETS))?;
    for id in ids {
        let mut found = source.read(id)?;
        // Between two renames of a running broker there is only the one before.
        for _ in 1..CHECKPOINT_TRIES_MAX {
            if !matches!(found, Found::Previous(..)) {
                break;
            }
            found = source.read(id)?;
        }
        match found {
            Found::Current(checkpoint) => target.write(id, &checkpoint)?,
            Found::Previous(checkpoint, why) => {
                // A running broker may just have been held up there.
                if !is_of_running {
                    notes.push(format!("{why}: an older checkpoint is in its place"));
                }
                target.write(id, &checkpoint)?;
            }
            Found::None => {}
        }
    }
    Ok(notes)
}
