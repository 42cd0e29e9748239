//! Everything durable: logs, checkpoints, descriptions, and the two threads that write them.
//!
//! ```text
//!   data directory            written by             what
//!   ├ LOCK                    start                  the owner's pid
//!   ├ control.sock            start                  where the broker that runs is asked
//!   ├ CLEAN                   orderly stop           the checkpoints are final; removed at the next start
//!   ├ metadata/…/*.json       maintenance thread     vhosts, users, exchanges, queues, bindings
//!   ├ offsets/<id>.json       maintenance thread     what is settled of a queue
//!   ├ queues/<id>/*.log       log thread             messages of durable queues
//!   ├ spill/<id>/*.log        log thread             messages of other queues that left memory; gone at a start
//!   └ recycle/, spill-recycle/                       segments to be used again
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `durability` | what a confirm promises |
//! | `queue_log`, `log_thread` | from a queue's ring to its log: group commit |
//! | `maintenance` | checkpoints, descriptions, compaction, free space |
//! | `metadata` | one JSON file an entity |
//! | `recovery` | a start: what is there and what of it is still to be delivered |
//! | `statistics` | figures for the log |

mod directory;
mod durability;
mod log_thread;
#[cfg(test)]
mod log_thread_tests;
mod maintenance;
pub mod metadata;
mod queue_log;
mod recovery;
mod statistics;

pub(crate) use directory::{CLEAN_FILE, RECYCLE};
pub use directory::{Store, StoreConfig, Ticket};
pub use durability::Durability;
pub use log_thread::{CommitTimes, FLUSH_BYTES, FLUSH_DELAY, LogShared, LogThread};
pub use maintenance::{CompactionRate, Job, Maintenance, QueueEnd, checkpoint_changed};
pub use queue_log::{LogOwner, QueueLog};
pub use recovery::{RecoveredQueue, recover_queue};
pub use statistics::Statistics;
