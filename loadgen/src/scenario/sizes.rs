//! How large messages are: one size, or a distribution over at most 64 sizes.
//!
//! Few sizes, so that a producer can hold a ready-made message of each. A continuous distribution is rounded to them: the sizes
//! lie evenly (uniform) or at equal ratios (log-normal), each with the probability of its surroundings.

use serde::{Deserialize, Serialize};

use super::Scenario;
use crate::body::STAMP_BYTES;

/// Sizes that a run may have.
pub(super) const SIZES_MAX: usize = 64;
/// A log-normal distribution is cut off at so many standard deviations on either side: 6 in 100,000 lie beyond.
const LOG_NORMAL_SIGMAS: f64 = 4.0;

/// A distribution of sizes, in bytes with the stamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sizes {
    /// From the first to the second, all equally likely.
    Uniform(u32, u32),
    /// These sizes, each with its weight.
    Choices(Vec<(u32, u32)>),
    /// The logarithm is normally distributed.
    LogNormal {
        /// Half of the messages are smaller.
        median: u32,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
        /// Larger ones are this large.
        max: u32,
    },
}

impl Sizes {
    /// The sizes in ascending order, each with its weight.
    #[must_use]
    pub fn weighted(&self) -> Vec<(u32, f64)> {
        let mut weighted = match *self {
            Self::Uniform(min, max) => uniform(min, max),
            Self::Choices(ref choices) => choices
                .iter()
                .map(|&(size, weight)| (size, f64::from(weight)))
                .collect(),
            Self::LogNormal { median, sigma, max } => log_normal(f64::from(median), sigma, f64::from(max)),
        };
        weighted.sort_by_key(|&(size, _)| size);
        weighted.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        weighted
    }
}

fn uniform(min: u32, max: u32) -> Vec<(u32, f64)> {
    let count = ((max - min) as usize + 1).min(SIZES_MAX);
    let step = f64::from(max - min) / (count.max(2) - 1) as f64;
    (0..count)
        .map(|index| (min + (index as f64 * step).round() as u32, 1.0))
        .collect()
}

fn log_normal(median: f64, sigma: f64, max: f64) -> Vec<(u32, f64)> {
    let reach = (LOG_NORMAL_SIGMAS * sigma).exp();
    let smallest = (median / reach).max(STAMP_BYTES as f64);
    let largest = (median * reach).clamp(smallest, max.max(smallest));
    let ratio = (largest / smallest).powf(1.0 / (SIZES_MAX - 1) as f64);
    let below = |size: f64| normal_below((size / median).ln() / sigma);
    (0..SIZES_MAX)
        .map(|index| {
            let size = smallest * ratio.powi(index as i32);
            // Up to half-way, in ratios, to the neighbours; the outermost stand for everything beyond them.
            let from = if index == 0 {
                0.0
            } else {
                below(size / ratio.sqrt())
            };
            let to = if index == SIZES_MAX - 1 {
                1.0
            } else {
                below(size * ratio.sqrt())
            };
            (size.round() as u32, (to - from).max(0.0))
        })
        .collect()
}

/// The standard normal distribution function (Abramowitz and Stegun, 26.2.17; error below 7.5e-8).
fn normal_below(z: f64) -> f64 {
    const TERMS: [f64; 5] = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let above = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if z >= 0.0 { 1.0 - above } else { above }
}

impl Scenario {
    /// The sizes of the messages in ascending order, each with its weight.
    #[must_use]
    pub fn weighted_sizes(&self) -> Vec<(u32, f64)> {
        match (&self.sizes, self.size_bytes) {
            (Some(sizes), _) => sizes.weighted(),
            (None, Some(size)) => vec![(size, 1.0)],
            // The checks refuse a scenario with neither.
            (None, None) => vec![(STAMP_BYTES as u32, 1.0)],
        }
    }

    /// The average size of a message, in bytes.
    #[must_use]
    pub fn size_bytes_mean(&self) -> f64 {
        let sizes = self.weighted_sizes();
        let weight: f64 = sizes.iter().map(|(_, weight)| weight).sum();
        let sum: f64 = sizes.iter().map(|&(size, weight)| f64::from(size) * weight).sum();
        sum / weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_sizes_reach_from_end_to_end() {
        let few = Sizes::Uniform(16, 19).weighted();
        assert_eq!(few, [(16, 1.0), (17, 1.0), (18, 1.0), (19, 1.0)]);
        let many = Sizes::Uniform(16, 10_000).weighted();
        assert_eq!((many.len(), many[0].0, many[63].0), (64, 16, 10_000));
        assert_eq!(Sizes::Uniform(20, 20).weighted(), [(20, 1.0)]);
    }

    #[test]
    fn the_same_choice_twice_is_one_with_both_weights() {
        let sizes = Sizes::Choices(vec![(1_024, 1), (16, 3), (1_024, 2)]).weighted();
        assert_eq!(sizes, [(16, 3.0), (1_024, 3.0)]);
    }

    #[test]
    fn log_normal_sizes_have_the_median_and_the_mean_of_their_distribution() {
        let sizes = Sizes::LogNormal {
            median: 1_000,
            sigma: 0.5,
            max: 1_000_000,
        }
        .weighted();
        assert!(sizes.len() <= SIZES_MAX);
        let total: f64 = sizes.iter().map(|(_, weight)| weight).sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        let mean: f64 = sizes.iter().map(|&(size, weight)| f64::from(size) * weight).sum();
        // The mean of a log-normal distribution is median × exp(σ²/2).
        assert!((mean / (1_000.0 * 0.125_f64.exp()) - 1.0).abs() < 0.005, "{mean}");
        let below: f64 = sizes
            .iter()
            .filter(|(size, _)| *size < 1_000)
            .map(|(_, weight)| weight)
            .sum();
        assert!((below - 0.5).abs() < 0.03, "{below}");
    }

    #[test]
    fn what_would_be_larger_is_as_large_as_allowed() {
        let sizes = Sizes::LogNormal {
            median: 1_000,
            sigma: 1.0,
            max: 2_000,
        }
        .weighted();
        let (largest, weight) = *sizes.last().unwrap();
        assert_eq!(largest, 2_000);
        // ln 2 standard deviations above the median lie 24.4 %.
        assert!((weight - 0.244).abs() < 0.02, "{weight}");
        assert!(sizes[0].0 >= 16);
    }

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (z, below) in [
            (0.0, 0.5),
            (1.0, 0.841_344_75),
            (-1.96, 0.024_997_90),
            (3.0, 0.998_650_10),
        ] {
            assert!((normal_below(z) - below).abs() < 1e-7, "{z}");
        }
    }
}
