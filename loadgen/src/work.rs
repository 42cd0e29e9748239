//! How long a consumer works on a message: the same for each, or by seeded chance.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::random::SplitMix64;

/// Time that each message takes a consumer, in µs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkUs {
    /// The same for each.
    Constant(f64),
    /// Exponentially distributed with this mean: most take less, some much more.
    Exponential(f64),
}

impl WorkUs {
    /// On average, in µs.
    #[must_use]
    pub fn mean_us(self) -> f64 {
        match self {
            Self::Constant(mean_us) | Self::Exponential(mean_us) => mean_us,
        }
    }
}

impl FromStr for WorkUs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mean_us, kind): (_, fn(f64) -> Self) = match text.split_once(':') {
            None => (text, Self::Constant),
            Some(("constant", mean_us)) => (mean_us, Self::Constant),
            Some(("exponential", mean_us)) => (mean_us, Self::Exponential),
            Some(_) => ("", Self::Constant),
        };
        let mean_us = mean_us.parse().ok().filter(|mean_us: &f64| mean_us.is_finite());
        mean_us
            .map(kind)
            .ok_or_else(|| "expected microseconds, e.g. 200 or exponential:200".to_owned())
    }
}

/// The working times of one consumer, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkTimes {
    mean_ns: f64,
    /// Where each time is drawn from; `None` when all are the same.
    random: Option<SplitMix64>,
}

impl WorkTimes {
    /// The same for each message.
    #[must_use]
    pub fn constant(ns: f64) -> Self {
        Self {
            mean_ns: ns,
            random: None,
        }
    }

    /// As a scenario asks for.
    #[must_use]
    pub fn new(work: WorkUs, seed: u64) -> Self {
        Self {
            mean_ns: work.mean_us() * 1e3,
            random: matches!(work, WorkUs::Exponential(_)).then(|| SplitMix64::new(seed)),
        }
    }

    /// How long the next message takes, in ns.
    pub fn next_ns(&mut self) -> f64 {
        let factor = self.random.as_mut().map_or(1.0, SplitMix64::exponential);
        self.mean_ns * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_all_the_same_or_exponentially_distributed() {
        let mut constant = WorkTimes::new(WorkUs::Constant(5.0), 1);
        assert_eq!([constant.next_ns(), constant.next_ns()], [5_000.0; 2]);
        let mut drawn = WorkTimes::new(WorkUs::Exponential(5.0), 1);
        assert_eq!(drawn.clone().next_ns(), drawn.clone().next_ns());
        let sum: f64 = (0..100_000).map(|_| drawn.next_ns()).sum();
        // Four standard errors.
        assert!((sum / 5e8 - 1.0).abs() < 0.0127, "{sum}");
    }

    #[test]
    fn the_command_line_names_a_time_or_a_distribution() {
        assert_eq!("200".parse(), Ok(WorkUs::Constant(200.0)));
        assert_eq!("exponential:1.5".parse(), Ok(WorkUs::Exponential(1.5)));
        for bad in ["", "much", "normal:5", "exponential:", "inf"] {
            assert!(bad.parse::<WorkUs>().is_err(), "{bad}");
        }
    }
}
