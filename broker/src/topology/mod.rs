//! Exchanges, bindings and queues of one virtual host, and the routes that follow from them.
//!
//! Pure: no I/O, no locks, no clock. It is generic over the queue handle `Q`, so that tests need no queues. The
//! owner guards it with one lock: declarations write, a publisher that meets a new route reads.
//!
//! ```text
//! Topology ── exchanges: name → Exchange { spec, Matcher }      Matcher: (key, headers) → destinations
//!          ├─ queues:    name → Q                                 direct   key → targets
//!          └─ bindings:  source, destination, key, arguments      fanout   targets
//!                                                                 topic    trie of words
//!                                                                 headers  patterns
//!                                                                 hash     shares
//! ```
//!
//! Invariants:
//! - a binding is in its source's matcher exactly while both of its ends exist;
//! - an auto-delete exchange that had bindings is gone as soon as the last one is;
//! - what of this is durable, and changes, is noted until [`Topology::take_changes`] asks for it;
//! - `generation` changes whenever any route may have changed, so a route remembered together with it is valid
//!   as long as it stays, except where [`Topology::routes_by_headers`].
//!
//! Texts and codes of the errors are RabbitMQ's.

mod binding;
mod binding_list;
mod change;
mod consistent_hash;
mod error;
mod exchange;
mod graph;
mod headers;
#[cfg(test)]
mod life_tests;
mod listing;
mod matcher;
mod route;
mod sizes;
#[cfg(test)]
mod tests;
mod topic;

pub use change::{BindingSpec, DelayChange, DestinationName, TopologyChange};
pub use error::TopologyError;
pub use exchange::{DELAY_QUEUE_PREFIX, ExchangeKind, ExchangeSpec, delay_queue};
pub use graph::Topology;
pub use listing::BindingsOf;
pub use route::{DELAY_HEADER, Route, delay_ms};
pub use sizes::{Full, Sizes};
