//! Whether the generator came so near to its own ceiling that it, not the broker, may have limited the run.

use super::{Check, Evidence};
use crate::units::{percent, rate};

/// How the limit is called among the checks.
const NAME: &str = "validity.ceiling_share_max";

/// The limit and what was reached; `None` without a limit. Without a calibration nothing is judged, and that is said.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Check> {
    let limit = evidence.scenario.validity.ceiling_share_max?;
    let generator = &evidence.summary.generator;
    let compared = match (generator.ceiling_share, generator.ceiling_msgs_per_s) {
        (Some(share), Some(ceiling)) => {
            format!("{} of {} <= {}", percent(share), rate(ceiling), percent(limit))
        }
        _ => "not calibrated".to_owned(),
    };
    Some(Check {
        target: NAME.into(),
        limit,
        measured: generator.ceiling_share,
        passed: generator.ceiling_share.map(|share| share <= limit),
        compared: Some(compared),
    })
}

/// Why the run is invalid, if it is.
pub(super) fn reason(evidence: &Evidence<'_>) -> Option<String> {
    let limit = evidence.scenario.validity.ceiling_share_max?;
    let generator = &evidence.summary.generator;
    let (share, ceiling) = generator.ceiling_share.zip(generator.ceiling_msgs_per_s)?;
    (share > limit).then(|| {
        format!(
            "the run reached {} of the generator's own ceiling, {}; allowed: {}",
            percent(share),
            rate(ceiling),
            percent(limit)
        )
    })
}
