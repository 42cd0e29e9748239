//! What of a topology has to survive a restart, as it changes.

use wire::FieldTable;

use super::exchange::{ExchangeKind, ExchangeSpec};
use super::graph::Topology;

/// A binding by the names of its ends.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingSpec {
    /// The exchange that routes by it.
    pub source: String,
    /// Where it leads.
    pub destination: DestinationName,
    /// Binding key.
    pub key: String,
    /// Its arguments.
    pub arguments: FieldTable,
}

/// A queue or an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationName {
    /// A queue.
    Queue(String),
    /// An exchange.
    Exchange(String),
}

/// A change of something durable. An exchange is durable when it was declared so; a binding when both of its ends are.
#[derive(Clone, Debug, PartialEq)]
pub enum TopologyChange {
    /// An exchange came.
    Declared(ExchangeSpec),
    /// An exchange went.
    Deleted(ExchangeSpec),
    /// A binding came.
    Bound(BindingSpec),
    /// A binding went.
    Unbound(BindingSpec),
}

/// A delayed exchange came or went, and with it the queue in which its messages wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DelayChange {
    /// It was declared.
    Came {
        /// Its name.
        exchange: String,
        /// It survives a restart, and what waits there, too.
        durable: bool,
    },
    /// It was deleted; its name.
    Went(String),
}

impl DelayChange {
    pub(super) fn came(spec: &ExchangeSpec) -> Option<DelayChange> {
        (spec.kind == ExchangeKind::Delayed).then(|| DelayChange::Came {
            exchange: spec.name.clone(),
            durable: spec.durable,
        })
    }
}

impl<Q: Clone> Topology<Q> {
    /// Delayed exchanges that came or went since the last call, in order.
    pub fn take_delays(&mut self) -> Vec<DelayChange> {
        std::mem::take(&mut self.delays)
    }

    /// Has `take_delays` name every delayed exchange as one that came.
    pub fn renew_delays(&mut self) {
        let came = self
            .exchanges
            .iter()
            .filter_map(|(_, exchange)| DelayChange::came(&exchange.spec));
        self.delays = came.collect();
    }

    /// What has changed of the durable part since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<TopologyChange> {
        std::mem::take(&mut self.changes)
    }
}
