//! A storage in memory that loses, tears and refuses what a real one may: for tests of this crate and of its users.
//!
//! Deterministic: the same operations, faults and seeds give the same disk. [`SimStorage`] keeps, beside what the
//! program sees, what would survive a power loss, so that a test can stop a run at any operation and look at the disk
//! as another process would find it. It is as cruel as [`Storage`](crate::Storage)'s contract allows, with two bounds
//! that every journalling file system keeps: the changes of one name survive in the order in which they were made, and
//! a rename is one step, also from directory to directory.

mod disk;
mod faults;
mod names;
mod node;
mod random;
mod storage;

pub use disk::CrashMode;
pub use faults::{Action, Fault, Operation, is_stop};
pub use random::Random;
pub use storage::SimStorage;
