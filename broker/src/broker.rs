//! What all connections share: configuration, topology, memory budget, users, names.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{RwLock, RwLockWriteGuard};
use ring::{ChunkPool, PoolConfig, RingConfig};

use crate::auth::Authenticator;
use crate::config::Config;
use crate::connection::{ConnectionId, ConsumerTarget};
use crate::queue::{Declaration, Queue};
use crate::topology::Topology;

/// Ring memory is handed out in chunks of this many bytes.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// First chunk of a queue: small, so that idle queues cost little.
const CHUNK_BYTES_FIRST: usize = 4 * 1024;

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
    /// Users.
    pub authenticator: Authenticator,
    connection_last: AtomicU64,
    connections: AtomicUsize,
    names: AtomicU64,
    /// Makes generated names differ between brokers and restarts.
    name_seed: RandomState,
}

impl Broker {
    /// A broker with the predeclared exchanges and no queues.
    pub fn new(config: Config) -> Arc<Broker> {
        let pool = ChunkPool::new(PoolConfig {
            bytes_budget: config.memory_budget,
            chunk_bytes: CHUNK_BYTES,
        });
        let topology = Topology::new();
        Arc::new(Broker {
            generation: AtomicU64::new(topology.generation()),
            topology: RwLock::new(topology),
            pool,
            authenticator: Authenticator::new(&config.users),
            connection_last: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            names: AtomicU64::new(0),
            name_seed: RandomState::new(),
            config,
        })
    }

    /// The topology's generation; a route remembered at another one is stale.
    #[inline]
    pub fn topology_generation(&self) -> u64 {
        // Acquire pairs with the release in `change_topology`.
        self.generation.load(Ordering::Acquire)
    }

    /// Runs `change` under the write lock and publishes the new generation before the lock is released.
    pub fn change_topology<R>(&self, change: impl FnOnce(&mut Topology<Arc<Queue>>) -> R) -> R {
        let mut topology: RwLockWriteGuard<'_, _> = self.topology.write();
        let result = change(&mut topology);
        self.generation.store(topology.generation(), Ordering::Release);
        result
    }

    /// A new, empty queue; the caller puts it into the topology.
    pub fn new_queue(&self, name: String, declaration: Declaration) -> Arc<Queue> {
        let ring = RingConfig {
            messages_max: self.config.ring_messages,
            bytes_max: self.config.ring_bytes,
            chunk_bytes_first: CHUNK_BYTES_FIRST,
        };
        Arc::new(Queue::new(name, declaration, ring, Arc::clone(&self.pool)))
    }

    /// Deletes a queue and its bindings unless `veto` (given ready messages and consumers) objects. Returns
    /// the number of messages that went with it and the consumers to be told.
    pub fn delete_queue<E>(
        &self,
        queue: &Arc<Queue>,
        veto: impl FnOnce(usize, usize) -> Result<(), E>,
    ) -> Result<(usize, Vec<ConsumerTarget>), E> {
        self.change_topology(|topology| {
            let deleted = queue.delete(veto)?;
            if topology
                .queue(queue.name())
                .is_some_and(|current| Arc::ptr_eq(current, queue))
            {
                topology.remove_queue(queue.name());
            }
            Ok(deleted)
        })
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
