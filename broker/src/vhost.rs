//! A virtual host: exchanges, bindings and queues that see nothing of those in other virtual hosts.
//!
//! Connections hold the one they have opened, queues the one they belong to (weakly). A lock of its own guards each
//! topology, so that declarations in one virtual host do not wait for those in another.
//!
//! Lock order: `topology`, then a queue, then a connection's outbound; `connections` under none of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use seglog::SeglogError;
use wire::{BasicProperties, ContentHeader, FieldTable};

use crate::connection::{ConnectionId, ConsumerTarget, Link};
use crate::queue::{DELAYED_EXCHANGE, Declaration, Queue};
use crate::queue_maker::{QueueMaker, Restored};
use crate::record::Content;
use crate::restore;
use crate::store::metadata::{Entity, UserRecord, VhostLimits, VhostRecord};
use crate::store::{Durability, Job, QueueEnd, Ticket};
use crate::topology::{DelayChange, Sizes, Topology, delay_queue};

/// The virtual host that is there from the start.
pub const DEFAULT_VHOST: &str = "/";

/// See the module documentation.
#[derive(Debug)]
pub struct VirtualHost {
    record: Mutex<VhostRecord>,
    /// As in `record`.
    name: String,
    /// Exchanges, bindings and queues. Written by declarations, read when a publisher meets a new route.
    pub topology: RwLock<Topology<Arc<Queue>>>,
    /// Changes when a route may have changed, so that publishers can check a remembered one without the lock.
    generation: AtomicU64,
    maker: Arc<QueueMaker>,
    /// What of it is in the census; taken under `topology`.
    counted: Mutex<Sizes>,
    /// For its queues.
    this: Weak<VirtualHost>,
    /// Connections that have opened it.
    connections: Mutex<FxHashMap<ConnectionId, Visitor>>,
    /// Set under `topology`: nothing is declared in it any more.
    deleted: AtomicBool,
}

/// What came of opening a virtual host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The connection is among those that have opened it.
    In,
    /// There may be only so many.
    Full(u64),
    /// It is deleted.
    Deleted,
}

/// A connection that has opened a virtual host.
#[derive(Debug)]
struct Visitor {
    link: Arc<Link>,
    user: Arc<UserRecord>,
}

impl VirtualHost {
    /// One with the predeclared exchanges only.
    pub fn new(record: VhostRecord, maker: Arc<QueueMaker>) -> Arc<VirtualHost> {
        let topology = Topology::new(&record.name);
        let mut counted = Sizes::default();
        maker.census().recount(&mut counted, topology.sizes());
        Arc::new_cyclic(|this| VirtualHost {
            this: this.clone(),
            topology: RwLock::new(topology),
            counted: Mutex::new(counted),
            name: record.name.clone(),
            record: Mutex::new(record),
            generation: AtomicU64::new(0),
            maker,
            connections: Mutex::default(),
            deleted: AtomicBool::new(false),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As stored.
    pub fn record(&self) -> VhostRecord {
        self.record.lock().clone()
    }

    /// What it may hold.
    pub fn limits(&self) -> VhostLimits {
        self.record.lock().limits
    }

    pub(crate) fn set_limits(&self, limits: VhostLimits) {
        self.record.lock().limits = limits;
    }

    /// Changes everything but the name.
    pub(crate) fn set_record(&self, record: VhostRecord) {
        *self.record.lock() = VhostRecord {
            name: self.name.clone(),
            ..record
        };
    }

    /// True once it is deleted: what still happens in it is lost.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// All queues as of now.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.topology.read().queues().cloned().collect()
    }

    /// A route remembered at another generation is stale.
    #[inline]
    pub fn generation(&self) -> u64 {
        // Acquire pairs with the release in `change_topology`.
        self.generation.load(Ordering::Acquire)
    }

    /// Makes publishers look up (and be allowed) every route anew.
    pub fn forget_routes(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Runs `change` under the write lock and publishes a new generation before the lock is released. What changed of the
    /// durable part is stored afterwards: once the store has come to the ticket.
    pub fn change_topology<R>(
        &self,
        change: impl FnOnce(&mut Topology<Arc<Queue>>) -> R,
    ) -> (R, Option<Ticket>) {
        let mut topology = self.topology.write();
        let (before, was_deleted) = (topology.generation(), self.is_deleted());
        topology.set_full(self.maker.census().full());
        let result = change(&mut topology);
        let delays = topology.take_delays();
        let delayed = delays
            .into_iter()
            .filter_map(|delay| self.follow(&mut topology, delay));
        let delayed = delayed.last();
        if topology.generation() != before {
            self.generation.fetch_add(1, Ordering::Release);
        }
        self.maker
            .census()
            .recount(&mut self.counted.lock(), topology.sizes());
        // Under the lock, so that the store sees changes in the order in which they were made.
        let changes = topology.take_changes().into_iter();
        let jobs = changes
            .filter(|_| !was_deleted)
            .map(|change| restore::job_of(&self.name, change));
        let ticket = jobs.map(|job| self.maker.store().submit(job)).last();
        (result, ticket.or(delayed))
    }

    /// Makes or ends the queue of a delayed exchange that came or went.
    fn follow(&self, topology: &mut Topology<Arc<Queue>>, delay: DelayChange) -> Option<Ticket> {
        match delay {
            DelayChange::Came { exchange, durable } => {
                let name = delay_queue(&exchange);
                if topology.queue(&name).is_some() {
                    return None;
                }
                let mut arguments = FieldTable::new();
                arguments.insert(DELAYED_EXCHANGE, exchange);
                let declaration = Declaration {
                    durable,
                    auto_delete: false,
                    owner: None,
                    arguments,
                };
                let durability = self.maker.store().durability();
                let made = self
                    .maker
                    .make(self.this.clone(), name.clone(), declaration, durability);
                let queue = made
                    .inspect_err(
                        |error| tracing::error!(queue = name, %error, "a delayed exchange can delay nothing"),
                    )
                    .ok()?;
                topology.add_queue(&name, durable, Arc::clone(&queue));
                let description = Entity::Queue(restore::description(&self.name, &queue));
                durable.then(|| self.maker.store().submit(Job::Put(description, Some(queue))))
            }
            DelayChange::Went(exchange) => {
                let queue = topology.queue(&delay_queue(&exchange)).cloned()?;
                let ended = self.end_queue(topology, &queue, |_, _| Ok::<(), ()>(()));
                ended.ok().and_then(|(_, ticket)| ticket)
            }
        }
    }

    /// A new, empty queue; the caller puts it into the topology and stores its description.
    ///
    /// # Errors
    /// When files are in the way.
    pub fn new_queue(
        self: &Arc<Self>,
        name: String,
        declaration: Declaration,
        durability: Durability,
    ) -> Result<Arc<Queue>, SeglogError> {
        let vhost = Arc::downgrade(self);
        self.maker.make(vhost, name, declaration, durability)
    }

    /// A queue that a restart has left; the caller puts it into the topology.
    pub(crate) fn restored_queue(
        self: &Arc<Self>,
        name: String,
        id: String,
        declaration: Declaration,
        restored: Restored,
    ) -> Arc<Queue> {
        let vhost = Arc::downgrade(self);
        self.maker.restore(vhost, name, id, declaration, restored)
    }

    /// Deletes a queue, its bindings and its files unless `veto` (given ready messages and consumers) objects. Returns
    /// the number of messages that went with it and the consumers to be told, and when all of that is stored. One that
    /// somebody else has deleted meanwhile is as good as deleted; a new one of its name is left alone.
    #[allow(clippy::type_complexity, reason = "a result beside a ticket")]
    pub fn delete_queue<E>(
        &self,
        queue: &Arc<Queue>,
        veto: impl FnOnce(usize, usize) -> Result<(), E>,
    ) -> Result<((usize, Vec<ConsumerTarget>), Option<Ticket>), E> {
        let (deleted, unbound) = self.change_topology(|topology| self.end_queue(topology, queue, veto));
        let (deleted, end) = deleted?;
        Ok((deleted, unbound.or(end)))
    }

    #[allow(clippy::type_complexity, reason = "a result beside a ticket")]
    fn end_queue<E>(
        &self,
        topology: &mut Topology<Arc<Queue>>,
        queue: &Arc<Queue>,
        veto: impl FnOnce(usize, usize) -> Result<(), E>,
    ) -> Result<((usize, Vec<ConsumerTarget>), Option<Ticket>), E> {
        let stored = queue.declaration().is_stored();
        if queue.is_deleted() {
            return Ok(((0, Vec::new()), None));
        }
        let deleted = queue.delete(veto)?;
        self.maker.tallies().queue_deleted();
        let end = self.maker.store().submit(Job::End(QueueEnd {
            id: queue.id().to_owned(),
            log: Arc::clone(queue.log()),
            description: stored.then(|| Entity::Queue(restore::description(&self.name, queue))),
        }));
        if topology
            .queue(queue.name())
            .is_some_and(|current| Arc::ptr_eq(current, queue))
        {
            topology.remove_queue(queue.name());
        }
        Ok((deleted, stored.then_some(end)))
    }

    /// The queues that one of the broker's own messages goes to, each once: one that was dead-lettered or delayed.
    pub(crate) fn route_internally(
        &self,
        exchange: &str,
        routing_keys: &[&str],
        content: &Content<'_>,
    ) -> Vec<Arc<Queue>> {
        let decoded = ContentHeader::decode(content.header())
            .and_then(|header| BasicProperties::decode(header.properties));
        // What a publisher sent was checked then.
        let properties = decoded.unwrap_or_default();
        let topology = self.topology.read();
        let mut queues: Vec<Arc<Queue>> = Vec::new();
        for key in routing_keys {
            for queue in topology.route_internally(exchange, key, &properties) {
                if !queues.iter().any(|known| Arc::ptr_eq(known, &queue)) {
                    queues.push(queue);
                }
            }
        }
        queues
    }

    /// Adds a connection that opens it.
    pub fn join(&self, link: &Arc<Link>, user: &Arc<UserRecord>) -> Joined {
        let limit = self.limits().connections_max;
        let mut connections = self.connections.lock();
        // Under the lock, so that `close` misses none.
        if self.is_deleted() {
            return Joined::Deleted;
        }
        if let Some(max) = limit
            && connections.len() as u64 >= max
        {
            return Joined::Full(max);
        }
        let visitor = Visitor {
            link: Arc::clone(link),
            user: Arc::clone(user),
        };
        connections.insert(link.id(), visitor);
        Joined::In
    }

    /// Removes a connection.
    pub fn leave(&self, connection: ConnectionId) {
        self.connections.lock().remove(&connection);
    }

    /// Number of connections that have opened it.
    pub fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }

    /// The connections that have opened it.
    pub fn links(&self) -> Vec<Arc<Link>> {
        let connections = self.connections.lock();
        connections
            .values()
            .map(|visitor| Arc::clone(&visitor.link))
            .collect()
    }

    /// Deletes everything in it and closes its connections. Nobody can open it from here on; the caller has taken it out
    /// of the broker's table.
    pub(crate) fn close(&self) {
        let mut queues = Vec::new();
        self.change_topology(|topology| {
            queues.extend(topology.queues().cloned());
            topology.clear();
            // Under the lock, so that nothing is stored behind the end of it.
            self.deleted.store(true, Ordering::Release);
        });
        for queue in queues {
            // Its consumers need not be told: their connections close.
            let _ = self.delete_queue(&queue, |_, _| Ok::<(), ()>(()));
        }
        let text = format!("vhost '{}' is deleted", self.name);
        for visitor in self.connections.lock().values() {
            visitor.link.force_close(&text);
        }
    }

    /// Closes a user's connections with 320.
    pub(crate) fn close_connections_of(&self, user: &str, text: &str) {
        let connections = self.connections.lock();
        for visitor in connections.values().filter(|visitor| visitor.user.name == user) {
            visitor.link.force_close(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use seglog::simulation::SimStorage;
    use wire::{BasicProperties, FieldTable};

    use super::*;
    use crate::broker::Broker;
    use crate::config::Config;
    use crate::store::Maintenance;
    use crate::topology::ExchangeSpec;

    fn open(storage: &SimStorage) -> (Arc<Broker>, Receiver<Job>) {
        Broker::open(Config::default(), Arc::new(storage.clone())).unwrap()
    }

    /// Does all jobs that came so far.
    fn finish(broker: Arc<Broker>, jobs: Receiver<Job>) {
        Maintenance::start(Arc::clone(&broker), jobs).unwrap().stop();
        broker.store.log_thread().stop();
    }

    fn record(name: &str) -> VhostRecord {
        VhostRecord {
            name: name.to_owned(),
            ..VhostRecord::default()
        }
    }

    /// A durable exchange `x` with a durable queue `q` bound to it.
    fn furnish(vhost: &Arc<VirtualHost>) {
        let declaration = Declaration {
            durable: true,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::new(),
        };
        let queue = vhost
            .new_queue("q".to_owned(), declaration, Durability::Write)
            .unwrap();
        let put = Job::Put(
            Entity::Queue(restore::description(vhost.name(), &queue)),
            Some(Arc::clone(&queue)),
        );
        vhost.maker.store().submit(put);
        let (changed, ticket) = vhost.change_topology(|topology| {
            topology.add_queue("q", true, queue);
            topology.declare_exchange(ExchangeSpec {
                name: "x".to_owned(),
                kind: "fanout".parse()?,
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: FieldTable::new(),
            })?;
            topology.bind_queue("q", "x", "", &FieldTable::new())
        });
        changed.unwrap();
        assert!(ticket.is_some());
    }

    fn routes(vhost: &VirtualHost) -> Result<usize, String> {
        let route = vhost.topology.read().route("x", "", &BasicProperties::default());
        route.map(|route| route.len()).map_err(|error| error.text)
    }

    #[test]
    fn each_virtual_host_has_its_own_entities_also_after_a_restart() {
        let storage = SimStorage::default();
        let (broker, jobs) = open(&storage);
        assert!(broker.create_vhost(record("tenant")).is_some());
        assert_eq!(broker.create_vhost(record("tenant")), None, "it exists");
        let tenant = broker.vhost("tenant").unwrap();
        let generation = broker.vhost("/").unwrap().generation();
        furnish(&tenant);
        assert_eq!(routes(&tenant), Ok(1));
        let root = broker.vhost("/").unwrap();
        assert_eq!(routes(&root), Err("no exchange 'x' in vhost '/'".to_owned()));
        assert_eq!(
            root.generation(),
            generation,
            "routes in other virtual hosts stay"
        );
        drop((tenant, root));
        finish(broker, jobs);

        let (broker, jobs) = open(&storage);
        let names: Vec<_> = broker
            .vhosts()
            .iter()
            .map(|vhost| vhost.name().to_owned())
            .collect();
        assert_eq!(names, ["/", "tenant"]);
        assert_eq!(routes(&broker.vhost("tenant").unwrap()), Ok(1));
        assert_eq!(broker.queues().len(), 1);
        assert_eq!(broker.queues()[0].vhost().unwrap().name(), "tenant");
        finish(broker, jobs);
    }

    #[test]
    fn deleting_a_queue_twice_leaves_the_new_one_of_its_name_alone() {
        let storage = SimStorage::default();
        let (broker, jobs) = open(&storage);
        let root = broker.vhost("/").unwrap();
        furnish(&root);
        let old = Arc::clone(root.topology.read().queue("q").unwrap());
        let delete = || root.delete_queue(&old, |_, _| Ok::<(), ()>(())).unwrap();
        let (_, ticket) = delete();
        assert!(ticket.is_some());
        furnish(&root);
        let ((messages, consumers), ticket) = delete();
        assert_eq!((messages, consumers.len(), ticket), (0, 0, None));
        assert_eq!(routes(&root), Ok(1));
        drop(root);
        finish(broker, jobs);

        let (broker, jobs) = open(&storage);
        assert_eq!(routes(&broker.vhost("/").unwrap()), Ok(1));
        finish(broker, jobs);
    }

    #[test]
    fn a_deleted_virtual_host_takes_everything_with_it() {
        let storage = SimStorage::default();
        let (broker, jobs) = open(&storage);
        broker.create_vhost(record("tenant"));
        let tenant = broker.vhost("tenant").unwrap();
        furnish(&tenant);
        assert!(broker.delete_vhost("tenant").is_some());
        assert_eq!(broker.delete_vhost("tenant"), None);
        assert!(tenant.is_deleted() && tenant.queues().is_empty());
        let (_, ticket) = tenant.change_topology(|topology| {
            topology.declare_exchange(ExchangeSpec {
                name: "late".to_owned(),
                kind: "fanout".parse()?,
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: FieldTable::new(),
            })
        });
        assert_eq!(ticket, None, "nothing is stored behind the end");
        // A new one of the same name has nothing of it.
        broker.create_vhost(record("tenant"));
        assert_eq!(
            routes(&broker.vhost("tenant").unwrap()),
            Err("no exchange 'x' in vhost 'tenant'".to_owned())
        );
        finish(broker, jobs);

        let left = storage.files();
        let left: Vec<_> = left
            .iter()
            .filter(|path| path.to_string_lossy().contains("@tenant"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let (broker, jobs) = open(&storage);
        assert!(broker.queues().is_empty());
        assert!(broker.vhost("tenant").is_some());
        finish(broker, jobs);
    }
}
