//! Every byte of every file is damaged in turn, and every file cut to every length: what is then recovered and read is
//! what was appended, or `Damaged` names the file. A silent loss is accepted only where the format cannot tell damage
//! from a torn write: in the last batch before the end, and in a last file that was cut.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};

use seglog::inspect::Inspection;
use seglog::simulation::{CrashMode, Random, SimStorage};
use seglog::{Batch, FLAG_KEEP, Log, SeglogError, SyncPolicy};
use support::Note;
use support::model::{Model, opaque, read_all, record};
use support::rig::{open_store, recover};

const NAME: &str = "log-0";

/// A log as a process left it.
struct Left {
    disk: SimStorage,
    /// What must be found, each offset with the record behind its checksum.
    records: Vec<(u64, Vec<u8>)>,
    last: LastBatch,
}

/// The batch that nothing behind proves to be durable.
struct LastBatch {
    path: PathBuf,
    /// Of the file's bytes, those that it changed.
    bytes: std::ops::Range<usize>,
    /// Its first offset.
    first: u64,
}

/// Appends and syncs batches of a few records until there are `segments` files and three batches in the last one.
fn fill(log: &Log, disk: &SimStorage, segments: usize, random: &mut Random) -> LastBatch {
    let mut batches_in_last = 0;
    let mut before = disk.files().pop();
    loop {
        let contents = |disk: &SimStorage| {
            disk.files()
                .pop()
                .map(|path| (disk.content(&path).unwrap(), path))
        };
        let old = contents(disk);
        let mut batch = Batch::default();
        let first = log.written() + random.below(2);
        for offset in 0..3 {
            let flags = if random.chance(80) { FLAG_KEEP } else { 0 };
            let bytes = 20 + random.index(60);
            batch.push(first + offset, &record(flags, &opaque(random, bytes)));
        }
        log.append(&mut batch, SyncPolicy::Sync).unwrap();
        log.sync().unwrap();
        let (new, path) = contents(disk).unwrap();
        batches_in_last = if before.as_ref() == Some(&path) {
            batches_in_last + 1
        } else {
            0
        };
        before = Some(path.clone());
        if log.segments() >= segments && batches_in_last == 3 {
            let (old, _) = old.unwrap();
            let start = (0..new.len()).find(|at| old[*at] != new[*at]).unwrap();
            let end = (0..new.len()).rfind(|at| old[*at] != new[*at]).unwrap() + 1;
            return LastBatch {
                path,
                bytes: start..end,
                first,
            };
        }
    }
}

fn left_by(log: Log, disk: &SimStorage, last: LastBatch) -> Left {
    let is_kept = |content: &Vec<u8>| u16::from_le_bytes([content[12], content[13]]) & FLAG_KEEP != 0;
    let mut records = read_all(&log, 0, 1000).unwrap();
    records.retain(|(_, content)| is_kept(content));
    drop(log);
    Left {
        disk: disk.crash(0, CrashMode::LoseUnsynced),
        records,
        last,
    }
}

/// Killed while its last segment was being filled.
fn left_active() -> Left {
    let disk = SimStorage::default();
    let log = Log::create(&open_store(&disk).unwrap(), NAME).unwrap();
    let last = fill(&log, &disk, 3, &mut Random::new(5000));
    left_by(log, &disk, last)
}

/// Recovered, and nothing appended since.
fn left_recovered() -> Left {
    let disk = left_active().disk;
    let (_, mut logs) = recover(&disk, &[NAME.to_owned()]).unwrap();
    let last = LastBatch {
        path: PathBuf::new(),
        bytes: 0..0,
        first: u64::MAX,
    };
    left_by(logs.remove(0).0, &disk, last)
}

/// Recovered, appended to, and with segments that were rewritten and recycled.
fn left_rewritten() -> Left {
    let disk = left_active().disk;
    let (_store, mut logs) = recover(&disk, &[NAME.to_owned()]).unwrap();
    let log = logs.remove(0).0;
    let mut random = Random::new(5001);
    fill(&log, &disk, 5, &mut random);
    let mut model = Model::default();
    for (offset, content) in read_all(&log, 0, 1000).unwrap() {
        model.attempt(offset, &[&[0; 4], &content[..]].concat());
    }
    model.settle(&mut random);
    let settled = model.settled();
    log.collect(&settled, u64::MAX).unwrap();
    let last = fill(&log, &disk, 4, &mut random);
    left_by(log, &disk, last)
}

/// Records before the place of damage, and the damage.
enum Found {
    All,
    /// Whether recovery reported a cut, and the offsets that are left.
    Fewer(bool, Vec<u64>),
    Damaged(PathBuf),
}

/// Whatever is found must be as it was appended.
fn find(left: &Left, disk: &SimStorage) -> Found {
    let outcome = recover(disk, &[NAME.to_owned()]).and_then(|(_store, mut logs)| {
        let (log, recovered) = logs.remove(0);
        let found = read_all(&log, 0, 0)?;
        // What can be read beside the damage must be right, too.
        for (offset, content) in &left.records {
            let mut out = Vec::new();
            if log.read(*offset, 0, &mut out).is_ok() && out.get(8..16) == Some(&offset.to_le_bytes()[..]) {
                assert!(out[4..] == *content, "offset {offset} holds other bytes");
            }
        }
        Ok((!recovered.cuts.is_empty(), found))
    });
    match outcome {
        Err(SeglogError::Damaged { path, .. }) => Found::Damaged(path),
        Err(error) => panic!("{error}"),
        Ok((is_reported, found)) => {
            for record in &found {
                assert!(
                    left.records.contains(record),
                    "offset {} was never appended so",
                    record.0
                );
            }
            match found.len() == left.records.len() {
                true => Found::All,
                false => Found::Fewer(is_reported, found.into_iter().map(|(offset, _)| offset).collect()),
            }
        }
    }
}

fn damage(left: &Left, path: &Path, content: Vec<u8>) -> Found {
    let disk = left.disk.crash(0, CrashMode::LoseUnsynced);
    disk.put(path, content.clone()).unwrap();
    // Also the walk for people ends, whatever it comes upon.
    let inspected = Inspection::open(&disk, path)
        .unwrap()
        .take(content.len() + 2)
        .count();
    assert!(inspected < content.len() + 2);
    find(left, &disk)
}

fn check_flips(left: &Left) {
    let (mut harmless, mut told, mut cut) = (0, 0, 0);
    for path in left.disk.files() {
        let content = left.disk.content(&path).unwrap();
        for position in 0..content.len() {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let _note = Note(format!("byte {position} of {} xor {flip}", path.display()));
                let mut flipped = content.clone();
                flipped[position] ^= flip;
                match damage(left, &path, flipped) {
                    Found::All => harmless += 1,
                    Found::Damaged(named) => {
                        assert_eq!(named, path);
                        told += 1;
                    }
                    Found::Fewer(is_reported, offsets) => {
                        assert!(is_reported);
                        let is_last = path == left.last.path && left.last.bytes.contains(&position);
                        assert!(is_last, "a silent loss");
                        let before = left
                            .records
                            .iter()
                            .filter(|(offset, _)| *offset < left.last.first);
                        assert!(
                            offsets.len() >= before.count(),
                            "more than the last batch is lost"
                        );
                        cut += 1;
                    }
                }
            }
        }
    }
    println!("{harmless} flips were harmless, {told} were told, {cut} looked like a torn write");
    assert!(told > 5000 && harmless > 1000);
}

fn check_truncations(left: &Left) {
    let files = left.disk.files();
    let (mut harmless, mut told, mut cut) = (0, 0, 0);
    for path in &files {
        let content = left.disk.content(path).unwrap();
        for length in 0..content.len() {
            let _note = Note(format!("{} cut to {length} bytes", path.display()));
            match damage(left, path, content[..length].to_vec()) {
                Found::All => harmless += 1,
                Found::Damaged(named) => {
                    assert_eq!(named, *path);
                    told += 1;
                }
                Found::Fewer(_, offsets) => {
                    assert_eq!(Some(path), files.last(), "a silent loss");
                    assert!(
                        left.records
                            .iter()
                            .map(|(offset, _)| offset)
                            .zip(&offsets)
                            .all(|(a, b)| a == b)
                    );
                    cut += 1;
                }
            }
        }
    }
    println!("{harmless} truncations were harmless, {told} were told, {cut} looked like a torn write");
    assert!(told > 1000 && cut > 50);
}

#[test]
fn in_an_active_log() {
    let left = left_active();
    check_flips(&left);
    check_truncations(&left);
}

#[test]
fn in_a_recovered_log() {
    let left = left_recovered();
    check_flips(&left);
    check_truncations(&left);
}

#[test]
fn in_a_rewritten_log() {
    let left = left_rewritten();
    assert!(left.disk.files().len() >= 4, "{:?}", left.disk.files());
    check_flips(&left);
    check_truncations(&left);
}
