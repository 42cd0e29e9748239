//! A topology and a model of flat lists live through the same random life.

use proptest::prelude::*;
use wire::FieldTable;

use super::tests::{Names, route, spec};
use super::{ExchangeKind, ExchangeSpec};

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    AddQueue(usize),
    RemoveQueue(usize),
    Declare(usize),
    Delete(usize),
    BindQueue(usize, usize, usize),
    UnbindQueue(usize, usize, usize),
    BindExchange(usize, usize, usize),
    UnbindExchange(usize, usize, usize),
}

const QUEUES: [&str; 3] = ["q0", "q1", "q2"];
const EXCHANGES: [&str; 4] = ["direct", "fanout", "fanout-auto", "direct-auto"];
const KEYS: [&str; 2] = ["k", "l"];

fn step() -> impl Strategy<Value = Step> {
    let (queue, exchange, key) = (0..QUEUES.len(), 0..EXCHANGES.len(), 0..KEYS.len());
    prop_oneof![
        2 => queue.clone().prop_map(Step::AddQueue),
        1 => queue.clone().prop_map(Step::RemoveQueue),
        2 => exchange.clone().prop_map(Step::Declare),
        1 => exchange.clone().prop_map(Step::Delete),
        4 => (queue.clone(), exchange.clone(), key.clone()).prop_map(|(q, x, k)| Step::BindQueue(q, x, k)),
        2 => (queue, exchange.clone(), key.clone()).prop_map(|(q, x, k)| Step::UnbindQueue(q, x, k)),
        3 => (exchange.clone(), exchange.clone(), key.clone()).prop_map(|(d, s, k)| Step::BindExchange(d, s, k)),
        1 => (exchange.clone(), exchange, key).prop_map(|(d, s, k)| Step::UnbindExchange(d, s, k)),
    ]
}

/// Flat lists instead of indices: what exists, and `(source, destination, key)`.
#[derive(Default)]
struct Model {
    names: Vec<&'static str>,
    bindings: Vec<(&'static str, &'static str, &'static str)>,
}

impl Model {
    fn add(&mut self, name: &'static str) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    fn remove(&mut self, name: &'static str) {
        self.names.retain(|&other| other != name);
        let gone = |binding: &(&str, &str, &str)| binding.0 == name || binding.1 == name;
        let sources: Vec<_> = self
            .bindings
            .iter()
            .filter(|binding| gone(binding))
            .map(|binding| binding.0)
            .collect();
        self.bindings.retain(|binding| !gone(binding));
        sources.into_iter().for_each(|source| self.remove_unused(source));
    }

    fn remove_unused(&mut self, source: &'static str) {
        let unused = !self.bindings.iter().any(|binding| binding.0 == source);
        if source.ends_with("auto") && unused && self.names.contains(&source) {
            self.remove(source);
        }
    }

    fn bind(&mut self, source: &'static str, destination: &'static str, key: &'static str) -> bool {
        let binding = (source, destination, key);
        let possible = self.names.contains(&source) && self.names.contains(&destination);
        if possible && !self.bindings.contains(&binding) {
            self.bindings.push(binding);
        }
        possible
    }

    fn unbind(&mut self, source: &'static str, destination: &'static str, key: &'static str) {
        let count = self.bindings.len();
        self.bindings
            .retain(|&binding| binding != (source, destination, key));
        if self.bindings.len() < count {
            self.remove_unused(source);
        }
    }

    fn route(&self, exchange: &str, key: &str) -> Vec<&'static str> {
        let mut reached = vec![exchange];
        let mut next = 0;
        while next < reached.len() {
            let source = reached[next];
            for &(from, to, bound) in &self.bindings {
                if from == source && (bound == key || from.starts_with("fanout")) && !reached.contains(&to) {
                    reached.push(to);
                }
            }
            next += 1;
        }
        let mut queues: Vec<_> = QUEUES
            .into_iter()
            .filter(|queue| reached.contains(queue))
            .collect();
        queues.sort_unstable();
        queues
    }
}

fn declared(name: &str) -> ExchangeSpec {
    let kind = if name.starts_with("fanout") {
        ExchangeKind::Fanout
    } else {
        ExchangeKind::Direct
    };
    ExchangeSpec {
        auto_delete: name.ends_with("auto"),
        ..spec(name, kind)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn indices_agree_with_flat_lists_through_any_life(steps in prop::collection::vec(step(), 1..80)) {
        let (mut topology, mut model) = (Names::new("/"), Model::default());
        let none = FieldTable::new();
        for step in steps {
            let before = (topology.generation(), model.names.clone(), model.bindings.clone());
            match step {
                Step::AddQueue(queue) => {
                    if topology.queue(QUEUES[queue]).is_none() {
                        topology.add_queue(QUEUES[queue], false, QUEUES[queue].to_owned());
                        model.add(QUEUES[queue]);
                    }
                }
                Step::RemoveQueue(queue) => {
                    topology.remove_queue(QUEUES[queue]);
                    model.remove(QUEUES[queue]);
                }
                Step::Declare(exchange) => {
                    topology.declare_exchange(declared(EXCHANGES[exchange])).unwrap();
                    model.add(EXCHANGES[exchange]);
                }
                Step::Delete(exchange) => {
                    topology.delete_exchange(EXCHANGES[exchange], false).unwrap();
                    model.remove(EXCHANGES[exchange]);
                }
                Step::BindQueue(q, x, k) => {
                    let (q, x, k) = (QUEUES[q], EXCHANGES[x], KEYS[k]);
                    prop_assert_eq!(topology.bind_queue(q, x, k, &none).is_ok(), model.bind(x, q, k));
                }
                Step::UnbindQueue(q, x, k) => {
                    let (q, x, k) = (QUEUES[q], EXCHANGES[x], KEYS[k]);
                    topology.unbind_queue(q, x, k, &none).unwrap();
                    model.unbind(x, q, k);
                }
                Step::BindExchange(d, s, k) => {
                    let (d, s, k) = (EXCHANGES[d], EXCHANGES[s], KEYS[k]);
                    prop_assert_eq!(topology.bind_exchange(d, s, k, &none).is_ok(), model.bind(s, d, k));
                }
                Step::UnbindExchange(d, s, k) => {
                    let (d, s, k) = (EXCHANGES[d], EXCHANGES[s], KEYS[k]);
                    topology.unbind_exchange(d, s, k, &none).unwrap();
                    model.unbind(s, d, k);
                }
            }
            let changed = (&before.1, &before.2) != (&model.names, &model.bindings);
            prop_assert_eq!(topology.generation() != before.0, changed, "generation after {:?}", step);
            for exchange in EXCHANGES {
                prop_assert_eq!(topology.check_exchange(exchange).is_ok(), model.names.contains(&exchange));
                if model.names.contains(&exchange) {
                    for key in KEYS {
                        prop_assert_eq!(route(&topology, exchange, key), model.route(exchange, key));
                    }
                }
            }
        }
    }
}
