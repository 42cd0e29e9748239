//! The conductor: leads a driver through the phases of a run.
//!
//! The driver works in a thread of its own; this one starts the load once the driver is connected, watches the broker,
//! passes interrupts on and shows progress. It does nothing that a message waits for. It also makes the faults that the
//! plan asks for (`faults`).

mod conduct;
mod events;
mod peer;
mod standing;
mod watch;

pub use conduct::{ConductError, Conducted, conduct};
pub use events::{Event, Events};
pub use peer::{Peer, target_of};
