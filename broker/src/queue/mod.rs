//! A queue: a deterministic state machine behind one short lock.
//!
//! [`QueueState`] knows messages, consumers and credit and nothing of sockets, threads or clocks, so tests
//! drive it directly. [`Queue`] wraps it for the broker: the lock, the name and declaration, the dirty flag
//! that makes a reactor dispatch it once a turn, and the publishers that wait for room.
//!
//! Rules that hold everywhere: the lock is taken once per batch, never per message; under it there is no
//! await, no socket or disk call and no second queue's lock. A connection's outbound lock may be taken
//! under it, never the other way round; so may the lock of its log's staging batch, which the log thread holds
//! only to swap the batch.

mod cold;
mod consumer;
mod dealing;
mod handle;
mod journal;
mod pace;
#[cfg(test)]
mod spill_tests;
mod starved;
mod state;
#[cfg(test)]
mod state_tests;

pub use consumer::{Accepted, ConsumerId, DeliverySession, DeliveryTarget};
pub use dealing::{DEAL_BYTES_MAX, DEAL_MESSAGES_MAX, Dispatched, Got};
pub use handle::{Declaration, Placed, Published, Queue, QueueParts, Subscription};
pub use journal::SpillLimits;
pub use starved::Starved;
pub use state::{QueueConfig, QueueState, Remains, Snapshot};
