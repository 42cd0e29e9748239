//! Whoever publishes into a queue and may have to wait: a connection, or another queue with dead letters.

use std::sync::{Arc, Weak};

use super::handle::Queue;
use crate::connection::{Link, Signal};

/// A publisher, as it calls.
#[derive(Clone, Copy, Debug)]
pub enum Publisher<'a> {
    /// A connection.
    Link(&'a Arc<Link>),
    /// A queue that sends its dead letters, or a delayed exchange.
    Queue(&'a Arc<Queue>),
    /// Somebody who asks again, and is not called back.
    Caller,
}

/// A publisher to call back.
#[derive(Clone, Debug)]
pub(super) enum Waiter {
    Link(Arc<Link>),
    Queue(Weak<Queue>),
}

impl Publisher<'_> {
    /// Whom to call back.
    pub(super) fn waiter(self) -> Option<Waiter> {
        match self {
            Publisher::Link(link) => Some(Waiter::Link(Arc::clone(link))),
            Publisher::Queue(queue) => Some(Waiter::Queue(Arc::downgrade(queue))),
            Publisher::Caller => None,
        }
    }
}

impl Waiter {
    /// Tells it what has changed. A queue looks at everything when it is dispatched.
    pub(super) fn raise(&self, signal: Signal) {
        match self {
            Waiter::Link(link) => link.raise(signal),
            Waiter::Queue(queue) => {
                if let Some(queue) = queue.upgrade() {
                    queue.dispatch_at_home();
                }
            }
        }
    }

    /// True while it is there and, if it is a connection, has publishes that wait, as of its last look.
    pub(super) fn waits(&self) -> bool {
        match self {
            Waiter::Link(link) => link.observed().blocked.get() > 0 && !link.outbound().is_closed(),
            Waiter::Queue(queue) => queue.strong_count() > 0,
        }
    }

    /// True when `publisher` is the one that waits.
    pub(super) fn is(&self, publisher: Publisher<'_>) -> bool {
        match (self, publisher) {
            (Waiter::Link(waiting), Publisher::Link(link)) => Arc::ptr_eq(waiting, link),
            (Waiter::Queue(waiting), Publisher::Queue(queue)) => {
                std::ptr::eq(waiting.as_ptr(), Arc::as_ptr(queue))
            }
            _ => false,
        }
    }
}
