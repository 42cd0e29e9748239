//! How durable a result is: what the producers asked for, and what the broker says its confirms are worth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recorder::ServerProperties;
use crate::scenario::{QueueType, Scenario};
use crate::units::count;

/// What a rate or a latency was paid for with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Durability {
    /// Whether the messages are persistent.
    pub persistent: bool,
    /// Whether the queues are durable.
    pub durable: bool,
    /// What the queues were declared as; `None` = the broker's own choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_type: Option<QueueType>,
    /// Unconfirmed messages that a producer may have outstanding; `None` without confirms.
    pub confirm_window: Option<u32>,
    /// The broker's own level, e.g. `none`, `write` or `sync`; `None` when it does not say.
    pub durability: Option<String>,
}

impl Durability {
    /// Of a run of `scenario` against `server`.
    #[must_use]
    pub fn of(scenario: &Scenario, server: &ServerProperties) -> Self {
        Self {
            persistent: scenario.persistent,
            durable: scenario.durable,
            queue_type: scenario.queue_type,
            confirm_window: scenario.confirm_window,
            durability: server.durability.clone(),
        }
    }

    /// `persistent messages on durable queues · confirms, window 1,000 · broker durability: sync`
    #[must_use]
    pub fn describe(&self) -> String {
        let level = self.durability.as_deref().unwrap_or("not stated");
        format!("{} · broker durability: {level}", self.describe_request())
    }

    /// The same without what the broker says.
    #[must_use]
    pub fn describe_request(&self) -> String {
        let kind = self.queue_type.map_or("", QueueType::name);
        let space = if kind.is_empty() { "" } else { " " };
        let messages = match (self.persistent, self.durable) {
            (true, _) => format!("persistent messages on durable {kind}{space}queues"),
            (false, true) => format!("transient messages on durable {kind}{space}queues"),
            (false, false) => "transient messages".to_owned(),
        };
        let confirms = match self.confirm_window {
            Some(window) => format!("confirms, window {}", count(window.into())),
            None => "no confirms".to_owned(),
        };
        format!("{messages} · {confirms}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    #[test]
    fn says_what_was_asked_for_and_what_it_is_worth() {
        let describe = |name: &str, level: Option<&str>| {
            let server = ServerProperties {
                durability: level.map(str::to_owned),
                ..ServerProperties::default()
            };
            Durability::of(&built_in(name).unwrap(), &server).describe()
        };
        assert_eq!(
            describe("20p20c-durable", Some("sync")),
            "persistent messages on durable queues · confirms, window 1,000 · broker durability: sync"
        );
        let mut quorum = built_in("20p20c-durable").unwrap();
        quorum.queue_type = Some(QueueType::Quorum);
        let described = Durability::of(&quorum, &ServerProperties::default()).describe();
        assert!(
            described.starts_with("persistent messages on durable quorum queues · "),
            "{described}"
        );
        assert_eq!(
            describe("20p20c", None),
            "transient messages · no confirms · broker durability: not stated"
        );
    }
}
