//! Which faults strike when: a pure function of scenario and seed.

use crate::random::SplitMix64;
use crate::scenario::{CutBy, FaultKind, InjectedFault, Scenario};

const NS_PER_S: f64 = 1e9;
/// Keeps the instants of the faults apart from everything else that comes of the seed.
const INSTANTS_SEED: u64 = 0x6b69_6c6c_6564;
/// Keeps the choice of whom they strike apart from that: another choice must not move an instant.
const CHOICE_SEED: u64 = 0x6368_6f69_6365;

/// A fault of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedFault {
    /// When it strikes, in ns since the measured window began.
    pub at_ns: u64,
    /// What it does.
    pub action: FaultAction,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultAction {
    /// The broker is killed and started again.
    Kill,
    /// It is shut down in order and started again.
    Restart,
    /// It is stopped for so many ns.
    Pause {
        /// How long.
        for_ns: u64,
    },
    /// Consumers neither read nor acknowledge.
    Stall {
        /// How long, in ns.
        for_ns: u64,
        /// Their ascending indices.
        consumers: Vec<usize>,
    },
    /// Connections are cut.
    Cut {
        /// Of these producers, ascending.
        producers: Vec<usize>,
        /// Of these consumers, ascending.
        consumers: Vec<usize>,
        /// How both sides learn of it.
        by: CutBy,
    },
}

impl PlannedFault {
    /// What kind of fault it is.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self.action {
            FaultAction::Kill => FaultKind::Kill,
            FaultAction::Restart => FaultKind::Restart,
            FaultAction::Pause { .. } => FaultKind::Pause,
            FaultAction::Stall { .. } => FaultKind::Stall,
            FaultAction::Cut { .. } => FaultKind::Cut,
        }
    }
}

/// The faults of `scenario`, in order.
#[must_use]
pub fn planned(scenario: &Scenario, seed: u64) -> Vec<PlannedFault> {
    let mut instants = SplitMix64::new(seed ^ INSTANTS_SEED);
    let mut choice = SplitMix64::new(seed ^ CHOICE_SEED);
    let faults = scenario.faults.iter().map(|fault| {
        let (from_s, to_s) = fault.after_s();
        let for_ns = (fault.for_s() * NS_PER_S) as u64;
        let mut choose = |count: u16, share: f64| choose(&mut choice, usize::from(count), share);
        PlannedFault {
            at_ns: ((from_s + (to_s - from_s) * instants.fraction()) * NS_PER_S) as u64,
            action: match *fault {
                InjectedFault::Kill { .. } => FaultAction::Kill,
                InjectedFault::Restart { .. } => FaultAction::Restart,
                InjectedFault::Pause { .. } => FaultAction::Pause { for_ns },
                InjectedFault::Stall { share, .. } => FaultAction::Stall {
                    for_ns,
                    consumers: choose(scenario.consumers, share),
                },
                InjectedFault::Cut { share, by, .. } => FaultAction::Cut {
                    producers: choose(scenario.producers, share),
                    consumers: choose(scenario.consumers, share),
                    by,
                },
            },
        }
    });
    faults.collect()
}

/// A share of `0..count`, at least one, ascending: the first part of a Fisher-Yates shuffle.
fn choose(random: &mut SplitMix64, count: usize, share: f64) -> Vec<usize> {
    let chosen = ((count as f64 * share).round() as usize).clamp(1.min(count), count);
    let mut all: Vec<usize> = (0..count).collect();
    for place in 0..chosen {
        let other = place + (random.fraction() * (count - place) as f64) as usize;
        all.swap(place, other);
    }
    all.truncate(chosen);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    #[test]
    fn the_seed_decides_when_faults_strike() {
        let mut scenario = built_in("crash").unwrap();
        let after_s = |from, to| InjectedFault::Kill { after_s: (from, to) };
        scenario.faults = vec![after_s(0.5, 1.0), after_s(2.0, 2.0), after_s(2.0, 2.5)];
        let mut first = Vec::new();
        for seed in 0..100 {
            let instants: Vec<_> = planned(&scenario, seed).iter().map(|fault| fault.at_ns).collect();
            assert_eq!(planned(&scenario, seed), planned(&scenario, seed));
            assert!(
                (500_000_000..1_000_000_000).contains(&instants[0]),
                "{instants:?}"
            );
            assert_eq!(instants[1], 2_000_000_000);
            assert!(instants.is_sorted());
            first.push(instants[0]);
        }
        first.sort_unstable();
        // Consecutive seeds cover the range.
        assert!(first[9] < 600_000_000 && first[90] > 900_000_000, "{first:?}");
    }

    #[test]
    fn a_share_strikes_so_many_and_the_seed_decides_whom() {
        let mut scenario = built_in("crash").unwrap();
        (scenario.producers, scenario.consumers) = (10, 3);
        let cut = |share| InjectedFault::Cut {
            after_s: (1.0, 2.0),
            share,
            by: CutBy::Finish,
        };
        scenario.faults = vec![cut(0.3), cut(0.01), cut(1.0)];
        let mut struck = vec![0; 10];
        for seed in 0..100 {
            let faults = planned(&scenario, seed);
            let sizes = faults.iter().map(|fault| match &fault.action {
                FaultAction::Cut {
                    producers, consumers, ..
                } => {
                    assert!(producers.is_sorted() && consumers.is_sorted());
                    (producers.len(), consumers.len())
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(sizes.collect::<Vec<_>>(), [(3, 1), (1, 1), (10, 3)]);
            if let FaultAction::Cut { producers, .. } = &faults[0].action {
                producers.iter().for_each(|&index| struck[index] += 1);
            }
        }
        assert!(
            struck.iter().all(|&times| (10..60).contains(&times)),
            "{struck:?}"
        );
    }
}
