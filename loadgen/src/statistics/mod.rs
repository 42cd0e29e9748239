//! Statistics on whole runs: intervals, tests and decisions. A run gives one value of a metric; nothing here looks into a run.
//!
//! Everything random takes a seed, so the same runs always give the same interval. With fewer than
//! [`RUNS_MIN`] runs there is no interval, and none is invented.

mod bootstrap;
mod holm;
mod interval;
mod order;
mod permutation;
mod rank;
mod sequence;

pub use bootstrap::{RESAMPLES, Sample, bca, percentile, standard_error};
pub use holm::holm;
pub use interval::{Interval, NoInterval, RUNS_MIN};
pub use order::{geometric_mean, mean, median, quantile_of_sorted, slope};
pub use permutation::sign_flip;
pub use rank::{Alternative, MannWhitney, hodges_lehmann, mann_whitney, mann_whitney_p_min};
pub use sequence::{ConfidenceSequence, PAIRS_MIN, holds_at_least};
