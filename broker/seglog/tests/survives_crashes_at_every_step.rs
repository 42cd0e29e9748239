//! Random runs are cut at every operation that changes the disk; the disk then crashes in every way, and what is
//! recovered is compared with a model. Recovered logs run on, and crash again, also in the middle of recovery.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ops::Range;

use seglog::simulation::{Action, CrashMode, Operation, Random, SimStorage};
use support::Note;
use support::model::Model;
use support::rig::{Rig, Syncing, recover};

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
fn what_was_never_synced_comes_back_undamaged_or_not_at_all() {
    explore(Syncing::Never, 3000..3025);
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
    let names: Vec<String> = models.iter().map(|(name, _)| name.clone()).collect();
    let disk_cut = disk.crash(0, CrashMode::KeepAll);
    let cut = random.below(40);
    disk_cut.stop_at(cut);
    let mut crashes = 1;
    if let Err(error) = recover(&disk_cut, &names) {
        let mode_next = any_mode(&mut random);
        let _note = Note(format!("recovery cut at {cut}, {mode_next:?}"));
        assert!(disk_cut.count() > cut, "{error}");
        let disk = disk_cut.crash(random.number(), mode_next);
        Rig::recover(
            &disk,
            models.to_vec(),
            cruellest(mode, mode_next),
            random.number(),
            syncing,
        );
        crashes += 1;
    }
    let mut rig = Rig::recover(disk, models.to_vec(), mode, random.number(), syncing);
    let cut = disk.count() + random.below(80);
    disk.stop_at(cut);
    let mode_next = any_mode(&mut random);
    let _note = Note(format!("second run to {cut}, {mode_next:?}"));
    let outcome = rig.run(STEPS_SECOND);
    assert!(outcome.is_ok() || disk.count() > cut, "{}", outcome.unwrap_err());
    let disk = disk.crash(random.number(), mode_next);
    Rig::recover(&disk, rig.models(), mode_next, random.number(), syncing);
    crashes + 1
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
