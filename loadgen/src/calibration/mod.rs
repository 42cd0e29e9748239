//! The generator's own ceiling: what it consumed at most, on this machine, from a peer that does nothing but pass messages on.
//!
//! `loadgen calibrate` measures it (`null_sink`) and keeps it in `calibration.json` beside the history: one entry for each
//! shape of load, machine and build profile, the newest wins. A run whose shape and machine have an entry says what share of its
//! ceiling it reached.

mod ceiling;
mod entry;
mod file;
mod machine;
mod shape;

pub use ceiling::Ceiling;
pub use entry::Entry;
pub use file::{CalibrationError, Calibrations, FILE};
pub use machine::Machine;
pub use shape::{Shape, ShapeError};
