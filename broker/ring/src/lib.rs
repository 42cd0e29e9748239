//! Bounded buffers between the threads and turns of the broker. Nothing here knows AMQP: a record is opaque bytes.
//!
//! - [`Ring`]: the bounded, chunked record buffer of one queue. One owner at a time; the queue's mutex is outside.
//! - [`ChunkPool`]: the shared memory budget that all rings, outboxes and partial bodies draw on.
//! - [`SettledSet`]: which offsets of a queue are settled: a frontier plus a sparse set above it.
//! - [`handoff`]: a bounded lock-free ring of tokens, many producers to one consumer.
//!
//! The crate allocates no thread, never blocks beyond a short mutex in the pool, and holds no unsafe code.

#![forbid(unsafe_code)]

mod budget;
mod chunk;
pub mod handoff;
mod offset;
mod pool;
mod records;
mod ring;
mod settled;
mod sync;

pub use offset::Offset;
pub use pool::{ChunkPool, PoolConfig};
pub use records::Records;
pub use ring::{Ring, RingConfig, RingFull};
pub use settled::{SettledRanges, SettledSet};
