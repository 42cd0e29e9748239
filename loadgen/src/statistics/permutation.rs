//! The permutation test for pairs.

/// Up to so many pairs all 2ⁿ sign patterns are tried; beyond, so many as this of them at random.
const PAIRS_EXACT_MAX: usize = 16;
const PATTERNS: u32 = 1 << PAIRS_EXACT_MAX;

/// Two-sided p value of the hypothesis that each pair's `difference` is as likely its own negative (Fisher, "The Design of
/// Experiments", 1935, on Darwin's plants): the share of sign patterns whose sum is as far from 0 as the one found. For
/// ratios, pass their logarithms. 1 of nothing.
#[must_use]
pub fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let found: f64 = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order may differ in their last bits.
    let least = found * (1.0 - 1e-12);
    let count = differences.len();
    if count <= PAIRS_EXACT_MAX {
        let patterns = 1_u32 << count;
        let extreme = (0..patterns).filter(|pattern| flipped(differences, u64::from(*pattern)) >= least);
        return extreme.count() as f64 / f64::from(patterns);
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let extreme = (0..PATTERNS).filter(|_| {
        let sum: f64 = differences
            .iter()
            .map(|difference| if random.bool() { *difference } else { -difference })
            .sum();
        sum.abs() >= least
    });
    // The pattern found is one of them (Phipson and Smyth, 2010): p is never 0.
    (extreme.count() as f64 + 1.0) / (f64::from(PATTERNS) + 1.0)
}

fn flipped(differences: &[f64], pattern: u64) -> f64 {
    let signed = differences.iter().enumerate().map(|(index, difference)| {
        if pattern >> index & 1 == 1 {
            -difference
        } else {
            *difference
        }
    });
    signed.sum::<f64>().abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fisher 1935, section 21: of the 32,768 patterns, 863 sums are as large as the one found, as many as small.
    #[test]
    fn agrees_with_fisher_on_darwins_plants() {
        let eighths_of_an_inch = [
            49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0,
        ];
        assert_eq!(sign_flip(&eighths_of_an_inch, 1), 2.0 * 863.0 / 32_768.0);
    }

    #[test]
    fn many_pairs_are_sampled_and_near_the_exact_value() {
        // Twenty equal signs: 2 of 2^20 patterns are as extreme.
        assert!(sign_flip(&[1.0; 20], 7) < 1e-4);
        let balanced: Vec<f64> = (0..20)
            .map(|index| if index % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        assert_eq!(sign_flip(&balanced, 7), 1.0);
    }

    #[test]
    fn five_pairs_cannot_be_significant_at_5_percent() {
        assert_eq!(sign_flip(&[1.0, 1.1, 0.9, 1.2, 1.3], 1), 2.0 / 32.0);
    }
}
