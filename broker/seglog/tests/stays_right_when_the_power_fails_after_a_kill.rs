//! A process is killed in the middle of something, the next one finds files that look finished and are not durable, and
//! goes on; then the power fails. Minimised from runs of `survives_crashes_at_every_step`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use seglog::simulation::{Action, CrashMode, SimStorage};
use seglog::{Batch, FLAG_KEEP, Log, Settled, SyncPolicy};
use support::Note;
use support::model::{read_all, record};
use support::rig::{open_store, recover};

const NAME: &str = "log-0";

fn create(disk: &SimStorage) -> Log {
    Log::create(&open_store(disk).unwrap(), NAME).unwrap()
}

fn reopen(disk: &SimStorage) -> Log {
    recover(disk, &[NAME.to_owned()]).unwrap().1.remove(0).0
}

fn append(log: &Log, offset: u64, opaque_bytes: usize, policy: SyncPolicy) {
    let mut batch = Batch::default();
    batch.push(offset, &record(FLAG_KEEP, &vec![offset as u8; opaque_bytes]));
    log.append(&mut batch, policy).unwrap();
}

fn offsets(log: &Log) -> Vec<u64> {
    read_all(log, 0, 1000)
        .unwrap()
        .into_iter()
        .map(|(offset, _)| offset)
        .collect()
}

/// Kills the recovery of `left` at each of its operations; lets the next one succeed and append offset 9, synced; then
/// the power fails.
fn kill_recovery_everywhere(left: &SimStorage, expected: &[u64]) {
    let whole = left.crash(0, CrashMode::KeepAll);
    reopen(&whole);
    for kill in 0..whole.count() {
        let killed = left.crash(0, CrashMode::KeepAll);
        killed.stop_at(kill);
        recover(&killed, &[NAME.to_owned()]).unwrap_err();
        let disk = killed.crash(0, CrashMode::KeepAll);
        let log = reopen(&disk);
        append(&log, 9, 10, SyncPolicy::Sync);
        log.sync().unwrap();
        for (seed, mode) in [
            (0, CrashMode::LoseUnsynced),
            (1, CrashMode::Tear),
            (2, CrashMode::Tear),
        ] {
            let _note = Note(format!("killed at {kill}, {mode:?} {seed}"));
            assert_eq!(offsets(&reopen(&disk.crash(seed, mode))), expected);
        }
    }
}

#[test]
fn while_recovery_seals_an_active_segment() {
    let disk = SimStorage::default();
    let log = create(&disk);
    append(&log, 0, 10, SyncPolicy::Sync);
    log.sync().unwrap();
    kill_recovery_everywhere(&disk.crash(0, CrashMode::LoseUnsynced), &[0, 9]);
}

/// Only the empty segment behind it, which recovery removes, tells that the full one is durable.
#[test]
fn while_recovery_lets_a_full_segment_speak_for_itself() {
    let run = |disk: &SimStorage| {
        let log = create(disk);
        append(&log, 0, 600, SyncPolicy::Sync);
        let mut batch = Batch::default();
        batch.push(1, &record(FLAG_KEEP, &[1; 600]));
        log.append(&mut batch, SyncPolicy::Sync).ok();
    };
    let whole = SimStorage::default();
    run(&whole);
    let operations = whole.operations();
    let last_write = operations
        .iter()
        .rposition(|operation| operation.action == Action::Write);
    let disk = SimStorage::default();
    disk.stop_at(last_write.unwrap() as u64);
    run(&disk);
    let left = disk.crash(0, CrashMode::LoseUnsynced);
    assert_eq!(left.files().len(), 2);
    kill_recovery_everywhere(&left, &[0, 9]);
}

/// Until its name is durable, a rewritten segment may give way to the old one, which was never synced.
#[test]
fn while_a_segment_is_rewritten() {
    let settled = Settled {
        frontier: 2,
        ranges: Vec::new(),
    };
    let run = |disk: &SimStorage| {
        let log = create(disk);
        for offset in 0..3 {
            append(&log, offset, 200, SyncPolicy::None);
        }
        append(&log, 3, 600, SyncPolicy::None);
        log.collect(&settled, u64::MAX).ok();
    };
    let whole = SimStorage::default();
    run(&whole);
    let operations = whole.operations();
    let rename = operations
        .iter()
        .rposition(|operation| operation.action == Action::Rename);
    let disk = SimStorage::default();
    disk.stop_at(rename.unwrap() as u64 + 1);
    run(&disk);
    let killed = disk.crash(0, CrashMode::KeepAll);
    assert_eq!(offsets(&reopen(&killed)), [2, 3]);
    assert_eq!(
        offsets(&reopen(&killed.crash(0, CrashMode::LoseUnsynced))),
        [2, 3]
    );
}

#[test]
fn while_a_log_is_removed() {
    let run = |disk: &SimStorage| {
        let log = create(disk);
        append(&log, 0, 600, SyncPolicy::Sync);
        append(&log, 1, 600, SyncPolicy::Sync);
        log.sync().unwrap();
        let before = disk.count();
        log.remove().ok();
        before
    };
    let whole = SimStorage::default();
    let removal = run(&whole)..whole.count();
    assert_eq!(open_store(&whole).unwrap().log_names().unwrap(), [""; 0]);
    for kill in removal {
        let _note = Note(format!("killed at {kill}"));
        let disk = SimStorage::default();
        disk.stop_at(kill);
        run(&disk);
        let killed = disk.crash(0, CrashMode::KeepAll);
        let found = offsets(&reopen(&killed));
        let lost = killed.crash(0, CrashMode::LoseUnsynced);
        assert_eq!(offsets(&reopen(&lost)), found);
    }
}
