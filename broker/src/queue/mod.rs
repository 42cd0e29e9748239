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

mod arguments;
mod backlog;
mod cold;
mod consumer;
mod dead_letters;
mod dealing;
mod death;
mod declaration;
mod delays;
mod handle;
mod journal;
mod lanes;
mod lease;
mod options;
mod pace;
mod parts;
mod roster;
mod settling;
mod sizes;
mod special;
#[cfg(test)]
mod special_tests;
#[cfg(test)]
mod spill_tests;
mod starved;
mod state;
#[cfg(test)]
mod state_tests;
mod upkeep;
mod view;
mod waiter;

pub use arguments::ArgumentError;
pub use consumer::{Accepted, ConsumerId, DeliverySession, DeliveryTarget};
pub use dealing::{DEAL_BYTES_MAX, DEAL_MESSAGES_MAX, Dispatched, Got};
pub use declaration::Declaration;
pub use handle::Queue;
pub use journal::SpillLimits;
pub use options::{DELAYED_EXCHANGE, DeadLetterTarget, Overflow, QueueFlags, QueueKind, QueueOptions};
pub use parts::{Placed, Published, QueueParts, Subscription, Turned};
pub use special::DeathReason;
pub use starved::Starved;
pub use state::{QueueConfig, QueueState, Refusal, Remains, Snapshot};
pub use waiter::Publisher;
