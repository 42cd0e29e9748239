//! Faults: what a run does to the broker, to consumers and to connections, and what it tells of it.
//!
//! The plan says what strikes when ([`PlannedFault`]). The conductor's [`Injector`] does it, in the conductor's thread; a
//! driver learns of it from the run's `outages`, and goes on.

mod injector;
mod planned;

pub use injector::{Injector, Stage, Strike};
pub use planned::{FaultAction, PlannedFault, planned};
