//! Bracketing, bisection, confirmation.
//!
//! From the first rate on, rates are multiplied by a factor while they hold (or divided until one does); then the bracket
//! is halved on the logarithmic scale until its ends are close; then the highest rate that held is run several times, and
//! lowered by a step whenever one of these runs does not hold. Invalid runs are made again and never counted.

use serde::Serialize;

/// How to search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The first rate, in messages a second.
    pub rate_first: u64,
    /// The lowest one.
    pub rate_min: u64,
    /// The highest one.
    pub rate_max: u64,
    /// From one rate of the bracketing to the next; above 1.
    pub factor: f64,
    /// The bisection ends when the ends of the bracket differ by this share; also the step down of the confirmation.
    pub resolution: f64,
    /// Runs that must hold, all of them, at the rate that is reported.
    pub confirm: u32,
    /// Steps down before the search gives up.
    pub steps_down_max: u32,
    /// Invalid runs in a row at one rate, beyond which the rate counts as not measurable.
    pub invalid_max: u32,
    /// Seed of the first run; each later one's is one higher.
    pub seed: u64,
}

/// What a run at a rate was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// To find a rate that holds and one that does not.
    Bracket,
    /// To bring them together.
    Bisect,
    /// To see whether the rate holds again.
    Confirm,
}

/// Whether a rate was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// The run held it.
    Held,
    /// It did not.
    Missed,
    /// The run was invalid.
    Unmeasured,
}

/// A run to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What for.
    pub phase: Phase,
    /// Messages a second.
    pub rate: u64,
    /// Seed.
    pub seed: u64,
}

/// Why a search ended early.
#[derive(Debug)]
pub enum Stop<E> {
    /// By hand.
    Interrupted,
    /// A run failed altogether.
    Failed(E),
}

/// What keeps the rate from being higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// A higher rate was tried and missed the objective.
    Objective,
    /// A higher rate was tried, but only invalid runs came of it: the generator or the machine is the limit, not the broker.
    Unmeasured,
    /// No higher rate was allowed.
    RateMax,
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The highest rate at which all confirming runs held; `None`: not even the lowest one.
    pub rate: Option<u64>,
    /// The lowest rate above it that did not hold.
    pub rate_not_held: Option<u64>,
    /// What keeps it from being higher.
    pub bound: Bound,
}

/// A search that is going on.
#[derive(Debug)]
pub struct Engine<'a, Run> {
    plan: &'a Plan,
    run: Run,
    runs: u64,
    bound: Bound,
    not_held: Option<u64>,
}

impl<'a, E, Run: FnMut(Tried) -> Result<Finding, Stop<E>>> Engine<'a, Run> {
    /// A search after `plan`, of runs that `run` makes and judges.
    pub fn new(plan: &'a Plan, run: Run) -> Self {
        Self {
            plan,
            run,
            runs: 0,
            bound: Bound::RateMax,
            not_held: None,
        }
    }

    /// Searches to the end.
    ///
    /// # Errors
    /// When it is interrupted, or a run fails.
    pub fn search(mut self) -> Result<Found, Stop<E>> {
        let mut rate = self.bracket()?;
        if let Some(low) = rate {
            let highest = self.bisect(low)?;
            rate = self.confirm(highest)?;
        }
        Ok(Found {
            rate,
            rate_not_held: self.not_held,
            bound: self.bound,
        })
    }

    /// The highest rate of a geometric row that holds, with the next one as `not_held`.
    fn bracket(&mut self) -> Result<Option<u64>, Stop<E>> {
        let plan = self.plan;
        let mut held = None;
        let mut rate = plan.rate_first.clamp(plan.rate_min, plan.rate_max);
        loop {
            if self.holds(rate, Phase::Bracket)? {
                held = Some(rate);
                if self.not_held.is_some() || rate == plan.rate_max {
                    return Ok(held);
                }
                rate = scaled(rate, plan.factor).max(rate + 1).min(plan.rate_max);
            } else {
                if held.is_some() || rate == plan.rate_min {
                    return Ok(held);
                }
                rate = scaled(rate, plan.factor.recip()).min(rate - 1).max(plan.rate_min);
            }
        }
    }

    fn bisect(&mut self, mut low: u64) -> Result<u64, Stop<E>> {
        while let Some(high) = self.not_held {
            let middle = (low as f64 * high as f64).sqrt().round() as u64;
            let is_close = high as f64 / low as f64 <= 1.0 + self.plan.resolution;
            if is_close || middle <= low || middle >= high {
                break;
            }
            if self.holds(middle, Phase::Bisect)? {
                low = middle;
            }
        }
        Ok(low)
    }

    fn confirm(&mut self, mut rate: u64) -> Result<Option<u64>, Stop<E>> {
        for _ in 0..=self.plan.steps_down_max {
            let mut all_held = true;
            for _ in 0..self.plan.confirm {
                all_held = self.holds(rate, Phase::Confirm)?;
                if !all_held {
                    break;
                }
            }
            if all_held {
                return Ok(Some(rate));
            }
            if rate == self.plan.rate_min {
                break;
            }
            let lower = scaled(rate, 1.0 / (1.0 + self.plan.resolution));
            rate = lower.min(rate - 1).max(self.plan.rate_min);
        }
        Ok(None)
    }

    /// Whether `rate` holds, from the first run that is valid; if it does not, it is the new upper end.
    fn holds(&mut self, rate: u64, phase: Phase) -> Result<bool, Stop<E>> {
        let mut finding = Finding::Unmeasured;
        for _ in 0..=self.plan.invalid_max {
            let seed = self.plan.seed.wrapping_add(self.runs);
            self.runs += 1;
            finding = (self.run)(Tried { phase, rate, seed })?;
            if finding != Finding::Unmeasured {
                break;
            }
        }
        if finding != Finding::Held {
            self.not_held = Some(rate);
            self.bound = match finding {
                Finding::Unmeasured => Bound::Unmeasured,
                _ => Bound::Objective,
            };
        }
        Ok(finding == Finding::Held)
    }
}

fn scaled(rate: u64, factor: f64) -> u64 {
    (rate as f64 * factor).round() as u64
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn plan() -> Plan {
        Plan {
            rate_first: 10_000,
            rate_min: 100,
            rate_max: 10_000_000,
            factor: 2.0,
            resolution: 0.05,
            confirm: 5,
            steps_down_max: 5,
            invalid_max: 2,
            seed: 1,
        }
    }

    /// Searches with `run`; what was found, and what was tried.
    fn search(plan: &Plan, mut run: impl FnMut(Tried) -> Finding) -> (Found, Vec<Tried>) {
        let mut all = Vec::new();
        let engine = Engine::new(plan, |tried| {
            all.push(tried);
            Ok::<_, Stop<Infallible>>(run(tried))
        });
        let found = engine.search().unwrap();
        (found, all)
    }

    fn below(limit: u64) -> impl FnMut(Tried) -> Finding {
        move |tried| match tried.rate <= limit {
            true => Finding::Held,
            false => Finding::Missed,
        }
    }

    #[test]
    fn the_highest_rate_is_found_from_below_and_from_above() {
        for limit in [123_456, 10_001, 9_999, 250, 7_654_321] {
            let (found, tried) = search(&plan(), below(limit));
            let rate = found.rate.unwrap();
            assert!(
                rate <= limit && rate as f64 > limit as f64 / 1.05 - 1.0,
                "{limit}: {found:?}"
            );
            assert!(found.rate_not_held.unwrap() > limit, "{limit}: {found:?}");
            assert_eq!(found.bound, Bound::Objective);
            let confirming = tried.iter().filter(|tried| tried.phase == Phase::Confirm);
            assert!(confirming.clone().count() == 5 && confirming.clone().all(|tried| tried.rate == rate));
            assert!(tried.len() < 25, "{limit}: {} runs", tried.len());
        }
    }

    #[test]
    fn every_run_has_a_seed_of_its_own() {
        let (_, tried) = search(&plan(), below(55_000));
        let seeds: Vec<u64> = tried.iter().map(|tried| tried.seed).collect();
        assert_eq!(seeds, (1..=tried.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn the_ends_of_the_range_end_the_search() {
        let (found, _) = search(&plan(), below(u64::MAX));
        assert_eq!((found.rate, found.bound), (Some(10_000_000), Bound::RateMax));
        let (found, tried) = search(&plan(), below(99));
        assert_eq!((found.rate, found.rate_not_held), (None, Some(100)));
        assert!(tried.iter().all(|tried| tried.phase == Phase::Bracket));
    }

    #[test]
    fn invalid_runs_are_made_again_and_too_many_mark_the_generators_limit() {
        let mut calls = 0;
        let (found, _) = search(&plan(), |tried| {
            calls += 1;
            // Every third run is disturbed; above 50,000 the generator cannot.
            match (calls % 3, tried.rate) {
                (0, _) | (_, 50_001..) => Finding::Unmeasured,
                _ => Finding::Held,
            }
        });
        assert_eq!(found.bound, Bound::Unmeasured);
        assert!((47_000..=50_000).contains(&found.rate.unwrap()), "{found:?}");
    }

    #[test]
    fn a_rate_that_does_not_hold_again_is_lowered() {
        let (found, tried) = search(&plan(), |tried| {
            // Luck lets the search see 100,000; again and again only 91,000 hold.
            let limit = if tried.phase == Phase::Confirm {
                91_000
            } else {
                100_000
            };
            below(limit)(tried)
        });
        let rate = found.rate.unwrap();
        assert!((86_000..=91_000).contains(&rate), "{found:?}");
        assert!(found.rate_not_held.unwrap() > rate);
        let at_rate = tried.iter().filter(|tried| tried.rate == rate);
        assert_eq!(at_rate.count(), 5);
    }

    #[test]
    fn giving_up_and_stopping_by_hand() {
        let never = |tried: Tried| match tried.phase {
            Phase::Confirm => Finding::Missed,
            _ => below(40_000)(tried),
        };
        assert_eq!(search(&plan(), never).0.rate, None);
        let stopped = Engine::new(&plan(), |_| Err::<Finding, _>(Stop::<Infallible>::Interrupted)).search();
        assert!(matches!(stopped, Err(Stop::Interrupted)));
    }
}
