//! Prints the records of one queue's log.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use seglog::inspect::{Found, Inspection};
use seglog::{CheckpointStore, Settled};

use super::flags::{DumpFlags, Format};
use super::message::StoredMessage;
use super::read_only::ReadOnly;
use super::run::Outcome;
use super::survey::{Names, OFFSETS, segments};

/// Prints as the flags say. What cannot be read is told on standard error.
pub(super) fn dump(directory: &Path, flags: &DumpFlags, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let id = identifier(directory, &flags.vhost, &flags.queue)?;
    let settled = settled(directory, &id)?;
    let segments = segments(directory, &id)?;
    let mut left = if flags.count == 0 { u64::MAX } else { flags.count };
    for (index, (_, path)) in segments.iter().enumerate() {
        let next = segments.get(index + 1).map_or(u64::MAX, |next| next.0);
        if next > flags.from && left > 0 {
            dump_segment(path, flags, &settled, &mut left, out)?;
        }
    }
    Ok(Outcome::Clean)
}

/// Whose log it is: a queue's name goes before the name of a directory.
fn identifier(directory: &Path, vhost: &str, queue: &str) -> anyhow::Result<String> {
    let names = Names::read(directory)?;
    let named = names
        .queues
        .iter()
        .find(|(_, name)| name.vhost == vhost && name.name == queue);
    let ids = || names.queues.keys().chain(&names.orphans);
    let found = named.map(|(id, _)| id).or_else(|| ids().find(|id| *id == queue));
    found.cloned().ok_or_else(|| {
        anyhow::anyhow!("there is no queue '{queue}' in vhost '{vhost}' and no log of that name; `broker log verify` names them all")
    })
}

fn settled(directory: &Path, id: &str) -> anyhow::Result<Settled> {
    let checkpoints = CheckpointStore::open(Arc::new(ReadOnly), directory.join(OFFSETS))?;
    let checkpoint = match checkpoints.read(id) {
        Ok(seglog::Found::Current(checkpoint) | seglog::Found::Previous(checkpoint, _)) => Some(checkpoint),
        Ok(seglog::Found::None) => None,
        Err(error) => {
            eprintln!("broker log: {error}");
            None
        }
    };
    Ok(checkpoint
        .map(|checkpoint| checkpoint.settled)
        .unwrap_or_default())
}

fn dump_segment(
    path: &Path,
    flags: &DumpFlags,
    settled: &Settled,
    left: &mut u64,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let segment = path.file_name().unwrap_or_default().to_string_lossy();
    let mut inspection = Inspection::open(&ReadOnly, path)?;
    while let Some(found) = inspection.next() {
        match found {
            Found::Record {
                offset,
                position,
                length,
                flags: bits,
            } if offset >= flags.from => {
                let position_in_file = position as usize;
                let message = StoredMessage {
                    segment: &segment,
                    position,
                    offset,
                    flags: bits,
                    is_settled: settled.contains(offset),
                    bytes: &inspection.bytes()[position_in_file..position_in_file + length as usize],
                };
                match flags.format {
                    Format::Json => writeln!(out, "{}", message.json(flags.bodies))?,
                    Format::Text => message.write_text(flags.bodies, out)?,
                }
                *left -= 1;
                if *left == 0 {
                    return Ok(());
                }
            }
            Found::Torn { position, what } => {
                eprintln!(
                    "broker log: {} at byte {position}: {what}; a start cuts it there",
                    path.display()
                );
                return Ok(());
            }
            Found::Damaged { position, what } => {
                eprintln!("broker log: {} at byte {position}: {what}", path.display());
            }
            Found::Header { .. } | Found::Marker { .. } | Found::Footer { .. } | Found::Record { .. } => {}
        }
    }
    Ok(())
}
