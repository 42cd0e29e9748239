//! Following a message through the exchanges to its queues.

use rustc_hash::FxHashSet;
use smallvec::{SmallVec, smallvec};
use wire::BasicProperties;

use super::binding::{Destination, ExchangeId, QueueId};
use super::error::TopologyError;
use super::exchange::DELAY_QUEUE_PREFIX;
use super::graph::{DEFAULT_EXCHANGE, Topology};

/// The queues a message goes to, each once, in no particular order.
pub type Route<Q> = SmallVec<[Q; 4]>;

/// Header that says for how many milliseconds a delayed exchange holds a message.
pub const DELAY_HEADER: &str = "x-delay";

/// How long a delayed exchange holds a message, if it does: for a positive number of milliseconds that fits into 32 bits.
pub fn delay_ms(properties: &BasicProperties<'_>) -> Option<u64> {
    let value = properties.headers?.get(DELAY_HEADER)?;
    let delay = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    u32::try_from(delay).ok().filter(|&ms| ms > 0).map(u64::from)
}

impl<Q: Clone> Topology<Q> {
    /// The queues for a message published to `exchange`.
    ///
    /// Every exchange on the way is visited once, so bindings in a circle do no harm. An exchange without a match
    /// passes the message to its alternate exchange, if that exists.
    ///
    /// # Errors
    /// 404 for an unknown exchange, 403 for an internal one.
    pub fn route(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &BasicProperties<'_>,
    ) -> Result<Route<Q>, TopologyError> {
        if exchange == DEFAULT_EXCHANGE {
            return Ok(self.route_by_name(routing_key));
        }
        let first = self.exchange_id(exchange)?;
        if self.exchange_at(first).spec.internal {
            return Err(TopologyError::internal(self.vhost(), exchange));
        }
        Ok(self.route_from(first, routing_key, properties))
    }

    /// As `route`, for the broker's own messages: dead letters may also go to an internal exchange, and nowhere when
    /// there is no such exchange.
    pub fn route_internally(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &BasicProperties<'_>,
    ) -> Route<Q> {
        match self.exchange_id(exchange) {
            _ if exchange == DEFAULT_EXCHANGE => self.route_by_name(routing_key),
            Ok(first) => self.route_from(first, routing_key, properties),
            Err(_) => Route::new(),
        }
    }

    /// What the default exchange does.
    fn route_by_name(&self, routing_key: &str) -> Route<Q> {
        let queue = self.queue_named(routing_key);
        queue.map(|id| self.queue_at(id).clone()).into_iter().collect()
    }

    /// The queue that a routing key names, unless it is one in which delayed messages wait: who may not publish to the delayed
    /// exchange would get in there by the back door.
    fn queue_named(&self, routing_key: &str) -> Option<QueueId> {
        self.queue_id(routing_key)
            .filter(|_| !routing_key.starts_with(DELAY_QUEUE_PREFIX))
    }

    fn route_from(&self, first: ExchangeId, routing_key: &str, properties: &BasicProperties<'_>) -> Route<Q> {
        let mut queues: SmallVec<[QueueId; 16]> = SmallVec::new();
        let mut walk = Walk::from(first);
        while let Some(id) = walk.next() {
            let exchange = self.exchange_at(id);
            if let Some(delay_queue) = exchange.delay_queue.as_deref()
                && delay_ms(properties).is_some()
            {
                queues.extend(self.queue_id(delay_queue));
                continue;
            }
            let mut matched = false;
            exchange.matcher.visit(routing_key, properties, |destination| {
                matched = true;
                match destination {
                    Destination::Queue(queue) => queues.push(queue),
                    Destination::Exchange(exchange) => walk.add(exchange),
                }
            });
            match exchange.alternate.as_deref() {
                Some(DEFAULT_EXCHANGE) if !matched => queues.extend(self.queue_named(routing_key)),
                Some(alternate) if !matched => {
                    // It may be declared later, or never.
                    if let Ok(alternate) = self.exchange_id(alternate) {
                        walk.add(alternate);
                    }
                }
                _ => {}
            }
        }
        queues.sort_unstable();
        queues.dedup();
        queues.into_iter().map(|id| self.queue_at(id).clone()).collect()
    }

    /// True when routes from `exchange` may depend on more than the routing key, because an exchange within reach looks at
    /// headers or properties: then a route must be looked up for every message.
    pub fn routes_by_headers(&self, exchange: &str) -> bool {
        let Ok(first) = self.exchange_id(exchange) else {
            return false;
        };
        let mut walk = Walk::from(first);
        while let Some(id) = walk.next() {
            let exchange = self.exchange_at(id);
            if exchange.delay_queue.is_some() || exchange.matcher.reads_properties() {
                return true;
            }
            for &binding in &exchange.to_exchanges {
                if let Destination::Exchange(next) = self.binding_at(binding).destination {
                    walk.add(next);
                }
            }
            if let Some(alternate) = exchange.alternate.as_deref()
                && let Ok(alternate) = self.exchange_id(alternate)
            {
                walk.add(alternate);
            }
        }
        false
    }
}

/// Exchanges still to visit, each once.
struct Walk {
    pending: SmallVec<[ExchangeId; 4]>,
    first: ExchangeId,
    /// All but the first; empty, and so not allocated, for most messages.
    seen: FxHashSet<ExchangeId>,
}

impl Walk {
    fn from(first: ExchangeId) -> Walk {
        Walk {
            pending: smallvec![first],
            first,
            seen: FxHashSet::default(),
        }
    }

    fn add(&mut self, id: ExchangeId) {
        if id != self.first && self.seen.insert(id) {
            self.pending.push(id);
        }
    }

    fn next(&mut self) -> Option<ExchangeId> {
        self.pending.pop()
    }
}
