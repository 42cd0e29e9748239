//! Routing and changing a topology with thousands of bindings.
//!
//! 5,000 bindings on one exchange, each to a queue of its own: one iteration of `route` follows one message; one of
//! `bind_and_unbind` makes and removes all 5,000. What a publisher remembers of its routes is not in it.

use std::hint::black_box;

use broker::topology::{ExchangeKind, ExchangeSpec, Topology};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::{BasicProperties, FieldTable};

/// Bindings of the exchange.
const BINDINGS: usize = 5_000;

/// An exchange with 5,000 bindings and a message for it.
struct Case {
    name: &'static str,
    kind: ExchangeKind,
    /// Binding key of the n-th queue.
    key: fn(usize) -> String,
    routing_key: String,
    /// Queues that the message reaches.
    reaches: usize,
}

fn cases() -> Vec<Case> {
    let case = |name, kind, key, routing_key: &str, reaches| Case {
        name,
        kind,
        key,
        routing_key: routing_key.to_owned(),
        reaches,
    };
    let topic = ExchangeKind::Topic;
    vec![
        case(
            "direct",
            ExchangeKind::Direct,
            |n| format!("key.{n}"),
            "key.4321",
            1,
        ),
        case(
            "topic_plain",
            topic,
            |n| format!("stock.{n}.price"),
            "stock.4321.price",
            1,
        ),
        case(
            "topic_any_word",
            topic,
            |n| format!("*.{n}.*"),
            "stock.4321.price",
            1,
        ),
        case(
            "topic_any_words",
            topic,
            |n| format!("#.{n}.#"),
            "a.b.stock.4321.price",
            1,
        ),
        // All ways to write seven words with two wildcards: most nodes of the trie are within reach at once.
        case(
            "topic_hostile",
            topic,
            |n| {
                let digits = (0..8).map(|digit| ["#", "*", "a"][n / 3usize.pow(digit) % 3]);
                digits.collect::<Vec<_>>().join(".") + ".z"
            },
            &["a"; 40].join("."),
            0,
        ),
        case(
            "topic_same",
            topic,
            |_| "stock.#".to_owned(),
            "stock.4321",
            BINDINGS,
        ),
        case("fanout", ExchangeKind::Fanout, |_| String::new(), "", BINDINGS),
        case(
            "consistent_hash",
            ExchangeKind::ConsistentHash,
            |_| "1".to_owned(),
            "key.4321",
            1,
        ),
    ]
}

fn topology(kind: ExchangeKind) -> Topology<usize> {
    let mut topology = Topology::new("/");
    for queue in 0..BINDINGS {
        topology.add_queue(&queue.to_string(), false, queue);
    }
    let spec = ExchangeSpec {
        name: "x".to_owned(),
        kind,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: FieldTable::new(),
    };
    topology.declare_exchange(spec).expect("the exchange is new");
    topology
}

fn bind(topology: &mut Topology<usize>, key: fn(usize) -> String) {
    for queue in 0..BINDINGS {
        topology
            .bind_queue(&queue.to_string(), "x", &key(queue), &FieldTable::new())
            .expect("queue and exchange are there");
    }
}

fn unbind(topology: &mut Topology<usize>, key: fn(usize) -> String) {
    for queue in 0..BINDINGS {
        topology
            .unbind_queue(&queue.to_string(), "x", &key(queue), &FieldTable::new())
            .expect("queue and exchange are there");
    }
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topology/route_among_5000");
    group.throughput(Throughput::Elements(1));
    for case in cases() {
        let mut topology = topology(case.kind);
        bind(&mut topology, case.key);
        let properties = BasicProperties::default();
        let route = || topology.route("x", black_box(&case.routing_key), &properties);
        let reached = route().expect("the exchange is there").len();
        assert_eq!(reached, case.reaches, "{}", case.name);
        group.bench_function(case.name, |bencher| bencher.iter(route));
    }
    group.finish();
}

fn bind_and_unbind(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topology/bind_and_unbind_5000");
    group.throughput(Throughput::Elements(2 * BINDINGS as u64));
    group.sample_size(20);
    for case in cases() {
        let mut topology = topology(case.kind);
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| {
                bind(&mut topology, case.key);
                unbind(&mut topology, case.key);
            });
        });
        let properties = BasicProperties::default();
        let left = topology.route("x", &case.routing_key, &properties);
        assert!(left.expect("the exchange is there").is_empty(), "{}", case.name);
    }
    group.finish();
}

criterion_group!(benches, route, bind_and_unbind);
criterion_main!(benches);
