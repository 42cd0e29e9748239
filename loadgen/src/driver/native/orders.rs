//! What the event loop does because the conductor says so: consumers stand still, and the first signs of life after a fault
//! that ended no connection are looked for.

use super::engine::Engine;
use crate::control::Control;
use crate::outages::{Connections, Outages};

/// Consumers that stand still. Their sockets' events are remembered, nothing is read from them, and nothing acknowledged.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Version of the orders that this obeys.
    version: u32,
    /// Tokens of the connections that stand still, by token; empty when none does.
    held: Vec<bool>,
    /// Tokens that became readable meanwhile.
    parked: Vec<usize>,
}

impl Stall {
    /// Whether the connection stands still.
    pub(super) fn holds(&self, token: usize) -> bool {
        self.held.get(token) == Some(&true)
    }

    /// Whether the connection stands still; if so, it is looked at when it goes on.
    pub(super) fn parks(&mut self, token: usize) -> bool {
        let holds = self.holds(token);
        if holds {
            self.parked.push(token);
        }
        holds
    }

    /// Forgets the sockets that were readable: they are all looked at anyway.
    pub(super) fn forget_parked(&mut self) {
        self.parked.clear();
    }
}

impl Engine {
    /// Takes note of new orders, at the time `now_ns`.
    pub(super) fn obey(&mut self, outages: &Outages, now_ns: u64) {
        let version = outages.orders_version();
        if version == self.stall.version {
            return;
        }
        self.stall.version = version;
        let orders = outages.orders();
        let producers = self.producers.len();
        self.stall.held.clear();
        if !orders.stalled.is_empty() {
            self.stall.held.resize(producers + self.consumers.len(), false);
            for &index in &orders.stalled {
                self.stall.held[producers + index] = true;
            }
        }
        self.ready.append(&mut self.stall.parked);
        if let Some(fault) = orders.over
            && self.recoveries.is_new(fault)
        {
            let at_stake = self.books.ledger.owed();
            self.begin_recovery(fault, now_ns, at_stake, None);
            let producers = self.producers.iter_mut().map(|it| &mut it.is_watched);
            let consumers = self.consumers.iter_mut().map(|it| &mut it.is_watched);
            producers.chain(consumers).for_each(|watched| *watched = true);
        }
    }

    /// Tells the conductor which connections there are.
    pub(super) fn tell_connected(&self, control: &Control) {
        let producers = self
            .producers
            .iter()
            .filter_map(|it| it.link.socket.local_address());
        let consumers = self
            .consumers
            .iter()
            .filter_map(|it| it.link.socket.local_address());
        let connections = Connections {
            producers: producers.collect(),
            consumers: consumers.collect(),
        };
        control
            .outages()
            .connected(self.recoveries.incarnation(), connections);
    }
}
