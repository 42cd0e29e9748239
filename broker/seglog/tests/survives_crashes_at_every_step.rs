//! Random runs are cut at every operation that changes the disk; the disk then crashes in every way, and what is
//! recovered is compared with a model. Recovered logs run on, and crash again, also in the middle of recovery.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ops::Range;

use seglog::simulation::{Action, CrashMode, Operation, Random, SimStorage};
use seglog::{Batch, FLAG_KEEP, Log, SyncPolicy};
use support::Note;
use support::model::{Model, read_all, record};
use support::rig::{Rig, Syncing, open_store, recover};

/// Operations of a run before its crash, and of the run after the first recovery.
const STEPS_FIRST: usize = 70;
const STEPS_SECOND: usize = 12;

/// At how many places of a run it is cut, at most.
const CUTS_MAX: usize = 60;

/// Each torn or reordered crash is tried with as many seeds.
const CRASHES: [(CrashMode, u64); 7] = [
    (CrashMode::LoseUnsynced, 0),
    (CrashMode::KeepAll, 0),
    (CrashMode::Reorder, 1),
    (CrashMode::Reorder, 2),
    (CrashMode::Tear, 1),
    (CrashMode::Tear, 2),
    (CrashMode::Tear, 3),
];

#[test]
fn whatever_was_synced_after_each_append_survives() {
    explore(Syncing::Each, 1000..1025);
}

#[test]
fn whatever_was_synced_now_and_then_survives() {
    explore(Syncing::Sometimes, 2000..2025);
}

#[test]
fn whatever_was_synced_long_after_its_segment_was_full_survives() {
    explore(Syncing::Late, 6000..6025);
}

#[test]
fn what_was_never_synced_comes_back_undamaged_or_not_at_all() {
    explore(Syncing::Never, 3000..3025);
}

/// Minimised: a read that passed over a segment of an earlier run left out the records of this one that were only
/// spilled.
#[test]
fn spilled_records_are_read_behind_those_of_an_earlier_run() {
    let append = |log: &Log, offset: u64, flags: u16| {
        let mut batch = Batch::default();
        batch.push(offset, &record(flags, b""));
        log.append(&mut batch, SyncPolicy::Sync).unwrap();
        log.sync().unwrap();
    };
    let disk = SimStorage::default();
    let log = Log::create(&open_store(&disk).unwrap(), "log-0").unwrap();
    append(&log, 0, FLAG_KEEP);
    append(&log, 1, 0);
    let (_store, mut logs) = recover(&disk.crash(0, CrashMode::LoseUnsynced), &["log-0".to_owned()]).unwrap();
    let (log, _) = logs.remove(0);
    append(&log, 2, 0);
    let offsets: Vec<u64> = read_all(&log, 1, 1000)
        .unwrap()
        .iter()
        .map(|found| found.0)
        .collect();
    assert_eq!(offsets, [2]);
}

fn explore(syncing: Syncing, seeds: Range<u64>) {
    let (mut crashes, mut done) = (0, Done::default());
    for seed in seeds.clone() {
        for cut in cuts(seed, syncing, &mut done) {
            let (storage, models) = run_to(cut, seed, syncing);
            for (mode, crash_seed) in CRASHES {
                let _note = Note(format!(
                    "{syncing:?}, seed {seed}, cut {cut}, {mode:?} {crash_seed}"
                ));
                let crash_seed = Random::new(seed ^ cut << 20 ^ crash_seed << 40).number();
                let disk = storage.crash(crash_seed, mode);
                crashes += recover_and_go_on(&disk, &models, mode, crash_seed, syncing);
            }
        }
    }
    println!("{syncing:?}, seeds {seeds:?}: {crashes} crashes of runs with {done:?}");
    assert!(crashes > 20_000, "only {crashes} crashes were tried");
    let least = done
        .segments
        .min(done.revived)
        .min(done.rewritten)
        .min(done.removed);
    assert!(least > 10, "the runs do too little: {done:?}");
}

/// What the uncut runs did, so that it is seen when they do nothing of interest any more.
#[derive(Debug, Default)]
struct Done {
    segments: usize,
    /// Segments made out of the file of a settled one.
    revived: usize,
    rewritten: usize,
    removed: usize,
}

/// Where to cut a run: before operations that change the disk, and at its end.
fn cuts(seed: u64, syncing: Syncing, done: &mut Done) -> Vec<u64> {
    let (storage, _) = run_to(u64::MAX, seed, syncing);
    let operations = storage.operations();
    let count = |action: Action, part: &str| {
        let is_counted = |operation: &&Operation| {
            operation.action == action && operation.path.to_string_lossy().contains(part)
        };
        operations.iter().filter(is_counted).count()
    };
    done.rewritten += count(Action::Rename, ".log.tmp");
    done.revived += count(Action::Rename, "recycled");
    done.segments += count(Action::Create, ".log") - count(Action::Create, ".log.tmp");
    done.removed += count(Action::Remove, ".log");
    let changes = operations
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.action.changes_disk());
    let mut cuts: Vec<u64> = changes
        .map(|(number, _)| number as u64)
        .chain([storage.count()])
        .collect();
    let mut random = Random::new(seed);
    while cuts.len() > CUTS_MAX {
        cuts.swap_remove(random.index(cuts.len()));
    }
    cuts
}

fn run_to(cut: u64, seed: u64, syncing: Syncing) -> (SimStorage, Vec<(String, Model)>) {
    let _note = Note(format!("{syncing:?}, seed {seed}, run to {cut}"));
    let storage = SimStorage::default();
    storage.stop_at(cut);
    let logs = 1 + (seed % 2) as usize;
    let outcome =
        Rig::create(&storage, logs, seed, syncing).map(|mut rig| (rig.run(STEPS_FIRST), rig.models()));
    let (outcome, models) = match outcome {
        Ok((outcome, models)) => (outcome, models),
        Err(error) => (Err(error), vec![("log-0".to_owned(), Model::default())]),
    };
    assert!(
        outcome.is_ok() || storage.count() > cut,
        "{}",
        outcome.unwrap_err()
    );
    (storage, models)
}

/// Returns how many crashes were looked at.
fn recover_and_go_on(
    disk: &SimStorage,
    models: &[(String, Model)],
    mode: CrashMode,
    seed: u64,
    syncing: Syncing,
) -> usize {
    let mut random = Random::new(seed);
    // Cut in the middle of its recovery, the disk must be as good as before.
    let (disk_cut, mode_next) = cut_recovery(disk, models, &mut random);
    {
        let _note = Note(format!("recovery cut, {mode_next:?}"));
        go_on(
            &disk_cut,
            models,
            cruellest(mode, mode_next),
            &mut random,
            syncing,
        );
    }
    go_on(disk, models, mode, &mut random, syncing);
    4
}

/// The disk after a crash somewhere in its recovery.
fn cut_recovery(
    disk: &SimStorage,
    models: &[(String, Model)],
    random: &mut Random,
) -> (SimStorage, CrashMode) {
    let names: Vec<String> = models.iter().map(|(name, _)| name.clone()).collect();
    let whole = disk.crash(0, CrashMode::KeepAll);
    recover(&whole, &names).unwrap_or_else(|error| panic!("after a mere crash: {error}"));
    let cut = disk.crash(0, CrashMode::KeepAll);
    cut.stop_at(random.below(whole.count()));
    recover(&cut, &names).expect_err("the recovery is stopped");
    let mode = any_mode(random);
    (cut.crash(random.number(), mode), mode)
}

/// Compares what is recovered with the models, runs on for a while, crashes and compares again.
fn go_on(
    disk: &SimStorage,
    models: &[(String, Model)],
    mode: CrashMode,
    random: &mut Random,
    syncing: Syncing,
) {
    let mut rig = Rig::recover(disk, models.to_vec(), mode, random.number(), syncing);
    let cut = disk.count() + random.below(80);
    disk.stop_at(cut);
    let mode_next = any_mode(random);
    let _note = Note(format!("second run to {cut}, {mode_next:?}"));
    let outcome = rig.run(STEPS_SECOND);
    assert!(outcome.is_ok() || disk.count() > cut, "{}", outcome.unwrap_err());
    let disk = disk.crash(random.number(), mode_next);
    Rig::recover(&disk, rig.models(), mode_next, random.number(), syncing);
}

fn any_mode(random: &mut Random) -> CrashMode {
    CrashMode::ALL[random.index(CrashMode::ALL.len())]
}

fn cruellest(first: CrashMode, second: CrashMode) -> CrashMode {
    if first == CrashMode::KeepAll {
        second
    } else {
        first
    }
}
