//! Logs: `tracing` events to standard error, one line each, as text or as JSON.
//!
//! Standard output stays free for the lines that announce the listening addresses.
//!
//! - A line is written by one call and has no line break, whatever the names of a client's queues look like: what is not
//!   printable is escaped.
//! - A client cannot fill the disk: of one kind of line only so many are written in ten seconds, the others are counted
//!   (`limiter`).
//! - A line that cannot be written, because the disk is full, say, is lost; the thread that had it goes on.
//!
//! | file | what it holds |
//! |---|---|
//! | `filter` | which events |
//! | `settings` | what the log is started with |
//! | `line` | an event as text or JSON |
//! | `limiter` | how many of a kind |
//! | `layer` | what `tracing` calls for each event |
//! | `process` | the log of this process: start, change, end |

mod filter;
mod layer;
mod limiter;
mod line;
mod process;
mod settings;

pub use filter::{ALLOWED, LogFilter, VARIABLE};
pub(crate) use line::{inert_json, push_printable};
pub use process::{change, fail, flush_limits, init, watch_limits};
pub use settings::{LogFormat, LogSettings};
