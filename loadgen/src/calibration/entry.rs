//! One calibration.

use serde::{Deserialize, Serialize};

use super::ceiling::Ceiling;
use super::machine::Machine;
use crate::statistics::Interval;

/// What the generator reached with a shape of load on a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The shape's hash.
    pub shape: String,
    /// The scenario that it was calibrated with; others may have the same shape.
    pub scenario: String,
    /// The shape in words.
    pub load: String,
    /// Where.
    pub machine: Machine,
    /// Commit of loadgen, in few digits and marked `+` when the tree was modified.
    pub commit: String,
    /// When, UTC.
    pub measured: String,
    /// Messages a second of each run: consumed, or sent where nobody consumes.
    pub runs: Vec<f64>,
    /// Their median: the ceiling.
    pub msgs_per_s: f64,
    /// 95 % interval of the median; `None` with fewer than five runs.
    pub interval: Option<Interval>,
    /// Cores that the generator kept busy, median of the runs.
    pub generator_cpu_cores: Option<f64>,
    /// The generator's CPU time for a message in µs, median of the runs.
    pub generator_cpu_us_per_message: Option<f64>,
    /// Cores that the null sink kept busy, median of the runs.
    pub sink_cpu_cores: Option<f64>,
}

impl Entry {
    /// The field that no calibration can have left like this, its value, and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let is_rate = |rate: &f64| rate.is_finite() && *rate > 0.0;
        if !is_rate(&self.msgs_per_s) {
            return Some(("msgs_per_s", self.msgs_per_s.to_string(), "a number above 0"));
        }
        if self.runs.is_empty() || !self.runs.iter().all(is_rate) {
            return Some((
                "runs",
                format!("{:?}", self.runs),
                "numbers above 0, at least one",
            ));
        }
        None
    }

    /// What a run is measured against.
    #[must_use]
    pub fn ceiling(&self) -> Ceiling {
        Ceiling {
            msgs_per_s: self.msgs_per_s,
            commit: self.commit.clone(),
            measured: self.measured.clone(),
        }
    }
}
