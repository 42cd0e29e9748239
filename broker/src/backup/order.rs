//! In which order logs are copied: a queue that messages leave for another one (dead letters, delayed messages) before that
//! one. A letter is in its source until its target has it, so who looks at the source first finds it in one of the two.
//!
//! Ways are followed by what is described: a dead-letter exchange, its bindings, by their keys where those are known and the
//! exchange is a direct one, and alternate exchanges. In a circle nobody comes first; and where the default exchange routes
//! by a message's own key, the way is not known.

use std::collections::{HashMap, HashSet};

use crate::queue::{QueueFlags, QueueOptions};
use crate::store::metadata::{BindingRecord, DestinationKind, Entity, ExchangeRecord, QueueRecord};
use crate::topology::{ExchangeKind, delay_queue};

/// The argument that names where an exchange sends what matches no binding.
const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
/// Its bindings are stored, and it is not.
const PREDECLARED_DIRECT: &str = "amq.direct";

/// Where a message can be on its way. All names are of virtual host and entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Queue(String, String),
    /// Before an exchange, with the routing key if it is known.
    Exchange(String, String, Option<String>),
    /// Before its bindings: a delayed exchange has done with it.
    Bindings(String, String, Option<String>),
}

/// The queues, sources before targets; those that have nothing to do with each other stay as they are.
pub(super) fn sources_first(entities: &[Entity]) -> Vec<&QueueRecord> {
    let map = Map::new(entities);
    let mut seen = HashSet::new();
    let mut ordered = Vec::new();
    for queue in map.in_order.iter().rev() {
        let start = Place::Queue(queue.vhost.clone(), queue.name.clone());
        if !seen.insert(start.clone()) {
            continue;
        }
        // The way from the start to a place, each with where it leads next.
        let mut way = vec![(map.next(&start), start)];
        while let Some((next, _)) = way.last_mut() {
            match next.pop() {
                Some(place) if seen.insert(place.clone()) => way.push((map.next(&place), place)),
                Some(_) => {}
                None => {
                    // Everything behind it is in the list.
                    if let Some((_, place)) = way.pop()
                        && let Some(queue) = map.queue(&place)
                    {
                        ordered.push(queue);
                    }
                }
            }
        }
    }
    ordered.reverse();
    ordered
}

/// What is described, by name.
struct Map<'a> {
    in_order: Vec<&'a QueueRecord>,
    queues: HashMap<(&'a str, &'a str), &'a QueueRecord>,
    exchanges: HashMap<(&'a str, &'a str), &'a ExchangeRecord>,
    bindings: HashMap<(&'a str, &'a str), Vec<&'a BindingRecord>>,
}

impl<'a> Map<'a> {
    fn new(entities: &'a [Entity]) -> Map<'a> {
        let mut map = Map {
            in_order: Vec::new(),
            queues: HashMap::new(),
            exchanges: HashMap::new(),
            bindings: HashMap::new(),
        };
        for entity in entities {
            match entity {
                Entity::Queue(queue) => {
                    map.in_order.push(queue);
                    map.queues.insert((&queue.vhost, &queue.name), queue);
                }
                Entity::Exchange(exchange) => {
                    map.exchanges.insert((&exchange.vhost, &exchange.name), exchange);
                }
                Entity::Binding(binding) => {
                    let source = (binding.vhost.as_str(), binding.source.as_str());
                    map.bindings.entry(source).or_default().push(binding);
                }
                _ => {}
            }
        }
        map
    }

    fn queue(&self, place: &Place) -> Option<&'a QueueRecord> {
        match place {
            Place::Queue(vhost, name) => self.queues.get(&(vhost.as_str(), name.as_str())).copied(),
            _ => None,
        }
    }

    /// Where a message can go from there.
    fn next(&self, place: &Place) -> Vec<Place> {
        match place {
            Place::Queue(..) => self.queue(place).and_then(onward).into_iter().collect(),
            Place::Exchange(vhost, name, key) if name.is_empty() => {
                let queue = key.clone().map(|key| Place::Queue(vhost.clone(), key));
                queue.into_iter().collect()
            }
            Place::Exchange(vhost, name, key) => {
                let bindings = Place::Bindings(vhost.clone(), name.clone(), key.clone());
                match self.kind(vhost, name) {
                    Some(ExchangeKind::Delayed) => {
                        vec![bindings, Place::Queue(vhost.clone(), delay_queue(name))]
                    }
                    _ => vec![bindings],
                }
            }
            Place::Bindings(vhost, name, key) => self.by_bindings(vhost, name, key.as_deref()),
        }
    }

    fn by_bindings(&self, vhost: &str, name: &str, key: Option<&str>) -> Vec<Place> {
        let is_direct = self.kind(vhost, name) == Some(ExchangeKind::Direct);
        let source = (vhost, name);
        let bindings = self.bindings.get(&source).into_iter().flatten();
        let matching =
            bindings.filter(|binding| !is_direct || key.is_none_or(|key| key == binding.routing_key));
        let mut places: Vec<Place> = matching
            .map(|binding| {
                let destination = binding.destination.clone();
                match binding.destination_kind {
                    DestinationKind::Queue => Place::Queue(vhost.to_owned(), destination),
                    DestinationKind::Exchange => {
                        Place::Exchange(vhost.to_owned(), destination, key.map(str::to_owned))
                    }
                }
            })
            .collect();
        let arguments = self.exchanges.get(&source).map(|exchange| &exchange.arguments);
        if let Some(alternate) = arguments.and_then(|table| table.get(ALTERNATE_EXCHANGE)?.as_str()) {
            let alternate = alternate.to_owned();
            places.push(Place::Exchange(
                vhost.to_owned(),
                alternate,
                key.map(str::to_owned),
            ));
        }
        places
    }

    fn kind(&self, vhost: &str, name: &str) -> Option<ExchangeKind> {
        match self.exchanges.get(&(vhost, name)) {
            Some(exchange) => exchange.kind.parse().ok(),
            None => (name == PREDECLARED_DIRECT).then_some(ExchangeKind::Direct),
        }
    }
}

/// Where a queue sends what it does not keep.
fn onward(queue: &QueueRecord) -> Option<Place> {
    let flags = QueueFlags {
        durable: queue.durable,
        exclusive: false,
        auto_delete: queue.auto_delete,
    };
    // Arguments that a start would not take send nothing anywhere.
    let options = QueueOptions::parse(&queue.arguments, flags).ok()?;
    let vhost = queue.vhost.clone();
    match (options.delayed_exchange, options.dead_letter) {
        (Some(exchange), _) => Some(Place::Bindings(vhost, exchange, None)),
        (None, Some(target)) => Some(Place::Exchange(vhost, target.exchange, target.routing_key)),
        (None, None) => None,
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
