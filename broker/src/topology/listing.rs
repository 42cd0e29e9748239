//! What a topology holds, for people to look at.

use wire::{FieldTable, TableRef};

use super::binding::{Binding, BindingId, Destination};
use super::change::{BindingSpec, DestinationName};
use super::exchange::ExchangeSpec;
use super::graph::{Topology, small};

/// Which bindings are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingsOf<'a> {
    /// All there are.
    All,
    /// Those that lead from an exchange.
    Source(&'a str),
    /// Those that lead to an exchange.
    ToExchange(&'a str),
    /// Those that lead to a queue.
    ToQueue(&'a str),
}

impl<Q: Clone> Topology<Q> {
    /// Every exchange but the default one, in no order.
    pub fn exchanges(&self) -> impl Iterator<Item = &ExchangeSpec> {
        self.exchanges.iter().map(|(_, exchange)| &exchange.spec)
    }

    /// The durable bindings, in no order.
    pub fn durable_bindings(&self) -> impl Iterator<Item = &BindingSpec> {
        self.durable_bindings.values()
    }

    /// The exchange of this name, unless it is the default one.
    pub fn exchange_spec(&self, name: &str) -> Option<&ExchangeSpec> {
        let id = self.exchange_id(name).ok()?;
        Some(&self.exchange_at(id).spec)
    }

    /// Bindings by the names of their ends, in no order. Those of the default exchange are none.
    pub fn bindings(&self, of: BindingsOf<'_>) -> Vec<BindingSpec> {
        let ids: Vec<BindingId> = match of {
            BindingsOf::All => self.bindings.iter().map(|(id, _)| BindingId(small(id))).collect(),
            BindingsOf::Source(name) => match self.exchange_id(name) {
                Ok(id) => {
                    let exchange = self.exchange_at(id);
                    let all = exchange.to_queues.iter().chain(&exchange.to_exchanges);
                    all.copied().collect()
                }
                Err(_) => Vec::new(),
            },
            BindingsOf::ToExchange(name) => match self.exchange_id(name) {
                Ok(id) => self.exchange_at(id).incoming.iter().copied().collect(),
                Err(_) => Vec::new(),
            },
            BindingsOf::ToQueue(name) => match self.queue_id(name) {
                Some(id) => self.queues[id.0 as usize].incoming.iter().copied().collect(),
                None => Vec::new(),
            },
        };
        ids.into_iter()
            .map(|id| self.named(self.binding_at(id)))
            .collect()
    }

    fn named(&self, binding: &Binding) -> BindingSpec {
        let destination = match binding.destination {
            Destination::Queue(id) => DestinationName::Queue(self.queues[id.0 as usize].name.clone()),
            Destination::Exchange(id) => DestinationName::Exchange(self.exchange_at(id).spec.name.clone()),
        };
        BindingSpec {
            source: self.exchange_at(binding.source).spec.name.clone(),
            destination,
            key: binding.key.to_string(),
            arguments: binding.arguments(),
        }
    }
}

impl Binding {
    /// The arguments, in the order of their names.
    fn arguments(&self) -> FieldTable {
        let table = TableRef::parse(self.encoded_arguments());
        table.expect("encoded by this broker").to_table()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut specs: Vec<BindingSpec>) -> Vec<String> {
        let text = |spec: &BindingSpec| {
            format!(
                "{} -{}-> {:?} {:?}",
                spec.source, spec.key, spec.destination, spec.arguments
            )
        };
        specs.sort_by_key(text);
        specs.iter().map(text).collect()
    }

    #[test]
    fn bindings_are_found_from_both_of_their_ends() {
        let mut topology: Topology<()> = Topology::new("/");
        topology.add_queue("q", true, ());
        let mut arguments = FieldTable::new();
        arguments.insert("x-match", "any");
        topology.bind_queue("q", "amq.headers", "k", &arguments).unwrap();
        topology
            .bind_exchange("amq.fanout", "amq.topic", "a.#", &FieldTable::new())
            .unwrap();
        let all = sorted(topology.bindings(BindingsOf::All));
        assert_eq!(all.len(), 2);
        assert!(
            all[0].starts_with("amq.headers -k-> Queue(\"q\")") && all[0].contains("x-match"),
            "{all:?}"
        );
        for (of, expected) in [
            (BindingsOf::ToQueue("q"), &all[..1]),
            (BindingsOf::Source("amq.headers"), &all[..1]),
            (BindingsOf::Source("amq.topic"), &all[1..]),
            (BindingsOf::ToExchange("amq.fanout"), &all[1..]),
            (BindingsOf::ToExchange("amq.topic"), &[]),
            (BindingsOf::Source("nowhere"), &[]),
            (BindingsOf::ToQueue("nowhere"), &[]),
        ] {
            assert_eq!(sorted(topology.bindings(of)), expected, "{of:?}");
        }
        assert_eq!(topology.exchanges().count(), 6);
        assert!(
            topology
                .exchange_spec("amq.topic")
                .is_some_and(|spec| spec.durable)
        );
    }
}
