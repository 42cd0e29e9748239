//! The topology as its users see it.

use wire::{BasicProperties, FieldTable, FieldValue, ReplyCode, TableRef};

use super::{ExchangeKind, ExchangeSpec, Topology, TopologyError};

pub(super) type Names = Topology<String>;

fn with_headers(headers: TableRef<'_>) -> BasicProperties<'_> {
    BasicProperties {
        headers: Some(headers),
        ..BasicProperties::default()
    }
}

pub(super) fn spec(name: &str, kind: ExchangeKind) -> ExchangeSpec {
    let arguments = FieldTable::new();
    ExchangeSpec {
        name: name.to_owned(),
        kind,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments,
    }
}

fn with_queues(queues: &[&str]) -> Names {
    let mut topology = Names::new("/");
    for queue in queues {
        topology.add_queue(queue, false, (*queue).to_owned());
    }
    topology
}

fn bind(topology: &mut Names, queue: &str, exchange: &str, key: &str) {
    topology
        .bind_queue(queue, exchange, key, &FieldTable::new())
        .unwrap();
}

fn chain(topology: &mut Names, source: &str, destination: &str, key: &str) {
    topology
        .bind_exchange(destination, source, key, &FieldTable::new())
        .unwrap();
}

pub(super) fn route(topology: &Names, exchange: &str, key: &str) -> Vec<String> {
    let mut queues = topology
        .route(exchange, key, &BasicProperties::default())
        .unwrap()
        .to_vec();
    queues.sort();
    queues
}

fn refused(result: Result<(), TopologyError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_default_exchange_routes_to_the_queue_of_that_name() {
    let mut topology = with_queues(&["a", "b"]);
    assert_eq!(route(&topology, "", "a"), ["a"]);
    assert!(route(&topology, "", "c").is_empty());
    assert_eq!(topology.remove_queue("a"), Some("a".to_owned()));
    assert!(route(&topology, "", "a").is_empty());
    assert_eq!(topology.queues().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn nobody_gets_into_a_delayed_exchange_by_the_queue_behind_it() {
    let mut topology = with_queues(&["amq.delayed.later"]);
    assert!(route(&topology, "", "amq.delayed.later").is_empty());
    let internally = topology.route_internally("", "amq.delayed.later", &BasicProperties::default());
    assert!(internally.is_empty());
    let mut alternate = spec("x", ExchangeKind::Direct);
    alternate.arguments.insert("alternate-exchange", "");
    topology.declare_exchange(alternate).unwrap();
    assert!(route(&topology, "x", "amq.delayed.later").is_empty());
}

#[test]
fn every_predeclared_exchange_routes_by_its_type() {
    let mut topology = with_queues(&["a", "b"]);
    bind(&mut topology, "a", "amq.direct", "k");
    bind(&mut topology, "b", "amq.fanout", "ignored");
    bind(&mut topology, "a", "amq.topic", "k.*");
    assert_eq!(route(&topology, "amq.direct", "k"), ["a"]);
    assert!(route(&topology, "amq.direct", "k.x").is_empty());
    assert_eq!(route(&topology, "amq.fanout", "x"), ["b"]);
    assert_eq!(route(&topology, "amq.topic", "k.x"), ["a"]);
    for exchange in ["amq.headers", "amq.match"] {
        let mut arguments = FieldTable::new();
        arguments.insert("h", 1i32);
        topology.bind_queue("b", exchange, "", &arguments).unwrap();
        let bytes = arguments.to_bytes();
        let headers = TableRef::parse(&bytes).unwrap();
        assert_eq!(
            topology
                .route(exchange, "", &with_headers(headers))
                .unwrap()
                .to_vec(),
            ["b"]
        );
        assert!(
            topology
                .route(exchange, "", &BasicProperties::default())
                .unwrap()
                .is_empty()
        );
        assert!(topology.routes_by_headers(exchange));
    }
    assert!(!topology.routes_by_headers("amq.topic") && !topology.routes_by_headers(""));
}

#[test]
fn a_queue_gets_a_message_once_however_many_bindings_match() {
    let mut topology = with_queues(&["a", "b"]);
    for key in ["x.y", "*.y", "#", "x.#"] {
        bind(&mut topology, "a", "amq.topic", key);
    }
    chain(&mut topology, "amq.topic", "amq.fanout", "#");
    bind(&mut topology, "a", "amq.fanout", "");
    bind(&mut topology, "b", "amq.fanout", "");
    assert_eq!(route(&topology, "amq.topic", "x.y"), ["a", "b"]);
}

#[test]
fn bindings_in_a_circle_end() {
    let mut topology = with_queues(&["a"]);
    for name in ["x", "y", "z"] {
        topology
            .declare_exchange(spec(name, ExchangeKind::Fanout))
            .unwrap();
    }
    for (source, destination) in [("x", "y"), ("y", "z"), ("z", "x"), ("x", "x")] {
        chain(&mut topology, source, destination, "");
    }
    bind(&mut topology, "a", "z", "");
    assert_eq!(route(&topology, "x", ""), ["a"]);
    assert!(!topology.routes_by_headers("x"));
    chain(&mut topology, "z", "amq.match", "");
    assert!(topology.routes_by_headers("x"));
    topology.delete_exchange("x", false).unwrap();
    assert_eq!(route(&topology, "y", ""), ["a"]);
    assert_eq!(
        refused(topology.check_exchange("x")),
        "NOT_FOUND - no exchange 'x' in vhost '/'"
    );
}

#[test]
fn declaring_again_must_say_the_same() {
    let mut topology = Names::new("/");
    topology
        .declare_exchange(spec("x", ExchangeKind::Direct))
        .unwrap();
    let generation = topology.generation();
    topology
        .declare_exchange(spec("x", ExchangeKind::Direct))
        .unwrap();
    assert_eq!(topology.generation(), generation);
    let changed = |change: fn(&mut ExchangeSpec)| {
        let mut spec = spec("x", ExchangeKind::Direct);
        change(&mut spec);
        spec
    };
    let cases = [
        (
            changed(|s| s.kind = ExchangeKind::Topic),
            "'type'",
            "'topic' but current is 'direct'",
        ),
        (
            changed(|s| s.durable = true),
            "'durable'",
            "'true' but current is 'false'",
        ),
        (
            changed(|s| s.auto_delete = true),
            "'auto_delete'",
            "'true' but current is 'false'",
        ),
        (
            changed(|s| s.internal = true),
            "'internal'",
            "'true' but current is 'false'",
        ),
        (
            changed(|s| s.arguments.insert("alternate-exchange", "y")),
            "'alternate-exchange'",
            "the value 'y' of type 'longstr' but current is none",
        ),
    ];
    for (spec, argument, values) in cases {
        let expected = format!(
            "PRECONDITION_FAILED - inequivalent arg {argument} for exchange 'x' in vhost '/': received {values}"
        );
        assert_eq!(refused(topology.declare_exchange(spec)), expected);
    }
}

#[test]
fn reserved_names_and_the_default_exchange_are_protected() {
    let mut topology = with_queues(&["a"]);
    let none = FieldTable::new();
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    assert_eq!(
        refused(topology.declare_exchange(spec("", ExchangeKind::Direct))),
        default
    );
    assert_eq!(refused(topology.check_exchange("")), default);
    assert_eq!(refused(topology.delete_exchange("", false)), default);
    assert_eq!(refused(topology.bind_queue("a", "", "k", &none)), default);
    assert_eq!(refused(topology.unbind_queue("a", "", "k", &none)), default);
    assert_eq!(
        refused(topology.bind_exchange("", "amq.direct", "k", &none)),
        default
    );
    assert_eq!(
        refused(topology.unbind_exchange("amq.direct", "", "k", &none)),
        default
    );
    assert_eq!(
        refused(topology.declare_exchange(spec("amq.mine", ExchangeKind::Direct))),
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"
    );
    assert_eq!(
        refused(topology.delete_exchange("amq.topic", false)),
        "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed"
    );
    let mut again = spec("amq.topic", ExchangeKind::Topic);
    again.durable = true;
    topology.declare_exchange(again).unwrap();
}

#[test]
fn what_does_not_exist_is_named() {
    let mut topology = with_queues(&["a"]);
    let none = FieldTable::new();
    let no_exchange = "NOT_FOUND - no exchange 'x' in vhost '/'";
    assert_eq!(refused(topology.check_exchange("x")), no_exchange);
    assert_eq!(refused(topology.bind_queue("a", "x", "", &none)), no_exchange);
    assert_eq!(
        refused(topology.bind_exchange("x", "amq.direct", "", &none)),
        no_exchange
    );
    assert_eq!(
        refused(topology.bind_exchange("amq.direct", "x", "", &none)),
        no_exchange
    );
    assert_eq!(
        topology
            .route("x", "", &BasicProperties::default())
            .unwrap_err()
            .to_string(),
        no_exchange
    );
    assert_eq!(
        refused(topology.bind_queue("q", "amq.direct", "", &none)),
        "NOT_FOUND - no queue 'q' in vhost '/'"
    );
    let unknown = "x-random".parse::<ExchangeKind>().unwrap_err();
    assert_eq!(unknown.code, ReplyCode::PreconditionFailed);
    assert_eq!(unknown.text, "unknown exchange type 'x-random'");
    // Gone is gone: these are no errors.
    topology.delete_exchange("x", true).unwrap();
    topology.unbind_queue("a", "x", "", &none).unwrap();
    topology.unbind_queue("q", "amq.direct", "", &none).unwrap();
    topology.unbind_queue("a", "amq.direct", "", &none).unwrap();
    topology.unbind_exchange("x", "amq.direct", "", &none).unwrap();
    assert_eq!(topology.remove_queue("q"), None);
}

#[test]
fn internal_exchanges_take_no_publishes_but_route_on() {
    let mut topology = with_queues(&["a"]);
    topology
        .declare_exchange(ExchangeSpec {
            internal: true,
            ..spec("x", ExchangeKind::Fanout)
        })
        .unwrap();
    bind(&mut topology, "a", "x", "");
    chain(&mut topology, "amq.direct", "x", "k");
    let error = topology.route("x", "k", &BasicProperties::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'"
    );
    assert_eq!(route(&topology, "amq.direct", "k"), ["a"]);
}

#[test]
fn deleting_if_unused_asks_for_outgoing_bindings_only() {
    let mut topology = with_queues(&["a"]);
    topology
        .declare_exchange(spec("x", ExchangeKind::Direct))
        .unwrap();
    chain(&mut topology, "amq.direct", "x", "");
    bind(&mut topology, "a", "x", "k");
    assert_eq!(
        refused(topology.delete_exchange("x", true)),
        "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"
    );
    topology.unbind_queue("a", "x", "k", &FieldTable::new()).unwrap();
    topology.delete_exchange("x", true).unwrap();
    assert!(topology.check_exchange("x").is_err());
    assert!(route(&topology, "amq.direct", "").is_empty());
}

#[test]
fn auto_delete_exchanges_go_with_their_last_binding_one_after_another() {
    let mut topology = with_queues(&["a", "b"]);
    for name in ["x", "y"] {
        topology
            .declare_exchange(ExchangeSpec {
                auto_delete: true,
                ..spec(name, ExchangeKind::Fanout)
            })
            .unwrap();
    }
    chain(&mut topology, "x", "y", "");
    bind(&mut topology, "a", "y", "");
    bind(&mut topology, "b", "y", "");
    topology.remove_queue("a");
    topology.check_exchange("y").unwrap();
    topology.remove_queue("b");
    assert!(topology.check_exchange("y").is_err() && topology.check_exchange("x").is_err());
}

#[test]
fn bindings_are_the_same_when_their_arguments_are_in_whatever_order() {
    let mut topology = with_queues(&["a"]);
    let table = |entries: [(&str, i32); 2]| -> FieldTable {
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), FieldValue::I32(value)))
            .collect()
    };
    let (one, other) = (table([("h", 1), ("g", 2)]), table([("g", 2), ("h", 1)]));
    topology.bind_queue("a", "amq.headers", "", &one).unwrap();
    let generation = topology.generation();
    topology.bind_queue("a", "amq.headers", "", &other).unwrap();
    assert_eq!(topology.generation(), generation);
    topology.unbind_queue("a", "amq.headers", "", &other).unwrap();
    let bytes = one.to_bytes();
    let headers = TableRef::parse(&bytes).unwrap();
    assert!(
        topology
            .route("amq.headers", "", &with_headers(headers))
            .unwrap()
            .is_empty()
    );
    let mut wrong = FieldTable::new();
    wrong.insert("x-match", "most");
    assert!(refused(topology.bind_queue("a", "amq.headers", "", &wrong)).starts_with("PRECONDITION_FAILED"));
    topology.bind_queue("a", "amq.direct", "", &wrong).unwrap();
}

#[test]
fn what_matches_nothing_goes_to_the_alternate_exchange() {
    let mut topology = with_queues(&["a", "b", "k"]);
    let mut first = spec("x", ExchangeKind::Direct);
    first.arguments.insert("alternate-exchange", "y");
    topology.declare_exchange(first).unwrap();
    bind(&mut topology, "a", "x", "known");
    assert!(route(&topology, "x", "k").is_empty());
    let mut second = spec("y", ExchangeKind::Topic);
    second.arguments.insert("alternate-exchange", "");
    topology.declare_exchange(second).unwrap();
    bind(&mut topology, "b", "y", "b.#");
    assert_eq!(route(&topology, "x", "known"), ["a"]);
    assert_eq!(route(&topology, "x", "b.c"), ["b"]);
    assert_eq!(route(&topology, "x", "k"), ["k"]);
    let mut third = spec("z", ExchangeKind::Direct);
    third.arguments.insert("alternate-exchange", true);
    assert_eq!(
        refused(topology.declare_exchange(third)),
        "PRECONDITION_FAILED - invalid type 'bool' for arg 'alternate-exchange' in exchange 'z' in vhost '/'"
    );
    let mut differing = spec("x", ExchangeKind::Direct);
    differing.arguments.insert("alternate-exchange", "z");
    assert!(
        refused(topology.declare_exchange(differing.clone()))
            .ends_with("for exchange 'x' in vhost '/': received 'z' but current is 'y'")
    );
    differing.arguments.insert("alternate-exchange", "y");
    differing.arguments.insert("anything", "else");
    topology.declare_exchange(differing).unwrap();
    let mut by_headers = spec("w", ExchangeKind::Direct);
    by_headers.arguments.insert("alternate-exchange", "amq.match");
    topology.declare_exchange(by_headers).unwrap();
    assert!(topology.routes_by_headers("w"));
}

#[test]
fn alternate_exchanges_in_a_circle_end() {
    let mut topology = with_queues(&["a"]);
    for (name, alternate) in [("x", "y"), ("y", "z"), ("z", "x"), ("self", "self")] {
        let mut exchange = spec(name, ExchangeKind::Direct);
        exchange.arguments.insert("alternate-exchange", alternate);
        topology.declare_exchange(exchange).unwrap();
    }
    assert!(route(&topology, "x", "k").is_empty() && route(&topology, "self", "k").is_empty());
    bind(&mut topology, "a", "y", "k");
    for exchange in ["x", "y", "z"] {
        assert_eq!(route(&topology, exchange, "k"), ["a"]);
    }
    // One that is bound to something, even if that leads nowhere, is not asked for its alternate.
    chain(&mut topology, "x", "amq.fanout", "k");
    assert!(route(&topology, "x", "k").is_empty());
}

#[test]
fn a_consistent_hash_exchange_feeds_one_of_its_bindings() {
    let mut topology = with_queues(&["a", "b", "c"]);
    let by_key = spec("by-key", ExchangeKind::ConsistentHash);
    topology.declare_exchange(by_key).unwrap();
    let mut by_id = spec("by-id", ExchangeKind::ConsistentHash);
    by_id.arguments.insert("hash-property", "message_id");
    topology.declare_exchange(by_id).unwrap();
    for exchange in ["by-key", "by-id"] {
        bind(&mut topology, "a", exchange, "1");
        bind(&mut topology, "b", exchange, "2");
        chain(&mut topology, exchange, "amq.fanout", "1");
    }
    bind(&mut topology, "c", "amq.fanout", "");
    assert!(!topology.routes_by_headers("by-key") && topology.routes_by_headers("by-id"));
    let mut met = std::collections::BTreeSet::new();
    for number in 0..50 {
        let key = number.to_string();
        let first = route(&topology, "by-key", &key);
        assert_eq!(first.len(), 1);
        assert_eq!(route(&topology, "by-key", &key), first);
        met.extend(first);
        let properties = BasicProperties {
            message_id: Some(&key),
            ..BasicProperties::default()
        };
        // The same value hashes alike, wherever it stands.
        let by_id = topology.route("by-id", "ignored", &properties).unwrap();
        assert_eq!(by_id.to_vec(), route(&topology, "by-key", &key));
    }
    assert_eq!(met.len(), 3);
    assert_eq!(
        refused(topology.bind_queue("a", "by-key", "heavy", &FieldTable::new())),
        "PRECONDITION_FAILED - The binding key must be an integer: <<\"heavy\">>"
    );
    let mut both = spec("both", ExchangeKind::ConsistentHash);
    both.arguments.insert("hash-property", "message_id");
    both.arguments.insert("hash-header", "h");
    assert!(refused(topology.declare_exchange(both)).contains("mutually exclusive"));
    topology.check_exchange("both").unwrap_err();
}

#[test]
fn a_queue_declared_anew_keeps_no_bindings_of_the_old_one() {
    let mut topology = with_queues(&["a"]);
    bind(&mut topology, "a", "amq.direct", "k");
    topology.remove_queue("a");
    topology.add_queue("a", false, "new".to_owned());
    assert!(route(&topology, "amq.direct", "k").is_empty());
    assert_eq!(topology.queue("a"), Some(&"new".to_owned()));
    bind(&mut topology, "a", "amq.direct", "k");
    assert_eq!(
        topology.add_queue("a", false, "newer".to_owned()),
        Some("new".to_owned())
    );
    assert_eq!(route(&topology, "amq.direct", "k"), ["newer"]);
}
