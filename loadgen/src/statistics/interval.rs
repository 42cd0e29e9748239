//! A confidence interval, and the ways to one from runs.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::bootstrap::{Sample, bca, percentile};
use super::order::{geometric_mean, median};

/// Fewer runs (on any side) have no interval: the bootstrap of four values covers far less than it states.
pub const RUNS_MIN: usize = 5;

/// A range that contains the true value with a stated confidence, and the best guess within.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// The estimate.
    pub point: f64,
    /// Upper end.
    pub high: f64,
    /// Share of such intervals that contain the true value, e.g. 0.95.
    pub confidence: f64,
}

/// Why there is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoInterval {
    /// Not enough runs.
    #[error("{found} runs have no interval; at least {RUNS_MIN} are needed")]
    TooFew {
        /// Runs of the smaller side.
        found: usize,
    },
    /// The statistic cannot be computed from these values.
    #[error("values that are not positive and finite have no ratio")]
    NotPositive,
    /// A pair lacks one side.
    #[error("{first} and {second} runs are no pairs")]
    Unpaired {
        /// Runs of the first side.
        first: usize,
        /// Runs of the second side.
        second: usize,
    },
}

impl Interval {
    /// Of the median of runs (percentile bootstrap). `confidence` is a share, e.g. 0.95.
    ///
    /// # Errors
    /// With fewer than [`RUNS_MIN`] runs.
    pub fn of_median(values: &[f64], confidence: f64, seed: u64) -> Result<Self, NoInterval> {
        enough(values.len())?;
        let sample = Sample {
            groups: &[values],
            statistic: |groups| median(&groups[0]),
        };
        Ok(percentile(&sample, confidence, seed))
    }

    /// Of median(`values`) ÷ median(`base`), two independent sets of runs (percentile bootstrap, each drawn from by itself).
    ///
    /// # Errors
    /// With fewer than [`RUNS_MIN`] runs on a side, or values that are not positive.
    pub fn of_ratio(values: &[f64], base: &[f64], confidence: f64, seed: u64) -> Result<Self, NoInterval> {
        enough(values.len().min(base.len()))?;
        positive(values)?;
        positive(base)?;
        let sample = Sample {
            groups: &[values, base],
            statistic: |groups| median(&groups[0]) / median(&groups[1]),
        };
        Ok(percentile(&sample, confidence, seed))
    }

    /// Of the ratio `values` ÷ `base` of runs made in pairs, index by index: the geometric mean of the ratios (BCa bootstrap
    /// over pairs). What both runs of a pair share, such as a slow minute of the machine, cancels.
    ///
    /// # Errors
    /// With fewer than [`RUNS_MIN`] pairs, sides of different length, or values that are not positive.
    pub fn of_paired_ratio(
        values: &[f64],
        base: &[f64],
        confidence: f64,
        seed: u64,
    ) -> Result<Self, NoInterval> {
        if values.len() != base.len() {
            return Err(NoInterval::Unpaired {
                first: values.len(),
                second: base.len(),
            });
        }
        enough(values.len())?;
        positive(values)?;
        positive(base)?;
        let ratios: Vec<f64> = values
            .iter()
            .zip(base)
            .map(|(value, base)| value / base)
            .collect();
        let sample = Sample {
            groups: &[&ratios[..]],
            statistic: |groups| geometric_mean(&groups[0]),
        };
        Ok(bca(&sample, confidence, seed))
    }

    /// Whether `value` lies within.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether all of it lies within `low` to `high`.
    #[must_use]
    pub fn lies_within(&self, low: f64, high: f64) -> bool {
        low <= self.low && self.high <= high
    }

    /// Ends and estimate, each through `change`, which must not decrease.
    #[must_use]
    pub fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            low: change(self.low),
            point: change(self.point),
            high: change(self.high),
            confidence: self.confidence,
        }
    }
}

fn enough(found: usize) -> Result<(), NoInterval> {
    if found < RUNS_MIN {
        Err(NoInterval::TooFew { found })
    } else {
        Ok(())
    }
}

fn positive(values: &[f64]) -> Result<(), NoInterval> {
    if values.iter().all(|value| *value > 0.0 && value.is_finite()) {
        Ok(())
    } else {
        Err(NoInterval::NotPositive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::sequence::tests::normal;

    #[test]
    fn few_runs_have_no_interval_and_say_so() {
        let error = Interval::of_median(&[1.0; 4], 0.95, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4 runs have no interval; at least 5 are needed"
        );
        let ratio = Interval::of_ratio(&[1.0; 9], &[1.0; 2], 0.95, 1);
        assert_eq!(ratio, Err(NoInterval::TooFew { found: 2 }));
        let paired = Interval::of_paired_ratio(&[1.0; 9], &[1.0; 8], 0.95, 1);
        assert_eq!(paired, Err(NoInterval::Unpaired { first: 9, second: 8 }));
        let zero = Interval::of_ratio(&[0.0; 9], &[1.0; 9], 0.95, 1);
        assert_eq!(zero, Err(NoInterval::NotPositive));
    }

    #[test]
    fn a_ratio_has_the_direction_of_its_name() {
        let interval = Interval::of_ratio(
            &[198.0, 199.0, 200.0, 201.0, 202.0],
            &[98.0, 99.0, 100.0, 101.0, 102.0],
            0.95,
            1,
        )
        .unwrap();
        assert_eq!(interval.point, 2.0);
        assert!(interval.lies_within(1.9, 2.1) && interval.low < 2.0 && interval.high > 2.0);
    }

    #[test]
    fn what_a_pair_shares_cancels() {
        let base = [100.0, 200.0, 50.0, 400.0, 80.0, 120.0];
        let values = base.map(|value| value * 1.1);
        let paired = Interval::of_paired_ratio(&values, &base, 0.95, 1).unwrap();
        assert!(paired.lies_within(1.0999, 1.1001), "{paired:?}");
        assert!(Interval::of_ratio(&values, &base, 0.95, 1).unwrap().contains(1.0));
    }

    /// The stated confidence is kept on values with a known median: 95 % of 400 intervals, give or take three standard
    /// deviations and what the bootstrap is known to lack with ten values.
    #[test]
    fn intervals_of_a_known_median_cover_it() {
        let covered = (0..400).filter(|&seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            // Log-normal, with median 100.
            let values: Vec<f64> = (0..10)
                .map(|_| 100.0 * (0.1 * normal(&mut random)).exp())
                .collect();
            Interval::of_median(&values, 0.95, seed).unwrap().contains(100.0)
        });
        let covered = covered.count();
        assert!((360..=398).contains(&covered), "{covered} of 400");
    }
}
