//! Two independent samples, compared by ranks: no assumption on how values are distributed.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::order::median;

/// Both samples at most so large: the exact distribution, if no two values are equal.
const EXACT_MAX: usize = 50;

/// What the test looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// The first sample tends to be smaller.
    Less,
    /// The first sample tends to be larger.
    Greater,
    /// Either.
    Different,
}

/// Result of the Mann–Whitney test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the value of the first sample is the larger one; equal ones count half.
    pub u: f64,
    /// Chance of a `u` as extreme if both samples came from one distribution.
    pub p: f64,
    /// Whether `p` is exact; otherwise it is the normal approximation with corrections for ties and continuity.
    pub exact: bool,
}

/// Mann and Whitney's test ("On a test of whether one of two random variables is stochastically larger", 1947).
/// `p` is 1 when a sample is empty.
#[must_use]
pub fn mann_whitney(first: &[f64], second: &[f64], alternative: Alternative) -> MannWhitney {
    let (m, n) = (first.len(), second.len());
    let wins = |a: &f64, b: &f64| match a.total_cmp(b) {
        _ if a == b => 0.5,
        std::cmp::Ordering::Greater => 1.0,
        _ => 0.0,
    };
    let u: f64 = first
        .iter()
        .flat_map(|a| second.iter().map(move |b| wins(a, b)))
        .sum();
    let ties = tie_term(first, second);
    let exact = ties == 0.0 && m <= EXACT_MAX && n <= EXACT_MAX;
    let (less, greater) = if m == 0 || n == 0 {
        (1.0, 1.0)
    } else if exact {
        exact_tails(u as usize, m, n)
    } else {
        normal_tails(u, m as f64, n as f64, ties)
    };
    let p = match alternative {
        Alternative::Less => less,
        Alternative::Greater => greater,
        Alternative::Different => 2.0 * less.min(greater),
    };
    MannWhitney {
        u,
        p: p.min(1.0),
        exact,
    }
}

/// The smallest one-sided p value that samples of these sizes can ever give: 1 over the number of arrangements.
#[must_use]
pub fn mann_whitney_p_min(m: usize, n: usize) -> f64 {
    let arrangements: f64 = (1..=m).map(|k| (n + k) as f64 / k as f64).product();
    arrangements.recip()
}

/// The median of all differences between a value of `first` and one of `second` (Hodges and Lehmann, 1963): by how much
/// `first` is shifted.
#[must_use]
pub fn hodges_lehmann(first: &[f64], second: &[f64]) -> f64 {
    let differences: Vec<f64> = first
        .iter()
        .flat_map(|a| second.iter().map(move |b| a - b))
        .collect();
    median(&differences)
}

/// P(U ≤ u) and P(U ≥ u), from the number of arrangements with each U: N(m, n, u) = N(m−1, n, u−n) + N(m, n−1, u).
fn exact_tails(u: usize, m: usize, n: usize) -> (f64, f64) {
    // The generating function, a Gaussian binomial coefficient, factor by factor: × (1 − q^(n+i)) ÷ (1 − q^i).
    let highest = m * n;
    let mut counts = vec![0.0_f64; highest + 1];
    counts[0] = 1.0;
    for factor in 1..=m {
        for power in (n + factor..=highest).rev() {
            counts[power] -= counts[power - n - factor];
        }
        for power in factor..=highest {
            counts[power] += counts[power - factor];
        }
    }
    let all: f64 = counts.iter().sum();
    let u = u.min(highest);
    (
        counts[..=u].iter().sum::<f64>() / all,
        counts[u..].iter().sum::<f64>() / all,
    )
}

/// Σ (t³ − t) over groups of t equal values.
fn tie_term(first: &[f64], second: &[f64]) -> f64 {
    let mut all = [first, second].concat();
    all.sort_by(f64::total_cmp);
    all.chunk_by(|a, b| a == b)
        .map(|group| (group.len() as f64).powi(3) - group.len() as f64)
        .sum()
}

fn normal_tails(u: f64, m: f64, n: f64, ties: f64) -> (f64, f64) {
    let all = m + n;
    let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        // All values are equal.
        return (1.0, 1.0);
    }
    let normal = Normal::standard();
    let distance = u - m * n / 2.0;
    let deviation = variance.sqrt();
    (
        normal.cdf((distance + 0.5) / deviation),
        normal.sf((distance - 0.5) / deviation),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hollander and Wolfe, "Nonparametric Statistical Methods" (1973), p. 69: permeability of the placenta.
    const AT_TERM: [f64; 10] = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    const EARLY: [f64; 5] = [1.15, 0.88, 0.90, 0.74, 1.21];

    #[test]
    fn agrees_with_hollander_and_wolfe() {
        let test = mann_whitney(&AT_TERM, &EARLY, Alternative::Greater);
        assert_eq!((test.u, test.exact), (35.0, true));
        assert!((test.p - 0.1272).abs() < 5e-5, "{test:?}");
        assert!((hodges_lehmann(&AT_TERM, &EARLY) - 0.305).abs() < 1e-9);
    }

    /// The tables' largest U that is significant at 5 %, two-sided, for samples of equal size.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (size, critical) in [
            (4, 0),
            (5, 2),
            (6, 5),
            (7, 8),
            (8, 13),
            (9, 17),
            (10, 23),
            (20, 127),
        ] {
            assert!(2.0 * exact_tails(critical, size, size).0 <= 0.05, "{size}");
            assert!(2.0 * exact_tails(critical + 1, size, size).0 > 0.05, "{size}");
        }
    }

    #[test]
    fn both_tails_hold_all_arrangements() {
        for u in 0..=12 {
            let (less, greater) = exact_tails(u, 3, 4);
            let at_u = less + greater - 1.0;
            assert!(at_u > 0.0 && at_u <= 5.0 / 35.0 + 1e-12, "{u}: {at_u}");
        }
        assert!((exact_tails(0, 3, 4).0 - mann_whitney_p_min(3, 4)).abs() < 1e-12);
        assert!((mann_whitney_p_min(5, 5) - 1.0 / 252.0).abs() < 1e-12);
    }

    #[test]
    fn equal_values_are_corrected_for() {
        // Ranks 1, 3, 3 | 3, 5.5, 5.5: U = 1; by hand, variance = 9/12 × (7 − 30/30) = 4.5.
        let test = mann_whitney(&[1.0, 2.0, 2.0], &[2.0, 3.0, 3.0], Alternative::Less);
        assert_eq!((test.u, test.exact), (1.0, false));
        let expected = Normal::standard().cdf((1.0 - 4.5 + 0.5) / 4.5_f64.sqrt());
        assert!((test.p - expected).abs() < 1e-12, "{test:?}");
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 5], Alternative::Different).p, 1.0);
    }

    #[test]
    fn the_normal_approximation_joins_the_exact_distribution() {
        let (exact, _) = exact_tails(40, 10, 12);
        let (approximate, _) = normal_tails(40.0, 10.0, 12.0, 0.0);
        assert!((exact - approximate).abs() < 0.004, "{exact} {approximate}");
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        assert_eq!(mann_whitney(&[], &[1.0], Alternative::Different).p, 1.0);
    }
}
