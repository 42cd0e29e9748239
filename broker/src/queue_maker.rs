//! What every queue of the broker is made with: the memory budget, the store, the reactors.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ring::{ChunkPool, RingConfig};
use seglog::SeglogError;

use crate::broker::CHUNK_BYTES;
use crate::census::Census;
use crate::config::Config;
use crate::inbox::Inbox;
use crate::observe::Tallies;
use crate::queue::{
    Declaration, Queue, QueueConfig, QueueOptions, QueueParts, Remains, SpillLimits, Starved,
};
use crate::store::{Durability, QueueLog, Store};
use crate::vhost::VirtualHost;

/// First chunk of a queue: small, so that idle queues cost little.
const CHUNK_BYTES_FIRST: usize = 4 * 1024;

/// See the module documentation.
#[derive(Debug)]
pub struct QueueMaker {
    config: QueueConfig,
    pool: Arc<ChunkPool>,
    starved: Arc<Starved>,
    store: Arc<Store>,
    inboxes: Vec<Arc<Inbox>>,
    tallies: Arc<Tallies>,
    census: Arc<Census>,
    queues_made: AtomicU64,
    /// Makes ids differ between restarts.
    id_seed: RandomState,
}

/// What a restored queue has that a new one has not.
#[derive(Debug)]
pub struct Restored {
    /// Its log.
    pub log: Arc<QueueLog>,
    /// What is left in it.
    pub remains: Remains,
    /// Generation of its last checkpoint.
    pub generation: u64,
}

impl QueueMaker {
    /// A maker of queues with the limits of `config`.
    pub fn new(
        config: &Config,
        pool: Arc<ChunkPool>,
        starved: Arc<Starved>,
        store: Arc<Store>,
        inboxes: Vec<Arc<Inbox>>,
        tallies: Arc<Tallies>,
        census: Arc<Census>,
    ) -> QueueMaker {
        let ring = RingConfig {
            messages_max: config.ring_messages,
            bytes_max: config.ring_bytes,
            chunk_bytes_first: CHUNK_BYTES_FIRST,
        };
        QueueMaker {
            config: QueueConfig {
                ring,
                spill: SpillLimits::above(f64::from(config.spill_above) / 100.0).leaving_room(
                    config.record_bytes_max() as usize + CHUNK_BYTES,
                    config.ring_bytes,
                ),
                durable: false,
                options: QueueOptions::default(),
            },
            pool,
            starved,
            store,
            inboxes,
            tallies,
            census,
            queues_made: AtomicU64::new(0),
            id_seed: RandomState::new(),
        }
    }

    /// How much there is of everything.
    pub(crate) fn census(&self) -> &Census {
        &self.census
    }

    /// What is durable.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What is counted for people to see.
    pub fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// A new, empty queue; the caller puts it into the topology and stores its description.
    ///
    /// # Errors
    /// When files are in the way.
    pub fn make(
        &self,
        vhost: Weak<VirtualHost>,
        name: String,
        declaration: Declaration,
        durability: Durability,
    ) -> Result<Arc<Queue>, SeglogError> {
        let number = self.queues_made.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}-{number:x}", self.id_seed.hash_one(number));
        let log = self.store.create_log(&id, declaration.is_stored(), durability)?;
        let stored = !declaration.is_stored();
        let restored = Restored {
            log,
            remains: Remains::default(),
            generation: 0,
        };
        self.tallies.queue_created();
        Ok(self.queue(vhost, name, id, declaration, restored, stored))
    }

    /// A queue that a restart has left.
    pub fn restore(
        &self,
        vhost: Weak<VirtualHost>,
        name: String,
        id: String,
        declaration: Declaration,
        restored: Restored,
    ) -> Arc<Queue> {
        self.queues_made.fetch_add(1, Ordering::Relaxed);
        self.queue(vhost, name, id, declaration, restored, true)
    }

    fn queue(
        &self,
        vhost: Weak<VirtualHost>,
        name: String,
        id: String,
        declaration: Declaration,
        restored: Restored,
        stored: bool,
    ) -> Arc<Queue> {
        let home = self.queues_made.load(Ordering::Relaxed) as usize % self.inboxes.len();
        let options = declaration.options().expect("checked by whoever declares");
        let config = QueueConfig {
            durable: declaration.is_stored(),
            options,
            ..self.config.clone()
        };
        Queue::new(QueueParts {
            vhost,
            name,
            id,
            declaration,
            config,
            pool: Arc::clone(&self.pool),
            starved: Arc::clone(&self.starved),
            tallies: Arc::clone(&self.tallies),
            home: Arc::clone(&self.inboxes[home]),
            log: restored.log,
            remains: restored.remains,
            stored,
            generation: restored.generation,
        })
    }
}
