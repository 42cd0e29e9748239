//! Formats that other tools read: HdrHistogram's interval logs and percentile distributions, comma-separated values,
//! Prometheus' text format.
//!
//! Everything here belongs to threads that no message waits for; the driver hands over a second's histograms, no more.

mod csv;
mod interval_log;
mod percentiles;
mod run_files;

pub use csv::{history, series};
pub use interval_log::{IntervalEncoder, IntervalLog, Logged};
pub use percentiles::percentiles;
pub use run_files::{Derived, write_derived, write_run};
