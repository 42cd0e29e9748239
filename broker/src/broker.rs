//! What all connections share: configuration, topology, memory budget, users, names.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use parking_lot::{RwLock, RwLockWriteGuard};
use ring::{ChunkPool, PoolConfig, RingConfig};
use seglog::{LogOptions, SeglogError, Storage};

use crate::auth::Authenticator;
use crate::config::Config;
use crate::connection::{ConnectionId, ConsumerTarget};
use crate::inbox::Inbox;
use crate::queue::{Declaration, Queue, QueueConfig, QueueParts, Remains, SpillLimits, Starved};
use crate::restore;
use crate::store::metadata::Entity;
use crate::store::{Durability, Job, QueueEnd, QueueLog, Store, StoreConfig, Ticket};
use crate::topology::Topology;

/// Ring memory is handed out in chunks of this many bytes.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// First chunk of a queue: small, so that idle queues cost little.
const CHUNK_BYTES_FIRST: usize = 4 * 1024;
/// First segment of a queue's log.
const SEGMENT_BYTES_FIRST: u64 = 1 << 20;
/// Queue argument that chooses the durability level.
pub const DURABILITY_ARGUMENT: &str = "x-durability";

/// The broker's shared state. Lock order: `topology`, then a queue, then a connection's outbound.
#[derive(Debug)]
pub struct Broker {
    /// As started.
    pub config: Config,
    /// Exchanges, bindings and queues. Written by declarations, read when a publisher meets a new route.
    pub topology: RwLock<Topology<Arc<Queue>>>,
    /// Mirrors `topology.generation()`, so that publishers can check a remembered route without the lock.
    generation: AtomicU64,
    /// The memory budget.
    pub pool: Arc<ChunkPool>,
    /// Publishers that wait for it.
    pub starved: Arc<Starved>,
    /// Users.
    pub authenticator: Authenticator,
    /// What is durable.
    pub store: Store,
    /// One a reactor.
    inboxes: Vec<Arc<Inbox>>,
    queues_made: AtomicU64,
    connection_last: AtomicU64,
    connections: AtomicUsize,
    names: AtomicU64,
    /// Makes generated names differ between brokers and restarts.
    name_seed: RandomState,
}

impl Broker {
    /// A broker with the predeclared exchanges and what its data directory holds. Also gives the jobs that a
    /// [`Maintenance`](crate::store::Maintenance) thread is to do.
    ///
    /// # Errors
    /// When the data directory cannot be read or is damaged; the error names the file.
    pub fn open(config: Config, storage: Arc<dyn Storage>) -> anyhow::Result<(Arc<Broker>, Receiver<Job>)> {
        let pool = ChunkPool::new(PoolConfig {
            bytes_budget: config.memory_budget,
            chunk_bytes: CHUNK_BYTES,
        });
        let log = LogOptions {
            segment_bytes_first: SEGMENT_BYTES_FIRST.min(config.segment_bytes),
            segment_bytes_max: config.segment_bytes,
            ..LogOptions::default()
        };
        let store_config = StoreConfig {
            directory: config.data_dir.clone(),
            durability: config.durability,
            log,
        };
        let (store, jobs) = Store::open(storage, store_config)?;
        let entities = store.metadata().load()?;
        let authenticator = restore::users(&store, &entities, &config.users)?;
        let topology = Topology::new();
        let broker = Arc::new(Broker {
            generation: AtomicU64::new(topology.generation()),
            topology: RwLock::new(topology),
            pool,
            starved: Arc::default(),
            authenticator,
            store,
            inboxes: (0..config.reactors.max(1)).map(|_| Arc::default()).collect(),
            queues_made: AtomicU64::new(0),
            connection_last: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            names: AtomicU64::new(0),
            name_seed: RandomState::new(),
            config,
        });
        restore::topology(&broker, entities)?;
        Ok((broker, jobs))
    }

    /// One a reactor.
    pub fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// All queues as of now.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.topology.read().queues().cloned().collect()
    }

    /// The topology's generation; a route remembered at another one is stale.
    #[inline]
    pub fn topology_generation(&self) -> u64 {
        // Acquire pairs with the release in `change_topology`.
        self.generation.load(Ordering::Acquire)
    }

    /// Runs `change` under the write lock and publishes the new generation before the lock is released. What changed
    /// of the durable part is stored afterwards: once the store has come to the ticket.
    pub fn change_topology<R>(
        &self,
        change: impl FnOnce(&mut Topology<Arc<Queue>>) -> R,
    ) -> (R, Option<Ticket>) {
        let mut topology: RwLockWriteGuard<'_, _> = self.topology.write();
        let result = change(&mut topology);
        self.generation.store(topology.generation(), Ordering::Release);
        // Under the lock, so that the store sees changes in the order in which they were made.
        let jobs = topology.take_changes().into_iter().map(restore::job_of);
        let ticket = jobs.map(|job| self.store.submit(job)).last();
        (result, ticket)
    }

    /// A new, empty queue; the caller puts it into the topology and stores its description.
    ///
    /// # Errors
    /// When files are in the way.
    pub fn new_queue(
        &self,
        name: String,
        declaration: Declaration,
        durability: Durability,
    ) -> Result<Arc<Queue>, SeglogError> {
        let number = self.queues_made.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}-{number:x}", self.name_seed.hash_one(number));
        let log = self.store.create_log(&id, declaration.is_stored(), durability)?;
        let stored = !declaration.is_stored();
        Ok(self.queue(name, id, declaration, log, Remains::default(), stored, 0))
    }

    /// A queue over a log.
    #[allow(
        clippy::too_many_arguments,
        reason = "names what differs between a new and a restored queue"
    )]
    pub(crate) fn queue(
        &self,
        name: String,
        id: String,
        declaration: Declaration,
        log: Arc<QueueLog>,
        remains: Remains,
        stored: bool,
        generation: u64,
    ) -> Arc<Queue> {
        let ring = RingConfig {
            messages_max: self.config.ring_messages,
            bytes_max: self.config.ring_bytes,
            chunk_bytes_first: CHUNK_BYTES_FIRST,
        };
        let config = QueueConfig {
            ring,
            spill: SpillLimits::above(f64::from(self.config.spill_above) / 100.0),
            durable: declaration.is_stored(),
        };
        let home = self.queues_made.load(Ordering::Relaxed) as usize % self.inboxes.len();
        Queue::new(QueueParts {
            name,
            id,
            declaration,
            config,
            pool: Arc::clone(&self.pool),
            starved: Arc::clone(&self.starved),
            home: Arc::clone(&self.inboxes[home]),
            log,
            remains,
            stored,
            generation,
        })
    }

    /// Deletes a queue, its bindings and its files unless `veto` (given ready messages and consumers) objects. Returns
    /// the number of messages that went with it and the consumers to be told, and when all of that is stored.
    #[allow(clippy::type_complexity, reason = "a result beside a ticket")]
    pub fn delete_queue<E>(
        &self,
        queue: &Arc<Queue>,
        veto: impl FnOnce(usize, usize) -> Result<(), E>,
    ) -> Result<((usize, Vec<ConsumerTarget>), Option<Ticket>), E> {
        let stored = queue.declaration().is_stored();
        let (deleted, unbound) = self.change_topology(|topology| {
            let deleted = queue.delete(veto)?;
            let end = self.store.submit(Job::End(QueueEnd {
                id: queue.id().to_owned(),
                log: Arc::clone(queue.log()),
                description: stored.then(|| Entity::Queue(restore::description(queue))),
            }));
            if topology
                .queue(queue.name())
                .is_some_and(|current| Arc::ptr_eq(current, queue))
            {
                topology.remove_queue(queue.name());
            }
            Ok((deleted, end))
        });
        let (deleted, end) = deleted?;
        Ok((deleted, unbound.or(stored.then_some(end))))
    }

    /// An id for a new connection.
    pub fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.connection_last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Counts a connection in; `None` when the limit is reached. It is counted out when the permit drops.
    pub fn admit_connection(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let max = self.config.connections_max;
        let admit = |count| (count < max).then_some(count + 1);
        self.connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
            .ok()?;
        Some(ConnectionPermit {
            broker: Arc::clone(self),
        })
    }

    /// A name nobody else has, for queues and consumers whose client left it to the server.
    pub fn generated_name(&self, prefix: &str) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}{:016x}{number:x}", self.name_seed.hash_one(number))
    }
}

/// Holds a connection's place among those the limit allows.
#[derive(Debug)]
pub struct ConnectionPermit {
    broker: Arc<Broker>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.broker.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
