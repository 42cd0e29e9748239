//! What loadgen does beside one run: each has its arguments and a function that returns the exit code.

pub mod calibrate;
pub mod chart;
pub mod compare;
pub mod duel;
pub mod export;
pub mod gate;
pub mod matrix;
pub mod report;
pub mod schema;
pub mod search;
pub mod sweep;
pub mod worker;
