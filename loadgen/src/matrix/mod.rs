//! The matrix: several brokers under several scenarios, interleaved in rounds, and a page that compares them.
//!
//! entrants × scenarios → order of a round → campaign (runs, repeated when invalid) → document (`matrix.json`) → table, page.
//! Everything is probed and checked before the first run. The document is written after every round, so that an
//! interrupted campaign still shows what it has.

mod campaign;
mod document;
mod entrant;
mod metric;
mod order;
mod page;
mod promise;
mod settle;
mod table;

pub use campaign::{Campaign, Ending};
pub use document::{Attempt, Cell, Document, EntrantEntry, ScenarioEntry, Spread};
pub use entrant::{Entrant, EntrantError};
pub use metric::{METRICS, Metric, Unit};
pub use order::{Slot, order};
pub use page::page;
pub use promise::{Comparison, Promise, compare, compare_over};
pub use settle::settle;
pub use table::table;
