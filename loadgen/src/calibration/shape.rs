//! The shape of a load: what decides how much the generator has to do for a message, and nothing else.
//!
//! A shape is a scenario of its own, the one that is calibrated: the given one with the load that drives the generator as
//! fast as it goes, fixed phases, and without everything that only concerns the broker or the verdict. Its hash is the shape's.
//!
//! * A saturating load and a flood stay as they are: the window decides how much is sent and read at once.
//! * An open loop becomes saturating with [`IN_FLIGHT_EACH`] messages a producer, as in `20p20c`, but with at most
//!   [`IN_FLIGHT_BYTES_MAX`] of bodies. Flood would show more on paper: batches that no rate within reach ever makes.
//! * Where nobody consumes it is a flood: there a window would never open again.
//! * Consumers are as fast as they can. Durability is the broker's affair.

use thiserror::Error;

use crate::scenario::{Load, QueueNames, Scenario, Targets, Validity};

/// Messages in flight of each producer, where the scenario does not say.
const IN_FLIGHT_EACH: u32 = 200;
/// Bodies in flight of all producers, where the scenario does not say.
const IN_FLIGHT_BYTES_MAX: f64 = (16 << 20) as f64;
const DURATION_S: f64 = 5.0;
const WARMUP_S: f64 = 1.0;
const DRAIN_S: f64 = 30.0;

/// A load as far as the generator's effort is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    scenario: Scenario,
}

/// Why a load has no ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("scenario is {scenario}; allowed for a calibration: one {allowed}")]
pub struct ShapeError {
    scenario: String,
    allowed: &'static str,
}

impl Shape {
    /// The shape of `scenario`.
    ///
    /// # Errors
    /// When it does more than send and receive, or needs messages that a peer without memory does not have.
    pub fn of(scenario: &Scenario) -> Result<Self, ShapeError> {
        let allowed = if scenario.producers == 0 {
            "that sends: the null sink has no messages"
        } else if scenario.backlog_first {
            "without backlog_first: the null sink keeps no backlog"
        } else if !scenario.faults.is_empty() {
            "without faults: their proxies and reconnections are no effort of the load"
        } else {
            return Ok(Self {
                scenario: plain(scenario),
            });
        };
        Err(ShapeError {
            scenario: scenario.name.clone(),
            allowed,
        })
    }

    /// 16 hexadecimal digits, equal for loads that cost the generator the same.
    #[must_use]
    pub fn hash(&self) -> String {
        self.scenario.hash()
    }

    /// The load that is calibrated: `scenario`'s name and limits of validity, this shape, these phases.
    #[must_use]
    pub fn calibrated(
        &self,
        scenario: &Scenario,
        duration_s: Option<f64>,
        warmup_s: Option<f64>,
    ) -> Scenario {
        Scenario {
            name: scenario.name.clone(),
            description: "The generator's ceiling".into(),
            duration_s: duration_s.unwrap_or(DURATION_S),
            warmup_s: warmup_s.unwrap_or(WARMUP_S),
            validity: Validity {
                ceiling_share_max: None,
                ..scenario.validity
            },
            ..self.scenario.clone()
        }
    }

    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        let it = &self.scenario;
        let load = match it.load {
            Load::Saturating { in_flight } => format!("saturating with {in_flight} in flight"),
            _ => "flood".to_owned(),
        };
        let confirms = it
            .confirm_window
            .map(|window| format!(", confirms, window {window}"));
        format!(
            "{} driver, {} producers, {} consumers, {} queues, {:.0}-byte messages, {load}, prefetch {}, an ack every {}{}",
            it.driver.name(),
            it.producers,
            it.consumers,
            it.queues,
            it.size_bytes_mean(),
            it.prefetch,
            it.ack_every,
            confirms.unwrap_or_default(),
        )
    }
}

fn plain(scenario: &Scenario) -> Scenario {
    Scenario {
        name: "shape".into(),
        description: "shape".into(),
        load: saturating(scenario),
        messages: None,
        duration_s: DURATION_S,
        warmup_s: WARMUP_S,
        drain_s: DRAIN_S,
        queue_names: QueueNames::PerRun,
        consume_rate_max: None,
        work_us: None,
        durable: scenario.persistent,
        queue_type: None,
        recovered_p99_us_max: None,
        targets: Targets::default(),
        abort: Vec::new(),
        validity: Validity::default(),
        ..scenario.clone()
    }
}

fn saturating(scenario: &Scenario) -> Load {
    match &scenario.load {
        _ if scenario.consumers == 0 => Load::Flood {},
        load @ (Load::Saturating { .. } | Load::Flood {}) => load.clone(),
        Load::OpenLoop { .. } | Load::Profile { .. } | Load::None {} => {
            let producers = u32::from(scenario.producers);
            let room = (IN_FLIGHT_BYTES_MAX / scenario.size_bytes_mean()) as u32;
            Load::Saturating {
                in_flight: (producers * IN_FLIGHT_EACH).min(room).max(producers),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{DriverKind, built_in};

    fn shape(name: &str, change: impl FnOnce(&mut Scenario)) -> Shape {
        let mut scenario = built_in(name).unwrap();
        change(&mut scenario);
        Shape::of(&scenario).unwrap()
    }

    #[test]
    fn rate_length_and_verdict_are_no_part_of_it() {
        let one = shape("20p20c-latency", |_| {});
        let other = shape("20p20c-latency", |scenario| {
            scenario.load = Load::open_loop(5);
            (scenario.duration_s, scenario.warmup_s) = (3.0, 0.0);
            scenario.targets = Targets::default();
            scenario.validity.ceiling_share_max = Some(0.5);
            scenario.durable = true;
            scenario.consume_rate_max = Some(100);
        });
        assert_eq!(one.hash(), other.hash());
        assert_eq!(
            one.scenario.load,
            Load::Saturating { in_flight: 4_000 },
            "as in 20p20c"
        );
    }

    #[test]
    fn what_costs_the_generator_something_is() {
        let hash = |change: fn(&mut Scenario)| shape("20p20c", change).hash();
        let changes: [fn(&mut Scenario); 9] = [
            |_| {},
            |it| it.driver = DriverKind::Lapin,
            |it| it.producers = 19,
            |it| it.consumers = 19,
            |it| it.queues = 2,
            |it| it.size_bytes = Some(17),
            |it| it.confirm_window = Some(100),
            |it| it.ack_every = 99,
            |it| it.load = Load::Saturating { in_flight: 3_999 },
        ];
        let hashes: std::collections::BTreeSet<String> = changes.map(hash).into_iter().collect();
        assert_eq!(hashes.len(), changes.len());
    }

    #[test]
    fn large_messages_and_missing_consumers_change_the_load() {
        let large = shape("20p20c-latency", |scenario| scenario.size_bytes = Some(1 << 20));
        assert_eq!(large.scenario.load, Load::Saturating { in_flight: 20 });
        let fill = shape("backlog-fill", |_| {});
        assert_eq!(fill.scenario.load, Load::Flood {});
        assert_eq!(fill.scenario.messages, None);
    }

    #[test]
    fn every_shape_is_a_scenario_that_may_be_run() {
        for name in [
            "20p20c",
            "20p20c-latency",
            "fanout",
            "backlog-fill",
            "slow-consumer",
        ] {
            let scenario = built_in(name).unwrap();
            let calibrated = Shape::of(&scenario).unwrap().calibrated(&scenario, None, None);
            let text = serde_json::to_string(&calibrated).unwrap();
            assert_eq!(Scenario::from_json("shape", &text).unwrap(), calibrated, "{name}");
        }
    }

    #[test]
    fn loads_that_do_more_are_refused() {
        for (name, reason) in [
            ("crash", "without faults"),
            ("backlog-drain", "without backlog_first"),
        ] {
            let message = Shape::of(&built_in(name).unwrap()).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("scenario is {name}; allowed")),
                "{message}"
            );
            assert!(message.contains(reason), "{message}");
        }
    }
}
