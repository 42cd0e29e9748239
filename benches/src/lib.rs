//! What the criterion benches share: the contest that every publish path runs, and the paths that enter it.
//!
//! - [`contest`]: producers publish stamped records, one consumer takes them and checks that each arrived once, in
//!   its producer's order.
//! - [`queue`]: a queue with consumers that only count.
//! - [`seglog`]: logs on a real disk, and records to put into them.
//! - [`contenders`]: the broker's ring behind its mutex, and what could stand in its place.

#![forbid(unsafe_code)]

pub mod contenders;
pub mod contest;
pub mod queue;
pub mod seglog;
