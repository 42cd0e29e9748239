//! The log thread over a simulated disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use ring::Offset;
use seglog::simulation::{Fault, SimStorage};
use seglog::{FLAG_KEEP, HEAD_BYTES, Log, LogOptions, LogStore, Records, Storage};

use super::durability::Durability;
use super::log_thread::LogThread;
use super::queue_log::{LogOwner, QueueLog};

/// A test that waits longer than this has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Passes the word on.
struct Owner(mpsc::Sender<()>);

impl LogOwner for Owner {
    fn log_progressed(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

/// Keeps the log thread when it passes by, until it is let go.
struct Obstacle {
    reached: mpsc::Sender<()>,
    released: parking_lot::Mutex<mpsc::Receiver<()>>,
}

impl LogOwner for Obstacle {
    fn log_progressed(self: Arc<Self>) {
        let _ = self.reached.send(());
        let _ = self.released.lock().recv_timeout(DEADLINE);
    }
}

/// A queue's log, and what tells of its progress.
struct Bench {
    log: Arc<QueueLog>,
    progress: mpsc::Receiver<()>,
    _owner: Arc<Owner>,
}

impl Bench {
    fn new(store: &Arc<LogStore>, thread: &LogThread, name: &str, durability: Durability) -> Bench {
        let log = QueueLog::new(
            Log::create(store, name).unwrap(),
            durability,
            Arc::clone(thread.shared()),
        );
        let (sender, progress) = mpsc::channel();
        let owner = Arc::new(Owner(sender));
        let weak: std::sync::Weak<Owner> = Arc::downgrade(&owner);
        log.set_owner(weak);
        Bench {
            log,
            progress,
            _owner: owner,
        }
    }

    /// Stages records `from..`; returns where it had to stop.
    fn stage(&self, from: u64, to: u64, urgent: bool) -> u64 {
        let mut next = from;
        self.log.stage(urgent, |push| {
            while next < to && push(Offset(next), &record(next)) {
                next += 1;
            }
        });
        next
    }

    fn await_until(&self, reached: impl Fn(&QueueLog) -> bool) {
        while !reached(&self.log) {
            self.progress
                .recv_timeout(DEADLINE)
                .expect("the log thread says so in time");
        }
    }
}

fn record(number: u64) -> Vec<u8> {
    let mut record = vec![number as u8; HEAD_BYTES + 100];
    record[..HEAD_BYTES].fill(0);
    let length = record.len() as u32;
    record[4..8].copy_from_slice(&length.to_le_bytes());
    record[16..18].copy_from_slice(&FLAG_KEEP.to_le_bytes());
    record
}

fn store(storage: &SimStorage) -> Arc<LogStore> {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let options = LogOptions::default();
    LogStore::open(
        storage,
        PathBuf::from("/queues"),
        PathBuf::from("/recycle"),
        options,
    )
    .unwrap()
}

fn offsets(log: &QueueLog) -> Vec<u64> {
    let (mut at, mut found) = (Offset(0), Vec::new());
    loop {
        let mut bytes = Vec::new();
        let next = log.read(at, 1 << 16, &mut bytes).unwrap();
        if bytes.is_empty() {
            return found;
        }
        found.extend(Records::new(&bytes).map(|(offset, _)| offset));
        at = next;
    }
}

#[test]
fn many_queues_are_written_whole_and_kept_as_they_ask() {
    let storage = SimStorage::default();
    let (store, thread) = (store(&storage), LogThread::start().unwrap());
    let mut benches: Vec<_> = Durability::ALL
        .into_iter()
        .flat_map(|durability| (0..4).map(move |index| (durability, index)))
        .map(|(durability, index)| Bench::new(&store, &thread, &format!("{durability}{index}"), durability))
        .collect();
    const MESSAGES: u64 = 30_000;
    std::thread::scope(|scope| {
        for bench in &mut benches {
            scope.spawn(move || {
                let mut next = 0;
                while next < MESSAGES {
                    let staged = bench.stage(next, (next + 500).min(MESSAGES), next % 1000 == 0);
                    if staged == next {
                        bench.await_until(|log| log.kept() >= Offset(next));
                    }
                    next = staged;
                }
                bench.await_until(|log| log.kept() == Offset(MESSAGES));
            });
        }
    });
    for bench in &benches {
        assert_eq!(bench.log.written(), Offset(MESSAGES));
        assert!(offsets(&bench.log).into_iter().eq(0..MESSAGES));
        let is_synced = bench.log.log().synced() == MESSAGES;
        assert_eq!(is_synced, bench.log.durability() == Durability::Sync);
    }
    assert_eq!(thread.shared().staged_bytes(), 0);
}

#[test]
fn what_is_staged_when_the_thread_stops_is_written() {
    let storage = SimStorage::default();
    let (store, thread) = (store(&storage), LogThread::start().unwrap());
    let bench = Bench::new(&store, &thread, "q", Durability::Write);
    assert_eq!(bench.stage(0, 10, false), 10);
    thread.stop();
    assert_eq!(bench.log.kept(), Offset(10));
}

#[test]
fn a_failed_sync_stops_every_log_and_tells_every_owner() {
    let storage = SimStorage::default();
    let (store, thread) = (store(&storage), LogThread::start().unwrap());
    let benches = ["a", "b"].map(|name| Bench::new(&store, &thread, name, Durability::Sync));
    benches[0].stage(0, 5, true);
    benches[0].await_until(|log| log.kept() == Offset(5));
    storage.fail_from(storage.count(), Fault::FailedSync);
    benches[0].stage(5, 9, true);
    for bench in &benches {
        bench.await_until(|log| log.poison().is_some());
    }
    assert_eq!(
        benches[0].log.kept(),
        Offset(5),
        "nothing is confirmed after the failure"
    );
    assert_eq!(benches[1].stage(0, 5, true), 0, "and nothing is taken");
    assert_eq!(
        offsets(&benches[0].log)[..5],
        [0, 1, 2, 3, 4],
        "but what is there can be read"
    );
    let reason = benches[1].log.poison().unwrap();
    assert!(
        reason.contains("sync") && reason.contains("/queues/a/"),
        "{reason}"
    );
}

#[test]
fn a_queue_that_is_deleted_while_it_writes_harms_nobody() {
    let storage = SimStorage::default();
    let (store, thread) = (store(&storage), LogThread::start().unwrap());
    let stayer = Bench::new(&store, &thread, "stayer", Durability::Sync);
    for round in 0..200 {
        let leaver = Bench::new(&store, &thread, &format!("leaver{round}"), Durability::Sync);
        assert_eq!(leaver.stage(0, 50, round % 2 == 0), 50);
        // As the maintenance thread does, at whatever moment this meets the log thread.
        leaver.log.retire();
        leaver.log.log().remove().unwrap();
    }
    assert_eq!(thread.shared().poison_reason(), None);
    stayer.stage(0, 5, true);
    stayer.await_until(|log| log.kept() == Offset(5));
    assert_eq!(
        thread.shared().staged_bytes(),
        0,
        "what a deleted queue had staged counts no more"
    );
}

#[test]
fn a_thread_that_is_stuck_gives_no_sign_of_life() {
    let storage = SimStorage::default();
    let (store, thread) = (store(&storage), LogThread::start().unwrap());
    let shared = thread.shared();
    let await_answer = || {
        let start = std::time::Instant::now();
        while !shared.pulse().is_answered() {
            assert!(start.elapsed() < DEADLINE, "no answer");
            std::thread::yield_now();
        }
    };
    // Asleep, it wakes to answer.
    shared.ask();
    await_answer();

    let log = QueueLog::new(
        Log::create(&store, "q").unwrap(),
        Durability::Sync,
        Arc::clone(shared),
    );
    let (reached, at_obstacle) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let obstacle = Arc::new(Obstacle {
        reached,
        released: parking_lot::Mutex::new(released),
    });
    let weak: std::sync::Weak<Obstacle> = Arc::downgrade(&obstacle);
    log.set_owner(weak);
    log.stage(true, |push| {
        push(Offset(0), &record(0));
    });
    at_obstacle.recv_timeout(DEADLINE).expect("the thread writes");
    shared.ask();
    assert!(!shared.pulse().is_answered());
    drop(release);
    await_answer();
}
