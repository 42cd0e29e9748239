//! Runs whose phases end when their work is done, not by the clock.

use crate::scenario::{Fault, Scenario};

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario { warmup_s, .. } = *scenario;
    if !scenario.backlog_first {
        if scenario.messages.is_some() && warmup_s > 0.0 {
            let allowed = "0 when messages are counted: all of them are measured";
            return Err(Fault::new("warmup_s", warmup_s, allowed));
        }
        return Ok(());
    }
    let refused = |allowed| Err(Fault::new("backlog_first", true, allowed));
    if scenario.messages.is_none() {
        return refused("false without messages: only a counted backlog is complete at some time");
    }
    if scenario.consumers == 0 {
        return refused("false when consumers = 0: nobody drains the backlog");
    }
    if scenario.work_rate_max().is_some() {
        return refused(
            "false with consume_rate_max or work_us: the window measures how fast the backlog drains",
        );
    }
    if warmup_s <= 0.0 {
        let allowed = "more than 0 when backlog_first is true: it is the time that the fill may take";
        return Err(Fault::new("warmup_s", warmup_s, allowed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::checks::{check, tests};
    use crate::scenario::{Load, built_in};

    #[test]
    fn a_backlog_needs_a_count_and_a_load_that_does_not_wait_for_consumers() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = built_in("backlog-drain").unwrap();
            change(&mut scenario);
            let fault = check(&scenario).unwrap_err();
            format!("{} is {}", fault.field, fault.value)
        };
        assert_eq!(
            refused(|s| s.load = Load::Saturating { in_flight: 1_000 }),
            "load.shape is saturating"
        );
        assert_eq!(refused(|s| s.messages = None), "backlog_first is true");
        assert_eq!(refused(|s| s.messages = Some(19)), "messages is 19");
        assert_eq!(
            refused(|s| s.messages = Some(u64::MAX)),
            format!("messages is {}", u64::MAX)
        );
        assert_eq!(refused(|s| s.load = Load::open_loop(9)), "messages is 10000000");
        assert_eq!(refused(|s| s.consumers = 0), "backlog_first is true");
        assert_eq!(
            refused(|s| s.consume_rate_max = Some(99)),
            "backlog_first is true"
        );
        assert_eq!(refused(|s| s.warmup_s = 0.0), "warmup_s is 0");
        assert_eq!(
            refused(|s| (s.backlog_first, s.warmup_s) = (false, 5.0)),
            "warmup_s is 5"
        );
        assert_eq!(
            refused(|s| s.targets.publish_rate_min = Some(1.0)),
            "targets.publish_rate_min is 1"
        );
        assert_eq!(
            tests::refused(|s| s.consumers = 0),
            ("load.shape".into(), "saturating".into())
        );
    }
}
