//! The bootstrap: how much a statistic would vary had other runs been made, found by drawing runs again from those made.
//!
//! Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6, 13 and 14.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::interval::Interval;
use super::order::{mean, quantile_of_sorted};

/// Samples drawn for each interval.
pub const RESAMPLES: usize = 10_000;

/// One or more independent samples and what is computed from them. Each is drawn from by itself.
#[derive(Clone, Debug)]
pub struct Sample<'a, Item> {
    /// The groups, e.g. one (a median) or two (a ratio of medians); none is empty.
    pub groups: &'a [&'a [Item]],
    /// The statistic, given groups of the same sizes (one item less in one of them for the acceleration).
    pub statistic: fn(&[Vec<Item>]) -> f64,
}

impl<Item: Copy> Sample<'_, Item> {
    /// The statistic of the sample itself.
    #[must_use]
    pub fn point(&self) -> f64 {
        (self.statistic)(&self.groups.iter().map(|group| group.to_vec()).collect::<Vec<_>>())
    }

    /// The statistic of [`RESAMPLES`] samples drawn with replacement, ascending.
    fn replicates(&self, seed: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut drawn: Vec<Vec<Item>> = self.groups.iter().map(|group| group.to_vec()).collect();
        let mut replicates: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                for (into, group) in drawn.iter_mut().zip(self.groups) {
                    into.fill_with(|| group[random.usize(..group.len())]);
                }
                (self.statistic)(&drawn)
            })
            .collect();
        replicates.sort_by(f64::total_cmp);
        replicates
    }

    /// The acceleration: a sixth of the skewness of the statistic's influence values, from leaving out each item once. With
    /// several groups, each group's influences weigh by its size (Davison and Hinkley 1997, section 5.3.2).
    fn acceleration(&self) -> f64 {
        let whole: Vec<Vec<Item>> = self.groups.iter().map(|group| group.to_vec()).collect();
        let (mut cubes, mut squares) = (0.0, 0.0);
        for (index, group) in self.groups.iter().enumerate() {
            let size = group.len() as f64;
            let without: Vec<f64> = (0..group.len())
                .map(|left_out| {
                    let mut groups = whole.clone();
                    groups[index].remove(left_out);
                    (self.statistic)(&groups)
                })
                .collect();
            let center = mean(&without);
            for value in without {
                let influence = (size - 1.0) * (center - value);
                cubes += influence.powi(3) / size.powi(3);
                squares += influence.powi(2) / size.powi(2);
            }
        }
        if squares > 0.0 {
            cubes / (6.0 * squares.powf(1.5))
        } else {
            0.0
        }
    }
}

/// The percentile interval. For statistics that jump, such as a median, which has no acceleration.
#[must_use]
pub fn percentile<Item: Copy>(sample: &Sample<'_, Item>, confidence: f64, seed: u64) -> Interval {
    let replicates = sample.replicates(seed);
    let outside = (1.0 - confidence) / 2.0;
    Interval {
        low: quantile_of_sorted(&replicates, outside),
        point: sample.point(),
        high: quantile_of_sorted(&replicates, 1.0 - outside),
        confidence,
    }
}

/// The bias-corrected and accelerated interval (BCa): second-order correct for smooth statistics such as means.
#[must_use]
pub fn bca<Item: Copy>(sample: &Sample<'_, Item>, confidence: f64, seed: u64) -> Interval {
    let replicates = sample.replicates(seed);
    let point = sample.point();
    let normal = Normal::standard();
    // Equal ones count half: with few items replicates often equal the point.
    let below = replicates.partition_point(|value| *value < point);
    let up_to = replicates.partition_point(|value| *value <= point);
    let share = (below + up_to) as f64 / 2.0 / replicates.len() as f64;
    let end = 0.5 / replicates.len() as f64;
    let bias = normal.inverse_cdf(share.clamp(end, 1.0 - end));
    let acceleration = sample.acceleration();
    let corrected = |nominal: f64| {
        let z = bias + normal.inverse_cdf(nominal);
        normal.cdf(bias + z / (1.0 - acceleration * z))
    };
    let outside = (1.0 - confidence) / 2.0;
    Interval {
        low: quantile_of_sorted(&replicates, corrected(outside)),
        point,
        high: quantile_of_sorted(&replicates, corrected(1.0 - outside)),
        confidence,
    }
}

/// The statistic's standard error: the standard deviation of its replicates.
#[must_use]
pub fn standard_error<Item: Copy>(sample: &Sample<'_, Item>, seed: u64) -> f64 {
    let replicates = sample.replicates(seed);
    let center = mean(&replicates);
    let squares: f64 = replicates.iter().map(|value| (value - center).powi(2)).sum();
    (squares / (replicates.len() as f64 - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::order::median;

    /// Efron and Tibshirani, table 2.1: survival in days of the treated mice.
    const MICE: [f64; 7] = [94.0, 197.0, 16.0, 38.0, 99.0, 141.0, 23.0];
    /// Table 3.1: average LSAT and GPA of the classes of 15 law schools.
    const LAW_SCHOOLS: [(f64, f64); 15] = [
        (576.0, 3.39),
        (635.0, 3.30),
        (558.0, 2.81),
        (578.0, 3.03),
        (666.0, 3.44),
        (580.0, 3.07),
        (555.0, 3.00),
        (661.0, 3.43),
        (651.0, 3.36),
        (605.0, 3.13),
        (653.0, 3.12),
        (575.0, 2.74),
        (545.0, 2.76),
        (572.0, 2.88),
        (594.0, 2.96),
    ];
    /// Table 14.1: spatial perception of 26 neurologically impaired children, test A.
    const SPATIAL: [f64; 26] = [
        48.0, 36.0, 20.0, 29.0, 42.0, 42.0, 20.0, 42.0, 22.0, 41.0, 45.0, 14.0, 6.0, 0.0, 33.0, 28.0, 34.0,
        4.0, 32.0, 24.0, 47.0, 41.0, 24.0, 26.0, 30.0, 41.0,
    ];

    fn correlation(groups: &[Vec<(f64, f64)>]) -> f64 {
        let (x, y): (Vec<f64>, Vec<f64>) = groups[0].iter().copied().unzip();
        let (x_mean, y_mean) = (mean(&x), mean(&y));
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            groups[0].iter().map(|(x, y)| of(x - x_mean, y - y_mean)).sum()
        };
        sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
    }

    fn variance(groups: &[Vec<f64>]) -> f64 {
        let center = mean(&groups[0]);
        groups[0]
            .iter()
            .map(|value| (value - center).powi(2))
            .sum::<f64>()
            / groups[0].len() as f64
    }

    /// Table 2.2: 23.36 for the mean and 37.83 for the median, in the limit of many resamples.
    #[test]
    fn standard_errors_are_those_of_the_mouse_data() {
        let of = |statistic: fn(&[Vec<f64>]) -> f64| {
            standard_error(
                &Sample {
                    groups: &[&MICE],
                    statistic,
                },
                11,
            )
        };
        let (of_mean, of_median) = (of(|groups| mean(&groups[0])), of(|groups| median(&groups[0])));
        assert!((of_mean - 23.36).abs() < 0.5, "{of_mean}");
        assert!((of_median - 37.83).abs() < 0.8, "{of_median}");
    }

    /// Section 6.3: correlation 0.776; table 6.1: standard error 0.132 with 3,200 resamples.
    #[test]
    fn the_correlation_of_the_law_schools_varies_as_published() {
        let sample = Sample {
            groups: &[&LAW_SCHOOLS],
            statistic: correlation,
        };
        assert!((sample.point() - 0.776).abs() < 5e-4, "{}", sample.point());
        let error = standard_error(&sample, 3);
        assert!((error - 0.132).abs() < 0.004, "{error}");
    }

    /// Table 14.2, 90 %: percentile 100.8 to 233.9, BCa 115.8 to 259.6; section 14.3: acceleration 0.061.
    #[test]
    fn intervals_of_the_spatial_data_are_the_published_ones() {
        let sample = Sample {
            groups: &[&SPATIAL],
            statistic: variance,
        };
        assert!((sample.point() - 171.5).abs() < 0.05, "{}", sample.point());
        assert!((sample.acceleration() - 0.061).abs() < 5e-4);
        let near = |interval: Interval, low: f64, high: f64| {
            assert!((interval.low - low).abs() < 4.0, "{interval:?}");
            assert!((interval.high - high).abs() < 6.0, "{interval:?}");
        };
        near(percentile(&sample, 0.9, 5), 100.8, 233.9);
        near(bca(&sample, 0.9, 5), 115.8, 259.6);
    }

    #[test]
    fn a_seed_fixes_the_interval() {
        let sample = Sample {
            groups: &[&MICE],
            statistic: |groups: &[Vec<f64>]| mean(&groups[0]),
        };
        assert_eq!(bca(&sample, 0.95, 5), bca(&sample, 0.95, 5));
        assert_ne!(bca(&sample, 0.95, 5), bca(&sample, 0.95, 6));
    }

    #[test]
    fn equal_values_leave_nothing_open() {
        let sample = Sample {
            groups: &[&[3.0; 8][..]],
            statistic: |groups: &[Vec<f64>]| mean(&groups[0]),
        };
        let interval = bca(&sample, 0.95, 1);
        assert_eq!((interval.low, interval.point, interval.high), (3.0, 3.0, 3.0));
    }
}
