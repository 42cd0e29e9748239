//! Runs of the history against each other: what is comparable, what differs, and whether that is more than noise.

mod gate;
mod likeness;
mod rows;
mod selector;
mod table;

pub use gate::{Gate, GateLine, GateRules, InvalidRun, Ruling, gate, invalid_runs};
pub use likeness::{Benchmark, Pairing, Refusal, pair};
pub use rows::{Finding, Row, rows};
pub use selector::{Selector, SelectorError};
pub use table::{Comparison, table};
