//! What a confirm is worth: which brokers can be compared where messages are to be kept.
//!
//! The reference broker says it itself. RabbitMQ does not; what is known of it:
//! - a quorum queue appends to a write-ahead log and confirms after `fdatasync` (batched), also on a single node;
//! - a classic queue up to 3.12 syncs batches of messages before it confirms them;
//! - from 3.13 on a classic queue confirms what it has written to a file, and no longer syncs (pull request 8507 of
//!   rabbitmq-server: the shared store's writes).

use serde::{Deserialize, Serialize};

use crate::recorder::ServerProperties;
use crate::scenario::{QueueType, Scenario};

/// The first RabbitMQ whose classic queues confirm without a sync.
const CLASSIC_WITHOUT_SYNC: (u32, u32) = (3, 13);

/// What has happened to a message by the time it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// Nothing is promised: transient messages, no confirms, or a broker told to keep nothing.
    None,
    /// It is with the operating system: it survives the end of the broker, not that of the machine.
    Write,
    /// It is on the disk.
    Sync,
    /// The broker does not say.
    Unknown,
}

impl Promise {
    /// The promise of `server` to the producers of `scenario`; `stated` is what the user knows of a silent broker.
    #[must_use]
    pub fn of(scenario: &Scenario, server: &ServerProperties, stated: Option<Self>) -> Self {
        if !scenario.persistent || scenario.confirm_window.is_none() {
            return Self::None;
        }
        match server.durability.as_deref() {
            Some("none") => Self::None,
            Some("write") => Self::Write,
            Some("sync") => Self::Sync,
            Some(_) => stated.unwrap_or(Self::Unknown),
            None => stated.unwrap_or_else(|| known(scenario.queue_type, server)),
        }
    }

    /// In words, of a confirmed message.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::None => "nothing is promised",
            Self::Write => "confirmed when written to a file, not synced",
            Self::Sync => "confirmed when synced to the disk",
            Self::Unknown => "not stated",
        }
    }
}

fn known(queue_type: Option<QueueType>, server: &ServerProperties) -> Promise {
    if server.product != "RabbitMQ" {
        return Promise::Unknown;
    }
    let mut numbers = server.version.split(['.', '-', '+']).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Promise::Unknown;
    };
    match queue_type {
        Some(QueueType::Quorum) => Promise::Sync,
        Some(QueueType::Classic) | None if (major, minor) < CLASSIC_WITHOUT_SYNC => Promise::Sync,
        Some(QueueType::Classic) | None => Promise::Write,
    }
}

/// Whether the entrants of a scenario may be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Whether all promise the same, and that is known.
    pub comparable: bool,
    /// Why, in a sentence.
    pub reason: String,
}

/// Compares what the entrants, each with its name, promise.
#[must_use]
pub fn compare(promises: &[(&str, Promise)]) -> Comparison {
    let named = |wanted: Promise| {
        let names: Vec<_> = promises
            .iter()
            .filter(|(_, promise)| *promise == wanted)
            .map(|(name, _)| *name)
            .collect();
        names.join(", ")
    };
    let unknown = named(Promise::Unknown);
    if !unknown.is_empty() {
        return Comparison {
            comparable: false,
            reason: format!("it is not stated what a confirm is worth: {unknown}"),
        };
    }
    let mut different: Vec<Promise> = Vec::new();
    for (_, promise) in promises {
        if !different.contains(promise) {
            different.push(*promise);
        }
    }
    match different[..] {
        [] | [Promise::None] => Comparison {
            comparable: true,
            reason: "nobody is asked to keep anything".into(),
        },
        [promise] => Comparison {
            comparable: true,
            reason: format!("equal durability: {}", promise.describe()),
        },
        _ => {
            let parts: Vec<_> = different
                .iter()
                .map(|&promise| format!("{}: {}", named(promise), promise.describe()))
                .collect();
            Comparison {
                comparable: false,
                reason: format!("durability differs: {}", parts.join("; ")),
            }
        }
    }
}

/// The same for entrants of which `transports` says, each with its name, what their connections go over: encryption costs both
/// sides of a connection.
#[must_use]
pub fn compare_over(promises: &[(&str, Promise)], transports: &[(&str, &str)]) -> Comparison {
    if transports
        .iter()
        .all(|(_, transport)| *transport == transports[0].1)
    {
        return compare(promises);
    }
    let parts: Vec<_> = transports
        .iter()
        .map(|(name, transport)| format!("{name}: {transport}"))
        .collect();
    Comparison {
        comparable: false,
        reason: format!("encryption differs: {}", parts.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    fn server(product: &str, version: &str, durability: Option<&str>) -> ServerProperties {
        ServerProperties {
            product: product.into(),
            version: version.into(),
            durability: durability.map(str::to_owned),
        }
    }

    #[test]
    fn a_promise_is_what_the_broker_says_or_what_is_known_of_it() {
        let durable = built_in("20p20c-durable").unwrap();
        let mut quorum = durable.clone();
        quorum.queue_type = Some(QueueType::Quorum);
        let cases = [
            (&durable, server("reference", "0.1", Some("sync")), Promise::Sync),
            (
                &durable,
                server("reference", "0.1", Some("write")),
                Promise::Write,
            ),
            (&durable, server("RabbitMQ", "3.10.8", None), Promise::Sync),
            (&durable, server("RabbitMQ", "3.13.0", None), Promise::Write),
            (&durable, server("RabbitMQ", "4.1.0-rc.1", None), Promise::Write),
            (&quorum, server("RabbitMQ", "4.1.0", None), Promise::Sync),
            (&durable, server("RabbitMQ", "", None), Promise::Unknown),
            (&durable, server("LavinMQ", "2.0.0", None), Promise::Unknown),
        ];
        for (scenario, server, expected) in cases {
            assert_eq!(Promise::of(scenario, &server, None), expected, "{server:?}");
        }
        let transient = built_in("20p20c").unwrap();
        assert_eq!(
            Promise::of(&transient, &server("RabbitMQ", "4.0.0", None), None),
            Promise::None
        );
        let stated = Some(Promise::Sync);
        assert_eq!(
            Promise::of(&durable, &server("LavinMQ", "2.9.0", None), stated),
            Promise::Sync
        );
    }

    #[test]
    fn only_equal_and_known_promises_are_comparable() {
        let (none, write, sync) = (Promise::None, Promise::Write, Promise::Sync);
        assert!(compare(&[("a", none), ("b", none)]).comparable);
        assert!(compare(&[("a", sync), ("b", sync)]).comparable);
        let differ = compare(&[("a", sync), ("b", write)]);
        assert!(!differ.comparable);
        assert_eq!(
            differ.reason,
            "durability differs: a: confirmed when synced to the disk; b: confirmed when written to a file, not synced"
        );
        let unknown = compare(&[("a", sync), ("b", Promise::Unknown)]);
        assert!(
            !unknown.comparable && unknown.reason.ends_with(": b"),
            "{}",
            unknown.reason
        );
    }

    #[test]
    fn encryption_on_one_side_only_is_not_comparable() {
        let promises = [("a", Promise::Sync), ("b", Promise::Sync)];
        assert!(compare_over(&promises, &[("a", "TLS"), ("b", "TLS")]).comparable);
        let differ = compare_over(&promises, &[("a", "TLS"), ("b", "plain TCP")]);
        assert!(!differ.comparable);
        assert_eq!(differ.reason, "encryption differs: a: TLS; b: plain TCP");
    }
}
