//! How durable a result is: what the producers asked for, and what the broker says its confirms are worth.

use serde::{Deserialize, Serialize};

use crate::recorder::ServerProperties;
use crate::scenario::Scenario;
use crate::units::count;

/// What a rate or a latency was paid for with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durability {
    /// Whether the messages are persistent.
    pub persistent: bool,
    /// Whether the queues are durable.
    pub durable: bool,
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
            confirm_window: scenario.confirm_window,
            durability: server.durability.clone(),
        }
    }

    /// `persistent messages on durable queues · confirms, window 1,000 · broker durability: sync`
    #[must_use]
    pub fn describe(&self) -> String {
        let messages = match (self.persistent, self.durable) {
            (true, _) => "persistent messages on durable queues",
            (false, true) => "transient messages on durable queues",
            (false, false) => "transient messages",
        };
        let confirms = match self.confirm_window {
            Some(window) => format!("confirms, window {}", count(window.into())),
            None => "no confirms".to_owned(),
        };
        let level = self.durability.as_deref().unwrap_or("not stated");
        format!("{messages} · {confirms} · broker durability: {level}")
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
        assert_eq!(
            describe("20p20c", None),
            "transient messages · no confirms · broker durability: not stated"
        );
    }
}
