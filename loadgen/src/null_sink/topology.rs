//! Queues, exchanges and bindings: where a message goes.

use std::collections::HashMap;

use slab::Slab;

/// A queue, which holds nothing.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Connections that consume from it.
    pub(super) consumers: Vec<usize>,
    /// Counts reads that brought something: whose turn it is.
    pub(super) turn: usize,
}

/// How an exchange compares keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fanout,
    Direct,
    Topic,
}

#[derive(Debug)]
struct Exchange {
    kind: Kind,
    /// Key or pattern, and queue.
    bindings: Vec<(String, usize)>,
}

/// Everything that was declared.
#[derive(Debug, Default)]
pub(super) struct Topology {
    pub(super) queues: Slab<Queue>,
    names: HashMap<String, usize>,
    exchanges: HashMap<String, Exchange>,
    /// Grows with every change that an earlier route may not know of.
    version: u64,
}

impl Topology {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn queue(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(super) fn declare_queue(&mut self, name: &str) {
        if !self.names.contains_key(name) {
            let queue = self.queues.insert(Queue::default());
            self.names.insert(name.to_owned(), queue);
            self.version += 1;
        }
    }

    pub(super) fn delete_queue(&mut self, name: &str) {
        let Some(queue) = self.names.remove(name) else {
            return;
        };
        self.queues.remove(queue);
        for exchange in self.exchanges.values_mut() {
            exchange.bindings.retain(|(_, bound)| *bound != queue);
        }
        self.version += 1;
    }

    /// `false` when the kind is not one that the generator uses.
    pub(super) fn declare_exchange(&mut self, name: &str, kind: &str) -> bool {
        let kind = match kind {
            "fanout" => Kind::Fanout,
            "direct" => Kind::Direct,
            "topic" => Kind::Topic,
            _ => return false,
        };
        let bindings = Vec::new();
        let exchange = Exchange { kind, bindings };
        self.exchanges.entry(name.to_owned()).or_insert(exchange);
        self.version += 1;
        true
    }

    pub(super) fn delete_exchange(&mut self, name: &str) {
        self.exchanges.remove(name);
        self.version += 1;
    }

    /// `false` when there is no such queue or exchange.
    pub(super) fn bind(&mut self, queue: &str, exchange: &str, key: &str) -> bool {
        let (Some(queue), Some(exchange)) = (self.names.get(queue), self.exchanges.get_mut(exchange)) else {
            return false;
        };
        exchange.bindings.push((key.to_owned(), *queue));
        self.version += 1;
        true
    }

    /// The connection consumes nothing any more.
    pub(super) fn forget(&mut self, connection: usize) {
        for (_, queue) in &mut self.queues {
            queue.consumers.retain(|consumer| *consumer != connection);
        }
    }

    /// The queues that a message goes to; each once.
    pub(super) fn route(&self, exchange: &str, key: &str) -> Vec<usize> {
        if exchange.is_empty() {
            return self.queue(key).into_iter().collect();
        }
        let Some(exchange) = self.exchanges.get(exchange) else {
            return Vec::new();
        };
        let matching = exchange.bindings.iter().filter(|(bound, _)| match exchange.kind {
            Kind::Fanout => true,
            Kind::Direct => bound == key,
            Kind::Topic => matches(bound, key),
        });
        let mut queues: Vec<usize> = matching.map(|(_, queue)| *queue).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }
}

/// Whether a topic exchange's pattern matches: `*` stands for one word, `#` for any number.
fn matches(pattern: &str, key: &str) -> bool {
    fn words(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => (0..=key.len()).any(|skipped| words(rest, &key[skipped..])),
            (Some((&word, pattern)), Some((&found, key))) => {
                (word == "*" || word == found) && words(pattern, key)
            }
            _ => false,
        }
    }
    let (pattern, key): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), key.split('.').collect());
    words(&pattern, &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_where_their_exchange_says() {
        let mut topology = Topology::default();
        topology.declare_queue("a");
        topology.declare_queue("b");
        let (a, b) = (topology.queue("a").unwrap(), topology.queue("b").unwrap());
        for (exchange, keys) in [
            ("fanout", ["", ""]),
            ("direct", ["x", "y"]),
            ("topic", ["q.*", "#"]),
        ] {
            assert!(topology.declare_exchange(exchange, exchange));
            assert!(topology.bind("a", exchange, keys[0]) && topology.bind("b", exchange, keys[1]));
        }
        assert!(!topology.declare_exchange("h", "headers") && !topology.bind("c", "fanout", ""));
        assert_eq!(topology.route("", "b"), [b]);
        assert_eq!(topology.route("fanout", "any"), [a, b]);
        assert_eq!(topology.route("direct", "y"), [b]);
        assert_eq!(topology.route("topic", "q.7"), [a, b]);
        assert_eq!(topology.route("topic", "q.7.8"), [b]);
        let before = topology.version();
        topology.delete_queue("a");
        assert!(topology.version() > before);
        assert_eq!(topology.route("fanout", "any"), [b]);
        assert!(topology.route("", "a").is_empty());
    }
}
