//! Random but repeatable runs over several logs of one store.

use std::path::PathBuf;
use std::sync::Arc;

use seglog::simulation::{CrashMode, Random, SimStorage};
use seglog::{Batch, FLAG_KEEP, Log, LogOptions, LogStore, Recovered, SeglogError, SyncPolicy};

use super::model::{Model, Stage, opaque, read_all, record};

/// When a run syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncing {
    /// After each append.
    Each,
    /// Now and then.
    Sometimes,
    /// Now and then; segments are not made durable when they are full.
    Late,
    /// Never, and segments are not made durable either.
    Never,
}

impl Syncing {
    fn policy(self) -> SyncPolicy {
        match self {
            Self::Each | Self::Sometimes => SyncPolicy::Sync,
            Self::Late | Self::Never => SyncPolicy::None,
        }
    }
}

/// An operation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Append,
    Sync,
    Read,
    Collect,
    Remove,
}

/// A log and what it must hold.
#[derive(Debug)]
pub struct Tracked {
    pub name: String,
    pub log: Log,
    pub model: Model,
}

/// Some logs, and the chance by which the run goes on.
#[derive(Debug)]
pub struct Rig {
    pub storage: SimStorage,
    pub store: Arc<LogStore>,
    pub logs: Vec<Tracked>,
    pub random: Random,
    pub syncing: Syncing,
    /// What was tried last, on which log.
    pub doing: (Doing, usize),
}

/// Segments of one to four kilobytes, so that a short run fills, recycles and rewrites many.
pub fn small() -> LogOptions {
    LogOptions {
        segment_bytes_first: 1024,
        segment_bytes_max: 2048,
        mappings_max: 2,
        open_files_max: 1,
        recycled_max: 2,
    }
}

pub fn root() -> PathBuf {
    PathBuf::from("/data/queues")
}

pub fn open_store(storage: &SimStorage) -> Result<Arc<LogStore>, SeglogError> {
    LogStore::open(
        Arc::new(storage.clone()),
        root(),
        PathBuf::from("/data/recycled"),
        small(),
    )
}

/// Reopens everything, without a look at the content.
#[allow(clippy::type_complexity, reason = "a pair of results")]
pub fn recover(
    storage: &SimStorage,
    names: &[String],
) -> Result<(Arc<LogStore>, Vec<(Log, Recovered)>), SeglogError> {
    let store = open_store(storage)?;
    let logs = names
        .iter()
        .map(|name| Log::recover(&store, name))
        .collect::<Result<_, _>>()?;
    Ok((store, logs))
}

impl Rig {
    /// New logs on an empty disk; none when the disk fails at once.
    pub fn create(
        storage: &SimStorage,
        logs: usize,
        seed: u64,
        syncing: Syncing,
    ) -> Result<Self, SeglogError> {
        let store = open_store(storage)?;
        let mut rig = Self {
            storage: storage.clone(),
            store,
            logs: Vec::new(),
            random: Random::new(seed),
            syncing,
            doing: (Doing::Read, 0),
        };
        for index in 0..logs {
            let name = format!("log-{index}");
            let log = Log::create(&rig.store, &name)?;
            rig.logs.push(Tracked {
                name,
                log,
                model: Model::default(),
            });
        }
        Ok(rig)
    }

    /// What each log must hold.
    pub fn models(&self) -> Vec<(String, Model)> {
        self.logs
            .iter()
            .map(|tracked| (tracked.name.clone(), tracked.model.clone()))
            .collect()
    }

    /// Reopens logs after crashes of which `mode` was the cruellest, and compares them with the models.
    pub fn recover(
        storage: &SimStorage,
        models: Vec<(String, Model)>,
        mode: CrashMode,
        seed: u64,
        syncing: Syncing,
    ) -> Self {
        let names: Vec<String> = models.iter().map(|(name, _)| name.clone()).collect();
        let mut random = Random::new(seed);
        let (store, recovered) =
            recover(storage, &names).unwrap_or_else(|error| panic!("after a mere crash: {error}"));
        let logs = models
            .into_iter()
            .zip(recovered)
            .map(|((name, mut model), (log, recovered))| {
                model.check_recovered(&log, &recovered, mode, &mut random);
                Tracked { name, log, model }
            });
        Self {
            storage: storage.clone(),
            store,
            logs: logs.collect(),
            random,
            syncing,
            doing: (Doing::Read, 0),
        }
    }

    /// So many random operations, until one fails.
    pub fn run(&mut self, steps: usize) -> Result<(), SeglogError> {
        (0..steps).try_for_each(|_| self.step())
    }

    fn step(&mut self) -> Result<(), SeglogError> {
        let index = self.random.index(self.logs.len());
        match self.random.below(100) {
            0..60 => self.append(index),
            60..75 => self.read(index),
            75..97 => self.collect(index),
            97 => self.remove(index),
            _ => self.sync(index),
        }
    }

    pub fn append(&mut self, index: usize) -> Result<(), SeglogError> {
        self.doing = (Doing::Append, index);
        let (tracked, random) = (&mut self.logs[index], &mut self.random);
        let mut batch = Batch::default();
        for _ in 0..=random.below(6) {
            let record = any_record(random);
            let offset = tracked.model.next + any_gap(random);
            batch.push(offset, &record);
            tracked.model.attempt(offset, &record);
        }
        tracked.log.append(&mut batch, self.syncing.policy())?;
        tracked.model.reached(Stage::Written);
        assert_eq!(tracked.log.written(), tracked.model.next);
        match self.syncing {
            Syncing::Each => self.sync(index),
            Syncing::Sometimes | Syncing::Late if self.random.chance(30) => self.sync(index),
            _ => Ok(()),
        }
    }

    pub fn sync(&mut self, index: usize) -> Result<(), SeglogError> {
        self.doing = (Doing::Sync, index);
        if self.syncing == Syncing::Never {
            return Ok(());
        }
        let tracked = &mut self.logs[index];
        tracked.log.sync()?;
        tracked.model.reached(Stage::Synced);
        assert_eq!(tracked.log.synced(), tracked.log.written());
        Ok(())
    }

    pub fn read(&mut self, index: usize) -> Result<(), SeglogError> {
        self.doing = (Doing::Read, index);
        let (tracked, random) = (&self.logs[index], &mut self.random);
        let from = if random.chance(50) {
            0
        } else {
            random.below(tracked.model.next + 2)
        };
        let found = read_all(&tracked.log, from, random.index(3000))?;
        tracked.model.check_read(from, tracked.log.written(), &found);
        Ok(())
    }

    pub fn collect(&mut self, index: usize) -> Result<(), SeglogError> {
        self.doing = (Doing::Collect, index);
        let (tracked, random) = (&mut self.logs[index], &mut self.random);
        tracked.model.settle(random);
        tracked.model.collect();
        tracked
            .log
            .collect(&tracked.model.settled(), random.below(6000))?;
        Ok(())
    }

    /// The name is used again at once, as for a queue that is deleted and declared.
    pub fn remove(&mut self, index: usize) -> Result<(), SeglogError> {
        self.doing = (Doing::Remove, index);
        let tracked = &mut self.logs[index];
        tracked.model.collect_all();
        tracked.log.remove()?;
        tracked.log = Log::create(&self.store, &tracked.name)?;
        tracked.model = Model::default();
        Ok(())
    }
}

/// Mostly small; some do not fit a segment of the usual size.
fn any_record(random: &mut Random) -> Vec<u8> {
    let bytes = match random.below(100) {
        0..10 => 0,
        10..80 => random.index(60),
        80..98 => random.index(500),
        _ => random.index(5000),
    };
    let flags = if random.chance(75) { FLAG_KEEP } else { 0 } | if random.chance(10) { 0x10 } else { 0 };
    record(flags, &opaque(random, bytes))
}

/// Mostly none; some are wider than a segment can tell.
fn any_gap(random: &mut Random) -> u64 {
    match random.below(100) {
        0..85 => 0,
        85..99 => random.below(5),
        _ => 1 << 33,
    }
}
