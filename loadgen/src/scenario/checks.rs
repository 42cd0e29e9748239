//! Checks across fields: combinations that cannot work, or that would measure something else than they say.

use super::{Fault, Load, Routing, Scenario};

/// Sequences are 32 bits a producer (see `body`).
const MESSAGES_PER_PRODUCER_MAX: f64 = u32::MAX as f64;
/// No generator on one core was seen to exceed this: bounds the sequence numbers of a saturating run.
const SATURATING_RATE_MAX: f64 = 16e6;

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    check_topology(scenario)?;
    check_acks(scenario)?;
    check_load(scenario)?;
    check_targets(scenario)?;
    if scenario.persistent && !scenario.durable {
        let allowed = "false, or durable = true: on a transient queue persistence means nothing";
        return Err(Fault::new("persistent", true, allowed));
    }
    Ok(())
}

fn check_topology(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario {
        producers,
        consumers,
        queues,
        ..
    } = *scenario;
    if queues > consumers {
        let allowed = format!("at most consumers = {consumers}: a queue without a consumer never drains");
        return Err(Fault::new("queues", queues, allowed));
    }
    if scenario.routing == Routing::Queue && queues > producers {
        let allowed = format!("at most producers = {producers}: a queue without a producer idles");
        return Err(Fault::new("queues", queues, allowed));
    }
    Ok(())
}

fn check_acks(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario {
        prefetch, ack_every, ..
    } = *scenario;
    if ack_every == 0 && prefetch != 0 {
        let allowed =
            "0 when ack_every = 0: brokers ignore the prefetch of consumers that do not acknowledge";
        return Err(Fault::new("prefetch", prefetch, allowed));
    }
    if prefetch != 0 && ack_every > prefetch {
        let allowed =
            format!("at most prefetch = {prefetch}: the broker stops before the batch of acks is full");
        return Err(Fault::new("ack_every", ack_every, allowed));
    }
    Ok(())
}

fn check_load(scenario: &Scenario) -> Result<(), Fault> {
    let producers = f64::from(scenario.producers);
    let seconds = scenario.warmup_s + scenario.duration_s;
    let rate = match scenario.load {
        Load::Saturating { in_flight } => {
            if in_flight < u32::from(scenario.producers) {
                let allowed = format!("at least producers = {producers}: each needs one message in flight");
                return Err(Fault::new("load.in_flight", in_flight, allowed));
            }
            SATURATING_RATE_MAX
        }
        Load::OpenLoop { rate } => rate as f64,
    };
    let seconds_max = MESSAGES_PER_PRODUCER_MAX * producers / rate;
    if seconds > seconds_max {
        let allowed = format!(
            "less than {:.0} with warmup_s, so that no producer exceeds 2^32 messages at {rate:.0}/s in all",
            seconds_max
        );
        return Err(Fault::new("duration_s", scenario.duration_s, allowed));
    }
    Ok(())
}

fn check_targets(scenario: &Scenario) -> Result<(), Fault> {
    let targets = &scenario.targets;
    match scenario.load {
        Load::Saturating { .. } => match targets.latency_p99_us_max {
            Some(latency) => {
                let allowed =
                    "null in a saturating load, where the window decides the latency (see METHOD.md)";
                Err(Fault::new("targets.latency_p99_us_max", latency, allowed))
            }
            None => Ok(()),
        },
        Load::OpenLoop { rate } => {
            let copies = u64::from(scenario.copies());
            let limits = [
                ("targets.publish_rate_min", targets.publish_rate_min, rate),
                (
                    "targets.consume_rate_min",
                    targets.consume_rate_min,
                    rate * copies,
                ),
            ];
            for (field, target, rate_max) in limits {
                if let Some(target) = target.filter(|&target| target > rate_max as f64) {
                    let allowed = format!("at most {rate_max}: the fixed rate never makes more");
                    return Err(Fault::new(field, target, allowed));
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    fn refused(change: impl FnOnce(&mut Scenario)) -> (String, String) {
        let mut scenario = built_in("20p20c").unwrap();
        change(&mut scenario);
        let fault = check(&scenario).unwrap_err();
        (fault.field, fault.value)
    }

    #[test]
    fn nonsense_is_refused() {
        let pair = |field: &str, value: &str| (field.to_string(), value.to_string());
        assert_eq!(refused(|s| s.ack_every = 2_000), pair("ack_every", "2000"));
        assert_eq!(refused(|s| s.ack_every = 0), pair("prefetch", "1000"));
        assert_eq!(refused(|s| s.queues = 21), pair("queues", "21"));
        assert_eq!(refused(|s| (s.producers, s.queues) = (3, 5)), pair("queues", "5"));
        assert_eq!(refused(|s| s.persistent = true), pair("persistent", "true"));
        assert_eq!(
            refused(|s| s.load = Load::Saturating { in_flight: 19 }),
            pair("load.in_flight", "19")
        );
        assert_eq!(
            refused(|s| s.targets.latency_p99_us_max = Some(1_000.0)),
            pair("targets.latency_p99_us_max", "1000")
        );
        assert_eq!(
            refused(|s| s.load = Load::OpenLoop { rate: 700_000 }),
            pair("targets.publish_rate_min", "750000")
        );
        assert_eq!(
            refused(|s| (s.producers, s.duration_s) = (1, 300.0)),
            pair("duration_s", "300")
        );
    }

    #[test]
    fn a_fanout_may_have_more_queues_than_producers() {
        let mut scenario = built_in("20p20c").unwrap();
        (scenario.routing, scenario.producers, scenario.queues) = (Routing::Fanout, 1, 20);
        assert_eq!(check(&scenario), Ok(()));
        assert_eq!(scenario.copies(), 20);
    }
}
