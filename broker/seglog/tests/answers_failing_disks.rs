//! Every operation of a run fails once, or from then on. The log that could not write stops, others and readers go on,
//! and whatever a sync has confirmed is there after a crash.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use seglog::simulation::{CrashMode, Fault, SimStorage};
use seglog::{Batch, SeglogError, SyncPolicy};
use support::Note;
use support::model::{read_all, record};
use support::rig::{Doing, Rig, Syncing};

const STEPS: usize = 30;
const SEEDS: std::ops::Range<u64> = 4000..4008;

#[test]
fn input_output_errors() {
    for_each_operation(Fault::Eio);
}

#[test]
fn full_disks() {
    for_each_operation(Fault::Enospc);
}

#[test]
fn disks_that_become_full_within_a_write() {
    for_each_operation(Fault::ShortWrite);
}

#[test]
fn syncs_that_fail_and_drop_their_bytes() {
    for_each_operation(Fault::FailedSync);
}

/// At most one file is open: each append to one log closes the other's file, which is synced for that.
#[test]
fn a_failed_sync_before_closing_stops_the_writer_and_not_its_readers() {
    let storage = SimStorage::default();
    let rig = Rig::create(&storage, 2, 4100, Syncing::Sometimes).unwrap();
    let append = |index: usize, offset: u64| {
        let mut batch = Batch::default();
        batch.push(offset, &record(0, b"spilled"));
        rig.logs[index].log.append(&mut batch, SyncPolicy::Sync)
    };
    append(0, 0).unwrap();
    append(1, 0).unwrap();
    append(0, 1).unwrap();
    storage.fail_from(0, Fault::FailedSync);
    append(1, 1).unwrap();
    assert_eq!(storage.hits(), 1);
    storage.fail_from(u64::MAX, Fault::FailedSync);
    let stopped = append(0, 2).unwrap_err();
    assert!(matches!(stopped, SeglogError::Poisoned { .. }), "{stopped}");
    assert!(matches!(
        rig.logs[0].log.sync(),
        Err(SeglogError::Poisoned { .. })
    ));
    assert_eq!(read_all(&rig.logs[0].log, 0, 1000).unwrap().len(), 2);
    rig.logs[1].log.sync().unwrap();
}

fn for_each_operation(fault: Fault) {
    let (mut hits, mut failures) = (0, 0);
    for seed in SEEDS {
        let syncing = [Syncing::Each, Syncing::Sometimes, Syncing::Late, Syncing::Never][(seed % 4) as usize];
        let undisturbed = SimStorage::default();
        let mut rig = Rig::create(&undisturbed, 2, seed, syncing).unwrap();
        rig.run(STEPS).unwrap();
        for number in 0..undisturbed.count() {
            for is_lasting in [false, true] {
                let _note = Note(format!(
                    "{fault:?}, seed {seed}, at {number}, lasting: {is_lasting}"
                ));
                let storage = SimStorage::default();
                match is_lasting {
                    true => storage.fail_from(number, fault),
                    false => storage.fail_at(number, fault),
                }
                failures += usize::from(run_and_fail(&storage, seed, syncing));
                hits += usize::from(storage.hits() > 0);
            }
        }
    }
    println!("{fault:?}, seeds {SEEDS:?}: {hits} runs were hit, {failures} of them were told");
    assert!(failures > 100);
}

/// Returns whether an operation of the log failed.
fn run_and_fail(storage: &SimStorage, seed: u64, syncing: Syncing) -> bool {
    let Ok(mut rig) = Rig::create(storage, 2, seed, syncing) else {
        storage.fail_from(u64::MAX, Fault::Eio);
        Rig::create(storage, 2, seed, syncing).unwrap();
        return true;
    };
    let outcome = rig.run(STEPS);
    // From here on the disk works again.
    storage.fail_from(u64::MAX, Fault::Eio);
    if let Err(error) = &outcome {
        assert!(storage.hits() > 0, "{error}");
        let (doing, index) = rig.doing;
        match doing {
            Doing::Append | Doing::Sync => check_stopped(&mut rig, index, error),
            Doing::Remove => {
                check_io(error);
                rig.logs[index].log.remove().unwrap();
            }
            Doing::Read | Doing::Collect => {
                check_io(error);
                check_going_on(&mut rig, index);
            }
        }
    }
    for (seed, mode) in CrashMode::ALL.into_iter().enumerate() {
        let disk = storage.crash(seed as u64, mode);
        Rig::recover(&disk, rig.models(), mode, seed as u64, syncing);
    }
    outcome.is_err()
}

fn check_io(error: &SeglogError) {
    assert!(matches!(error, SeglogError::Io { .. }), "{error}");
}

/// A log whose write or sync failed is only read from now on; the other one goes on.
fn check_stopped(rig: &mut Rig, index: usize, error: &SeglogError) {
    // A file that was closed for want of room tells the log of its failure later.
    assert!(
        matches!(error, SeglogError::Io { .. } | SeglogError::Poisoned { .. }),
        "{error}"
    );
    let tracked = &rig.logs[index];
    let mut batch = Batch::default();
    batch.push(tracked.model.next, &record(0, b"refused"));
    let poisoned = tracked.log.append(&mut batch, SyncPolicy::Sync).unwrap_err();
    assert!(matches!(poisoned, SeglogError::Poisoned { .. }), "{poisoned}");
    let reason = poisoned.to_string();
    assert!(matches!(tracked.log.sync(), Err(SeglogError::Poisoned { .. })));
    assert!(reason.contains("/data/"), "{reason}");
    rig.read(index).unwrap();
    check_other(rig, 1 - index);
}

/// A log that failed to read or to give back space works as before.
fn check_going_on(rig: &mut Rig, index: usize) {
    rig.read(index).unwrap();
    check_other(rig, index);
    check_other(rig, 1 - index);
}

/// The fault may have hit it too: a file of its was closed meanwhile.
fn check_other(rig: &mut Rig, index: usize) {
    let outcome = rig
        .append(index)
        .and_then(|()| rig.sync(index))
        .and_then(|()| rig.collect(index));
    assert!(
        matches!(outcome, Ok(()) | Err(SeglogError::Poisoned { .. })),
        "{outcome:?}"
    );
    rig.read(index).unwrap();
}
