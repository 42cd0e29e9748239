//! Rounds until the difference is decided.

use serde::Serialize;

use super::order::Orders;
use crate::statistics::{ConfidenceSequence, Interval};

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The first contender.
    A,
    /// The second one.
    B,
    /// The first one again, as if it were another: what it differs by from itself is the machine's noise.
    Control,
}

/// When a duel ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Pairs before the first decision.
    pub pairs_min: u32,
    /// Pairs after which the duel ends undecided.
    pub pairs_max: u32,
    /// Chance that all intervals of the duel contain the true ratio, at every look.
    pub confidence: f64,
    /// Ratios within 1 ± this count as equal; `None`: equality is not looked for.
    pub margin: Option<f64>,
    /// Whether the first contender also runs against itself.
    pub control: bool,
    /// Invalid runs that may be repeated, in all.
    pub invalid_max: u32,
    /// Decides order and loads.
    pub seed: u64,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Its metric, positive.
    Measured(f64),
    /// It says nothing; it is made again.
    Invalid,
    /// The duel is to end.
    Interrupted,
}

/// One run of the duel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Whose.
    pub arm: Arm,
    /// Which round, from 0.
    pub round: u32,
    /// Seed of its load: the same for all arms of a round.
    pub seed: u64,
}

/// What the duel found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The metric of B ÷ A is above 1.
    BHigher,
    /// It is below 1.
    BLower,
    /// It is within the margin around 1.
    Equal,
    /// It may be either.
    Undecided,
    /// The first contender differs from itself: the machine favours a place in the order, and nothing is claimed.
    Disturbed,
}

/// Why the rounds ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Decided.
    Decided,
    /// [`Rules::pairs_max`] pairs were made.
    PairsMax,
    /// More than [`Rules::invalid_max`] runs were invalid.
    InvalidMax,
    /// By hand.
    Interrupted,
}

/// A duel's rounds and what follows from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Duel {
    /// Values of each complete round, by arm: A, B and, if there is one, the control.
    pub rounds: Vec<Vec<f64>>,
    /// B ÷ A, valid at every look; `None` with too few pairs.
    pub ratio: Option<Interval>,
    /// Control ÷ A: the noise floor; likewise valid at every look.
    pub control: Option<Interval>,
    /// What was found.
    pub verdict: Verdict,
    /// Why it ended.
    pub ended: Ended,
    /// Runs that were invalid and made again.
    pub invalid: u32,
}

impl Rules {
    /// Plays rounds of runs that `run` makes until the ratio is decided.
    ///
    /// # Errors
    /// Whatever `run` fails with.
    pub fn play<E>(&self, mut run: impl FnMut(Trial) -> Result<Value, E>) -> Result<Duel, E> {
        let mut duel = Duel {
            rounds: Vec::new(),
            ratio: None,
            control: None,
            verdict: Verdict::Undecided,
            ended: Ended::PairsMax,
            invalid: 0,
        };
        let (mut ratios, mut controls) = (ConfidenceSequence::default(), ConfidenceSequence::default());
        for (round, order) in (0..self.pairs_max).zip(Orders::new(self.control, self.seed)) {
            let mut values = vec![0.0; order.len()];
            for arm in order {
                let trial = Trial {
                    arm,
                    round,
                    seed: self.seed.wrapping_add(u64::from(round)),
                };
                match self.value(trial, &mut duel, &mut run)? {
                    Ok(value) => values[arm as usize] = value,
                    Err(ended) => {
                        duel.ended = ended;
                        return Ok(duel);
                    }
                }
            }
            ratios.push((values[Arm::B as usize] / values[Arm::A as usize]).ln());
            duel.ratio = ratios.interval(self.confidence).map(|it| it.map(f64::exp));
            if self.control {
                controls.push((values[Arm::Control as usize] / values[Arm::A as usize]).ln());
                duel.control = controls.interval(self.confidence).map(|it| it.map(f64::exp));
            }
            duel.rounds.push(values);
            if round + 1 >= self.pairs_min {
                duel.verdict = self.decide(duel.ratio, duel.control);
                if duel.verdict != Verdict::Undecided {
                    duel.ended = Ended::Decided;
                    break;
                }
            }
        }
        Ok(duel)
    }

    /// One value, from as many runs as it takes.
    fn value<E>(
        &self,
        trial: Trial,
        duel: &mut Duel,
        run: &mut impl FnMut(Trial) -> Result<Value, E>,
    ) -> Result<Result<f64, Ended>, E> {
        loop {
            match run(trial)? {
                Value::Measured(value) => return Ok(Ok(value)),
                Value::Interrupted => return Ok(Err(Ended::Interrupted)),
                Value::Invalid => {
                    duel.invalid += 1;
                    if duel.invalid > self.invalid_max {
                        return Ok(Err(Ended::InvalidMax));
                    }
                }
            }
        }
    }

    fn decide(&self, ratio: Option<Interval>, control: Option<Interval>) -> Verdict {
        let Some(ratio) = ratio else {
            return Verdict::Undecided;
        };
        let is_equal = self
            .margin
            .is_some_and(|margin| ratio.lies_within(1.0 / (1.0 + margin), 1.0 + margin));
        if !is_equal && ratio.contains(1.0) {
            return Verdict::Undecided;
        }
        if control.is_some_and(|control| !control.contains(1.0)) {
            return Verdict::Disturbed;
        }
        match is_equal {
            true => Verdict::Equal,
            false if ratio.low > 1.0 => Verdict::BHigher,
            false => Verdict::BLower,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn rules(seed: u64) -> Rules {
        Rules {
            pairs_min: 5,
            pairs_max: 20,
            confidence: 0.95,
            margin: None,
            control: true,
            invalid_max: 3,
            seed,
        }
    }

    /// A log-normal value around `center`, with a relative deviation of `noise`.
    fn value(random: &mut fastrand::Rng, center: f64, noise: f64) -> f64 {
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        center * (noise * radius * (std::f64::consts::TAU * random.f64()).cos()).exp()
    }

    /// A duel in which B has `factor` times the rate of A, and each run 2 % of noise.
    fn duel(rules: &Rules, factor: f64) -> Duel {
        let mut random = fastrand::Rng::with_seed(rules.seed ^ 0x5EED);
        let duel = rules.play(|trial| {
            let center = if trial.arm == Arm::B { 1e6 * factor } else { 1e6 };
            Ok::<_, Infallible>(Value::Measured(value(&mut random, center, 0.02)))
        });
        duel.unwrap_or_else(|never| match never {})
    }

    #[test]
    fn stopping_early_finds_no_more_than_5_percent_of_differences_that_are_not_there() {
        let duels: Vec<Duel> = (0..1_000).map(|seed| duel(&rules(seed), 1.0)).collect();
        let found = duels
            .iter()
            .filter(|duel| matches!(duel.verdict, Verdict::BHigher | Verdict::BLower))
            .count();
        assert!(found <= 50, "{found} of 1,000");
        let covered = duels
            .iter()
            .filter(|duel| duel.ratio.unwrap().contains(1.0))
            .count();
        assert!(covered >= 950, "{covered} of 1,000 contain 1.0");
        assert_eq!(duels[0].rounds.len(), 20, "nothing to decide: all pairs are made");
    }

    #[test]
    fn five_percent_slower_is_found_before_the_last_pair() {
        let duels: Vec<Duel> = (0..200).map(|seed| duel(&rules(seed), 0.95)).collect();
        let found = duels
            .iter()
            .filter(|duel| duel.verdict == Verdict::BLower)
            .count();
        assert!(found > 180, "{found} of 200");
        assert!(duels.iter().all(|duel| duel.verdict != Verdict::BHigher));
        let pairs: usize = duels.iter().map(|duel| duel.rounds.len()).sum();
        assert!(pairs / duels.len() < 15, "{} on average", pairs / duels.len());
    }

    #[test]
    fn equality_is_found_when_it_is_looked_for() {
        let looked_for = Rules {
            margin: Some(0.03),
            pairs_max: 40,
            ..rules(0)
        };
        let equal = (0..100).filter(|&seed| {
            let rules = Rules {
                seed,
                ..looked_for.clone()
            };
            duel(&rules, 1.0).verdict == Verdict::Equal
        });
        assert!(equal.count() > 85);
        assert_eq!(duel(&looked_for, 0.9).verdict, Verdict::BLower);
    }

    /// A machine on which whoever runs in the control's place is faster.
    #[test]
    fn nothing_is_claimed_when_the_first_differs_from_itself() {
        let mut random = fastrand::Rng::with_seed(1);
        let duel = rules(1).play(|trial| {
            let center = if trial.arm == Arm::A { 0.8e6 } else { 1e6 };
            Ok::<_, Infallible>(Value::Measured(value(&mut random, center, 0.01)))
        });
        assert_eq!(duel.unwrap().verdict, Verdict::Disturbed);
    }

    #[test]
    fn invalid_runs_are_made_again_and_too_many_end_the_duel() {
        let mut calls = 0;
        let duel = rules(1).play(|trial| {
            calls += 1;
            Ok::<_, Infallible>(match calls {
                2 | 3 => Value::Invalid,
                _ if trial.round == 6 => Value::Invalid,
                _ => Value::Measured(100.0 + f64::from(calls)),
            })
        });
        let duel = duel.unwrap();
        assert_eq!((duel.rounds.len(), duel.invalid), (6, 4));
        assert_eq!(
            (duel.ended, duel.verdict),
            (Ended::InvalidMax, Verdict::Undecided)
        );
    }

    #[test]
    fn arms_of_a_round_share_their_seed_and_an_interrupt_keeps_what_is_complete() {
        let mut seeds = Vec::new();
        let duel = rules(7).play(|trial| {
            seeds.push((trial.round, trial.seed));
            Ok::<_, Infallible>(match trial.round {
                2 => Value::Interrupted,
                _ => Value::Measured(1.0),
            })
        });
        let duel = duel.unwrap();
        assert_eq!(duel.ended, Ended::Interrupted);
        assert_eq!(duel.rounds, vec![vec![1.0; 3]; 2]);
        assert!(seeds.iter().all(|(round, seed)| *seed == 7 + u64::from(*round)));
        assert_eq!(duel.ratio, None, "two pairs have no interval");
    }
}
