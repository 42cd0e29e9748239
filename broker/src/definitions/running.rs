//! Definitions of a broker that runs: out, and into one virtual host.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::elsewhere::remarks;
use super::export::{document, live};
use crate::broker::Broker;
use crate::node::Node;
use crate::vhost::VirtualHost;

/// What a virtual host has of its own.
const OF_VHOST: [&str; 5] = ["parameters", "policies", "exchanges", "queues", "bindings"];

/// Everything that is defined; or what `vhost` has of it, without its name. Also what other brokers make of it.
///
/// # Errors
/// When an argument has a value that JSON cannot say.
pub(crate) fn running(
    broker: &Broker,
    vhost: Option<Arc<VirtualHost>>,
) -> anyhow::Result<(Value, Vec<String>)> {
    let entities = match &vhost {
        None => {
            let mut all = broker.users.records();
            all.extend(live(broker, &broker.vhosts()));
            all
        }
        Some(vhost) => live(broker, std::slice::from_ref(vhost)),
    };
    let remarks = remarks(&entities);
    let mut lists = document(entities)?;
    if vhost.is_some() {
        let own = lists.into_iter().filter(|(name, _)| is_of_vhost(name));
        lists = own.map(without_vhost).collect();
    }
    let node = Node::of(broker);
    let mut out = Map::new();
    out.insert("rabbit_version".to_owned(), node.rabbitmq_version.clone().into());
    out.insert("rabbitmq_version".to_owned(), node.rabbitmq_version.into());
    out.insert("product_name".to_owned(), node.product_name.into());
    out.insert("product_version".to_owned(), node.product_version.into());
    out.extend(lists);
    Ok((out.into(), remarks))
}

/// Moves what a document defines into a virtual host.
pub(crate) fn move_into(document: &mut Map<String, Value>, vhost: &str) {
    for (name, list) in document {
        if !is_of_vhost(name) {
            continue;
        }
        for object in list.as_array_mut().into_iter().flatten() {
            if let Value::Object(object) = object {
                object.insert("vhost".to_owned(), vhost.into());
            }
        }
    }
}

fn is_of_vhost(list: &str) -> bool {
    OF_VHOST.contains(&list)
}

fn without_vhost((name, mut list): (String, Value)) -> (String, Value) {
    for object in list.as_array_mut().into_iter().flatten() {
        if let Value::Object(object) = object {
            object.shift_remove("vhost");
        }
    }
    (name, list)
}
