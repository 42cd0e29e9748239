//! The shape of the load, its rates, and how many messages they make.

use crate::scenario::{Arrivals, Fault, Load, RatePhase, Scenario};

/// Sequences are 32 bits a producer (see `body`).
const MESSAGES_PER_PRODUCER_MAX: f64 = u32::MAX as f64;
/// No generator on one core was seen to exceed this: bounds the sequence numbers of a saturating run.
const SATURATING_RATE_MAX: f64 = 16e6;
/// How exactly the phases of a profile must cover the window.
const PROFILE_TOLERANCE_S: f64 = 1e-6;

/// Finds the first combination that is not allowed.
pub(super) fn check(scenario: &Scenario) -> Result<(), Fault> {
    let producers = f64::from(scenario.producers);
    let nobody_consumes = scenario.consumers == 0 || scenario.backlog_first;
    check_rates(scenario)?;
    let rate = match &scenario.load {
        Load::Saturating { .. } if nobody_consumes => {
            let allowed = "flood, or open_loop, when nobody consumes while the load runs: the window would never open again";
            return Err(Fault::new("load.shape", "saturating", allowed));
        }
        &Load::Saturating { in_flight } => {
            if in_flight < u32::from(scenario.producers) {
                let allowed = format!("at least producers = {producers}: each needs one message in flight");
                return Err(Fault::new("load.in_flight", in_flight, allowed));
            }
            SATURATING_RATE_MAX
        }
        Load::Flood {} => SATURATING_RATE_MAX,
        Load::None {} => return Ok(()),
        Load::OpenLoop { .. } | Load::Profile { .. } => mean_rate_of_all(scenario),
    };
    if let Some(messages) = scenario.messages {
        return check_messages(scenario, messages);
    }
    let seconds = scenario.warmup_s + scenario.duration_s;
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

/// Over warm-up and window.
fn mean_rate_of_all(scenario: &Scenario) -> f64 {
    let seconds = scenario.warmup_s + scenario.duration_s;
    let count = scenario.rate_curve().map(|curve| curve.count_at(seconds));
    count.unwrap_or_default() / seconds
}

fn check_rates(scenario: &Scenario) -> Result<(), Fault> {
    let producers = u64::from(scenario.producers);
    match &scenario.load {
        Load::OpenLoop {
            rate: None,
            rate_per_producer: None,
            ..
        } => {
            let allowed = "a whole number of messages a second, all producers together, or rate_per_producer";
            return Err(Fault::new("load.rate", "missing", allowed));
        }
        Load::OpenLoop {
            rate: Some(_),
            rate_per_producer: Some(each),
            ..
        } => {
            let allowed = "nothing when rate is given: one of them says it all";
            return Err(Fault::new("load.rate_per_producer", each, allowed));
        }
        Load::Profile { phases, .. } => check_phases(phases, scenario.duration_s)?,
        Load::OpenLoop { .. } | Load::Saturating { .. } | Load::Flood {} | Load::None {} => {}
    }
    if let Some(Arrivals::Burst(burst)) = scenario.load.arrivals().filter(|_| producers > 0)
        && burst < producers
    {
        let allowed = format!("at least producers = {producers}: each sends its part of every burst");
        return Err(Fault::new("load.arrivals.burst", burst, allowed));
    }
    Ok(())
}

fn check_phases(phases: &[RatePhase], duration_s: f64) -> Result<(), Fault> {
    let ends = phases.iter().map(|phase| phase.ends());
    let (length_s, rate_max) = ends.fold((0.0, 0.0), |(length_s, rate_max), (from, to, for_s)| {
        (length_s + for_s, f64::max(rate_max, from.max(to)))
    });
    if (length_s - duration_s).abs() > PROFILE_TOLERANCE_S {
        let found = format!("{length_s} s long in all");
        let allowed = format!("as long as the window: duration_s = {duration_s}");
        return Err(Fault::new("load.phases", found, allowed));
    }
    if rate_max == 0.0 {
        let allowed = "a rate above 0 in one of them";
        return Err(Fault::new("load.phases", "without any message", allowed));
    }
    Ok(())
}

fn check_messages(scenario: &Scenario, messages: u64) -> Result<(), Fault> {
    let producers = u64::from(scenario.producers);
    if scenario.is_open_loop() {
        let allowed = "null in an open loop, which ends by the clock (duration_s)";
        return Err(Fault::new("messages", messages, allowed));
    }
    let messages_max = u64::from(u32::MAX) * producers;
    if !(producers..=messages_max).contains(&messages) {
        let allowed = format!("from producers = {producers} to 2^32 - 1 for each of them");
        return Err(Fault::new("messages", messages, allowed));
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
    fn a_window_has_room_for_every_producer_and_sequences_suffice() {
        assert_eq!(
            refused(|s| s.load = Load::Saturating { in_flight: 19 }),
            pair("load.in_flight", "19")
        );
        assert_eq!(
            refused(|s| (s.producers, s.duration_s) = (1, 300.0)),
            pair("duration_s", "300")
        );
    }

    #[test]
    fn an_open_loop_has_one_rate_and_a_profile_covers_the_window() {
        let refused = |load: &str| {
            let mut scenario = built_in("20p20c-latency").unwrap();
            (scenario.duration_s, scenario.targets.publish_rate_min) = (60.0, None);
            scenario.targets.consume_rate_min = None;
            scenario.load = serde_json::from_str(load).unwrap();
            let fault = check(&scenario).unwrap_err();
            format!("{} is {}", fault.field, fault.value)
        };
        assert_eq!(refused(r#"{"shape": "open_loop"}"#), "load.rate is missing");
        assert_eq!(
            refused(r#"{"shape": "open_loop", "rate": 5, "rate_per_producer": 6}"#),
            "load.rate_per_producer is 6"
        );
        assert_eq!(
            refused(r#"{"shape": "open_loop", "rate": 500, "arrivals": {"burst": 19}}"#),
            "load.arrivals.burst is 19"
        );
        assert_eq!(
            refused(r#"{"shape": "profile", "phases": [{"rate": 5, "for_s": 59.5}]}"#),
            "load.phases is 59.5 s long in all"
        );
        assert_eq!(
            refused(r#"{"shape": "profile", "phases": [{"rate": 0, "for_s": 60}]}"#),
            "load.phases is without any message"
        );
    }
}
