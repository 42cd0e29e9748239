//! Routing keys of a direct or topic exchange, and how often each is used.

use serde::{Deserialize, Serialize};

/// Key *i* belongs to queue *i* mod `queues`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// How many there are.
    pub count: u16,
    /// How often each is used.
    pub distribution: KeyDistribution,
}

/// How often the keys are used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyDistribution {
    /// All equally often.
    Uniform,
    /// The *n*-th in proportion to n to the power of minus this: with 1, the second half as often as the first.
    Zipf(f64),
}

impl Keys {
    /// The weight of each key.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        let weight = |rank: u16| match self.distribution {
            KeyDistribution::Uniform => 1.0,
            KeyDistribution::Zipf(exponent) => f64::from(rank).powf(-exponent),
        };
        (1..=self.count).map(weight).collect()
    }
}
