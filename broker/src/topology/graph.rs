//! The topology: declaring, deleting and binding.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use wire::FieldTable;

use super::binding::{Binding, BindingId, Destination, ExchangeId, QueueId, Target};
use super::change::{BindingSpec, DelayChange, DestinationName, TopologyChange};
use super::error::TopologyError;
use super::exchange::{Exchange, ExchangeKind, ExchangeSpec};
use super::sizes::Full;

/// Name of the default exchange.
pub(super) const DEFAULT_EXCHANGE: &str = "";
/// Names that clients may not declare.
const RESERVED_PREFIX: &str = "amq.";
/// There from the start, durable, and never deleted.
const PREDECLARED: [(&str, ExchangeKind); 6] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    (TRACE_EXCHANGE, ExchangeKind::Topic),
];
/// For the broker's own messages in RabbitMQ, therefore internal. Nothing is traced here; clients look for it all the same.
const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

/// Exchanges, queues and bindings of one virtual host; see [the module](super).
///
/// The default exchange (`""`) is not among the exchanges: it routes to the queue named by the routing key.
#[derive(Debug)]
pub struct Topology<Q> {
    /// Whose topology it is, for the texts of refusals.
    vhost: Box<str>,
    pub(super) exchanges: Slab<Exchange>,
    exchange_names: FxHashMap<String, ExchangeId>,
    pub(super) queues: Slab<QueueEntry<Q>>,
    queue_names: FxHashMap<String, QueueId>,
    pub(super) bindings: Slab<Arc<Binding>>,
    binding_ids: FxHashMap<Arc<Binding>, BindingId>,
    /// Those of the bindings that are durable.
    pub(super) durable_bindings: FxHashMap<BindingId, BindingSpec>,
    /// See `take_changes`.
    pub(super) changes: Vec<TopologyChange>,
    /// See `take_delays`.
    pub(super) delays: Vec<DelayChange>,
    generation: u64,
    /// What may not come any more.
    pub(super) full: Full,
}

#[derive(Debug)]
pub(super) struct QueueEntry<Q> {
    handle: Q,
    pub(super) name: String,
    durable: bool,
    pub(super) incoming: FxHashSet<BindingId>,
}

impl<Q: Clone> Topology<Q> {
    /// The predeclared exchanges of a virtual host, and nothing else.
    pub fn new(vhost: &str) -> Topology<Q> {
        let mut topology = Topology {
            vhost: vhost.into(),
            exchanges: Slab::new(),
            exchange_names: FxHashMap::default(),
            queues: Slab::new(),
            queue_names: FxHashMap::default(),
            bindings: Slab::new(),
            binding_ids: FxHashMap::default(),
            durable_bindings: FxHashMap::default(),
            changes: Vec::new(),
            delays: Vec::new(),
            generation: 0,
            full: Full::default(),
        };
        for (name, kind) in PREDECLARED {
            let mut spec = ExchangeSpec::predeclared(name, kind);
            spec.internal = name == TRACE_EXCHANGE;
            topology
                .insert_exchange(spec)
                .expect("predeclared exchanges have no arguments");
        }
        // They are there after every start.
        topology.changes.clear();
        topology
    }

    /// Changes whenever a route may have changed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Declares an exchange, or checks that it exists just so.
    ///
    /// # Errors
    /// 403 for the default exchange and new names that begin with `amq.`; 406 when it exists otherwise, or is one too many.
    pub fn declare_exchange(&mut self, spec: ExchangeSpec) -> Result<(), TopologyError> {
        if spec.name == DEFAULT_EXCHANGE {
            return Err(TopologyError::default_exchange());
        }
        if let Some(current) = self.exchange(&spec.name) {
            return current.spec.check_equivalent(&self.vhost, &spec);
        }
        if spec.name.starts_with(RESERVED_PREFIX) {
            return Err(TopologyError::reserved_name(&spec.name));
        }
        if let Some(limit) = self.full.exchanges {
            return Err(TopologyError::too_many_exchanges(&self.vhost, &spec.name, limit));
        }
        self.insert_exchange(spec)
    }

    /// Checks that an exchange exists: a passive declaration.
    ///
    /// # Errors
    /// 404 when it does not; 403 for the default exchange.
    pub fn check_exchange(&self, name: &str) -> Result<(), TopologyError> {
        if name == DEFAULT_EXCHANGE {
            return Err(TopologyError::default_exchange());
        }
        self.exchange_id(name).map(|_| ())
    }

    /// Deletes an exchange and its bindings, in both directions. One that does not exist is as good as deleted.
    ///
    /// # Errors
    /// 403 for the predeclared ones; 406 when `if_unused` and it has bindings to somewhere.
    pub fn delete_exchange(&mut self, name: &str, if_unused: bool) -> Result<(), TopologyError> {
        if name == DEFAULT_EXCHANGE {
            return Err(TopologyError::default_exchange());
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Err(TopologyError::predeclared(&self.vhost, name));
        }
        let Some(&id) = self.exchange_names.get(name) else {
            return Ok(());
        };
        if if_unused && self.exchange_at(id).has_bindings() {
            return Err(TopologyError::in_use(&self.vhost, name));
        }
        self.remove_exchanges(id);
        Ok(())
    }

    /// Adds a queue; the default exchange routes to it at once. Returns the queue that had the name before, whose
    /// bindings then lead to the new one. Only a durable queue has durable bindings.
    pub fn add_queue(&mut self, name: &str, durable: bool, handle: Q) -> Option<Q> {
        self.generation += 1;
        if let Some(id) = self.queue_id(name) {
            return Some(std::mem::replace(&mut self.queue_entry_mut(id).handle, handle));
        }
        let id = self.queues.insert(QueueEntry {
            handle,
            name: name.to_owned(),
            durable,
            incoming: FxHashSet::default(),
        });
        self.queue_names.insert(name.to_owned(), QueueId(small(id)));
        None
    }

    /// Removes a queue with its bindings, and the auto-delete exchanges that had no others.
    pub fn remove_queue(&mut self, name: &str) -> Option<Q> {
        let id = self.queue_names.remove(name)?;
        self.generation += 1;
        let entry = self.queues.remove(id.0 as usize);
        for binding in entry.incoming {
            if let Some(unused) = self.detach(binding) {
                self.remove_exchanges(unused);
            }
        }
        Some(entry.handle)
    }

    /// Removes everything, the predeclared exchanges too.
    pub fn clear(&mut self) {
        let queues: Vec<String> = self.queue_names.keys().cloned().collect();
        for name in queues {
            self.remove_queue(&name);
        }
        let exchanges: Vec<ExchangeId> = self.exchange_names.values().copied().collect();
        for id in exchanges {
            self.remove_exchanges(id);
        }
    }

    /// True when it exists and routes by topics.
    pub fn is_topic_exchange(&self, name: &str) -> bool {
        self.exchange(name)
            .is_some_and(|exchange| exchange.spec.kind == ExchangeKind::Topic)
    }

    /// The queue of this name.
    pub fn queue(&self, name: &str) -> Option<&Q> {
        self.queue_id(name).map(|id| self.queue_at(id))
    }

    /// All queues, in no order.
    pub fn queues(&self) -> impl Iterator<Item = &Q> {
        self.queues.iter().map(|(_, entry)| &entry.handle)
    }

    /// Binds a queue to an exchange; a second binding just like the first changes nothing.
    ///
    /// # Errors
    /// 404 for an unknown queue or exchange, 403 for the default exchange, 406 for arguments the exchange cannot use and for one
    /// binding too many.
    pub fn bind_queue(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: &FieldTable,
    ) -> Result<(), TopologyError> {
        let source = self.bindable(exchange)?;
        let destination = self
            .queue_id(queue)
            .ok_or_else(|| TopologyError::no_queue(&self.vhost, queue))?;
        self.attach(source, Destination::Queue(destination), key, arguments)
    }

    /// Removes a binding; one that does not exist is as good as removed.
    ///
    /// # Errors
    /// 403 for the default exchange.
    pub fn unbind_queue(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: &FieldTable,
    ) -> Result<(), TopologyError> {
        let destination = self.queue_id(queue).map(Destination::Queue);
        self.unbind(exchange, destination, key, arguments)
    }

    /// Binds `destination` to `source`: what `source` routes by this binding, `destination` routes on.
    ///
    /// # Errors
    /// As [`Topology::bind_queue`].
    pub fn bind_exchange(
        &mut self,
        destination: &str,
        source: &str,
        key: &str,
        arguments: &FieldTable,
    ) -> Result<(), TopologyError> {
        let source = self.bindable(source)?;
        let destination = self.bindable(destination)?;
        self.attach(source, Destination::Exchange(destination), key, arguments)
    }

    /// Removes a binding between exchanges; one that does not exist is as good as removed.
    ///
    /// # Errors
    /// 403 for the default exchange.
    pub fn unbind_exchange(
        &mut self,
        destination: &str,
        source: &str,
        key: &str,
        arguments: &FieldTable,
    ) -> Result<(), TopologyError> {
        if destination == DEFAULT_EXCHANGE {
            return Err(TopologyError::default_exchange());
        }
        let destination = self
            .exchange_names
            .get(destination)
            .map(|&id| Destination::Exchange(id));
        self.unbind(source, destination, key, arguments)
    }

    fn unbind(
        &mut self,
        source: &str,
        destination: Option<Destination>,
        key: &str,
        arguments: &FieldTable,
    ) -> Result<(), TopologyError> {
        if source == DEFAULT_EXCHANGE {
            return Err(TopologyError::default_exchange());
        }
        let (Some(&source), Some(destination)) = (self.exchange_names.get(source), destination) else {
            return Ok(());
        };
        let binding = Binding::new(source, destination, key, arguments);
        let Some(&id) = self.binding_ids.get(&binding) else {
            return Ok(());
        };
        self.generation += 1;
        if let Some(unused) = self.detach(id) {
            self.remove_exchanges(unused);
        }
        Ok(())
    }

    fn attach(
        &mut self,
        source: ExchangeId,
        destination: Destination,
        key: &str,
        arguments: &FieldTable,
    ) -> Result<(), TopologyError> {
        self.exchange_at(source).matcher.check(key, arguments)?;
        let binding = Arc::new(Binding::new(source, destination, key, arguments));
        if self.binding_ids.contains_key(&binding) {
            return Ok(());
        }
        if let Some(limit) = self.full.bindings {
            let source = &self.exchange_at(source).spec.name;
            return Err(TopologyError::too_many_bindings(&self.vhost, source, limit));
        }
        self.generation += 1;
        let id = BindingId(small(self.bindings.insert(Arc::clone(&binding))));
        self.binding_ids.insert(binding, id);
        if let Some(spec) = self.durable_spec(source, destination, key, arguments) {
            self.changes.push(TopologyChange::Bound(spec.clone()));
            self.durable_bindings.insert(id, spec);
        }
        let name = match destination {
            Destination::Queue(queue) => self.queues[queue.0 as usize].name.clone(),
            Destination::Exchange(exchange) => self.exchange_at(exchange).spec.name.clone(),
        };
        let target = Target {
            binding: id,
            destination,
        };
        let exchange = self.exchange_at_mut(source);
        exchange.matcher.insert(key, arguments, target, &name);
        let new = match destination {
            Destination::Queue(_) => exchange.to_queues.insert(id),
            Destination::Exchange(_) => exchange.to_exchanges.insert(id),
        };
        assert!(new, "a new binding has a new id");
        self.incoming_mut(destination)
            .expect("the destination exists")
            .insert(id);
        Ok(())
    }

    /// Takes a binding out of every list but its destination's when that is being removed. Returns its source when
    /// that was its last binding and it goes with it.
    fn detach(&mut self, id: BindingId) -> Option<ExchangeId> {
        let binding = self.bindings.remove(id.0 as usize);
        self.binding_ids.remove(&binding);
        if let Some(spec) = self.durable_bindings.remove(&id) {
            self.changes.push(TopologyChange::Unbound(spec));
        }
        if let Some(incoming) = self.incoming_mut(binding.destination) {
            incoming.remove(&id);
        }
        let source = self.exchanges.get_mut(binding.source.0 as usize)?;
        source.matcher.remove(&binding.key, id);
        match binding.destination {
            Destination::Queue(_) => source.to_queues.remove(&id),
            Destination::Exchange(_) => source.to_exchanges.remove(&id),
        };
        (source.spec.auto_delete && !source.has_bindings()).then_some(binding.source)
    }

    /// Removes an exchange, its bindings, and those auto-delete exchanges that were bound to nothing else.
    fn remove_exchanges(&mut self, first: ExchangeId) {
        self.generation += 1;
        let mut removing = vec![first];
        while let Some(id) = removing.pop() {
            // A binding to itself can name an exchange twice.
            let Some(exchange) = self.exchanges.try_remove(id.0 as usize) else {
                continue;
            };
            self.exchange_names.remove(&exchange.spec.name);
            if exchange.delay_queue.is_some() {
                self.delays.push(DelayChange::Went(exchange.spec.name.clone()));
            }
            if exchange.spec.durable {
                self.changes.push(TopologyChange::Deleted(exchange.spec));
            }
            for binding in exchange.to_queues.into_iter().chain(exchange.to_exchanges) {
                self.detach(binding);
            }
            for binding in exchange.incoming {
                if self.bindings.contains(binding.0 as usize) {
                    removing.extend(self.detach(binding));
                }
            }
        }
    }

    fn insert_exchange(&mut self, spec: ExchangeSpec) -> Result<(), TopologyError> {
        let name = spec.name.clone();
        let declared = spec.durable.then(|| TopologyChange::Declared(spec.clone()));
        let came = DelayChange::came(&spec);
        let id = self.exchanges.insert(Exchange::new(&self.vhost, spec)?);
        self.changes.extend(declared);
        self.delays.extend(came);
        self.exchange_names.insert(name, ExchangeId(small(id)));
        self.generation += 1;
        Ok(())
    }

    /// The binding by names, if it is durable.
    fn durable_spec(
        &self,
        source: ExchangeId,
        destination: Destination,
        key: &str,
        arguments: &FieldTable,
    ) -> Option<BindingSpec> {
        let source = &self.exchange_at(source).spec;
        let (durable, destination) = match destination {
            Destination::Queue(id) => {
                let entry = &self.queues[id.0 as usize];
                (entry.durable, DestinationName::Queue(entry.name.clone()))
            }
            Destination::Exchange(id) => {
                let spec = &self.exchange_at(id).spec;
                (spec.durable, DestinationName::Exchange(spec.name.clone()))
            }
        };
        (source.durable && durable).then(|| BindingSpec {
            source: source.name.clone(),
            destination,
            key: key.to_owned(),
            arguments: arguments.clone(),
        })
    }

    fn incoming_mut(&mut self, destination: Destination) -> Option<&mut FxHashSet<BindingId>> {
        match destination {
            Destination::Queue(id) => self
                .queues
                .get_mut(id.0 as usize)
                .map(|entry| &mut entry.incoming),
            Destination::Exchange(id) => self
                .exchanges
                .get_mut(id.0 as usize)
                .map(|exchange| &mut exchange.incoming),
        }
    }

    pub(super) fn vhost(&self) -> &str {
        &self.vhost
    }

    pub(super) fn queue_id(&self, name: &str) -> Option<QueueId> {
        self.queue_names.get(name).copied()
    }

    pub(super) fn queue_at(&self, id: QueueId) -> &Q {
        &self.queues[id.0 as usize].handle
    }

    fn queue_entry_mut(&mut self, id: QueueId) -> &mut QueueEntry<Q> {
        &mut self.queues[id.0 as usize]
    }

    pub(super) fn exchange_at(&self, id: ExchangeId) -> &Exchange {
        &self.exchanges[id.0 as usize]
    }

    fn exchange_at_mut(&mut self, id: ExchangeId) -> &mut Exchange {
        &mut self.exchanges[id.0 as usize]
    }

    pub(super) fn binding_at(&self, id: BindingId) -> &Binding {
        &self.bindings[id.0 as usize]
    }

    fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.exchange_names.get(name).map(|&id| self.exchange_at(id))
    }

    pub(super) fn exchange_id(&self, name: &str) -> Result<ExchangeId, TopologyError> {
        self.exchange_names
            .get(name)
            .copied()
            .ok_or_else(|| TopologyError::no_exchange(&self.vhost, name))
    }

    /// An exchange that bindings may be made with: any but the default one.
    fn bindable(&self, name: &str) -> Result<ExchangeId, TopologyError> {
        if name == DEFAULT_EXCHANGE {
            return Err(TopologyError::default_exchange());
        }
        self.exchange_id(name)
    }
}

/// Slab positions are counts of things in memory.
pub(super) fn small(position: usize) -> u32 {
    u32::try_from(position).expect("fewer than 2^32 entities")
}
