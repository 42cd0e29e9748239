//! One queue's log as its queue and the log thread share it.
//!
//! The queue copies records into the staging batch, under its own lock and this short one; the log thread swaps the batch
//! out, writes it and says how far it has come. Nobody waits for the other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use ring::Offset;
use seglog::{Batch, Log, SeglogError, SyncPolicy};

use super::durability::Durability;
use super::log_thread::LogShared;

/// Most bytes of one queue that wait for the log thread. What does not fit stays in the ring, and need never be written if
/// it is settled until then.
const STAGED_BYTES_MAX: usize = 1 << 20;
/// The same while the queues together have staged more than [`STAGED_BYTES_ALL`].
const STAGED_BYTES_PRESSED: usize = 64 << 10;
/// Staged bytes of all queues that are taken without a second thought.
const STAGED_BYTES_ALL: usize = 32 << 20;

/// Whom a log tells of its progress.
pub trait LogOwner: Send + Sync {
    /// [`QueueLog::written`] or [`QueueLog::kept`] has grown, or the log has failed. Called by the log thread: must not
    /// block.
    fn log_progressed(self: Arc<Self>);
}

/// See the module documentation.
pub struct QueueLog {
    log: Log,
    durability: Durability,
    staging: Mutex<Batch>,
    /// Its token is in the hand-off: the log thread will come for the batch.
    handed_off: AtomicBool,
    written: AtomicU64,
    kept: AtomicU64,
    owner: OnceLock<Weak<dyn LogOwner>>,
    token: OnceLock<u64>,
    shared: Arc<LogShared>,
}

impl QueueLog {
    /// A log whose confirms promise `durability`.
    pub(super) fn new(log: Log, durability: Durability, shared: Arc<LogShared>) -> Arc<QueueLog> {
        let next = log.written();
        let queue_log = Arc::new(QueueLog {
            log,
            durability,
            staging: Mutex::default(),
            handed_off: AtomicBool::new(false),
            written: AtomicU64::new(next),
            kept: AtomicU64::new(next),
            owner: OnceLock::new(),
            token: OnceLock::new(),
            shared: Arc::clone(&shared),
        });
        let token = shared.enrol(&queue_log);
        queue_log.token.set(token).expect("set once, here");
        queue_log
    }

    /// Names the one to be told of progress; to be called once, before anything is staged.
    pub fn set_owner(&self, owner: Weak<dyn LogOwner>) {
        assert!(self.owner.set(owner).is_ok(), "a log has one owner");
    }

    /// What confirms promise.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Lets `fill` hand over records: it gets a function that takes one, or answers that there is no room for now; then
    /// [`LogOwner::log_progressed`] follows when there is. With `urgent` the log thread is to write as soon as it can.
    pub fn stage(&self, urgent: bool, fill: impl FnOnce(&mut dyn FnMut(Offset, &[u8]) -> bool)) {
        if self.shared.is_poisoned() {
            return;
        }
        let mut batch = self.staging.lock();
        let bytes_before = batch.bytes();
        let bytes_max = if self.shared.staged_bytes() > STAGED_BYTES_ALL {
            STAGED_BYTES_PRESSED
        } else {
            STAGED_BYTES_MAX
        };
        fill(&mut |offset, record| {
            let room = batch.bytes() < bytes_max;
            if room {
                if batch.is_empty() {
                    self.shared.lend_buffer(&mut batch);
                }
                batch.push(offset.0, record);
            }
            room
        });
        let bytes = batch.bytes() - bytes_before;
        // Under the lock: whoever takes the batch takes its bytes off again.
        self.shared.add_staged(bytes);
        drop(batch);
        if bytes > 0 {
            // AcqRel pairs with `take_batch`: whoever sets it hands the token over, and the batch filled above is seen.
            if !self.handed_off.swap(true, Ordering::AcqRel) {
                self.shared.hand_off(*self.token.get().expect("set when made"));
            }
            self.shared.wake(urgent);
        }
    }

    /// One past the last record that can be read.
    pub fn written(&self) -> Offset {
        Offset(self.written.load(Ordering::Acquire))
    }

    /// One past the last record that is as safe as [`QueueLog::durability`] says.
    pub fn kept(&self) -> Offset {
        Offset(self.kept.load(Ordering::Acquire))
    }

    /// Reads on; see [`Log::read`]. May wait for the disk: not under a lock.
    pub fn read(&self, from: Offset, bytes_max: usize, out: &mut Vec<u8>) -> Result<Offset, SeglogError> {
        self.log.read(from.0, bytes_max, out).map(Offset)
    }

    /// The files, for maintenance.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Forgets the log, and what was staged for it: nothing more may be staged. Its files stay.
    pub fn retire(&self) {
        self.shared.strike(*self.token.get().expect("set when made"));
        let staged = std::mem::take(&mut *self.staging.lock());
        self.shared.remove_staged(staged.bytes());
    }

    /// Why no log of the broker takes anything any more, if that is so.
    pub fn poison(&self) -> Option<&str> {
        self.shared.poison_reason()
    }

    /// What is staged, for the log thread.
    pub(super) fn take_batch(&self, empty: Batch) -> Batch {
        // Before the batch is taken: what is staged from here on is handed off again.
        self.handed_off.store(false, Ordering::Release);
        std::mem::replace(&mut *self.staging.lock(), empty)
    }

    /// Writes a batch.
    pub(super) fn write(&self, batch: &mut Batch) -> Result<(), SeglogError> {
        let policy = match self.durability {
            Durability::Sync => SyncPolicy::Sync,
            Durability::None | Durability::Write => SyncPolicy::None,
        };
        let next = batch.next();
        self.log.append(batch, policy)?;
        self.written.store(next, Ordering::Release);
        Ok(())
    }

    /// Makes what was written as safe as it has to be.
    pub(super) fn keep(&self) -> Result<(), SeglogError> {
        if self.durability == Durability::Sync {
            self.log.sync()?;
        }
        self.kept
            .store(self.written.load(Ordering::Relaxed), Ordering::Release);
        Ok(())
    }

    /// Tells the owner, if it still is there.
    pub(super) fn tell_owner(&self) {
        if let Some(owner) = self.owner.get().and_then(Weak::upgrade) {
            owner.log_progressed();
        }
    }
}

impl std::fmt::Debug for QueueLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueLog")
            .field("durability", &self.durability)
            .field("written", &self.written)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
