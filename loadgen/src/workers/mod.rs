//! More than one generator, on one machine or several: `loadgen worker` waits for a share of a run, `loadgen --workers`
//! hands out the shares and puts together what came of them.
//!
//! ```text
//! coordinator                                worker
//!   hello (version, token)      ──────────►
//!                               ◄──────────  welcome (version, commit) | refused
//!   assignment (share, seed, …) ──────────►    connects its producers and consumers
//!                               ◄──────────  connected
//!   … once all are connected …
//!   begin                       ──────────►    starts its own clock
//!                               ◄──────────  progress, ten times a second: totals, whole seconds, their histograms
//!   interrupt (Ctrl-C)          ──────────►
//!                               ◄──────────  finished (recording) | failed
//! ```
//!
//! JSON, one object a line, over TCP. Each worker has queues of its own and measures only messages that it sent itself, so
//! no latency ever spans two clocks. To the conductor the coordinator is a driver as any other ([`WorkersDriver`]).
//!
//! Trust: whoever may connect to a worker can make it load any broker. So it listens on loopback, or wants a shared secret;
//! the secret and the broker's password cross the network as they are.

mod coordinator;
mod figures;
mod link;
mod merge;
mod protocol;
mod serve;
mod share;

pub use coordinator::{Workers, WorkersDriver};
pub use figures::{WorkerFigures, combine};
pub use serve::serve;
pub use share::{ShareError, shares};
