//! Which queue is copied before which.

use wire::FieldTable;

use super::*;

fn queue(name: &str, arguments: &[(&str, &str)]) -> Entity {
    let mut table = FieldTable::new();
    for &(key, value) in arguments {
        table.insert(key, value);
    }
    let record = QueueRecord {
        vhost: "/".to_owned(),
        name: name.to_owned(),
        id: format!("id of {name}"),
        durable: true,
        auto_delete: false,
        arguments: table,
    };
    record.into()
}

/// Sends its dead letters to an exchange, with a key.
fn dying(name: &str, exchange: &str, key: &str) -> Entity {
    queue(
        name,
        &[
            ("x-dead-letter-exchange", exchange),
            ("x-dead-letter-routing-key", key),
        ],
    )
}

fn exchange(name: &str, kind: &str, arguments: &[(&str, &str)]) -> Entity {
    let mut table = FieldTable::new();
    for &(key, value) in arguments {
        table.insert(key, value);
    }
    let record = ExchangeRecord {
        vhost: "/".to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: table,
    };
    record.into()
}

fn binding(source: &str, destination_kind: DestinationKind, destination: &str, key: &str) -> Entity {
    let record = BindingRecord {
        vhost: "/".to_owned(),
        source: source.to_owned(),
        destination_kind,
        destination: destination.to_owned(),
        routing_key: key.to_owned(),
        arguments: FieldTable::new(),
    };
    record.into()
}

fn to_queue(source: &str, destination: &str, key: &str) -> Entity {
    binding(source, DestinationKind::Queue, destination, key)
}

fn order(entities: &[Entity]) -> Vec<&str> {
    let queues = sources_first(entities);
    queues.into_iter().map(|queue| queue.name.as_str()).collect()
}

#[test]
fn queues_that_have_nothing_to_do_with_each_other_stay_as_they_are() {
    let entities = ["b", "c", "a"].map(|name| queue(name, &[]));
    assert_eq!(order(&entities), ["b", "c", "a"]);
    assert_eq!(order(&[]), Vec::<&str>::new());
}

#[test]
fn a_source_comes_before_its_target() {
    let by_default = [
        queue("a", &[]),
        dying("b", "", "a"),
        queue("c", &[]),
        dying("d", "", "b"),
    ];
    assert_eq!(order(&by_default), ["c", "d", "b", "a"]);
    let elsewhere = match queue("a", &[]) {
        Entity::Queue(record) => QueueRecord {
            vhost: "other".to_owned(),
            ..record
        },
        other => panic!("{other:?}"),
    };
    let other_host = [elsewhere.into(), dying("b", "", "a")];
    assert_eq!(order(&other_host), ["a", "b"]);
}

#[test]
fn ways_lead_through_exchanges() {
    let entities = [
        exchange("first", "topic", &[("alternate-exchange", "last")]),
        exchange("second", "fanout", &[]),
        exchange("last", "headers", &[]),
        queue("a", &[]),
        queue("b", &[]),
        queue("c", &[("x-dead-letter-exchange", "first")]),
        binding("first", DestinationKind::Exchange, "second", "#"),
        to_queue("second", "a", ""),
        to_queue("last", "b", ""),
    ];
    let order = order(&entities);
    assert_eq!((order.len(), order[0]), (3, "c"), "{order:?}");
}

#[test]
fn a_delayed_message_is_looked_for_where_it_waits_first() {
    let entities = [
        exchange("x", "x-delayed-message", &[("x-delayed-type", "direct")]),
        to_queue("x", "a", "k"),
        queue("a", &[]),
        queue("amq.delayed.x", &[("x-delayed-exchange", "x")]),
        dying("z", "x", "k"),
    ];
    assert_eq!(order(&entities), ["z", "amq.delayed.x", "a"]);
}

#[test]
fn keys_of_direct_exchanges_keep_ways_apart() {
    for direct in ["amq.direct", "x"] {
        let entities = [
            exchange("x", "direct", &[]),
            queue("a", &[]),
            dying("b", direct, "to a"),
            dying("c", direct, "to b"),
            to_queue(direct, "a", "to a"),
            to_queue(direct, "b", "to b"),
            to_queue(direct, "c", "to c"),
        ];
        assert_eq!(order(&entities), ["c", "b", "a"], "{direct}");
    }
}

#[test]
fn every_queue_is_there_once_also_in_circles() {
    let entities = [
        dying("a", "", "b"),
        dying("b", "", "a"),
        dying("c", "", "c"),
        dying("d", "nowhere", "a"),
        dying("e", "", "no queue"),
        dying("z", "", "a"),
    ];
    let order = order(&entities);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["a", "b", "c", "d", "e", "z"]);
    let place = |name| order.iter().position(|found| *found == name);
    assert!(place("z") < place("a") && place("z") < place("b"), "{order:?}");
}
