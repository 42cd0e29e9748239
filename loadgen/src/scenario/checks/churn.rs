//! What comes and goes beside the load.

use crate::scenario::{Fault, Scenario};

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let Some(churn) = scenario.churn else {
        return Ok(());
    };
    let allowed = if churn.rates().next().is_none() {
        "an object with at least one of connections_per_s, channels_per_s, queues_per_s"
    } else if !scenario.faults.is_empty() {
        "nothing when there are faults: what they break would count as the churn's errors"
    } else {
        return Ok(());
    };
    let rates = churn
        .rates()
        .map(|(kind, rate)| format!("{rate} {}", kind.name()));
    let found = rates.collect::<Vec<_>>().join(", ");
    let found = if found.is_empty() {
        "empty".to_owned()
    } else {
        found
    };
    Err(Fault::new("churn", found, allowed))
}
