//! Seeded chance: one generator to draw from in order, and one number for each index, both the same on every machine.

/// Steele, Lea and Flood's SplitMix64 ("Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SplitMix64(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// A generator whose numbers follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mixed(self.0)
    }

    /// 53 bits: a fraction in [0, 1) that an f64 holds exactly.
    #[inline]
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed with mean 1, by inversion; at most 53 ln 2 = 36.7.
    #[inline]
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.fraction()).ln()
    }
}

/// The 64 bits that a generator seeded with `seed` draws as number `index`: chance that is a pure function.
#[inline]
pub(crate) fn at(seed: u64, index: u64) -> u64 {
    mixed(seed.wrapping_add(GAMMA.wrapping_mul(index.wrapping_add(1))))
}

#[inline]
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_the_published_generator_draws() {
        // The first numbers of Vigna's splitmix64.c for the seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let drawn = [random.next(), random.next(), random.next()];
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
        assert_eq!(drawn, [0, 1, 2].map(|index| at(1_234_567, index)));
    }

    #[test]
    fn exponential_numbers_have_mean_and_variance_1() {
        let mut random = SplitMix64::new(42);
        const COUNT: u32 = 1_000_000;
        let drawn: Vec<f64> = (0..COUNT).map(|_| random.exponential()).collect();
        let mean = drawn.iter().sum::<f64>() / f64::from(COUNT);
        let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(COUNT - 1);
        // Four standard errors: 1/√n of the mean, √(8/n) of the variance.
        assert!((mean - 1.0).abs() < 0.004, "{mean}");
        assert!((variance - 1.0).abs() < 0.0114, "{variance}");
    }
}
