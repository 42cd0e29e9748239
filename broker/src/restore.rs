//! A start: the topology, queues and users that the data directory describes; and the way back, what is stored of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::auth::{self, User};
use crate::broker::{Broker, DURABILITY_ARGUMENT};
use crate::queue::{Declaration, Queue};
use crate::queue_maker::Restored;
use crate::store::metadata::{
    BindingRecord, DestinationKind, Entity, ExchangeRecord, QueueRecord, VhostRecord,
};
use crate::store::{Durability, Job, Store, recover_queue};
use crate::topology::{BindingSpec, DestinationName, ExchangeSpec, Topology, TopologyChange, TopologyError};
use crate::vhost::{DEFAULT_VHOST, VirtualHost};
use wire::{FieldTable, FieldValue};

/// Time between two words about a start that takes long.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Stores what every start needs and `entities` lack: the default virtual host when there is none, users of the command
/// line or `guest`. It joins `entities`.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn seed(store: &Store, entities: &mut Vec<Entity>, flags: &[User]) -> anyhow::Result<()> {
    if !entities.iter().any(|entity| matches!(entity, Entity::Vhost(_))) {
        let vhost = Entity::Vhost(VhostRecord {
            name: DEFAULT_VHOST.to_owned(),
            ..VhostRecord::default()
        });
        store.metadata().put(&vhost)?;
        entities.insert(0, vhost);
    }
    let seeded = auth::seeded(entities, flags);
    let (users, permissions): (Vec<_>, Vec<_>) = seeded
        .into_iter()
        .partition(|entity| matches!(entity, Entity::User(_)));
    store.metadata().put_all(&permissions)?;
    store.metadata().put_all(&users)?;
    // Later ones take the place of earlier ones.
    entities.extend(permissions);
    entities.extend(users);
    Ok(())
}

/// Declares what is described, and reads what is left in each queue's log.
///
/// # Errors
/// When a description makes no sense or a log cannot be read; names it.
pub(crate) fn topology(broker: &Arc<Broker>, entities: Vec<Entity>) -> anyhow::Result<()> {
    let start = Instant::now();
    let total = entities
        .iter()
        .filter(|entity| matches!(entity, Entity::Queue(_)))
        .count();
    let (mut queues, mut messages, mut told) = (0, 0, Instant::now());
    for entity in entities {
        match entity {
            Entity::Vhost(record) => broker.add_vhost(record),
            Entity::User(record) => broker.users.put(record),
            Entity::Permission(record) => {
                let text = format!("permission of '{}' in vhost '{}'", record.user, record.vhost);
                broker
                    .users
                    .grant(record)
                    .map_err(anyhow::Error::msg)
                    .context(text)?;
            }
            Entity::TopicPermission(record) => {
                let text = format!(
                    "topic permission of '{}' in vhost '{}'",
                    record.user, record.vhost
                );
                broker
                    .users
                    .grant_topic(record)
                    .map_err(anyhow::Error::msg)
                    .context(text)?;
            }
            Entity::Exchange(record) => {
                let (vhost, name) = (record.vhost.clone(), record.name.clone());
                let spec = exchange_spec(record)?;
                in_vhost(broker, &vhost)
                    .and_then(|vhost| declare(&vhost, |topology| Ok(topology.declare_exchange(spec)?)))
                    .with_context(|| format!("exchange '{name}' in vhost '{vhost}'"))?;
            }
            Entity::Queue(record) => {
                let (vhost, name) = (record.vhost.clone(), record.name.clone());
                messages += in_vhost(broker, &vhost)
                    .and_then(|vhost| restore_queue(broker, &vhost, record))
                    .with_context(|| format!("queue '{name}' in vhost '{vhost}'"))?;
                queues += 1;
                if told.elapsed() >= PROGRESS_INTERVAL {
                    told = Instant::now();
                    tracing::info!(queues, total, messages, "reading queues");
                }
            }
            Entity::Binding(record) => {
                in_vhost(broker, &record.vhost)
                    .and_then(|vhost| declare(&vhost, |topology| Ok(bind(topology, &record)?)))
                    .with_context(|| {
                        let BindingRecord {
                            vhost,
                            source,
                            destination,
                            ..
                        } = &record;
                        format!("binding of '{destination}' to '{source}' in vhost '{vhost}'")
                    })?;
            }
        }
    }
    for vhost in broker.vhosts() {
        // A crash may have come between a delayed exchange and its queue.
        vhost.change_topology(Topology::renew_delays);
    }
    warn_of_orphans(broker)?;
    if total > 0 {
        let (clean, elapsed) = (broker.store.was_clean(), start.elapsed());
        tracing::info!(queues, messages, clean, ?elapsed, "restored");
    }
    Ok(())
}

/// The virtual host that something stored belongs to.
fn in_vhost(broker: &Broker, name: &str) -> anyhow::Result<Arc<VirtualHost>> {
    broker
        .vhost(name)
        .with_context(|| format!("vhost '{name}' is not stored"))
}

/// Changes the topology without storing what is stored.
fn declare(
    vhost: &VirtualHost,
    change: impl FnOnce(&mut Topology<Arc<Queue>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut topology = vhost.topology.write();
    change(&mut topology)?;
    topology.take_changes();
    topology.take_delays();
    Ok(())
}

pub(crate) fn exchange_spec(record: ExchangeRecord) -> anyhow::Result<ExchangeSpec> {
    Ok(ExchangeSpec {
        name: record.name,
        kind: record.kind.parse()?,
        durable: record.durable,
        auto_delete: record.auto_delete,
        internal: record.internal,
        arguments: record.arguments,
    })
}

/// Restores one queue and tells how many messages it has.
fn restore_queue(broker: &Broker, vhost: &Arc<VirtualHost>, record: QueueRecord) -> anyhow::Result<usize> {
    let durability =
        durability_of(&record.arguments, broker.config.durability).map_err(anyhow::Error::msg)?;
    let recovered = recover_queue(&broker.store, &record.id, durability, broker.store.was_clean())?;
    for cut in &recovered.cuts {
        tracing::warn!(
            queue = record.name, path = %cut.path.display(), position = cut.position, bytes = cut.bytes,
            "an unfinished write at the end of the log was cut off"
        );
    }
    let declaration = Declaration {
        durable: record.durable,
        auto_delete: record.auto_delete,
        owner: None,
        arguments: record.arguments,
    };
    declaration
        .options()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let restored = Restored {
        log: recovered.log,
        remains: recovered.remains,
        generation: recovered.generation,
    };
    let queue = vhost.restored_queue(record.name, record.id, declaration, restored);
    queue.index_backlog()?;
    let (ready, _) = queue.counts();
    declare(vhost, |topology| {
        topology.add_queue(queue.name(), true, Arc::clone(&queue));
        Ok(())
    })?;
    Ok(ready)
}

/// Whether a queue could be declared as described.
///
/// # Errors
/// Why not, in words for a client.
pub(crate) fn check_queue(record: &QueueRecord, default: Durability) -> Result<(), String> {
    let declaration = Declaration {
        durable: record.durable,
        auto_delete: record.auto_delete,
        owner: None,
        arguments: record.arguments.clone(),
    };
    declaration.options().map_err(|error| error.to_string())?;
    durability_of(&record.arguments, default).map(drop)
}

/// Binds as described.
///
/// # Errors
/// When an end is missing, or the exchange cannot use the arguments.
pub(crate) fn bind<Q: Clone>(
    topology: &mut Topology<Q>,
    record: &BindingRecord,
) -> Result<(), TopologyError> {
    let (source, destination, key) = (&record.source, &record.destination, &record.routing_key);
    match record.destination_kind {
        DestinationKind::Queue => topology.bind_queue(destination, source, key, &record.arguments),
        DestinationKind::Exchange => topology.bind_exchange(destination, source, key, &record.arguments),
    }
}

/// A log without a description is not deleted: it may be all that is left of a queue whose description got lost.
fn warn_of_orphans(broker: &Broker) -> anyhow::Result<()> {
    let known: std::collections::HashSet<String> = broker
        .queues()
        .iter()
        .map(|queue| queue.id().to_owned())
        .collect();
    for name in broker.store.queues().log_names()? {
        if !known.contains(&name) {
            let path = broker.store.queues().root().join(&name);
            tracing::error!(
                path = %path.display(),
                "a log belongs to no queue that is described; it is left as it is (see `broker log dump`)"
            );
        }
    }
    Ok(())
}

/// What is stored of a queue.
pub(crate) fn description(vhost: &str, queue: &Queue) -> QueueRecord {
    let declaration = queue.declaration();
    QueueRecord {
        vhost: vhost.to_owned(),
        name: queue.name().to_owned(),
        id: queue.id().to_owned(),
        durable: declaration.durable,
        auto_delete: declaration.auto_delete,
        arguments: declaration.arguments.clone(),
    }
}

/// What the maintenance thread has to do about a change.
pub(crate) fn job_of(vhost: &str, change: TopologyChange) -> Job {
    match change {
        TopologyChange::Declared(spec) => Job::Put(Entity::Exchange(exchange_record(vhost, spec)), None),
        TopologyChange::Deleted(spec) => Job::Remove(Entity::Exchange(exchange_record(vhost, spec))),
        TopologyChange::Bound(spec) => Job::Put(Entity::Binding(binding_record(vhost, spec)), None),
        TopologyChange::Unbound(spec) => Job::Remove(Entity::Binding(binding_record(vhost, spec))),
    }
}

pub(crate) fn exchange_record(vhost: &str, spec: ExchangeSpec) -> ExchangeRecord {
    ExchangeRecord {
        vhost: vhost.to_owned(),
        name: spec.name,
        kind: spec.kind.name().to_owned(),
        durable: spec.durable,
        auto_delete: spec.auto_delete,
        internal: spec.internal,
        arguments: spec.arguments,
    }
}

pub(crate) fn binding_record(vhost: &str, spec: BindingSpec) -> BindingRecord {
    let (destination_kind, destination) = match spec.destination {
        DestinationName::Queue(name) => (DestinationKind::Queue, name),
        DestinationName::Exchange(name) => (DestinationKind::Exchange, name),
    };
    BindingRecord {
        vhost: vhost.to_owned(),
        source: spec.source,
        destination_kind,
        destination,
        routing_key: spec.key,
        arguments: spec.arguments,
    }
}

/// The durability level that a queue's arguments ask for.
///
/// # Errors
/// What is wrong with the argument, and what is allowed.
pub(crate) fn durability_of(arguments: &FieldTable, default: Durability) -> Result<Durability, String> {
    let Some(value) = arguments.get(DURABILITY_ARGUMENT) else {
        return Ok(default);
    };
    let wrong = |problem: String| format!("invalid arg '{DURABILITY_ARGUMENT}': {problem}");
    match value {
        FieldValue::LongStr(_) => {
            let text = value.as_str().unwrap_or_default();
            text.parse()
                .map_err(|expected| wrong(format!("'{text}', {expected}")))
        }
        _ => Err(wrong("expected a string: none, write or sync".to_owned())),
    }
}
