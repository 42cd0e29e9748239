//! Each worker's share of a scenario: producers, consumers and queues dealt out, rates and windows in proportion.
//!
//! A worker's consumers read the queues of its own producers. That is what keeps clocks apart, and what it excludes: one
//! queue shared by all workers, and fanouts over queues of several.

use thiserror::Error;

use crate::scenario::{Arrivals, Load, RatePhase, Routing, Scenario, ScenarioError, Targets};

/// Why a scenario cannot be shared.
#[derive(Debug, Error)]
pub enum ShareError {
    /// A field's value does not allow it.
    #[error("{field} is {value}; allowed with {workers} workers: {allowed}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// How many workers there are.
        workers: usize,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// A share is no valid scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// The shares of `workers` workers; together they are `scenario`.
///
/// # Errors
/// When it has fewer producers, consumers or queues than workers, or phases that are no worker's alone.
pub fn shares(scenario: &Scenario, workers: usize) -> Result<Vec<Scenario>, ShareError> {
    let refused = |field, value: String, allowed| {
        Err(ShareError::Field {
            field,
            value,
            workers,
            allowed,
        })
    };
    if scenario.routing != Routing::Queue {
        let allowed = "queue: each worker measures only messages that it sent itself, on queues of its own";
        let routing = scenario.routing.exchange_kind().unwrap_or_default();
        return refused("routing", routing.into(), allowed);
    }
    if let Some(pattern) = &scenario.queue_pattern {
        return refused(
            "queue_pattern",
            pattern.clone(),
            "null: each worker names queues of its own",
        );
    }
    if scenario.churn.is_some() {
        return refused(
            "churn",
            "given".into(),
            "null: what comes and goes beside the load is not dealt out",
        );
    }
    if let Some(messages) = scenario.messages {
        let allowed = "null: the phases of a counted run end when its work is done, which no worker knows of the others";
        return refused("messages", messages.to_string(), allowed);
    }
    if !scenario.faults.is_empty() {
        return refused("faults", format!("{}", scenario.faults.len()), "none");
    }
    for (field, count) in [
        ("producers", scenario.producers),
        ("queues", scenario.queues),
        ("consumers", scenario.consumers),
    ] {
        let may_be_none = field == "consumers" && count == 0;
        if usize::from(count) < workers && !may_be_none {
            let allowed = "at least one for each worker, which shares no queue with another";
            return refused(field, count.to_string(), allowed);
        }
    }
    (0..workers)
        .map(|worker| Ok(share(scenario, workers, worker)?))
        .collect()
}

fn share(scenario: &Scenario, workers: usize, worker: usize) -> Result<Scenario, ScenarioError> {
    let deal = |count: u16| dealt(count, workers, worker);
    let by_producers = |total: u64| proportion(total, scenario.producers, workers, worker);
    let mut share = scenario.clone();
    share.producers = deal(scenario.producers);
    share.consumers = deal(scenario.consumers);
    share.queues = deal(scenario.queues);
    share.load = match scenario.load.clone() {
        Load::Saturating { in_flight } => Load::Saturating {
            in_flight: u32::try_from(by_producers(in_flight.into())).expect("a share is at most the whole"),
        },
        Load::OpenLoop {
            rate,
            rate_per_producer,
            arrivals,
        } => Load::OpenLoop {
            rate: rate.map(by_producers),
            rate_per_producer,
            arrivals: part_of(arrivals, by_producers),
        },
        Load::Profile { phases, arrivals } => Load::Profile {
            phases: phases
                .into_iter()
                .map(|phase| match phase {
                    RatePhase::Step { rate, for_s } => RatePhase::Step {
                        rate: by_producers(rate),
                        for_s,
                    },
                    RatePhase::Ramp { from, to, for_s } => RatePhase::Ramp {
                        from: by_producers(from),
                        to: by_producers(to),
                        for_s,
                    },
                })
                .collect(),
            arrivals: part_of(arrivals, by_producers),
        },
        Load::Flood {} => Load::Flood {},
        Load::None {} => Load::None {},
    };
    share.consume_rate_max = scenario
        .consume_rate_max
        .map(|rate| proportion(rate, scenario.consumers, workers, worker));
    // Targets are of the whole run.
    share.targets = Targets::default();
    let text = serde_json::to_string(&share).expect("a scenario is plain data");
    Scenario::from_json(&format!("the share of worker {}", worker + 1), &text)
}

/// A worker's part of each burst. Its own seed decides when its bursts come: they are not in step with those of others.
fn part_of(arrivals: Arrivals, by_producers: impl Fn(u64) -> u64) -> Arrivals {
    match arrivals {
        Arrivals::Burst(burst) => Arrivals::Burst(by_producers(burst)),
        Arrivals::Constant | Arrivals::Poisson => arrivals,
    }
}

/// The first workers take the remainder.
fn dealt(count: u16, workers: usize, worker: usize) -> u16 {
    let count = usize::from(count);
    let share = count / workers + usize::from(worker < count % workers);
    u16::try_from(share).expect("a share is at most the whole")
}

/// What of `total` falls to a worker, in proportion to its part of `count`; the shares add up.
fn proportion(total: u64, count: u16, workers: usize, worker: usize) -> u64 {
    let before: u64 = (0..worker)
        .map(|other| u64::from(dealt(count, workers, other)))
        .sum();
    let after = before + u64::from(dealt(count, workers, worker));
    let up_to = |part: u64| u128::from(total) * u128::from(part) / u128::from(count.max(1));
    u64::try_from(up_to(after) - up_to(before)).expect("a share is at most the whole")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    fn refused(name: &str, workers: usize) -> String {
        shares(&built_in(name).unwrap(), workers).unwrap_err().to_string()
    }

    #[test]
    fn shares_add_up() {
        let mut scenario = built_in("20p20c-latency").unwrap();
        (scenario.producers, scenario.consumers, scenario.queues) = (7, 8, 5);
        scenario.load = Load::open_loop(10_001);
        let shares = shares(&scenario, 3).unwrap();
        let counts: Vec<_> = shares
            .iter()
            .map(|it| (it.producers, it.consumers, it.queues))
            .collect();
        assert_eq!(counts, [(3, 3, 2), (2, 3, 2), (2, 2, 1)]);
        let rates: Vec<_> = shares
            .iter()
            .map(|it| match it.load {
                Load::OpenLoop { rate: Some(rate), .. } => rate,
                _ => panic!("an open loop"),
            })
            .collect();
        assert_eq!(rates.iter().sum::<u64>(), 10_001);
        assert!(rates[0].abs_diff(10_001 * 3 / 7) <= 1, "{rates:?}");
        assert!(shares.iter().all(|it| it.targets == Targets::default()));
    }

    #[test]
    fn a_window_is_shared_by_producers() {
        let scenario = built_in("20p20c-20q").unwrap();
        let Load::Saturating { in_flight } = scenario.load else {
            panic!("a saturating load")
        };
        let windows: u32 = shares(&scenario, 3)
            .unwrap()
            .iter()
            .map(|it| match it.load {
                Load::Saturating { in_flight } => in_flight,
                _ => panic!("a saturating load"),
            })
            .sum();
        assert_eq!(windows, in_flight);
    }

    #[test]
    fn what_cannot_be_shared_is_refused_by_name() {
        assert!(refused("fanout", 2).starts_with("routing is fanout; allowed with 2 workers: queue"));
        assert!(refused("backlog-fill", 2).starts_with("messages is 10000000"));
        assert!(refused("crash", 2).starts_with("faults is"));
        assert!(refused("20p20c", 2).starts_with("queues is 1; allowed with 2 workers: at least one"));
        assert!(refused("20p20c-20q", 21).starts_with("producers is 20"));
    }

    #[test]
    fn a_share_that_would_be_no_scenario_says_which() {
        let mut scenario = built_in("20p20c-20q").unwrap();
        scenario.load = Load::Saturating { in_flight: 3 };
        let message = shares(&scenario, 2).unwrap_err().to_string();
        assert!(
            message.starts_with("the share of worker 1: load.in_flight is"),
            "{message}"
        );
    }
}
