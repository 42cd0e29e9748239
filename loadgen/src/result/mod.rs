//! A run's result: the summary that programs read from the last line of output, and `run.json`, which holds everything.

mod figures;
mod histograms;
mod run;
mod summary;
mod summing;
#[cfg(test)]
pub(crate) mod tests;

pub use figures::{BrokerFigures, GeneratorFigures, LatencyUs, LedgerCounts, MachineFigures};
pub use histograms::{EncodedHistograms, Histograms};
pub use run::{Given, RunResult, SCHEMA, SCHEMA_OLDEST, SocketCalls, json_schema};
pub use summary::Summary;
