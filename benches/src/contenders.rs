//! The publish paths that enter the contest. Each module has an `open` that answers a sending and a receiving side
//! with room for [`CAPACITY`](crate::contest::CAPACITY) records, and each path copies a record in once.

pub mod channels;
pub mod claim_log;
pub mod disruptor;
pub mod locked_deque;
pub mod locked_ring;
