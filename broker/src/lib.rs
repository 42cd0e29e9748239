//! A single-node AMQP 0-9-1 broker: bounded in-memory rings behind a few reactor threads.
//!
//! `ARCHITECTURE.md` beside this crate tells the whole story; the modules, from the outside in:
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`], [`config`], [`logging`], [`data_dir`] | starting: flags and files, their checks, logs, the locked data directory |
//! | [`limits`], `reload` | what changes while it runs, when SIGHUP comes |
//! | [`census`] | how many queues, exchanges and bindings there are |
//! | [`alarms`], [`meter`] | memory or disk is nearly used up, or somebody publishes too much: publishers wait |
//! | [`server`], `descriptors`, `start`, [`shutdown`] | listening, accepting, what they take of the operating system, starting, stopping |
//! | `notify`, [`pulse`] | what a service manager is told; whether threads go on |
//! | [`reactor`], [`inbox`] | one thread's turn: read, dispatch, write; what other threads leave for it |
//! | [`connection`] | a client: handshake, channels, publishes, acknowledgements |
//! | [`tls`], `unix_socket` | other sockets than plain TCP |
//! | [`vhost`], [`topology`], [`auth`] | virtual hosts; their exchanges and bindings; users |
//! | [`declare`], [`access`] | queues come and go; what a user may do in a virtual host |
//! | [`queue`], [`queue_maker`], [`record`] | messages: the state machine, what it is made with, the byte format |
//! | [`observe`] | what can be seen of all of this, and at what cost |
//! | [`store`], [`restore`] | what is durable: logs, checkpoints, descriptions; a start from them |
//! | [`stage`] | how far the broker has come, for whoever tells of it |
//! | `control` | the control socket, and the commands that ask through it |
//! | [`http`], [`node`] | health checks, metrics, management; what the broker calls itself |
//! | [`log_command`] | the same for people: `broker log` |
//! | `utc` | times as people write them |
//! | `backup` | `broker backup`: a copy of a data directory, while it runs too |
//! | [`definitions`] | what RabbitMQ exports, in and out |
//! | `shovel` | `broker shovel`: moves messages to another broker |
//! | [`broker`], [`administration`] | what all of them share; what an administrator changes |
#![forbid(unsafe_code)]

pub mod access;
pub mod administration;
pub mod alarms;
pub mod auth;
mod backup;
pub mod broker;
pub mod census;
pub mod cli;
pub mod config;
pub mod connection;
mod control;
pub mod data_dir;
pub mod declare;
pub mod definitions;
mod descriptors;
mod headers;
pub mod http;
pub mod inbox;
pub mod limits;
pub mod log_command;
pub mod logging;
pub mod meter;
pub mod node;
mod notify;
pub mod observe;
pub mod pulse;
pub mod queue;
pub mod queue_maker;
pub mod reactor;
pub mod record;
mod reload;
pub mod restore;
pub mod server;
mod shovel;
pub mod shutdown;
pub mod stage;
mod start;
pub mod store;
mod terms;
mod timers;
pub mod tls;
pub mod topology;
mod unix_socket;
mod utc;
pub mod vhost;
