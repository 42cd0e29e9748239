//! Connections: everything between a socket and the queues.
//!
//! One task a connection, on the reactor that accepted it, owns a [`task::Connection`]: the handshake state,
//! the channels and the unparsed remainder of input. What other threads may touch — the outbox, the windows
//! of unacknowledged deliveries, the signals — lives in its [`Link`].
//!
//! | module | what it does |
//! |---|---|
//! | `task` | the task: signals, writing, reading, in this order |
//! | `handshake` | from the protocol header to `connection.open-ok` |
//! | `login` | who it is, decided while the reactor does other things |
//! | `input` | bytes to frames to handlers; content that spans frames |
//! | `publish` | the publish path: routing, placing, confirms, back-pressure |
//! | `parking` | what waits behind publishes, and whether reading goes on |
//! | `shortage` | large bodies that find no memory |
//! | `inspect` | publishes that ask for more by their properties |
//! | `replies` | direct reply-to |
//! | `settle` | ack, nack, reject, recover |
//! | `transaction` | publishes and settlements that wait for `tx.commit` |
//! | `basic` | qos, consume, cancel, get |
//! | `entities` | exchange and queue methods |
//! | `access` | what the connection's user may do |
//! | `throttle` | a connection that may publish only so much a second |
//! | `patience` | peers that take nothing |
//! | `alarm` | publishes while memory or disk is nearly used up |
//! | `closing` | channel and connection close, teardown |
//! | `delivery`, `window`, `unacked`, `link` | the way out |
//! | `socket`, `peer` | what is at the other end: TCP, TLS or Unix domain |

mod access;
mod ages;
mod alarm;
mod basic;
mod channel;
mod closing;
mod delivery;
mod entities;
mod failure;
mod handshake;
mod input;
mod inspect;
mod link;
mod login;
mod parking;
mod patience;
mod peer;
mod publish;
mod queues;
mod replies;
mod routes;
mod settle;
mod shortage;
mod socket;
mod stored;
mod task;
mod throttle;
mod transaction;
mod unacked;
mod window;

pub use delivery::{ConsumerSession, ConsumerTarget};
pub use failure::Failure;
pub use input::INCOMPLETE_PUBLISH_BYTES_MAX;
pub use link::{ConnectionId, Link, Outbound, Signal, Signals};
pub use peer::Peer;
pub use replies::ReplyConsumers;
pub(crate) use shortage::Overdraft;
pub use socket::{CIPHERTEXT_BYTES_MAX, Socket};
pub use task::Connection;
pub use unacked::Unacked;
pub use window::{DeliveryWindow, SettledRun, Source, SourceId, UnknownDeliveryTag, WindowObserved};
