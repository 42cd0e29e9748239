//! What all connections share: configuration, virtual hosts, memory budget, users, names.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use parking_lot::RwLock;
use ring::{ChunkPool, PoolConfig};
use seglog::{LogOptions, Storage};

use crate::alarms::Alarms;
use crate::auth::{Account, Refused, Users};
use crate::census::Census;
use crate::config::Config;
use crate::connection::{ConnectionId, Overdraft, Peer, ReplyConsumers};
use crate::definitions;
use crate::inbox::Inbox;
use crate::limits::Limits;
use crate::observe::{LoginProtocol, Tallies};
use crate::queue::{Queue, Starved};
use crate::queue_maker::QueueMaker;
use crate::restore;
use crate::store::metadata::VhostRecord;
use crate::store::{Job, Store, StoreConfig};
use crate::vhost::VirtualHost;

/// Ring memory is handed out in chunks of this many bytes.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// First segment of a queue's log.
const SEGMENT_BYTES_FIRST: u64 = 1 << 20;
/// Queue argument that chooses the durability level.
pub const DURABILITY_ARGUMENT: &str = "x-durability";

/// The broker's shared state. Lock order: `vhosts`, then what is in one; see [`crate::vhost`].
#[derive(Debug)]
pub struct Broker {
    /// As started.
    pub config: Config,
    /// What of it may change meanwhile.
    pub limits: Arc<Limits>,
    /// How many queues, exchanges and bindings there are.
    pub census: Arc<Census>,
    pub(crate) vhosts: RwLock<BTreeMap<String, Arc<VirtualHost>>>,
    pub(crate) maker: Arc<QueueMaker>,
    /// The memory budget.
    pub pool: Arc<ChunkPool>,
    /// Publishers that wait for it.
    pub starved: Arc<Starved>,
    /// The publisher that may go on although it is spent.
    pub(crate) overdraft: Overdraft,
    /// Whether the machine has room for more.
    pub alarms: Alarms,
    /// Who waits for answers by direct reply-to.
    pub replies: ReplyConsumers,
    /// Users and their permissions.
    pub users: Users,
    /// What is durable.
    pub store: Arc<Store>,
    /// What is counted for people to see.
    pub tallies: Arc<Tallies>,
    /// One a reactor.
    inboxes: Vec<Arc<Inbox>>,
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
        let pool_config = PoolConfig {
            bytes_budget: config.memory_budget,
            chunk_bytes: CHUNK_BYTES,
        };
        // Room for one ring is always left.
        let reserve = config.ring_bytes.min(config.memory_budget / 2);
        let pool = ChunkPool::with_reserve(pool_config, reserve);
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
        let mut entities = store.metadata().load()?;
        if let Some(definitions) = &config.definitions {
            definitions::import(&store, &mut entities, definitions, &config)?;
        }
        restore::seed(&store, &mut entities, &config.users)?;
        let (store, starved) = (Arc::new(store), Arc::<Starved>::default());
        let inboxes: Vec<Arc<Inbox>> = (0..config.reactors.max(1)).map(|_| Arc::default()).collect();
        let tallies = Arc::<Tallies>::default();
        let limits = Arc::new(Limits::new(&config));
        let census = Arc::new(Census::new(Arc::clone(&limits)));
        let maker = QueueMaker::new(
            &config,
            Arc::clone(&pool),
            Arc::clone(&starved),
            Arc::clone(&store),
            inboxes.clone(),
            Arc::clone(&tallies),
            Arc::clone(&census),
        );
        let broker = Arc::new(Broker {
            vhosts: RwLock::default(),
            maker: Arc::new(maker),
            pool,
            starved,
            overdraft: Overdraft::default(),
            alarms: Alarms::default(),
            replies: ReplyConsumers::default(),
            users: Users::new(config.loopback_users.clone()),
            store,
            tallies,
            inboxes,
            connection_last: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            names: AtomicU64::new(0),
            name_seed: RandomState::new(),
            limits,
            census,
            config,
        });
        restore::topology(&broker, entities)?;
        Ok((broker, jobs))
    }

    /// True while some publisher waits for the memory budget.
    pub(crate) fn is_memory_waited_for(&self) -> bool {
        self.overdraft.is_waited_for() || self.starved.is_waited_for()
    }

    /// One a reactor.
    pub fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<Arc<VirtualHost>> {
        self.vhosts.read().get(name).cloned()
    }

    /// All virtual hosts, by name.
    pub fn vhosts(&self) -> Vec<Arc<VirtualHost>> {
        self.vhosts.read().values().cloned().collect()
    }

    /// All queues of all virtual hosts as of now.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.vhosts().iter().flat_map(|vhost| vhost.queues()).collect()
    }

    /// A virtual host that is stored already.
    pub(crate) fn add_vhost(&self, record: VhostRecord) {
        let vhost = VirtualHost::new(record, Arc::clone(&self.maker));
        self.vhosts.write().insert(vhost.name().to_owned(), vhost);
    }

    /// An id for a new connection.
    pub fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.connection_last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Connections that are counted in.
    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Channels that are open, on all connections.
    pub fn channel_count(&self) -> usize {
        let counts = self.inboxes.iter().map(|inbox| &inbox.counts);
        let open = counts.map(|counts| {
            counts
                .channels_opened
                .get()
                .saturating_sub(counts.channels_closed.get())
        });
        usize::try_from(open.sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Checks a login. A refusal is told in the log at once, and to the client after the delay that is set for it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn log_in(
        &self,
        protocol: LoginProtocol,
        mechanism: &str,
        response: &[u8],
        peer: &Peer,
    ) -> Result<Account, Refused> {
        let start = tokio::time::Instant::now();
        let decided = self.users.authenticate(mechanism, response, peer).await;
        self.tallies.logins(protocol).count(decided.is_ok());
        if let Err(refused) = &decided {
            // Who, from where, how and why; never with what.
            let user = refused.user().unwrap_or_default();
            tracing::warn!(%peer, user, mechanism, reason = %refused, "login refused");
            // From the start, so that the time it took tells nothing.
            tokio::time::sleep_until(start + self.limits.auth_failure_delay()).await;
        }
        decided
    }

    /// Counts a connection in; `None` when the limit is reached. It is counted out when the permit drops.
    pub fn admit_connection(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let max = self.limits.connections_max();
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
