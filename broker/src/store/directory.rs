//! The store: the parts of a data directory, and how to get at them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use parking_lot::Mutex;
use seglog::{CheckpointStore, Log, LogOptions, LogStore, OpenMode, Recovered, SeglogError, Storage};
use tokio::sync::oneshot;

use super::durability::Durability;
use super::log_thread::LogThread;
use super::maintenance::Job;
use super::metadata::MetadataStore;
use super::queue_log::QueueLog;
use crate::connection::{Link, Signal};

/// Left by an orderly stop.
pub(crate) const CLEAN_FILE: &str = "CLEAN";
/// Files of durable queues that wait to be used again.
pub(crate) const RECYCLE: &str = "recycle";

/// What the store of a data directory is opened with.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The data directory.
    pub directory: PathBuf,
    /// Of queues that ask for nothing else.
    pub durability: Durability,
    /// Sizes of segments and caches.
    pub log: LogOptions,
}

/// A place in the order of what the maintenance thread has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// See the module documentation.
#[derive(Debug)]
pub struct Store {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    durability: Durability,
    queues: Arc<LogStore>,
    spill: Arc<LogStore>,
    log_thread: LogThread,
    checkpoints: CheckpointStore,
    metadata: MetadataStore,
    was_clean: bool,
    /// Sender and last ticket under one lock: jobs are done in the order of their tickets.
    jobs: Mutex<(mpsc::Sender<Job>, Ticket)>,
    done: AtomicU64,
    awaiting: Mutex<Vec<(Ticket, Arc<Link>)>>,
    /// As `awaiting`, for those who are no connection.
    futures: Mutex<Vec<(Ticket, oneshot::Sender<()>)>>,
}

impl Store {
    /// Opens the directory, which the caller owns, and starts the log thread. Also gives the jobs that
    /// [`Maintenance`](super::Maintenance) is to do.
    ///
    /// # Errors
    /// When a directory or file cannot be made, read or removed, or the thread cannot be started.
    pub fn open(
        storage: Arc<dyn Storage>,
        config: StoreConfig,
    ) -> anyhow::Result<(Store, mpsc::Receiver<Job>)> {
        let at = |name: &str| config.directory.join(name);
        let log_store = |name: &str, recycle: &str| {
            LogStore::open(Arc::clone(&storage), at(name), at(recycle), config.log.clone())
        };
        let was_clean = take_clean_mark(&*storage, &config.directory)?;
        let queues = log_store("queues", RECYCLE)?;
        let spill = log_store("spill", "spill-recycle")?;
        for name in spill.log_names()? {
            // Made again only to be removed: what non-durable queues had spilled went with them.
            Log::create(&spill, &name).and_then(|log| log.remove())?;
        }
        let (sender, receiver) = mpsc::channel();
        let store = Store {
            checkpoints: CheckpointStore::open(Arc::clone(&storage), at("offsets"))?,
            metadata: MetadataStore::open(Arc::clone(&storage), at("metadata"))?,
            storage,
            durability: config.durability,
            queues,
            spill,
            log_thread: LogThread::start()?,
            was_clean,
            jobs: Mutex::new((sender, Ticket(0))),
            done: AtomicU64::new(0),
            awaiting: Mutex::default(),
            futures: Mutex::default(),
            directory: config.directory,
        };
        Ok((store, receiver))
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file operations.
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Of queues that ask for nothing else.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// What is settled of each queue, on disk.
    pub fn checkpoints(&self) -> &CheckpointStore {
        &self.checkpoints
    }

    /// Descriptions of durable entities, on disk.
    pub fn metadata(&self) -> &MetadataStore {
        &self.metadata
    }

    /// Logs of durable queues.
    pub fn queues(&self) -> &Arc<LogStore> {
        &self.queues
    }

    /// Logs of all other queues.
    pub fn spill(&self) -> &Arc<LogStore> {
        &self.spill
    }

    /// The thread that writes them.
    pub fn log_thread(&self) -> &LogThread {
        &self.log_thread
    }

    /// True when the last owner stopped in good order.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// A log for a new queue, whose id no queue ever had. No file is made before something is written.
    ///
    /// # Errors
    /// When leftovers cannot be removed.
    pub fn create_log(
        &self,
        id: &str,
        durable: bool,
        durability: Durability,
    ) -> Result<Arc<QueueLog>, SeglogError> {
        let (logs, durability) = if durable {
            (&self.queues, durability)
        } else {
            (&self.spill, Durability::None)
        };
        let log = Log::create(logs, id)?;
        Ok(QueueLog::new(
            log,
            durability,
            Arc::clone(self.log_thread.shared()),
        ))
    }

    pub(super) fn recover_log(
        &self,
        id: &str,
        durability: Durability,
    ) -> Result<(Arc<QueueLog>, Recovered), SeglogError> {
        let (log, recovered) = Log::recover(&self.queues, id)?;
        let log = QueueLog::new(log, durability, Arc::clone(self.log_thread.shared()));
        Ok((log, recovered))
    }

    /// Why nothing is written any more, if that is so.
    pub fn poison_reason(&self) -> Option<&str> {
        self.log_thread.shared().poison_reason()
    }

    /// Gives the maintenance thread something to do.
    pub fn submit(&self, job: Job) -> Ticket {
        let mut jobs = self.jobs.lock();
        jobs.1.0 += 1;
        // Without a receiver the broker is stopping; whoever waits for the ticket is closed anyway.
        let _ = jobs.0.send(job);
        jobs.1
    }

    /// The ticket of the last job there is: whoever relies on what somebody else has asked for waits for this one.
    pub fn ticket_last(&self) -> Ticket {
        self.jobs.lock().1
    }

    /// True when everything up to `ticket` is done; otherwise `link` gets [`Signal::Stored`] once it is.
    pub fn await_stored(&self, ticket: Ticket, link: &Arc<Link>) -> bool {
        let mut awaiting = self.awaiting.lock();
        let done = self.is_stored(ticket);
        if !done {
            awaiting.push((ticket, Arc::clone(link)));
        }
        done
    }

    /// Waits until everything up to `ticket` is done.
    pub async fn stored(&self, ticket: Ticket) {
        let (sender, receiver) = oneshot::channel();
        self.futures.lock().push((ticket, sender));
        // After it is in the list, so that `note_done` either finds it there or was before.
        if !self.is_stored(ticket) {
            // The sender goes with the store only.
            let _ = receiver.await;
        }
    }

    /// True when everything up to `ticket` is done.
    pub fn is_stored(&self, ticket: Ticket) -> bool {
        Ticket(self.done.load(Ordering::Acquire)) >= ticket
    }

    /// So many jobs more are done.
    pub(super) fn note_done(&self, count: u64) {
        let mut awaiting = self.awaiting.lock();
        let done = Ticket(self.done.fetch_add(count, Ordering::AcqRel) + count);
        let mut futures = self.futures.lock();
        for (_, sender) in futures.extract_if(.., |(ticket, _)| *ticket <= done) {
            // Whoever has asked may be gone.
            let _ = sender.send(());
        }
        drop(futures);
        awaiting.retain(|(ticket, link)| {
            let called = *ticket <= done;
            if called {
                link.raise(Signal::Stored);
            }
            !called
        });
    }

    /// Says that all checkpoints are final.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn mark_clean(&self) -> Result<(), SeglogError> {
        let path = self.directory.join(CLEAN_FILE);
        let failed = |action| {
            let path = path.clone();
            move |source| SeglogError::Io { action, path, source }
        };
        let file = self
            .storage
            .open(&path, OpenMode::Truncate)
            .map_err(failed("create"))?;
        file.sync_data().map_err(failed("sync"))?;
        self.storage.sync_dir(&self.directory).map_err(failed("sync"))
    }
}

/// Whether the mark of an orderly stop was there; it is not any more.
fn take_clean_mark(storage: &dyn Storage, directory: &Path) -> Result<bool, SeglogError> {
    let path = directory.join(CLEAN_FILE);
    let failed = |action| {
        let path = path.clone();
        move |source| SeglogError::Io { action, path, source }
    };
    storage.create_dir_all(directory).map_err(failed("create"))?;
    let names = storage.list(directory).map_err(failed("list"))?;
    let was_clean = names.iter().any(|name| name == CLEAN_FILE);
    if was_clean {
        storage.remove_file(&path).map_err(failed("remove"))?;
        storage.sync_dir(directory).map_err(failed("sync"))?;
    }
    Ok(was_clean)
}
