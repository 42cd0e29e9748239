//! Targets that the load can reach and that mean something under it.

use crate::scenario::{Fault, Scenario};

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let targets = &scenario.targets;
    check_latency(scenario)?;
    if let Some(lag) = targets
        .schedule_lag_p99_us_max
        .filter(|_| !scenario.is_open_loop())
    {
        let allowed = "null unless the load is an open loop: nothing else has a schedule";
        return Err(Fault::new("targets.schedule_lag_p99_us_max", lag, allowed));
    }
    if let Some(rate) = targets.publish_rate_min.filter(|_| scenario.backlog_first) {
        let allowed = "null when backlog_first is true: nothing is sent within the window";
        return Err(Fault::new("targets.publish_rate_min", rate, allowed));
    }
    let publish_rate_max = scenario.offered_rate_mean().unwrap_or(f64::INFINITY);
    let copies = f64::from(scenario.copies());
    let consume_rate_max = match (scenario.consumers, scenario.work_rate_max()) {
        (0, _) => 0.0,
        (_, Some(limit)) => limit,
        (_, None) => publish_rate_max * copies,
    };
    let limits = [
        (
            "targets.publish_rate_min",
            targets.publish_rate_min,
            publish_rate_max,
        ),
        (
            "targets.consume_rate_min",
            targets.consume_rate_min,
            consume_rate_max,
        ),
    ];
    for (field, target, rate_max) in limits {
        if let Some(target) = target.filter(|&target| target > rate_max) {
            let allowed = format!("at most {rate_max}: the scenario never makes more");
            return Err(Fault::new(field, target, allowed));
        }
    }
    Ok(())
}

fn check_latency(scenario: &Scenario) -> Result<(), Fault> {
    let Some(latency) = scenario.targets.latency_p99_us_max else {
        return Ok(());
    };
    let allowed = if !scenario.is_open_loop() {
        "null unless the load is an open loop: otherwise the window decides the latency (see METHOD.md)"
    } else if scenario.consumers == 0 || scenario.work_rate_max().is_some() {
        "null when the consumers are slow or missing: they decide the latency"
    } else {
        return Ok(());
    };
    Err(Fault::new("targets.latency_p99_us_max", latency, allowed))
}

#[cfg(test)]
mod tests {
    use crate::scenario::Load;
    use crate::scenario::checks::tests::{pair, refused};

    #[test]
    fn a_target_is_within_reach_and_the_brokers_to_decide() {
        assert_eq!(
            refused(|s| s.targets.latency_p99_us_max = Some(1_000.0)),
            pair("targets.latency_p99_us_max", "1000")
        );
        assert_eq!(
            refused(|s| s.load = Load::open_loop(700_000)),
            pair("targets.publish_rate_min", "750000")
        );
    }
}
