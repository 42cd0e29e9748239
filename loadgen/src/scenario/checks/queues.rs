//! Queues: how many, of which kind, and what they are called.

use crate::scenario::{Fault, QueueNames, QueueType, Routing, Scenario};

/// AMQP's limit is 255 octets; the rest is for the index and the run's tag.
const QUEUE_PATTERN_LEN_MAX: usize = 200;

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    check_numbers(scenario)?;
    check_names(scenario)
}

fn check_numbers(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario {
        producers,
        consumers,
        queues,
        ..
    } = *scenario;
    if consumers > 0 && queues > consumers {
        let allowed = format!("at most consumers = {consumers}: a queue without a consumer never drains");
        return Err(Fault::new("queues", queues, allowed));
    }
    if scenario.routing == Routing::Queue && producers > 0 && queues > producers {
        let allowed = format!("at most producers = {producers}: a queue without a producer idles");
        return Err(Fault::new("queues", queues, allowed));
    }
    Ok(())
}

fn check_names(scenario: &Scenario) -> Result<(), Fault> {
    let Some(pattern) = &scenario.queue_pattern else {
        if scenario.queue_names == QueueNames::Fixed {
            let allowed = "per_run without queue_pattern, which says what the fixed names are";
            return Err(Fault::new("queue_names", "\"fixed\"", allowed));
        }
        return Ok(());
    };
    let indices = pattern.matches("%d").count();
    let allowed = if pattern.len() > QUEUE_PATTERN_LEN_MAX {
        format!("at most {QUEUE_PATTERN_LEN_MAX} octets")
    } else if indices > 1 || indices == 0 && scenario.queues > 1 {
        "a name with one %d in it, for the queue's index; with one queue it may be missing".to_owned()
    } else if pattern.starts_with("amq.") {
        "a name that does not begin with amq., which brokers keep for themselves".to_owned()
    } else if scenario.queue_names == QueueNames::Fixed && !scenario.faults.is_empty() {
        "nothing with fixed names when there are faults: the queues belong to the run".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::new("queue_pattern", format!("{pattern:?}"), allowed))
}

/// Finds a promise that queues which are not durable cannot keep.
pub(super) fn check_durability(scenario: &Scenario) -> Result<(), Fault> {
    if scenario.persistent && !scenario.durable {
        let allowed = "false, or durable = true: on a transient queue persistence means nothing";
        return Err(Fault::new("persistent", true, allowed));
    }
    if scenario.queue_type == Some(QueueType::Quorum) && !scenario.durable {
        let allowed = "classic, or durable = true: brokers refuse a quorum queue that is not durable";
        return Err(Fault::new("queue_type", "\"quorum\"", allowed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;
    use crate::scenario::checks::check;
    use crate::scenario::checks::tests::{pair, refused};

    #[test]
    fn an_idle_queue_and_persistence_without_durability_are_refused() {
        assert_eq!(refused(|s| s.queues = 21), pair("queues", "21"));
        assert_eq!(refused(|s| (s.producers, s.queues) = (3, 5)), pair("queues", "5"));
        assert_eq!(refused(|s| s.persistent = true), pair("persistent", "true"));
        assert_eq!(
            refused(|s| s.queue_type = Some(QueueType::Quorum)),
            pair("queue_type", "\"quorum\"")
        );
    }

    #[test]
    fn names_are_fit_for_their_queues() {
        assert_eq!(
            refused(|s| s.queue_names = QueueNames::Fixed),
            pair("queue_names", "\"fixed\"")
        );
        for bad in ["load", "a.%d.%d", "amq.%d"] {
            let mut scenario = built_in("20p20c-20q").unwrap();
            scenario.queue_pattern = Some(bad.into());
            assert_eq!(check(&scenario).unwrap_err().field, "queue_pattern", "{bad}");
        }
    }

    #[test]
    fn a_fanout_may_have_more_queues_than_producers() {
        let mut scenario = built_in("20p20c").unwrap();
        (scenario.routing, scenario.producers, scenario.queues) = (Routing::Fanout, 1, 20);
        assert_eq!(check(&scenario), Ok(()));
        assert_eq!(scenario.copies(), 20);
    }
}
