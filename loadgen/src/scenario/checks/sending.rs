//! Who sends, if anybody does.

use crate::scenario::{Fault, Load, QueueNames, Routing, Scenario};

/// Who only consumes takes what others have put into queues that stand already.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let sends = !matches!(scenario.load, Load::None {});
    if scenario.producers == 0 && sends {
        return Err(Fault::new("producers", 0, "at least 1, or load.shape = none"));
    }
    if sends {
        return Ok(());
    }
    let refused = |field: &str, found: String, allowed: &str| Err(Fault::new(field, found, allowed));
    if scenario.producers > 0 {
        let found = scenario.producers.to_string();
        return refused("producers", found, "0 when load.shape is none: nobody sends");
    }
    if scenario.consumers == 0 {
        return refused("consumers", "0".into(), "at least 1 when nobody sends");
    }
    if scenario.queue_names != QueueNames::Fixed || scenario.routing != Routing::Queue {
        let allowed =
            "fixed (and routing = queue) when nobody sends: only a queue that stands already holds messages";
        return refused("queue_names", "\"per_run\"".into(), allowed);
    }
    if let Some(messages) = scenario.messages {
        return refused(
            "messages",
            messages.to_string(),
            "null when nobody sends: the window ends by the clock",
        );
    }
    if let Some(rate) = scenario.targets.publish_rate_min {
        return refused(
            "targets.publish_rate_min",
            rate.to_string(),
            "null when nobody sends",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;
    use crate::scenario::checks::check;

    #[test]
    fn who_only_consumes_takes_from_queues_that_stand() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = built_in("20p20c").unwrap();
            scenario.targets.publish_rate_min = None;
            (scenario.load, scenario.producers) = (Load::None {}, 0);
            (scenario.queue_names, scenario.queue_pattern) = (QueueNames::Fixed, Some("load".into()));
            assert_eq!(check(&scenario), Ok(()));
            assert!(!scenario.measures_latency());
            change(&mut scenario);
            check(&scenario).unwrap_err().field
        };
        assert_eq!(refused(|s| s.load = Load::Flood {}), "producers");
        assert_eq!(refused(|s| s.producers = 1), "producers");
        assert_eq!(refused(|s| s.consumers = 0), "consumers");
        assert_eq!(refused(|s| s.queue_names = QueueNames::PerRun), "queue_names");
        assert_eq!(refused(|s| s.messages = Some(50)), "messages");
        assert_eq!(
            refused(|s| s.targets.publish_rate_min = Some(1.0)),
            "targets.publish_rate_min"
        );
        assert_eq!(refused(|s| s.backlog_first = true), "backlog_first");
    }
}
