//! When messages are sent: the shape of the load, and the rate that it offers at any time.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Scenario;
use crate::rate_curve::RateCurve;

/// When messages are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case", deny_unknown_fields)]
pub enum Load {
    /// As fast as a bounded window allows.
    Saturating {
        /// Messages sent and not yet consumed, all producers together.
        in_flight: u32,
    },
    /// At a rate, whatever the broker does. Exactly one of the two rates is given.
    OpenLoop {
        /// Messages a second, all producers together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<u64>,
        /// Messages a second of each producer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate_per_producer: Option<u64>,
        /// How the messages lie within the rate.
        #[serde(default, skip_serializing_if = "Arrivals::is_constant")]
        arrivals: Arrivals,
    },
    /// At rates that change within the measured window, whatever the broker does.
    Profile {
        /// One after the other, from the window's beginning to its end; the warm-up runs at the first one's first rate.
        phases: Vec<RatePhase>,
        /// How the messages lie within the rate.
        #[serde(default, skip_serializing_if = "Arrivals::is_constant")]
        arrivals: Arrivals,
    },
    /// As fast as the broker reads and, with `confirm_window`, confirms; whatever the consumers do.
    Flood {},
    /// Nobody sends (`producers` = 0): the consumers take what lies in existing queues.
    None {},
}

/// How the messages of an open loop lie within its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal distances; each producer with a phase of its own.
    #[default]
    Constant,
    /// A Poisson process: at independent, exponentially distributed distances.
    Poisson,
    /// So many messages at once, all producers together and each its part; the rate says how often.
    Burst(u64),
}

impl Arrivals {
    /// For files, which leave the usual arrivals out.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        *self == Self::Constant
    }

    /// As on the command line.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Constant => "constant".into(),
            Self::Poisson => "poisson".into(),
            Self::Burst(burst) => format!("burst:{burst}"),
        }
    }
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let burst = || text.strip_prefix("burst:")?.parse().ok();
        match text {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => burst()
                .map(Self::Burst)
                .ok_or_else(|| "expected constant, poisson or burst:MESSAGES".to_owned()),
        }
    }
}

/// A part of a profile; rates are messages a second, all producers together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum RatePhase {
    /// A step.
    Step {
        /// The rate.
        rate: u64,
        /// Length in seconds.
        for_s: f64,
    },
    /// A linear ramp.
    Ramp {
        /// The rate at its beginning.
        from: u64,
        /// The rate at its end.
        to: u64,
        /// Length in seconds.
        for_s: f64,
    },
}

impl RatePhase {
    /// Rate at its beginning and at its end, and its length in seconds.
    #[must_use]
    pub fn ends(self) -> (f64, f64, f64) {
        match self {
            Self::Step { rate, for_s } => (rate as f64, rate as f64, for_s),
            Self::Ramp { from, to, for_s } => (from as f64, to as f64, for_s),
        }
    }
}

impl Load {
    /// An open loop of `rate` messages a second, all producers together, at equal distances.
    #[must_use]
    pub fn open_loop(rate: u64) -> Self {
        Self::OpenLoop {
            rate: Some(rate),
            rate_per_producer: None,
            arrivals: Arrivals::Constant,
        }
    }

    /// Whether messages are sent by a schedule, whatever the broker does.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        matches!(self, Self::OpenLoop { .. } | Self::Profile { .. })
    }

    /// How the messages lie within the rate; `None` when there is none.
    #[must_use]
    pub fn arrivals(&self) -> Option<Arrivals> {
        match self {
            Self::OpenLoop { arrivals, .. } | Self::Profile { arrivals, .. } => Some(*arrivals),
            Self::Saturating { .. } | Self::Flood {} | Self::None {} => None,
        }
    }

    /// Messages a second of all producers over the measured window, on average; `None` when the broker decides.
    #[must_use]
    pub fn rate_mean(&self, producers: u16) -> Option<f64> {
        match self {
            Self::OpenLoop {
                rate,
                rate_per_producer,
                ..
            } => {
                let each = rate_per_producer.unwrap_or_default();
                Some(rate.map_or(each as f64 * f64::from(producers), |rate| rate as f64))
            }
            Self::Profile { phases, .. } => {
                let ends = phases.iter().map(|phase| phase.ends());
                let sums = ends.fold((0.0, 0.0), |(count, length), (from, to, for_s)| {
                    (count + 0.5 * (from + to) * for_s, length + for_s)
                });
                Some(sums.0 / sums.1)
            }
            Self::Saturating { .. } | Self::Flood {} | Self::None {} => None,
        }
    }
}

impl Scenario {
    /// Whether messages are sent by a schedule, whatever the broker does.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.load.is_open_loop()
    }

    /// Messages a second of all producers over the measured window, on average; `None` when the broker decides.
    #[must_use]
    pub fn offered_rate_mean(&self) -> Option<f64> {
        self.load.rate_mean(self.producers)
    }

    /// Messages a second of all producers, `since_load_s` seconds after the load began (warm-up included); `None` when the broker
    /// decides, 0 when the load is over.
    #[must_use]
    pub fn offered_rate_at(&self, since_load_s: f64) -> Option<f64> {
        let curve = self.rate_curve()?;
        let is_over = since_load_s >= self.warmup_s + self.duration_s;
        Some(if is_over { 0.0 } else { curve.rate_at(since_load_s) })
    }

    /// The offered rate of all producers since the load began; `None` when the broker decides.
    #[must_use]
    pub fn rate_curve(&self) -> Option<RateCurve> {
        match &self.load {
            Load::Profile { phases, .. } => {
                let (first, ..) = phases.first()?.ends();
                let warmup = std::iter::once((first, first, self.warmup_s));
                Some(RateCurve::new(
                    warmup.chain(phases.iter().map(|phase| phase.ends())),
                ))
            }
            load => load.rate_mean(self.producers).map(RateCurve::constant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    fn ramp() -> Scenario {
        let mut scenario = built_in("20p20c-latency").unwrap();
        (scenario.warmup_s, scenario.duration_s) = (2.0, 6.0);
        scenario.load = Load::Profile {
            phases: vec![
                RatePhase::Ramp {
                    from: 100,
                    to: 300,
                    for_s: 4.0,
                },
                RatePhase::Step { rate: 50, for_s: 2.0 },
            ],
            arrivals: Arrivals::Constant,
        };
        scenario
    }

    #[test]
    fn a_profile_begins_with_the_window() {
        let at = [0.0, 2.0, 4.0, 6.0, 7.9, 8.0].map(|s| ramp().offered_rate_at(s).unwrap());
        assert_eq!(at, [100.0, 100.0, 200.0, 50.0, 50.0, 0.0]);
        assert_eq!(ramp().offered_rate_mean(), Some(150.0));
        assert_eq!(built_in("20p20c").unwrap().offered_rate_at(1.0), None);
    }

    #[test]
    fn a_rate_per_producer_counts_for_each() {
        let mut scenario = built_in("20p20c-latency").unwrap();
        scenario.load = Load::OpenLoop {
            rate: None,
            rate_per_producer: Some(300),
            arrivals: Arrivals::Poisson,
        };
        assert_eq!(scenario.offered_rate_at(5.0), Some(6_000.0));
    }

    #[test]
    fn a_load_is_written_as_it_is_read() {
        let written = serde_json::to_string(&Load::open_loop(5)).unwrap();
        assert_eq!(written, r#"{"shape":"open_loop","rate":5}"#);
        for text in [
            r#"{"shape":"open_loop","rate_per_producer":7,"arrivals":"poisson"}"#,
            r#"{"shape":"open_loop","rate":9,"arrivals":{"burst":3}}"#,
            r#"{"shape":"profile","phases":[{"rate":1,"for_s":2.0},{"from":1,"to":9,"for_s":0.5}]}"#,
        ] {
            let load: Load = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&load).unwrap(), text);
        }
    }

    #[test]
    fn arrivals_are_named_on_the_command_line_as_they_are_shown() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson, Arrivals::Burst(20)] {
            assert_eq!(arrivals.name().parse(), Ok(arrivals));
        }
        for bad in ["Poisson", "burst", "burst:", "burst:-1", ""] {
            assert!(bad.parse::<Arrivals>().is_err(), "{bad}");
        }
    }
}
