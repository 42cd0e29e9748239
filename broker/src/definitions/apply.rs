//! Records to a broker that runs. What is there stays as it is, as at a start.

use std::sync::Arc;

use anyhow::Context as _;

use super::import::resolved;
use super::parse::Definitions;
use crate::broker::Broker;
use crate::queue::Declaration;
use crate::restore;
use crate::store::Job;
use crate::store::metadata::{Entity, QueueRecord};
use crate::vhost::VirtualHost;

/// Makes what `definitions` has and the broker lacks. Everything is tried first: one that could not be imported at a
/// start changes nothing.
///
/// # Errors
/// As [`resolve`] and [`make_all`].
pub(crate) fn apply(broker: &Broker, definitions: &Definitions) -> anyhow::Result<()> {
    let new = resolve(broker, definitions)?;
    let records = new.len();
    make_all(broker, new)?;
    tracing::info!(path = %definitions.path.display(), records, "definitions imported");
    Ok(())
}

/// What `definitions` has and the broker lacks, tried as at a start. Nothing is changed.
///
/// # Errors
/// As at a start.
pub(crate) fn resolve(broker: &Broker, definitions: &Definitions) -> anyhow::Result<Vec<Entity>> {
    // What is declared at this moment may not be stored yet: each record is made only if it is not there.
    let stored = broker.store.metadata().load()?;
    resolved(&stored, definitions, &broker.config)
}

/// Makes what [`resolve`] gave, one after the other.
///
/// # Errors
/// When somebody has declared something else of the same name meanwhile; what came before it is there then.
pub(crate) fn make_all(broker: &Broker, entities: Vec<Entity>) -> anyhow::Result<()> {
    entities.into_iter().try_for_each(|entity| make(broker, entity))
}

fn make(broker: &Broker, entity: Entity) -> anyhow::Result<()> {
    match entity {
        Entity::Vhost(record) => {
            broker.put_vhost(record);
        }
        Entity::User(record) => {
            broker.put_user(record);
        }
        Entity::Permission(record) => {
            broker.set_permission(record).map_err(anyhow::Error::msg)?;
        }
        Entity::TopicPermission(record) => {
            broker.set_topic_permission(record).map_err(anyhow::Error::msg)?;
        }
        Entity::Exchange(record) => {
            let vhost = known(broker, &record.vhost)?;
            let spec = restore::exchange_spec(record)?;
            let (declared, _) = vhost.change_topology(|topology| topology.declare_exchange(spec));
            declared?;
        }
        Entity::Queue(record) => {
            let vhost = known(broker, &record.vhost)?;
            let name = record.name.clone();
            make_queue(broker, &vhost, record).with_context(|| format!("queue '{name}'"))?;
        }
        Entity::Binding(record) => {
            let vhost = known(broker, &record.vhost)?;
            let (bound, _) = vhost.change_topology(|topology| restore::bind(topology, &record));
            bound?;
        }
    }
    Ok(())
}

fn make_queue(broker: &Broker, vhost: &Arc<VirtualHost>, record: QueueRecord) -> anyhow::Result<()> {
    let durability = restore::durability_of(&record.arguments, broker.config.durability);
    let durability = durability.map_err(anyhow::Error::msg)?;
    let declaration = Declaration {
        durable: record.durable,
        auto_delete: record.auto_delete,
        owner: None,
        arguments: record.arguments,
    };
    let (made, _) = vhost.change_topology(|topology| {
        if topology.queue(&record.name).is_some() {
            return Ok(());
        }
        let queue = vhost.new_queue(record.name.clone(), declaration, durability)?;
        topology.add_queue(&record.name, true, Arc::clone(&queue));
        // Under the lock, so that it is stored before what refers to it.
        let description = Entity::Queue(restore::description(vhost.name(), &queue));
        broker.store.submit(Job::Put(description, Some(queue)));
        Ok(())
    });
    made
}

fn known(broker: &Broker, vhost: &str) -> anyhow::Result<Arc<VirtualHost>> {
    broker
        .vhost(vhost)
        .with_context(|| format!("there is no vhost '{vhost}'"))
}
