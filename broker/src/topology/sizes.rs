//! How many things a topology has, and which of them there may be no more of.

use super::graph::Topology;

/// Numbers of things; as limits, 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Queues, whatever becomes of them when their connection or consumer goes.
    pub queues: usize,
    /// Exchanges, predeclared ones too, but for the default one.
    pub exchanges: usize,
    /// Bindings, those of the default exchange left out.
    pub bindings: usize,
}

/// The limits that are reached, wherever that was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Full {
    /// See [`Sizes`].
    pub queues: Option<usize>,
    /// See [`Sizes`].
    pub exchanges: Option<usize>,
    /// See [`Sizes`].
    pub bindings: Option<usize>,
}

impl Full {
    /// Of those limits, with so many things.
    pub fn of(sizes: Sizes, limits: Sizes) -> Full {
        let reached = |size, limit| (limit > 0 && size >= limit).then_some(limit);
        Full {
            queues: reached(sizes.queues, limits.queues),
            exchanges: reached(sizes.exchanges, limits.exchanges),
            bindings: reached(sizes.bindings, limits.bindings),
        }
    }
}

impl<Q: Clone> Topology<Q> {
    /// Number of queues.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Numbers of all things.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            queues: self.queues.len(),
            exchanges: self.exchanges.len(),
            bindings: self.bindings.len(),
        }
    }

    /// What may not come any more. Declaring what is there is allowed all the same.
    pub fn full(&self) -> Full {
        self.full
    }

    /// Sets that; whoever adds queues minds it by himself.
    pub fn set_full(&mut self, full: Full) {
        self.full = full;
    }
}
