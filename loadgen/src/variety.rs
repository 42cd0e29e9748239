//! In what a run's messages differ: size and routing key, each a pure function of seed, producer and sequence.
//!
//! So the sender need not tell the receiver: the ledger works out again how large a message must be and which queue must get it.

use crate::random;
use crate::scenario::Scenario;
use crate::weights::Weights;

/// Keeps the messages apart from everything else that comes of the seed.
const VARIETY_SEED: u64 = 0x7661_7269_6574;

/// The kinds of messages of a run, and which message is of which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variety {
    /// In ascending order.
    sizes: Vec<u32>,
    size_weights: Weights,
    keys: Option<Keys>,
    /// One for each producer.
    seeds: Vec<u64>,
}

/// Routing keys of a direct or topic exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keys {
    /// By key: the index of the queue that gets its messages.
    queues: Vec<usize>,
    weights: Weights,
}

impl Variety {
    /// The variety of `scenario`'s messages.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let (sizes, weights): (Vec<_>, Vec<_>) = scenario.weighted_sizes().into_iter().unzip();
        let queues = usize::from(scenario.queues);
        let keys = scenario.keys.as_ref().map(|keys| Keys {
            queues: (0..usize::from(keys.count)).map(|key| key % queues).collect(),
            weights: Weights::new(&keys.weights()),
        });
        let producers = u64::from(scenario.producers);
        Self {
            sizes,
            size_weights: Weights::new(&weights),
            keys,
            seeds: (0..producers)
                .map(|producer| random::at(seed ^ VARIETY_SEED, producer))
                .collect(),
        }
    }

    /// All sizes, in ascending order.
    #[must_use]
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// The largest message, in bytes.
    #[must_use]
    pub fn size_bytes_max(&self) -> usize {
        self.sizes.last().map_or(0, |size| *size as usize)
    }

    /// The average size, in bytes.
    #[must_use]
    pub fn size_bytes_mean(&self) -> f64 {
        let sizes = self.sizes.iter().zip(self.size_weights.probabilities());
        sizes
            .map(|(size, probability)| f64::from(*size) * probability)
            .sum()
    }

    /// How many routing keys there are; `None` when each producer has its one.
    #[must_use]
    pub fn keys(&self) -> Option<usize> {
        self.keys.as_ref().map(|keys| keys.queues.len())
    }

    /// The index of the queue that gets the messages with a key.
    #[must_use]
    pub fn queue_of_key(&self, key: usize) -> Option<usize> {
        self.keys.as_ref()?.queues.get(key).copied()
    }

    /// The kind of a message: indices of its size and of its key (0 without keys). `None` for an unknown producer.
    #[inline]
    #[must_use]
    pub fn kind(&self, producer: usize, sequence: u32) -> Option<(usize, usize)> {
        let bits = random::at(*self.seeds.get(producer)?, u64::from(sequence));
        let size = match self.sizes.len() {
            1 => 0,
            _ => self.size_weights.choose((bits >> 32) as u32),
        };
        let keys = self.keys.as_ref();
        Some((size, keys.map_or(0, |keys| keys.weights.choose(bits as u32))))
    }

    /// The index of a message among ready-made ones: for each key, one of each size.
    #[inline]
    pub(crate) fn template(&self, producer: usize, sequence: u32) -> usize {
        let kind = self.kind(producer, sequence);
        kind.map_or(0, |(size, key)| key * self.sizes.len() + size)
    }

    /// How large a message must be, in bytes.
    #[inline]
    #[must_use]
    pub fn size_of(&self, producer: usize, sequence: u32) -> Option<usize> {
        let size = match *self.sizes.as_slice() {
            [only] => only,
            _ => self.sizes[self.kind(producer, sequence)?.0],
        };
        Some(size as usize)
    }

    /// The index of the one queue that must get a message; `None` when there are no keys to decide.
    #[inline]
    #[must_use]
    pub fn queue_of(&self, producer: usize, sequence: u32) -> Option<usize> {
        let keys = self.keys.as_ref()?;
        Some(keys.queues[self.kind(producer, sequence)?.1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{KeyDistribution, Keys, Routing, Sizes, built_in};

    const COUNT: u32 = 100_000;

    fn scenario() -> Scenario {
        let mut scenario = built_in("20p20c").unwrap();
        (scenario.size_bytes, scenario.queues, scenario.routing) = (None, 4, Routing::Topic);
        scenario.sizes = Some(Sizes::Choices(vec![(16, 6), (100, 3), (1_000, 1)]));
        scenario.keys = Some(Keys {
            count: 10,
            distribution: KeyDistribution::Zipf(1.0),
        });
        scenario
    }

    /// Pearson's statistic of counts against what was expected.
    fn chi_square(counts: &[u64], expected: impl Iterator<Item = f64>) -> f64 {
        let terms = counts.iter().zip(expected);
        terms
            .map(|(count, expected)| (*count as f64 - expected).powi(2) / expected)
            .sum()
    }

    #[test]
    fn sizes_and_keys_come_as_often_as_their_weights_say() {
        let variety = Variety::new(&scenario(), 1);
        let (mut sizes, mut keys) = ([0; 3], [0; 10]);
        for sequence in 0..COUNT {
            let (size, key) = variety.kind(7, sequence).unwrap();
            sizes[size] += 1;
            keys[key] += 1;
        }
        // The 99.9th percentiles of chi-square with 2 and 9 degrees of freedom.
        let expected = [0.6, 0.3, 0.1].map(|part| part * f64::from(COUNT));
        assert!(chi_square(&sizes, expected.into_iter()) < 13.8, "{sizes:?}");
        let harmonic: f64 = (1..=10).map(|rank| 1.0 / f64::from(rank)).sum();
        let expected = (1..=10).map(|rank| f64::from(COUNT) / (f64::from(rank) * harmonic));
        assert!(chi_square(&keys, expected) < 27.9, "{keys:?}");
        assert!((variety.size_bytes_mean() - 139.6).abs() < 0.1);
    }

    #[test]
    fn a_message_is_what_seed_producer_and_sequence_say() {
        let kinds = |seed, producer| {
            let variety = Variety::new(&scenario(), seed);
            (0..100)
                .map(|sequence| variety.kind(producer, sequence))
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(1, 3), kinds(1, 3));
        assert_ne!(kinds(1, 3), kinds(2, 3));
        assert_ne!(kinds(1, 3), kinds(1, 4));
        assert_eq!(kinds(1, 20)[0], None);
    }

    #[test]
    fn a_key_belongs_to_one_queue() {
        let variety = Variety::new(&scenario(), 1);
        let queues: Vec<_> = (0..10).map(|key| variety.queue_of_key(key).unwrap()).collect();
        assert_eq!(queues, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);
        let (_, key) = variety.kind(3, 99).unwrap();
        assert_eq!(variety.queue_of(3, 99), Some(queues[key]));
        let plain = Variety::new(&built_in("20p20c").unwrap(), 1);
        assert_eq!((plain.queue_of(3, 99), plain.size_of(3, 99)), (None, Some(16)));
    }
}
