//! The log thread: the only one that writes or syncs segments, for all queues.
//!
//! Group commit is clocked by itself: while one commit is on its way to the disk, the next batch gathers. An idle thread
//! commits at once when a publisher waits for a confirm, so a lone one waits for the disk and for nothing else;
//! otherwise it gathers until [`FLUSH_BYTES`] are staged or [`FLUSH_DELAY`] has passed. One commit writes every queue that
//! has something, then syncs those that ask for it.
//!
//! ```text
//!           hand-off            FLUSH_BYTES, FLUSH_DELAY, or a confirm waits
//!   Idle ─────────────► Gathering ─────────────────────────────────► Committing ─┬─► Idle
//!    ▲                                                                  ▲        │ handed off meanwhile
//!    └── nothing handed off                                             └────────┘
//! ```
//!
//! The first write or sync that fails poisons the log of the whole broker: nothing more is written, nothing more is
//! confirmed. What the disk holds then is only known after a restart has read it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::handoff::{self, Consumer, Producer};
use seglog::{Batch, SeglogError};
use slab::Slab;

use super::queue_log::QueueLog;
use crate::observe::Histogram;
use crate::pulse::Pulse;

/// Staged bytes that are worth a commit.
pub const FLUSH_BYTES: usize = 256 << 10;
/// How long staged records wait for company when nobody waits for them.
pub const FLUSH_DELAY: Duration = Duration::from_millis(10);
/// Queues that may have something staged at the same time before the surplus goes a slower way.
const HAND_OFF_CAPACITY: usize = 1 << 14;
/// Emptied batches that are kept to be lent again.
const BUFFERS_MAX: usize = 8;

const BUSY: u8 = 0;
const GATHERING: u8 = 1;
const IDLE: u8 = 2;

/// What the log thread shares with the queues.
#[derive(Debug)]
pub struct LogShared {
    logs: Mutex<Slab<Arc<QueueLog>>>,
    producer: Producer,
    /// Tokens that the hand-off had no room for.
    surplus: Mutex<Vec<u64>>,
    staged_bytes: AtomicUsize,
    /// A publisher waits for a confirm of something staged.
    urgent: AtomicBool,
    /// `BUSY`, `GATHERING` or `IDLE`; see `wake`.
    mood: AtomicU8,
    stopping: AtomicBool,
    thread: OnceLock<Thread>,
    poison: OnceLock<String>,
    buffers: Mutex<Vec<Batch>>,
    /// Whether the thread goes on.
    pulse: Pulse,
    commits: AtomicU64,
    times: CommitTimes,
}

/// How large commits are and how long they take.
#[derive(Debug, Default)]
pub struct CommitTimes {
    /// Bytes of one commit.
    pub bytes: Histogram,
    /// Queues written in one commit.
    pub queues: Histogram,
    /// Microseconds to write all of one commit.
    pub write_us: Histogram,
    /// Microseconds to make all of one commit as safe as its queues ask for.
    pub keep_us: Histogram,
}

/// The running thread; see [`LogThread::stop`].
#[derive(Debug)]
pub struct LogThread {
    shared: Arc<LogShared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LogThread {
    /// Starts it.
    ///
    /// # Errors
    /// When the operating system has no thread left.
    pub fn start() -> std::io::Result<LogThread> {
        let (producer, consumer) = handoff::bounded(HAND_OFF_CAPACITY);
        let shared = Arc::new(LogShared {
            logs: Mutex::default(),
            producer,
            surplus: Mutex::default(),
            staged_bytes: AtomicUsize::new(0),
            urgent: AtomicBool::new(false),
            mood: AtomicU8::new(BUSY),
            stopping: AtomicBool::new(false),
            thread: OnceLock::new(),
            poison: OnceLock::new(),
            buffers: Mutex::default(),
            pulse: Pulse::default(),
            commits: AtomicU64::new(0),
            times: CommitTimes::default(),
        });
        let committer = Committer {
            shared: Arc::clone(&shared),
            consumer,
            dirty: Vec::new(),
            gathering_since: None,
        };
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || committer.run())?;
        shared
            .thread
            .set(thread.thread().clone())
            .expect("set once, here");
        Ok(LogThread {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// What queues' logs are made with.
    pub fn shared(&self) -> &Arc<LogShared> {
        &self.shared
    }

    /// Commits what is staged and ends the thread. Later calls do nothing.
    pub fn stop(&self) {
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        self.shared.stopping.store(true, Ordering::SeqCst);
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!("the log thread panicked");
        }
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl LogShared {
    /// Why nothing is written any more, if that is so.
    pub fn poison_reason(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// Commits so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Sizes and durations of the commits so far.
    pub fn times(&self) -> &CommitTimes {
        &self.times
    }

    /// Asks the thread for a sign of life.
    pub fn ask(&self) {
        self.pulse.ask();
        // It parks in a loop: one time too many does no harm.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Where its answer is.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Bytes that wait to be written.
    pub fn staged_bytes(&self) -> usize {
        self.staged_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    pub(super) fn enrol(&self, log: &Arc<QueueLog>) -> u64 {
        self.logs.lock().insert(Arc::clone(log)) as u64
    }

    pub(super) fn strike(&self, token: u64) {
        self.logs.lock().try_remove(token as usize);
    }

    pub(super) fn add_staged(&self, bytes: usize) {
        self.staged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove_staged(&self, bytes: usize) {
        self.staged_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn hand_off(&self, token: u64) {
        if self.producer.try_push(token).is_err() {
            self.surplus.lock().push(token);
        }
    }

    /// Puts an emptied batch with memory in the place of one without.
    pub(super) fn lend_buffer(&self, batch: &mut Batch) {
        if let Some(buffer) = self.buffers.lock().pop() {
            *batch = buffer;
        }
    }

    /// To be called after a hand-off.
    pub(super) fn wake(&self, urgent: bool) {
        if urgent {
            self.urgent.store(true, Ordering::Relaxed);
        }
        // Partner: the fence in `Committer::sleep`. Either it sees what was handed off, or we see its mood.
        fence(Ordering::SeqCst);
        let enough = || urgent || self.staged_bytes() >= FLUSH_BYTES;
        let wanted = match self.mood.load(Ordering::Relaxed) {
            IDLE => true,
            GATHERING => enough(),
            _ => false,
        };
        if wanted && let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Stops everything that writes, after a failure that leaves the disk's content unknown.
    pub(super) fn poison(&self, error: &SeglogError) {
        if self.poison.set(error.to_string()).is_ok() {
            tracing::error!(
                %error,
                "the log has failed: nothing more is written or confirmed until the broker is started again"
            );
        }
        let logs: Vec<_> = self.logs.lock().iter().map(|(_, log)| Arc::clone(log)).collect();
        for log in logs {
            log.tell_owner();
        }
    }
}

/// The thread's side.
struct Committer {
    shared: Arc<LogShared>,
    consumer: Consumer,
    dirty: Vec<u64>,
    gathering_since: Option<Instant>,
}

impl Committer {
    fn run(mut self) {
        loop {
            self.shared.pulse.answer();
            let dirty = &mut self.dirty;
            self.consumer.drain(HAND_OFF_CAPACITY, |token| dirty.push(token));
            dirty.append(&mut self.shared.surplus.lock());
            let stopping = self.shared.stopping.load(Ordering::SeqCst);
            if dirty.is_empty() {
                if stopping {
                    return;
                }
                self.sleep(IDLE, None);
                continue;
            }
            let urgent = self.shared.urgent.swap(false, Ordering::Relaxed);
            if !urgent && !stopping && self.shared.staged_bytes() < FLUSH_BYTES {
                let since = *self.gathering_since.get_or_insert_with(Instant::now);
                if let Some(rest) = FLUSH_DELAY.checked_sub(since.elapsed()) {
                    self.sleep(GATHERING, Some(rest));
                    continue;
                }
            }
            self.gathering_since = None;
            self.commit();
        }
    }

    /// Waits for `wake`, or for so long.
    fn sleep(&mut self, mood: u8, timeout: Option<Duration>) {
        self.shared.mood.store(mood, Ordering::Relaxed);
        // Partner: the fence in `wake`.
        fence(Ordering::SeqCst);
        let news = !self.consumer.is_empty()
            || self.shared.stopping.load(Ordering::SeqCst)
            || self.shared.urgent.load(Ordering::Relaxed);
        match (news, timeout) {
            (true, _) => {}
            (false, Some(timeout)) => std::thread::park_timeout(timeout),
            (false, None) => std::thread::park(),
        }
        self.shared.mood.store(BUSY, Ordering::Relaxed);
    }

    /// Writes what every dirty queue has staged, then keeps it, queue by queue.
    fn commit(&mut self) {
        let logs: Vec<Arc<QueueLog>> = {
            let table = self.shared.logs.lock();
            let dirty = self.dirty.drain(..);
            dirty
                .filter_map(|token| table.get(token as usize).cloned())
                .collect()
        };
        let start = Instant::now();
        let mut bytes_all = 0;
        let mut written = Vec::with_capacity(logs.len());
        for log in logs {
            // A commit of thousands of queues takes its time; one file that does not answer is what is to be noticed.
            self.shared.pulse.answer();
            let mut batch = log.take_batch(Batch::default());
            if batch.is_empty() {
                continue;
            }
            let bytes = batch.bytes();
            bytes_all += bytes as u64;
            let result = if self.shared.is_poisoned() {
                Ok(())
            } else {
                log.write(&mut batch)
            };
            self.shared.remove_staged(bytes);
            self.give_back(batch);
            match result {
                Ok(()) => written.push(log),
                Err(error) => self.fail(&error),
            }
        }
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        let times = &self.shared.times;
        times.bytes.record(bytes_all);
        times.queues.record(written.len() as u64);
        times.write_us.record(start.elapsed().as_micros() as u64);
        let start = Instant::now();
        let kept = self.keep(written);
        if kept {
            times.keep_us.record(start.elapsed().as_micros() as u64);
        }
    }

    /// Keeps what was written; false when the log has failed.
    fn keep(&self, written: Vec<Arc<QueueLog>>) -> bool {
        for log in written {
            self.shared.pulse.answer();
            if self.shared.is_poisoned() {
                return false;
            }
            match log.keep() {
                Ok(()) => log.tell_owner(),
                Err(error) => self.fail(&error),
            }
        }
        true
    }

    /// A queue that was deleted meanwhile has no files to write to: that is no failure. Everything else is.
    fn fail(&self, error: &SeglogError) {
        if !matches!(error, SeglogError::Removed { .. }) {
            self.shared.poison(error);
        }
    }

    fn give_back(&self, mut batch: Batch) {
        batch.clear();
        let mut buffers = self.shared.buffers.lock();
        if buffers.len() < BUFFERS_MAX {
            buffers.push(batch);
        }
    }
}
