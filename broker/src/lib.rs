//! A single-node AMQP 0-9-1 broker: bounded in-memory rings behind a few reactor threads.
//!
//! `ARCHITECTURE.md` beside this crate tells the whole story; the modules, from the outside in:
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`], [`config`], [`logging`], [`data_dir`] | starting: flags, their checks, logs, the locked data directory |
//! | [`server`] | listening, accepting, stopping |
//! | [`reactor`] | one thread's turn: read, dispatch, write |
//! | [`connection`] | a client: handshake, channels, publishes, acknowledgements |
//! | [`topology`], [`auth`] | exchanges and bindings; users |
//! | [`queue`], [`record`] | messages: the state machine and the byte format |
//! | [`broker`] | what all of them share |
#![forbid(unsafe_code)]

pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod connection;
pub mod data_dir;
pub mod logging;
pub mod queue;
pub mod reactor;
pub mod record;
pub mod server;
pub mod topology;
