//! What a service manager is told: systemd's protocol of datagrams to `NOTIFY_SOCKET` (`sd_notify(3)`).
//!
//! | when | what is sent |
//! |---|---|
//! | the start | `STATUS=` |
//! | all listeners listen | `READY=1`, `STATUS=` |
//! | SIGHUP, and the end of what it causes | `RELOADING=1` with `MONOTONIC_USEC=`, then `READY=1` |
//! | something stands in the way of clients, or no longer does | `STATUS=` |
//! | every thread that messages need has gone round its loop | `WATCHDOG=1`, where `WATCHDOG_USEC` asks for it |
//! | SIGTERM, SIGINT | `STOPPING=1`, `STATUS=` |
//!
//! Without the variable nothing is sent, asked or spawned.

mod notifier;
mod watch;

pub(crate) use notifier::Notifier;
pub(crate) use watch::Watch;
