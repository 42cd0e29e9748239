//! A queue: a deterministic state machine behind one short lock.
//!
//! [`QueueState`] knows messages, consumers and credit and nothing of sockets, threads or clocks, so tests
//! drive it directly. [`Queue`] wraps it for the broker: the lock, the name and declaration, the dirty flag
//! that makes a reactor dispatch it once a turn, and the publishers that wait for room.
//!
//! Rules that hold everywhere: the lock is taken once per batch, never per message; under it there is no
//! await, no socket or disk call and no second queue's lock. A connection's outbound lock may be taken
//! under it, never the other way round.

mod consumer;
mod handle;
mod pace;
mod state;
#[cfg(test)]
mod state_tests;

pub use consumer::{Accepted, ConsumerId, DeliverySession, DeliveryTarget};
pub use handle::{Declaration, Placed, Queue, Subscription};
pub use state::{DEAL_BYTES_MAX, DEAL_MESSAGES_MAX, QueueState};
