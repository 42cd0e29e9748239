//! A choice among some, each with its weight, made by given random bits: a pure function of them.

/// So fine are probabilities: the weights share 2^32 points.
const POINTS: f64 = (1_u64 << 32) as f64;

/// Weights, summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weights {
    /// Where each one's points end; ascending, the last at 2^32.
    ends: Vec<u64>,
}

impl Weights {
    /// At least one weight, none negative, not all 0.
    pub(crate) fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let mut ends: Vec<_> = weights
            .iter()
            .map(|weight| {
                sum += weight;
                (sum / total * POINTS) as u64
            })
            .collect();
        // However the sum was rounded, every point is somebody's.
        if let Some(last) = ends.last_mut() {
            *last = POINTS as u64;
        }
        Self { ends }
    }

    /// Which one 32 random bits choose.
    #[inline]
    pub(crate) fn choose(&self, bits: u32) -> usize {
        self.ends.partition_point(|end| *end <= u64::from(bits))
    }

    /// The probability of each.
    pub(crate) fn probabilities(&self) -> impl Iterator<Item = f64> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| (end - start) as f64 / POINTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_its_part_of_the_points() {
        let weights = Weights::new(&[1.0, 0.0, 2.0, 1.0]);
        let quarter = 1_u32 << 30;
        let chosen = [0, quarter - 1, quarter, 3 * quarter - 1, 3 * quarter, u32::MAX];
        assert_eq!(chosen.map(|bits| weights.choose(bits)), [0, 0, 2, 2, 3, 3]);
        assert_eq!(
            weights.probabilities().collect::<Vec<_>>(),
            [0.25, 0.0, 0.5, 0.25]
        );
        assert_eq!(Weights::new(&[0.1; 7]).choose(u32::MAX), 6);
    }
}
