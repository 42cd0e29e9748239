//! `broker shovel`: moves messages from a queue of one broker to a queue or exchange of another, whatever brokers they are.
//!
//! ```text
//!   source ──deliver──▶ in flight, at most --prefetch ──publish──▶ destination
//!      ▲                          │                                    │
//!      └───────────ack────────────┴◀─────────────confirm───────────────┘
//! ```
//! A process of its own with a client's connection to each side; nothing of a broker runs in it. In every ack mode a
//! message counts as in flight until the destination has confirmed it, so nothing here grows when that side is slow.
//!
//! Invariant of `on-confirm`: a delivery is acknowledged only after its publish was confirmed and not returned. Whatever
//! breaks, the source still has, or will deliver again, what was not: none is lost, some may come twice.
//!
//! | file | what it holds |
//! |---|---|
//! | `flags`, `node` | the command line; the URI of one node |
//! | `run` | connecting again and again, signals, exit codes |
//! | `link` | a connection with its channel |
//! | `session` | moving, as long as both connections hold |
//! | `forwarded` | the header that tells where a message has been |
//! | `tally` | what was moved, and saying so |
//! | `failure` | what is worth another try |

mod failure;
mod flags;
mod forwarded;
mod link;
mod node;
mod run;
mod session;
mod tally;

pub(crate) use flags::ShovelCommand;
pub(crate) use run::run;
