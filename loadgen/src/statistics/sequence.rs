//! Decisions while runs are still being made: an interval that may be looked at after every pair.
//!
//! Ordinary intervals lose their confidence when one looks again and again and stops at the first that pleases. A
//! confidence *sequence* contains the true value at all looks at once, with the stated confidence. This one is for the mean
//! of normal values of unknown variance: all means μ that the Bayes factor of "effect size drawn from N(0, 1)" against "μ"
//! does not refute by 1 ÷ (1 − confidence). With the right Haar prior on the scale that factor is, under "μ", a
//! non-negative martingale with expectation 1 from the second value on, so by Ville's inequality it ever exceeds 1/α with a chance of at most α
//! (Lai, "On confidence sequences", 1976; Hendriksen, de Heide and Grünwald, "Optional stopping with Bayes factors", 2021;
//! Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", 2024).
//! The factor itself is equation 1 of Rouder et al., "Bayesian t tests" (2009), with a fixed g.
//!
//! Chosen over group-sequential α spending because it needs no schedule of looks and no known end: the number of
//! pairs may be raised later. The price is some more pairs than a single look at the right time would have needed.

use statrs::distribution::{Beta, ContinuousCDF as _};

use super::interval::Interval;
use super::order::mean;

/// Variance of the effect sizes (difference ÷ standard deviation of a pair) that the sequence is sharpest for.
const EFFECT_VARIANCE: f64 = 1.0;

/// Fewest pairs for an interval: two have a variance, but three or four rarely say anything.
pub const PAIRS_MIN: usize = 5;

/// Values as they come in, and the interval of their mean that holds at every look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfidenceSequence {
    values: Vec<f64>,
}

impl ConfidenceSequence {
    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    /// The values so far.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The interval of the mean of normal values. `None` with fewer than [`PAIRS_MIN`] values; its ends are infinite as long
    /// as the values are too few for the confidence.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        let count = self.values.len();
        if count < PAIRS_MIN {
            return None;
        }
        let point = mean(&self.values);
        let squares: f64 = self.values.iter().map(|value| (value - point).powi(2)).sum();
        let count = count as f64;
        let error = (squares / (count - 1.0) / count).sqrt();
        let width = match critical_t(count, 1.0 - confidence) {
            // Equal values: 0 × ∞ would be no number.
            t if t.is_finite() => t * error,
            infinite => infinite,
        };
        Some(Interval {
            low: point - width,
            point,
            high: point + width,
            confidence,
        })
    }
}

/// The t statistic at which the Bayes factor of `count` values reaches 1 ÷ `alpha`, solved for in closed form.
fn critical_t(count: f64, alpha: f64) -> f64 {
    let spread = 1.0 + count * EFFECT_VARIANCE;
    let root = (spread / (alpha * alpha)).powf(1.0 / count);
    if root >= spread {
        return f64::INFINITY;
    }
    ((root - 1.0) / (1.0 - root / spread) * (count - 1.0)).sqrt()
}

/// The share of runs that hold an objective is at least this, with `confidence` (one-sided), when `held` of `held` runs did
/// (Clopper and Pearson, 1934). 0 of none.
#[must_use]
pub fn holds_at_least(held: usize, confidence: f64) -> f64 {
    // With all successes the bound is the α quantile of Beta(n, 1).
    Beta::new(held as f64, 1.0).map_or(0.0, |beta| beta.inverse_cdf(1.0 - confidence))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A standard normal value (Box and Muller).
    pub(in crate::statistics) fn normal(random: &mut fastrand::Rng) -> f64 {
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.f64()).cos()
    }

    /// Whether 0 was ever outside the 95 % interval in 60 looks at values of `next`.
    fn ever_excludes_zero(seed: u64, next: impl Fn(&mut fastrand::Rng) -> f64) -> bool {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut sequence = ConfidenceSequence::default();
        (0..60).any(|_| {
            sequence.push(next(&mut random));
            let interval = sequence.interval(0.95);
            interval.is_some_and(|interval| !interval.contains(0.0))
        })
    }

    fn share(of: impl Fn(u64) -> bool) -> f64 {
        (0..1_000).filter(|&seed| of(seed)).count() as f64 / 1_000.0
    }

    #[test]
    fn looking_sixty_times_keeps_the_error_rate() {
        let wrong = share(|seed| ever_excludes_zero(seed, normal));
        assert!(wrong <= 0.05, "{wrong}");
        assert!(wrong > 0.005, "{wrong}: far wider than need be");
    }

    /// Values need not be quite normal: heavier tails, or a skew as that of log ratios of latencies.
    #[test]
    fn tails_and_skew_do_little_harm() {
        let heavy = |random: &mut fastrand::Rng| {
            let scale = if random.f64() < 0.1 { 5.0 } else { 1.0 };
            scale * normal(random)
        };
        let skewed = |random: &mut fastrand::Rng| (0.3 * normal(random)).exp() - (0.045_f64).exp();
        let (heavy, skewed) = (
            share(|seed| ever_excludes_zero(seed, heavy)),
            share(|seed| ever_excludes_zero(seed, skewed)),
        );
        assert!(heavy <= 0.05 && skewed <= 0.065, "{heavy} {skewed}");
    }

    #[test]
    fn a_difference_of_two_deviations_is_found_within_ten_pairs() {
        let found = share(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut sequence = ConfidenceSequence::default();
            (0..10).for_each(|_| sequence.push(2.0 + normal(&mut random)));
            sequence.interval(0.95).unwrap().low > 0.0
        });
        assert!(found > 0.9, "{found}");
    }

    /// At the critical t the Bayes factor, written as Rouder et al. do, is 1/α.
    #[test]
    fn the_critical_value_solves_the_bayes_factor() {
        for count in [5.0_f64, 8.0, 40.0] {
            let t = critical_t(count, 0.05);
            let (freedom, spread) = (count - 1.0, 1.0 + count);
            let null = (1.0 + t * t / freedom).powf(-count / 2.0);
            let other = spread.powf(-0.5) * (1.0 + t * t / (spread * freedom)).powf(-count / 2.0);
            assert!((other / null - 20.0).abs() < 1e-6, "{count}: {}", other / null);
        }
        assert_eq!(critical_t(2.0, 0.05), f64::INFINITY);
    }

    #[test]
    fn four_values_are_not_enough_and_equal_ones_do_no_harm() {
        let mut sequence = ConfidenceSequence::default();
        (0..4).for_each(|_| sequence.push(1.0));
        assert_eq!(sequence.interval(0.95), None);
        sequence.push(1.0);
        assert_eq!(sequence.interval(0.95).unwrap().low, 1.0);
        assert_eq!(sequence.interval(0.999).unwrap().low, f64::NEG_INFINITY);
    }

    #[test]
    fn five_of_five_is_a_weak_promise() {
        assert!((holds_at_least(5, 0.95) - 0.05_f64.powf(0.2)).abs() < 1e-6);
        assert_eq!(holds_at_least(0, 0.95), 0.0);
    }
}
