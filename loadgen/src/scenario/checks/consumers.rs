//! How the consumers acknowledge, and how slow they are.

use crate::scenario::{Fault, Scenario};

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario {
        consumers,
        prefetch,
        ack_every,
        ..
    } = *scenario;
    let slowness = scenario
        .consume_rate_max
        .map(|rate| ("consume_rate_max", rate.to_string()));
    let work = scenario
        .work_us
        .map(|work| ("work_us", format!("{} µs", work.mean_us())));
    if let (Some(_), Some((field, found))) = (&slowness, &work) {
        let allowed = "nothing when consume_rate_max is given: one of them says how slow the consumers are";
        return Err(Fault::new(*field, found, allowed));
    }
    if let Some((field, found)) = slowness.or(work) {
        let refused = |allowed: &str| Err(Fault::new(field, &found, allowed));
        if consumers == 0 {
            return refused("nothing when consumers = 0");
        }
        if prefetch == 0 || ack_every == 0 {
            return refused(
                "nothing when prefetch or ack_every is 0: only consumers that withhold acks are slow",
            );
        }
        if scenario
            .consume_rate_max
            .is_some_and(|rate| rate < u64::from(consumers))
        {
            let allowed = format!("at least consumers = {consumers}: one message a second each");
            return refused(&allowed);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;
    use crate::scenario::checks::check;
    use crate::scenario::checks::tests::{pair, refused};
    use crate::work::WorkUs;

    #[test]
    fn acks_fit_the_prefetch_limit() {
        assert_eq!(refused(|s| s.ack_every = 2_000), pair("ack_every", "2000"));
        assert_eq!(refused(|s| s.ack_every = 0), pair("prefetch", "1000"));
    }

    #[test]
    fn slow_consumers_withhold_acks_and_decide_the_latency() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = built_in("slow-consumer").unwrap();
            change(&mut scenario);
            check(&scenario).unwrap_err().field
        };
        assert_eq!(
            refused(|s| (s.prefetch, s.ack_every) = (0, 0)),
            "consume_rate_max"
        );
        assert_eq!(refused(|s| s.consume_rate_max = Some(3)), "consume_rate_max");
        assert_eq!(refused(|s| s.work_us = Some(WorkUs::Constant(5.0))), "work_us");
        assert_eq!(
            refused(|s| (s.consume_rate_max, s.work_us) = (None, Some(WorkUs::Exponential(500.0)))),
            "targets.consume_rate_min"
        );
        assert_eq!(refused(|s| s.consumers = 0), "consume_rate_max");
        assert_eq!(
            refused(|s| s.targets.latency_p99_us_max = Some(1e6)),
            "targets.latency_p99_us_max"
        );
        assert_eq!(
            refused(|s| s.targets.consume_rate_min = Some(50_001.0)),
            "targets.consume_rate_min"
        );
    }
}
