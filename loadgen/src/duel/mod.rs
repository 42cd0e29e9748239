//! A duel: two brokers, builds or sets of flags, run in turns on the same load until the difference is decided.
//!
//! Both arms of a round have the same seed, so they get the same load; the order within rounds is balanced, so a machine
//! that drifts harms neither. The engine knows nothing of brokers: it asks for one value at a time.

mod contender;
mod engine;
mod order;
mod report;

pub use contender::{Contender, ContenderError};
pub use engine::{Arm, Duel, Ended, Rules, Trial, Value, Verdict};
pub use order::Orders;
pub use report::{Report, Side, table};
