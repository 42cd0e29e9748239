//! Checks across fields: combinations that cannot work, or that would measure something else than they say.

mod churn;
mod consumers;
mod course;
mod load;
mod messages;
mod queues;
mod sending;
mod targets;

use super::{Fault, Scenario, faults};

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    sending::check(scenario)?;
    queues::check(scenario)?;
    messages::check(scenario)?;
    consumers::check(scenario)?;
    load::check(scenario)?;
    course::check(scenario)?;
    faults::check(scenario)?;
    churn::check(scenario)?;
    targets::check(scenario)?;
    messages::check_head(scenario)?;
    queues::check_durability(scenario)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::scenario::built_in;

    /// Field and value of the first fault of `20p20c` with a change.
    pub(super) fn refused(change: impl FnOnce(&mut Scenario)) -> (String, String) {
        let mut scenario = built_in("20p20c").unwrap();
        change(&mut scenario);
        let fault = check(&scenario).unwrap_err();
        (fault.field, fault.value)
    }

    pub(super) fn pair(field: &str, value: &str) -> (String, String) {
        (field.to_owned(), value.to_owned())
    }
}
