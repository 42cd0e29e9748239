//! The null sink: turns publishes into deliveries with as little as possible in between, so that a run against it shows how
//! much the generator itself can do (see `calibration`).
//!
//! It is a process of its own, this executable in a hidden mode, as the embedded broker is. One thread on epoll (edge-triggered)
//! parses every publish, encodes every delivery and confirms. It keeps nothing: no prefetch limit, no unacknowledged messages, no
//! durability; a message that nobody consumes is gone. What one read brings goes to one consumer of the queue, what
//! the next read brings to the next. A producer whose consumers are far behind in reading is not read from.
//!
//! `mode` is what the child does, `process` what the parent holds of it. `server` owns the sockets; `sink` takes messages in and
//! hands them out; `methods` answers requests; `topology` knows where messages go; `input` and `output` are the two sides of
//! a connection.

mod input;
mod methods;
mod mode;
mod output;
mod process;
mod server;
mod sink;
mod topology;

pub use mode::run_hidden;
pub use process::NullSink;

/// The largest frame that is negotiated.
const FRAME_BYTES_MAX: usize = 131_072;
