//! What a run repeats of its calibration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The generator's ceiling for a run's shape of load, on its machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// Messages a second.
    pub msgs_per_s: f64,
    /// Commit of the generator that reached it.
    pub commit: String,
    /// When, UTC.
    pub measured: String,
}
