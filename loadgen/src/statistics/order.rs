//! Plain summaries of a few values.

/// The arithmetic mean; NaN of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The geometric mean of positive values: ratios of rates are averaged by it, so that A over B is one over B over A.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// The middle value; of an even number the mean of the two in the middle; NaN of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

pub(super) fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The quantile `share` (0 to 1), interpolated between the two nearest values (Hyndman and Fan's type 7); NaN of nothing.
#[must_use]
pub fn quantile_of_sorted(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// The slope of the line with the least squares through `points` (x, y); `None` when all x are equal.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let x_mean = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let y_mean = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let product: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let square: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    (square > 0.0).then(|| product / square)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_even_and_odd_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn quantiles_lie_between_the_values() {
        let sorted = [10.0, 20.0, 30.0, 40.0, 50.0];
        let found = [0.0, 0.1, 0.5, 0.9, 1.0].map(|share| quantile_of_sorted(&sorted, share));
        assert_eq!(found, [10.0, 14.0, 30.0, 46.0, 50.0]);
    }

    #[test]
    fn ratios_are_averaged_symmetrically() {
        let ratios = [0.5, 2.0, 4.0];
        let inverse = ratios.map(f64::recip);
        assert!((geometric_mean(&ratios) * geometric_mean(&inverse) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_line_has_its_slope() {
        let line: Vec<_> = (0..9).map(|x| (f64::from(x), 5.0 - 3.0 * f64::from(x))).collect();
        assert!((slope(&line).unwrap() + 3.0).abs() < 1e-12);
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 5.0)]), None);
        assert_eq!(slope(&[]), None);
    }
}
