//! How messages spread, and how few of them move.

use super::super::binding::{ExchangeId, QueueId};
use super::*;

const MESSAGES: u32 = 40_000;

fn exchange(arguments: &[(&str, &str)]) -> HashBindings {
    HashBindings::new(&table(arguments)).unwrap()
}

fn table(entries: &[(&str, &str)]) -> FieldTable {
    entries
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.into()))
        .collect()
}

fn bind(bindings: &mut HashBindings, queue: u32, weight: &str) {
    bindings.insert(weight, target(queue), &format!("queue-{queue}"));
}

fn target(queue: u32) -> Target {
    Target {
        binding: BindingId(queue),
        destination: Destination::Queue(QueueId(queue)),
    }
}

fn chosen(bindings: &HashBindings, key: &str, properties: &BasicProperties<'_>) -> Option<u32> {
    let mut chosen = None;
    bindings.visit(key, properties, |destination| {
        chosen = match destination {
            Destination::Queue(QueueId(queue)) => Some(queue),
            Destination::Exchange(ExchangeId(exchange)) => Some(exchange + 1000),
        };
    });
    chosen
}

/// Where each of the messages goes: keys as applications number their customers.
fn spread(bindings: &HashBindings) -> Vec<u32> {
    let none = BasicProperties::default();
    (0..MESSAGES)
        .map(|number| chosen(bindings, &format!("customer.{number}"), &none).unwrap())
        .collect()
}

/// Asserts that counts are within five standard deviations of what the weights say.
fn assert_shares(spread: &[u32], weights: &[(u32, f64)]) {
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    for &(queue, weight) in weights {
        let count = spread.iter().filter(|&&chosen| chosen == queue).count() as f64;
        let share = weight / sum;
        let expected = spread.len() as f64 * share;
        let deviation = (expected * (1.0 - share)).sqrt();
        assert!(
            (count - expected).abs() < 5.0 * deviation,
            "queue {queue} of weight {weight}: {count} of {expected} expected"
        );
    }
}

#[test]
fn messages_spread_evenly_and_by_weight() {
    let mut even = exchange(&[]);
    (0..7).for_each(|queue| bind(&mut even, queue, "1"));
    assert_shares(&spread(&even), &[0, 1, 2, 3, 4, 5, 6].map(|queue| (queue, 1.0)));
    let mut weighted = exchange(&[]);
    let weights = [(0, 1.0), (1, 2.0), (2, 10.0), (3, 2.0), (4, 1.0)];
    for (queue, weight) in weights {
        bind(&mut weighted, queue, &weight.to_string());
    }
    assert_shares(&spread(&weighted), &weights);
}

#[test]
fn a_binding_that_comes_or_goes_moves_its_own_messages_only() {
    let mut bindings = exchange(&[]);
    for queue in 0..5 {
        bind(&mut bindings, queue, if queue == 3 { "3" } else { "1" });
    }
    let before = spread(&bindings);
    bind(&mut bindings, 5, "2");
    let with_new = spread(&bindings);
    for (was, is) in before.iter().zip(&with_new) {
        assert!(was == is || *is == 5, "moved from {was} to {is}");
    }
    assert_shares(
        &with_new,
        &[(3, 3.0), (5, 2.0), (0, 1.0), (1, 1.0), (2, 1.0), (4, 1.0)],
    );
    // What the new one drew came from the others in proportion.
    let drawn: Vec<u32> = before
        .iter()
        .zip(&with_new)
        .filter(|(_, is)| **is == 5)
        .map(|(was, _)| *was)
        .collect();
    assert_shares(&drawn, &[(3, 3.0), (0, 1.0), (1, 1.0), (2, 1.0), (4, 1.0)]);
    bindings.remove("3", BindingId(3));
    for (was, is) in with_new.iter().zip(spread(&bindings)) {
        assert!(*was == is || *was == 3, "moved from {was} to {is}");
    }
    bind(&mut bindings, 3, "3");
    bindings.remove("2", BindingId(5));
    assert_eq!(
        spread(&bindings),
        before,
        "the order of bindings has no part in it"
    );
}

#[test]
fn a_heavier_weight_only_draws_more() {
    let mut bindings = exchange(&[]);
    (0..4).for_each(|queue| bind(&mut bindings, queue, "2"));
    let before = spread(&bindings);
    bindings.remove("2", BindingId(1));
    bind(&mut bindings, 1, "4");
    let after = spread(&bindings);
    assert!(before.iter().zip(&after).all(|(was, is)| was == is || *is == 1));
    assert_shares(&after, &[(0, 2.0), (1, 4.0), (2, 2.0), (3, 2.0)]);
}

#[test]
fn one_destination_has_one_share_and_exchanges_are_destinations_too() {
    let mut bindings = exchange(&[]);
    bind(&mut bindings, 0, "1");
    bind(&mut bindings, 1, "1");
    let second = Target {
        binding: BindingId(9),
        ..target(0)
    };
    bindings.insert("3", second, "queue-0");
    assert_shares(&spread(&bindings), &[(0, 3.0), (1, 1.0)]);
    bindings.remove("3", BindingId(9));
    let exchange = Target {
        binding: BindingId(2),
        destination: Destination::Exchange(ExchangeId(7)),
    };
    bindings.insert("1", exchange, "queue-0");
    assert_shares(&spread(&bindings), &[(0, 1.0), (1, 1.0), (1007, 1.0)]);
    assert_eq!(
        chosen(
            &HashBindings::new(&FieldTable::new()).unwrap(),
            "k",
            &BasicProperties::default()
        ),
        None
    );
}

#[test]
fn a_header_or_a_property_decides_when_asked() {
    let mut by_header = exchange(&[("hash-header", "shard")]);
    let mut by_property =
        ["correlation_id", "message_id", "timestamp"].map(|name| exchange(&[("hash-property", name)]));
    for bindings in by_property.iter_mut().chain([&mut by_header]) {
        (0..3).for_each(|queue| bind(bindings, queue, "1"));
        assert!(bindings.reads_properties());
        // Without what decides, all messages go one way.
        let none = BasicProperties::default();
        assert_eq!(chosen(bindings, "a", &none), chosen(bindings, "b", &none));
    }
    let mut seen = [[0; 3]; 4];
    for number in 0..600u64 {
        let text = number.to_string();
        let properties = [
            BasicProperties {
                correlation_id: Some(&text),
                ..Default::default()
            },
            BasicProperties {
                message_id: Some(&text),
                ..Default::default()
            },
            BasicProperties {
                timestamp: Some(number),
                ..Default::default()
            },
        ];
        for (index, bindings) in by_property.iter().enumerate() {
            let queue = chosen(bindings, "same", &properties[index]).unwrap();
            seen[index][queue as usize] += 1;
        }
        let with = |value: FieldValue| {
            let mut headers = FieldTable::new();
            headers.insert("shard", value);
            let headers = headers.to_bytes();
            let headers = wire::TableRef::parse(&headers).ok();
            chosen(
                &by_header,
                "same",
                &BasicProperties {
                    headers,
                    ..Default::default()
                },
            )
            .unwrap()
        };
        let (narrow, wide) = (with((number as i32).into()), with((number as i64).into()));
        assert_eq!(narrow, wide);
        with(FieldValue::F64(number as f64));
        seen[3][wide as usize] += 1;
    }
    for counts in seen {
        assert!(counts.iter().all(|&count| count > 140), "{counts:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_rabbitmqs_words() {
    let refused = |arguments: &FieldTable| HashBindings::new(arguments).unwrap_err().to_string();
    assert_eq!(
        refused(&table(&[("hash-header", "h"), ("hash-property", "message_id")])),
        "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive"
    );
    assert_eq!(
        refused(&table(&[("hash-property", "app_id")])),
        "PRECONDITION_FAILED - Unsupported property: app_id"
    );
    let mut number = FieldTable::new();
    number.insert("hash-header", 1i32);
    assert_eq!(
        refused(&number),
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'hash-header'"
    );
    let no_weight = |key: &str| HashBindings::check(key).unwrap_err().to_string();
    let text = "PRECONDITION_FAILED - The binding key must be an integer: ";
    assert_eq!(no_weight("heavy"), format!("{text}<<\"heavy\">>"));
    assert_eq!(no_weight(""), format!("{text}<<>>"));
    assert_eq!(no_weight("1.5"), format!("{text}<<\"1.5\">>"));
    for key in ["0", "-3", "-0"] {
        assert_eq!(
            no_weight(key),
            "PRECONDITION_FAILED - The binding key must be greater than 0"
        );
    }
    for key in ["1", "+7", "007", &"9".repeat(255)] {
        HashBindings::check(key).unwrap();
    }
}
