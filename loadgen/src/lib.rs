//! Load generator for AMQP 0-9-1 brokers: scenario → plan → driver → recorder → result → history → charts.
//!
//! What is measured, from when, and what is not claimed: `METHOD.md` beside this crate.
#![forbid(unsafe_code)]

pub mod body;
pub mod clock;
pub mod control;
pub mod driver;
pub mod ledger;
pub mod live;
pub mod plan;
pub mod recorder;
pub mod scenario;
mod sequence_set;
pub mod target;
