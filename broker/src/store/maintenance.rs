//! The maintenance thread: what must reach the disk, and nobody's message waits for.
//!
//! Jobs (descriptions of entities, ends of queues) are done in the order in which they came; a client's answer waits for its
//! own. In between, by the clock: checkpoints, compaction, memory pressure, figures. Alarms have a thread of their own, which lives as long.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use seglog::{Checkpoint, SeglogError, Settled};

use super::metadata::Entity;
use super::queue_log::QueueLog;
use super::statistics::Statistics;
use crate::alarms::WatchThread;
use crate::broker::Broker;
use crate::observe::now_ms;
use crate::queue::{Queue, Snapshot};

/// How often the thread looks at the clock.
const TICK: Duration = Duration::from_millis(20);
/// How often it looks at what may be compacted.
const CARE_INTERVAL: Duration = Duration::from_secs(1);
/// Jobs whose files are made durable together.
const JOBS_MAX: usize = 256;

/// Bytes a second that compaction may copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionRate(pub u64);

/// Something for the maintenance thread to do.
#[derive(Debug)]
pub enum Job {
    /// Store a description; the queue that it describes, if it does, may then call its messages kept.
    Put(Entity, Option<Arc<Queue>>),
    /// Remove a description.
    Remove(Entity),
    /// Remove everything of a queue.
    End(QueueEnd),
    /// Write every checkpoint that has changed.
    Checkpoint,
    /// End the thread.
    Stop,
}

/// A queue that was deleted.
#[derive(Debug)]
pub struct QueueEnd {
    /// Names its files.
    pub id: String,
    /// Its log.
    pub log: Arc<QueueLog>,
    /// Its description, when it was durable.
    pub description: Option<Entity>,
}

/// The running thread.
#[derive(Debug)]
pub struct Maintenance {
    broker: Arc<Broker>,
    thread: JoinHandle<()>,
    alarms: WatchThread,
}

impl Maintenance {
    /// Starts it.
    ///
    /// # Errors
    /// When the operating system has no thread left.
    pub fn start(broker: Arc<Broker>, jobs: Receiver<Job>) -> std::io::Result<Maintenance> {
        let worker = Worker::new(Arc::clone(&broker), jobs);
        let thread = std::thread::Builder::new()
            .name("maintenance".to_owned())
            .spawn(move || worker.run())?;
        let alarms = WatchThread::start(Arc::clone(&broker))?;
        Ok(Maintenance {
            broker,
            thread,
            alarms,
        })
    }

    /// Does the jobs that came so far and ends.
    pub fn stop(self) {
        self.alarms.stop();
        self.broker.store.submit(Job::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the maintenance thread panicked");
        }
    }
}

struct Worker {
    broker: Arc<Broker>,
    jobs: Receiver<Job>,
    tick_due: Instant,
    care_due: Instant,
    checkpoint_due: Option<Instant>,
    statistics: Statistics,
}

impl Worker {
    fn new(broker: Arc<Broker>, jobs: Receiver<Job>) -> Worker {
        let now = Instant::now();
        let interval = broker.config.checkpoint_interval;
        Worker {
            tick_due: now + TICK,
            care_due: now,
            checkpoint_due: (!interval.is_zero()).then(|| now + interval),
            statistics: Statistics::new(&broker.config),
            broker,
            jobs,
        }
    }

    fn run(mut self) {
        loop {
            let rest = self.tick_due.saturating_duration_since(Instant::now());
            match self.jobs.recv_timeout(rest) {
                Ok(Job::Stop) => return,
                Ok(job) => {
                    let more = self.jobs.try_iter().take(JOBS_MAX - 1);
                    let mut jobs: Vec<_> = std::iter::once(job).chain(more).collect();
                    let stop = jobs.iter().position(|job| matches!(job, Job::Stop));
                    jobs.truncate(stop.unwrap_or(jobs.len()));
                    self.work(jobs);
                    if stop.is_some() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= self.tick_due {
                self.tick();
            }
        }
    }

    /// Does jobs in order; runs of the same kind share their directory syncs.
    fn work(&mut self, jobs: Vec<Job>) {
        let count = jobs.len() as u64;
        let (mut puts, mut removes, mut queues) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            if !matches!(job, Job::Put(..)) {
                self.put(&mut puts, &mut queues);
            }
            if !matches!(job, Job::Remove(_)) {
                self.remove(&mut removes);
            }
            match job {
                Job::Put(entity, queue) => {
                    puts.push(entity);
                    queues.extend(queue);
                }
                Job::Remove(entity) => removes.push(entity),
                Job::End(end) => self.end(&end),
                Job::Checkpoint => {
                    checkpoint_changed(&self.broker, false);
                }
                Job::Stop => {}
            }
        }
        self.put(&mut puts, &mut queues);
        self.remove(&mut removes);
        self.broker.store.note_done(count);
    }

    fn put(&self, entities: &mut Vec<Entity>, queues: &mut Vec<Arc<Queue>>) {
        if entities.is_empty() {
            return;
        }
        match self.broker.store.metadata().put_all(entities) {
            Ok(()) => queues.iter().for_each(Queue::note_stored),
            Err(error) => self.fail(&error),
        }
        entities.clear();
        queues.clear();
    }

    fn remove(&self, entities: &mut Vec<Entity>) {
        if entities.is_empty() {
            return;
        }
        if let Err(error) = self.broker.store.metadata().remove_all(entities) {
            self.fail(&error);
        }
        entities.clear();
    }

    /// The log first and the description last: a crash in between leaves a queue with fewer messages, whose end
    /// nobody was told of, and never files that belong to nothing.
    fn end(&self, end: &QueueEnd) {
        let store = &self.broker.store;
        let result = end.log.log().remove().and_then(|()| match &end.description {
            Some(description) => {
                store.checkpoints().remove(&end.id)?;
                store.metadata().remove(description)
            }
            None => Ok(()),
        });
        if let Err(error) = result {
            self.fail(&error);
        }
    }

    /// A description that is not stored must never be taken for one that is.
    fn fail(&self, error: &SeglogError) {
        self.broker.store.log_thread().shared().poison(error);
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.tick_due = now + TICK;
        if self.broker.starved.is_pressed(&self.broker.pool) {
            self.relieve_memory();
        }
        let interval = self.broker.config.checkpoint_interval;
        if self.checkpoint_due.is_some_and(|due| now >= due) {
            checkpoint_changed(&self.broker, false);
            self.checkpoint_due = Some(Instant::now() + interval);
        }
        if now >= self.care_due {
            self.care_due = now + CARE_INTERVAL;
            self.compact();
            self.statistics.log_when_due(&self.broker);
        }
    }

    /// Under pressure a queue spills when it is dispatched; those that stand still are dispatched here.
    fn relieve_memory(&self) {
        for queue in self.broker.queues() {
            queue.dispatch_at_home();
        }
    }

    /// Frees segments that hold nothing live, and rewrites sparse ones at a bounded rate; on the way looks up how old the oldest messages are.
    fn compact(&mut self) {
        let mut budget = self.broker.config.compaction_rate.0;
        for queue in self.broker.queues() {
            queue.look_up_oldest();
            let log = queue.log().log();
            if log.segments() == 0 {
                continue;
            }
            match log.collect(&settled(&queue.snapshot()), budget) {
                Ok(collected) => budget = budget.saturating_sub(collected.bytes_rewritten),
                Err(error) => tracing::warn!(queue = queue.name(), %error, "cannot compact"),
            }
        }
    }
}

/// Writes the checkpoint of every durable queue that has changed since its last one; with `clean` of every one, as the
/// final word. False when one could not be written.
pub fn checkpoint_changed(broker: &Broker, clean: bool) -> bool {
    let (mut written, mut failed) = (0, 0);
    for queue in broker.queues() {
        if !queue.declaration().is_stored() {
            continue;
        }
        let snapshot = match clean {
            true => Some(queue.snapshot()),
            false => queue.changed_snapshot(),
        };
        let Some(snapshot) = snapshot else { continue };
        let checkpoint = Checkpoint {
            queue: queue.name().to_owned(),
            generation: queue.next_generation(),
            next: snapshot.next.0,
            dispatched: snapshot.dispatched.0,
            clean,
            settled: settled(&snapshot),
            attempts: attempts(&snapshot),
            expiring: snapshot.expiring,
        };
        if let Err(error) = broker.store.checkpoints().write(queue.id(), &checkpoint) {
            failed += 1;
            queue.forget_snapshot();
            tracing::error!(queue = queue.name(), %error, "cannot write a checkpoint: more is delivered again after a crash");
        } else {
            written += 1;
        }
    }
    broker.tallies.checkpointed(now_ms(), written, failed);
    failed == 0
}

fn attempts(snapshot: &Snapshot) -> Vec<(u64, u64)> {
    let attempts = snapshot.attempts.iter();
    attempts
        .map(|&(offset, count)| (offset.0, count.into()))
        .collect()
}

fn settled(snapshot: &Snapshot) -> Settled {
    let ranges = snapshot.settled.iter();
    Settled {
        frontier: snapshot.frontier.0,
        ranges: ranges.map(|range| range.start.0..range.end.0).collect(),
    }
}
