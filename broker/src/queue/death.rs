//! What a dead letter says of its deaths: the headers `x-death`, `x-first-death-…` and `x-last-death-…`, as RabbitMQ 4 has
//! them, and what follows from them for letters that go round in circles.
//!
//! `x-death` is an array of tables, the latest death first, one a queue and reason, each with a count.

use wire::{BasicProperties, FieldTable, FieldValue};

use super::special::DeathReason;

const DEATHS: &str = "x-death";
/// Further routing keys that the publisher gave; each was part of the route.
const CC: &str = "CC";

/// One death of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death<'a> {
    /// Where.
    pub(super) queue: &'a str,
    /// Why.
    pub(super) reason: DeathReason,
    /// Seconds since the Unix epoch.
    pub(super) time_s: u64,
    /// The exchange it was published to.
    pub(super) exchange: &'a str,
    /// With which routing key.
    pub(super) routing_key: &'a str,
    /// The letter gets another routing key than the message had.
    pub(super) rerouted: bool,
}

/// Removes what a client wrote where only the broker writes: a letter that it publishes again begins a new life.
pub(super) fn forget_deaths(headers: &mut FieldTable) {
    headers.remove(DEATHS);
    for which in ["first", "last"] {
        for detail in ["reason", "queue", "exchange"] {
            headers.remove(&format!("x-{which}-death-{detail}"));
        }
    }
}

/// Writes a death into the headers of a message. Its expiration goes, so that the letter does not expire as well.
pub(super) fn record_death(
    headers: &mut FieldTable,
    properties: &mut BasicProperties<'_>,
    death: &Death<'_>,
) {
    let mut deaths = match headers.get(DEATHS) {
        Some(FieldValue::Array(deaths)) => deaths.clone(),
        _ => Vec::new(),
    };
    let known = deaths.iter().position(|entry| {
        let said = |name| table(entry).and_then(|entry| entry.get(name)?.as_str());
        said("queue") == Some(death.queue) && said("reason") == Some(death.reason.name())
    });
    let entry = match known.map(|index| deaths.remove(index)) {
        Some(FieldValue::Table(mut entry)) => {
            let count = entry.get("count").and_then(FieldValue::as_i64).unwrap_or(0);
            entry.insert("count", count.saturating_add(1));
            entry
        }
        _ => first_death(headers, properties, death),
    };
    deaths.insert(0, FieldValue::Table(entry));
    headers.insert(DEATHS, FieldValue::Array(deaths));
    let details = [
        ("reason", death.reason.name()),
        ("queue", death.queue),
        ("exchange", death.exchange),
    ];
    for (detail, value) in details {
        let first = format!("x-first-death-{detail}");
        if headers.get(&first).is_none() {
            headers.insert(first, value);
        }
        headers.insert(format!("x-last-death-{detail}"), value);
    }
    if death.rerouted {
        headers.remove(CC);
    }
    properties.expiration = None;
}

/// The entry of a message that dies for the first time in this queue for this reason.
fn first_death(headers: &FieldTable, properties: &BasicProperties<'_>, death: &Death<'_>) -> FieldTable {
    let mut keys = vec![FieldValue::from(death.routing_key)];
    if let Some(FieldValue::Array(further)) = headers.get(CC) {
        keys.extend(further.iter().cloned());
    }
    let mut entry = FieldTable::new();
    entry.insert("count", 1_i64);
    entry.insert("reason", death.reason.name());
    entry.insert("queue", death.queue);
    entry.insert("time", FieldValue::Timestamp(death.time_s));
    entry.insert("exchange", death.exchange);
    entry.insert("routing-keys", FieldValue::Array(keys));
    if let Some(expiration) = properties.expiration {
        entry.insert("original-expiration", expiration);
    }
    entry
}

/// True when a letter with these headers has died in `queue` before and has gone all the way round since without any
/// consumer having rejected it: nobody would ever stop it. Such letters are dropped.
pub(super) fn goes_in_circles(headers: &FieldTable, queue: &str) -> bool {
    let Some(FieldValue::Array(deaths)) = headers.get(DEATHS) else {
        return false;
    };
    let said = |entry, name| table(entry).and_then(|entry| entry.get(name)?.as_str());
    let Some(last) = deaths
        .iter()
        .position(|entry| said(entry, "queue") == Some(queue))
    else {
        return false;
    };
    let rejected = DeathReason::Rejected.name();
    deaths[..=last]
        .iter()
        .all(|entry| said(entry, "reason") != Some(rejected))
}

/// The routing keys that a letter without a key of its own is routed with, besides its first one.
pub(super) fn further_keys(headers: &FieldTable) -> Vec<String> {
    match headers.get(CC) {
        Some(FieldValue::Array(keys)) => {
            let keys = keys.iter().filter_map(FieldValue::as_str);
            keys.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn table(value: &FieldValue) -> Option<&FieldTable> {
    match value {
        FieldValue::Table(table) => Some(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(queue: &str, reason: DeathReason) -> Death<'_> {
        Death {
            queue,
            reason,
            time_s: 1_700_000_000,
            exchange: "orders",
            routing_key: "eu",
            rerouted: false,
        }
    }

    fn die(headers: &mut FieldTable, queue: &str, reason: DeathReason) {
        record_death(headers, &mut BasicProperties::default(), &death(queue, reason));
    }

    fn deaths(headers: &FieldTable) -> Vec<(String, String, i64)> {
        let Some(FieldValue::Array(deaths)) = headers.get(DEATHS) else {
            return Vec::new();
        };
        let text = |entry: &FieldTable, name| entry.get(name).unwrap().as_str().unwrap().to_owned();
        deaths
            .iter()
            .map(|entry| table(entry).unwrap())
            .map(|entry| {
                let count = entry.get("count").unwrap().as_i64().unwrap();
                (text(entry, "queue"), text(entry, "reason"), count)
            })
            .collect()
    }

    #[test]
    fn the_latest_death_comes_first_and_repeated_ones_are_counted() {
        let mut headers = FieldTable::new();
        die(&mut headers, "a", DeathReason::Rejected);
        die(&mut headers, "b", DeathReason::Expired);
        die(&mut headers, "a", DeathReason::Rejected);
        die(&mut headers, "a", DeathReason::MaxLength);
        let expected = [("a", "maxlen", 1), ("a", "rejected", 2), ("b", "expired", 1)];
        let expected = expected.map(|(queue, reason, count)| (queue.to_owned(), reason.to_owned(), count));
        assert_eq!(deaths(&headers), expected);
        let text = |name: &str| headers.get(name).unwrap().as_str().unwrap();
        assert_eq!(
            (text("x-first-death-queue"), text("x-first-death-reason")),
            ("a", "rejected")
        );
        assert_eq!(
            (text("x-last-death-queue"), text("x-last-death-reason")),
            ("a", "maxlen")
        );
        assert_eq!(text("x-last-death-exchange"), "orders");
    }

    #[test]
    fn an_entry_tells_the_whole_route_and_the_expiration() {
        let mut headers = FieldTable::new();
        headers.insert(CC, FieldValue::Array(vec!["us".into()]));
        let mut properties = BasicProperties {
            expiration: Some("100"),
            ..BasicProperties::default()
        };
        let rerouted = Death {
            rerouted: true,
            ..death("q", DeathReason::Expired)
        };
        record_death(&mut headers, &mut properties, &rerouted);
        assert_eq!(properties.expiration, None);
        assert_eq!(
            headers.get(CC),
            None,
            "the letter goes where its new key says only"
        );
        let Some(FieldValue::Array(deaths)) = headers.get(DEATHS) else {
            panic!("no deaths")
        };
        let entry = table(&deaths[0]).unwrap();
        assert_eq!(entry.get("original-expiration").unwrap().as_str(), Some("100"));
        assert_eq!(
            entry.get("routing-keys"),
            Some(&FieldValue::Array(vec!["eu".into(), "us".into()]))
        );
        assert_eq!(entry.get("time"), Some(&FieldValue::Timestamp(1_700_000_000)));
    }

    #[test]
    fn a_circle_without_a_rejection_ends() {
        let mut headers = FieldTable::new();
        die(&mut headers, "a", DeathReason::Expired);
        die(&mut headers, "b", DeathReason::Expired);
        assert!(goes_in_circles(&headers, "a") && goes_in_circles(&headers, "b"));
        assert!(!goes_in_circles(&headers, "c"));
        die(&mut headers, "b", DeathReason::Rejected);
        assert!(!goes_in_circles(&headers, "a"), "a consumer took part");
        assert!(!goes_in_circles(&headers, "b"));
    }
}
