//! How many queues, exchanges and bindings all virtual hosts have together, and whether there may be more.
//!
//! A virtual host counts itself after each change, under the lock of its topology. Nobody holds the locks of two of them, so
//! declarations that meet at the same instant in several virtual hosts may together pass a limit by that number less one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::Limits;
use crate::topology::{Full, Sizes};

/// See the module documentation.
#[derive(Debug)]
pub struct Census {
    queues: AtomicUsize,
    exchanges: AtomicUsize,
    bindings: AtomicUsize,
    limits: Arc<Limits>,
}

impl Census {
    /// Of a broker without virtual hosts.
    pub fn new(limits: Arc<Limits>) -> Census {
        Census {
            queues: AtomicUsize::new(0),
            exchanges: AtomicUsize::new(0),
            bindings: AtomicUsize::new(0),
            limits,
        }
    }

    /// A virtual host that was counted with `counted` has `now`.
    pub fn recount(&self, counted: &mut Sizes, now: Sizes) {
        let before = std::mem::replace(counted, now);
        // Wraps on the way where there are fewer now; the sum does not.
        let add = |sum: &AtomicUsize, before: usize, now: usize| {
            sum.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        };
        add(&self.queues, before.queues, now.queues);
        add(&self.exchanges, before.exchanges, now.exchanges);
        add(&self.bindings, before.bindings, now.bindings);
    }

    /// All there are.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            queues: self.queues.load(Ordering::Relaxed),
            exchanges: self.exchanges.load(Ordering::Relaxed),
            bindings: self.bindings.load(Ordering::Relaxed),
        }
    }

    /// What may not come any more.
    pub fn full(&self) -> Full {
        Full::of(self.sizes(), self.limits.settings().sizes)
    }
}
