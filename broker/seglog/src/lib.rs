//! A segmented, checksummed, append-only log for each queue, and the small files beside it.
//!
//! Synchronous and deterministic: no thread, no clock, no knowledge of AMQP. A record is a head that this crate owns
//! and opaque bytes; what is on disk is laid down in `FORMAT.md`.

mod active;
mod append;
pub mod atomic_file;
mod batch;
mod checkpoint;
mod checkpoint_store;
mod collect;
mod counters;
mod create;
mod error;
mod examine;
mod footer;
mod header;
pub mod inspect;
mod log;
mod mapped;
mod open_files;
mod options;
mod record;
mod recovery;
mod recycle;
mod remove;
mod request;
mod rewrite;
mod scan;
mod sealed;
mod settled;
#[cfg(feature = "simulation")]
pub mod simulation;
mod storage;
mod store;
#[cfg(test)]
mod testing;

pub use batch::Batch;
pub use checkpoint::Checkpoint;
pub use checkpoint_store::{CheckpointStore, Found};
pub use collect::Collected;
pub use counters::LogCounters;
pub use error::SeglogError;
pub use log::Log;
pub use options::{LogOptions, SyncPolicy};
pub use record::{FLAG_KEEP, FLAG_MARKER, HEAD_BYTES, Records};
pub use recovery::{Cut, Recovered};
pub use settled::Settled;
pub use storage::{FsStorage, Mapping, OpenMode, Storage, StorageFile};
pub use store::LogStore;
