//! What the tasks share: the ledger, the recorders, and who may send.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::live::Totals;
use crate::plan::Plan;
use crate::recorder::{LatencyRecorder, Second};

/// Recorders among which the tasks are spread: more than workers, so that two rarely meet.
const RECORDERS: usize = 4;

/// The shared books of one run. No lock is held across an await.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) clock: Clock,
    pub(super) ledger: Mutex<Ledger>,
    recorders: Vec<Mutex<LatencyRecorder>>,
    /// One per producer: something of it arrived, or the load is over.
    pub(super) room: Vec<Notify>,
    /// Where the load ends; nothing intended later is sent.
    load_end_ns: AtomicU64,
    acked: AtomicU64,
    /// Deliveries that wait for their ack.
    unacked: AtomicU64,
    pub(super) blocked: AtomicU64,
    /// Messages that became due while the broker kept their producer from sending.
    pub(super) held_back: AtomicU64,
    /// Producers that have sent all their messages and whose broker has taken them over, or confirms what it has.
    pub(super) done: AtomicUsize,
}

impl Books {
    pub(super) fn new(plan: &Plan, clock: Clock) -> Self {
        let open_loop = plan.scenario.is_open_loop();
        Self {
            clock,
            ledger: Mutex::new(Ledger::new(plan)),
            recorders: (0..RECORDERS)
                .map(|_| Mutex::new(LatencyRecorder::new(open_loop)))
                .collect(),
            room: plan.producers.iter().map(|_| Notify::new()).collect(),
            load_end_ns: AtomicU64::new(u64::MAX),
            acked: AtomicU64::new(0),
            unacked: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
            done: AtomicUsize::new(0),
        }
    }

    /// The recorder of the task with this index.
    pub(super) fn recorder(&self, task: usize) -> MutexGuard<'_, LatencyRecorder> {
        self.recorders[task % RECORDERS].lock()
    }

    /// Sets the measured window, and where the load ends.
    pub(super) fn set_window(&self, window_ns: (u64, u64), load_end_ns: u64) {
        self.load_end_ns.store(load_end_ns, Ordering::Relaxed);
        self.recorders
            .iter()
            .for_each(|recorder| recorder.lock().set_window(window_ns));
    }

    /// Where the load ends.
    pub(super) fn load_end_ns(&self) -> u64 {
        self.load_end_ns.load(Ordering::Relaxed)
    }

    /// Wakes every producer, to look at the end of the load again.
    pub(super) fn wake_producers(&self) {
        self.room.iter().for_each(Notify::notify_one);
    }

    /// Hands the second of each recorder to `add`.
    pub(super) fn take_seconds(&self, second: &mut Second, mut add: impl FnMut(&Second)) {
        for recorder in &self.recorders {
            recorder.lock().take_second(second);
            add(second);
        }
    }

    /// Counts deliveries that will be acknowledged.
    pub(super) fn owe_acks(&self, count: u64) {
        self.unacked.fetch_add(count, Ordering::AcqRel);
    }

    /// Counts deliveries that were acknowledged.
    pub(super) fn acked(&self, count: u64) {
        self.acked.fetch_add(count, Ordering::Relaxed);
        self.unacked.fetch_sub(count, Ordering::AcqRel);
    }

    /// Whether every delivery so far has been acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.unacked.load(Ordering::Acquire) == 0
    }

    /// The running totals.
    pub(super) fn totals(&self) -> Totals {
        let ledger = self.ledger.lock();
        Totals {
            published: ledger.published(),
            confirmed: ledger.confirmed(),
            consumed: ledger.received() + ledger.foreign(),
            acked: self.acked.load(Ordering::Relaxed),
        }
    }
}
