//! What the command line changes in a scenario.
//!
//! The result is another load: it gets another hash, and the run carries the list of what was changed.

use serde_json::{Value, json};

use crate::work::WorkUs;

use super::{Arrivals, Fault, Load, Scenario, ScenarioError, conditions};

/// Values from the command line; `None` leaves the scenario's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--producers`
    pub producers: Option<u64>,
    /// `--consumers`
    pub consumers: Option<u64>,
    /// `--queues`
    pub queues: Option<u64>,
    /// `--size`
    pub size_bytes: Option<u64>,
    /// `--body`; `plain` = nothing before the stamp.
    pub body: Option<String>,
    /// `--rate`: makes the load an open loop, whose arrivals stay.
    pub rate: Option<u64>,
    /// `--rate-per-producer`: the same, for each producer.
    pub rate_per_producer: Option<u64>,
    /// `--arrivals`: of an open loop.
    pub arrivals: Option<Arrivals>,
    /// `--in-flight`: makes the load saturating.
    pub in_flight: Option<u64>,
    /// `--messages`; 0 = by the clock.
    pub messages: Option<u64>,
    /// `--duration`
    pub duration_s: Option<f64>,
    /// `--warmup`
    pub warmup_s: Option<f64>,
    /// `--prefetch`
    pub prefetch: Option<u64>,
    /// `--ack-every`
    pub ack_every: Option<u64>,
    /// `--consume-rate`; 0 = no limit.
    pub consume_rate_max: Option<u64>,
    /// `--work`: how long a consumer works on each message.
    pub work_us: Option<WorkUs>,
    /// `--confirm-window`; 0 = no confirms.
    pub confirm_window: Option<u64>,
    /// `--persistent`: persistent messages on durable queues.
    pub persistent: bool,
    /// `--driver`
    pub driver: Option<String>,
    /// `--target`: conditions beside the scenario's own.
    pub targets: Vec<String>,
}

/// A scenario with what the command line changed in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Overridden {
    /// The effective scenario.
    pub scenario: Scenario,
    /// `field = value`, one entry a change; empty when the scenario is as its author wrote it.
    pub changes: Vec<String>,
}

impl Overrides {
    /// The scenario with these values, checked anew.
    ///
    /// Targets that the changed load can never reach (rates above a fixed rate, latency of a saturating load) are
    /// removed, and the removal is listed as a change.
    ///
    /// # Errors
    /// As for a scenario file: names field, value and what is allowed.
    pub fn apply(&self, scenario: &Scenario) -> Result<Overridden, ScenarioError> {
        let mut value = serde_json::to_value(scenario).expect("a scenario is plain data");
        let mut changes = Vec::new();
        let mut set = |field: &str, new: Value| {
            // A field that is left out reads as null.
            if value[field] != new {
                changes.push(format!("{field} = {}", describe(&new)));
                value[field] = new;
            }
        };
        let integers = [
            ("producers", self.producers),
            ("consumers", self.consumers),
            ("queues", self.queues),
            ("size_bytes", self.size_bytes),
            ("prefetch", self.prefetch),
            ("ack_every", self.ack_every),
        ];
        for (field, new) in integers {
            new.into_iter().for_each(|new| set(field, json!(new)));
        }
        for (field, new) in [("duration_s", self.duration_s), ("warmup_s", self.warmup_s)] {
            new.into_iter().for_each(|new| set(field, json!(new)));
        }
        let nullable = [
            ("messages", self.messages),
            ("consume_rate_max", self.consume_rate_max),
            ("confirm_window", self.confirm_window),
        ];
        for (field, new) in nullable {
            new.into_iter()
                .for_each(|new| set(field, if new == 0 { Value::Null } else { json!(new) }));
        }
        if self.persistent {
            set("persistent", json!(true));
            set("durable", json!(true));
        }
        if let Some(body) = &self.body {
            set("body", if body == "plain" { Value::Null } else { json!(body) });
        }
        if let Some(driver) = &self.driver {
            set("driver", json!(driver));
        }
        if let Some(work) = self.work_us {
            set("work_us", serde_json::to_value(work).expect("plain data"));
        }
        let load = self.load(&scenario.load);
        if load != scenario.load {
            set("load", serde_json::to_value(load).expect("a load is plain data"));
        }
        if let Some(fields) = value.as_object_mut().filter(|_| self.size_bytes.is_some()) {
            // One size instead of several.
            fields.remove("sizes");
        }
        if value["body"].is_null() {
            // A scenario without it has no such field.
            value
                .as_object_mut()
                .and_then(|fields| fields.shift_remove("body"));
        }
        drop_unreachable_targets(scenario, &mut value, &mut changes);
        add_targets(&self.targets, &mut value, &mut changes);
        if let Some(arrivals) = self.arrivals.filter(|_| load_has_no_arrivals(&value)) {
            let allowed = "nothing unless the load is open_loop or profile: others have no schedule";
            return Err(Fault::new("arrivals", arrivals.name(), allowed).of("command line"));
        }
        Ok(Overridden {
            scenario: Scenario::from_value("command line", value)?,
            changes,
        })
    }
}

impl Overrides {
    /// The load with these values.
    fn load(&self, before: &Load) -> Load {
        let mut load = before.clone();
        if self.rate.is_some() || self.rate_per_producer.is_some() {
            load = Load::OpenLoop {
                rate: self.rate,
                rate_per_producer: self.rate_per_producer,
                arrivals: before.arrivals().unwrap_or_default(),
            };
        }
        if let Some(in_flight) = self.in_flight {
            load = Load::Saturating {
                // Too large a value is refused with the others.
                in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
            };
        }
        if let (Some(wanted), Load::OpenLoop { arrivals, .. } | Load::Profile { arrivals, .. }) =
            (self.arrivals, &mut load)
        {
            *arrivals = wanted;
        }
        load
    }
}

fn load_has_no_arrivals(value: &Value) -> bool {
    let load = serde_json::from_value::<Load>(value["load"].clone());
    load.is_ok_and(|load| load.arrivals().is_none())
}

/// Adds conditions to the scenario's own.
fn add_targets(targets: &[String], value: &mut Value, changes: &mut Vec<String>) {
    let mut all = value["targets"]["expressions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for target in targets {
        all.push(json!(target));
        changes.push(format!("target {target}"));
    }
    if !all.is_empty() {
        value["targets"]["expressions"] = Value::Array(all);
    }
}

/// Removes the targets that make no sense any more because the load's shape or rate was changed.
pub(super) fn drop_unreachable_targets(before: &Scenario, value: &mut Value, changes: &mut Vec<String>) {
    let Ok(load) = serde_json::from_value::<Load>(value["load"].clone()) else {
        return;
    };
    if load == before.load {
        return;
    }
    let copies = if value["routing"] == "fanout" {
        value["queues"].as_u64().unwrap_or(1)
    } else {
        1
    };
    let producers = value["producers"].as_u64().unwrap_or_default();
    let rate = load.rate_mean(u16::try_from(producers).unwrap_or(u16::MAX));
    let unreachable = match rate {
        None => [("latency_p99_us_max", 0.0), ("schedule_lag_p99_us_max", 0.0)],
        Some(rate) => [
            ("publish_rate_min", rate),
            ("consume_rate_min", rate * copies as f64),
        ],
    };
    for (target, reachable) in unreachable {
        let stated = value["targets"][target].as_f64();
        if stated.is_some_and(|stated| stated > reachable) {
            value["targets"][target] = Value::Null;
            changes.push(format!("targets.{target} = null"));
        }
    }
    if rate.is_none()
        && let Some(expressions) = value["targets"]
            .get_mut("expressions")
            .and_then(Value::as_array_mut)
    {
        expressions.retain(|text| {
            let text = text.as_str().unwrap_or_default();
            let stays = !conditions::is_of_latency(text);
            if !stays {
                changes.push(format!("without target {text}"));
            }
            stays
        });
    }
}

/// A change for people: a load as its one number, the rest as JSON.
pub(super) fn describe(value: &Value) -> String {
    if let Ok(load) = serde_json::from_value::<Load>(value.clone()) {
        return describe_load(&load);
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        other => other.to_string(),
    }
}

fn describe_load(load: &Load) -> String {
    let shown = match load {
        Load::OpenLoop { rate: Some(rate), .. } => format!("open_loop at {rate}/s"),
        Load::OpenLoop {
            rate_per_producer, ..
        } => format!(
            "open_loop at {}/s per producer",
            rate_per_producer.unwrap_or_default()
        ),
        Load::Profile { phases, .. } => format!("profile of {} phases", phases.len()),
        Load::Saturating { in_flight } => format!("saturating with {in_flight} in flight"),
        Load::Flood {} => "flood".to_owned(),
        Load::None {} => "none".to_owned(),
    };
    match load.arrivals() {
        None | Some(Arrivals::Constant) => shown,
        Some(arrivals) => format!("{shown}, {}", arrivals.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{DriverKind, built_in};

    #[test]
    fn nothing_given_nothing_changed() {
        let scenario = built_in("20p20c").unwrap();
        let overridden = Overrides::default().apply(&scenario).unwrap();
        assert_eq!(
            overridden,
            Overridden {
                scenario,
                changes: vec![]
            }
        );
    }

    #[test]
    fn the_same_value_is_no_change() {
        let scenario = built_in("20p20c").unwrap();
        let same = Overrides {
            producers: Some(20),
            size_bytes: Some(16),
            ..Overrides::default()
        };
        assert_eq!(same.apply(&scenario).unwrap().changes, Vec::<String>::new());
        let same = Overrides {
            duration_s: Some(scenario.duration_s),
            ..Overrides::default()
        };
        assert_eq!(same.apply(&scenario).unwrap().scenario.hash(), scenario.hash());
    }

    #[test]
    fn changes_are_listed_and_change_the_hash() {
        let scenario = built_in("20p20c").unwrap();
        let overrides = Overrides {
            size_bytes: Some(1_024),
            confirm_window: Some(100),
            persistent: true,
            driver: Some("lapin".into()),
            ..Overrides::default()
        };
        let changed = overrides.apply(&scenario).unwrap();
        assert_eq!(
            changed.changes,
            [
                "size_bytes = 1024",
                "confirm_window = 100",
                "persistent = true",
                "durable = true",
                "driver = lapin"
            ]
        );
        assert_eq!(changed.scenario.driver, DriverKind::Lapin);
        assert_ne!(changed.scenario.hash(), scenario.hash());
    }

    #[test]
    fn a_rate_opens_the_loop_and_removes_rates_out_of_reach() {
        let scenario = built_in("20p20c").unwrap();
        let changed = Overrides {
            rate: Some(50_000),
            ..Overrides::default()
        }
        .apply(&scenario)
        .unwrap();
        assert_eq!(changed.scenario.load, Load::open_loop(50_000));
        assert_eq!(changed.scenario.targets.publish_rate_min, None);
        assert_eq!(
            changed.scenario.targets.broker_rss_bytes_max,
            scenario.targets.broker_rss_bytes_max
        );
        assert_eq!(changed.changes[0], "load = open_loop at 50000/s");
        assert_eq!(changed.changes.len(), 3);
    }

    #[test]
    fn arrivals_stay_when_the_rate_changes_and_are_refused_where_nothing_arrives_by_schedule() {
        let scenario = built_in("20p20c-latency").unwrap();
        let poisson = Overrides {
            arrivals: Some(Arrivals::Poisson),
            ..Overrides::default()
        };
        let changed = poisson.apply(&scenario).unwrap();
        assert_eq!(changed.changes, ["load = open_loop at 250000/s, poisson"]);
        let faster = Overrides {
            rate_per_producer: Some(20_000),
            ..Overrides::default()
        };
        let changed = faster.apply(&changed.scenario).unwrap();
        assert_eq!(
            changed.changes,
            ["load = open_loop at 20000/s per producer, poisson"]
        );
        assert_eq!(changed.scenario.offered_rate_mean(), Some(400_000.0));
        let refused = poisson
            .apply(&built_in("20p20c").unwrap())
            .unwrap_err()
            .to_string();
        assert!(refused.contains("arrivals is poisson"), "{refused}");
    }

    #[test]
    fn a_window_closes_the_loop_and_removes_the_latency_target() {
        let scenario = built_in("20p20c-latency").unwrap();
        let changed = Overrides {
            in_flight: Some(500),
            ..Overrides::default()
        }
        .apply(&scenario)
        .unwrap();
        assert_eq!(changed.scenario.targets.latency_p99_us_max, None);
        assert!(
            changed
                .changes
                .contains(&"load = saturating with 500 in flight".to_string())
        );
    }

    #[test]
    fn a_count_is_changed_but_not_made_up() {
        let changed = Overrides {
            messages: Some(1_000),
            driver: Some("lapin".into()),
            ..Overrides::default()
        };
        let fill = changed.apply(&built_in("backlog-fill").unwrap()).unwrap();
        assert_eq!(fill.scenario.messages, Some(1_000));
        assert_eq!(fill.changes, ["messages = 1000", "driver = lapin"]);
        let no_limit = Overrides {
            messages: Some(0),
            consume_rate_max: Some(0),
            ..Overrides::default()
        };
        let plain = built_in("20p20c").unwrap();
        assert_eq!(no_limit.apply(&plain).unwrap().scenario, plain);
    }

    #[test]
    fn a_closed_loop_has_no_latency_to_judge() {
        let mut scenario = built_in("20p20c-latency").unwrap();
        scenario.targets.expressions = vec!["latency_us.p99 < 1 ms".into(), "ledger.lost == 0".into()];
        let closed = Overrides {
            in_flight: Some(500),
            ..Overrides::default()
        };
        let closed = closed.apply(&scenario).unwrap();
        assert_eq!(closed.scenario.targets.expressions, ["ledger.lost == 0"]);
        assert!(
            closed
                .changes
                .contains(&"without target latency_us.p99 < 1 ms".to_owned())
        );
    }

    #[test]
    fn targets_are_added_and_change_no_load() {
        let scenario = built_in("20p20c").unwrap();
        let target = |text: &str| Overrides {
            targets: vec![text.into()],
            ..Overrides::default()
        };
        let once = target("ledger.lost == 0").apply(&scenario).unwrap();
        assert_eq!(once.changes, ["target ledger.lost == 0"]);
        assert_eq!(once.scenario.hash(), scenario.hash());
        let twice = target("consumed > 1 M").apply(&once.scenario).unwrap();
        assert_eq!(
            twice.scenario.targets.expressions,
            ["ledger.lost == 0", "consumed > 1 M"]
        );
        let message = target("consumed").apply(&scenario).unwrap_err().to_string();
        assert!(
            message.starts_with("command line: targets.expressions[0] is \"consumed\""),
            "{message}"
        );
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let scenario = built_in("20p20c").unwrap();
        let message = |overrides: Overrides| overrides.apply(&scenario).unwrap_err().to_string();
        assert_eq!(
            message(Overrides {
                producers: Some(0),
                ..Overrides::default()
            }),
            "command line: producers is 0; allowed: at least 1, or load.shape = none"
        );
        assert!(
            message(Overrides {
                ack_every: Some(2_000),
                ..Overrides::default()
            })
            .contains("ack_every is 2000")
        );
        assert!(
            message(Overrides {
                driver: Some("pika".into()),
                ..Overrides::default()
            })
            .contains("native or lapin")
        );
    }
}
