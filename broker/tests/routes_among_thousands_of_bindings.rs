//! Five thousand bindings on one topic exchange: each message finds its own, while others come and go.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, encode_publish};
use wire::{Method, TableRef};

const BINDINGS: u32 = 5000;
/// Queues that the bindings lead to, in turn.
const QUEUES: u32 = 50;

fn queue(number: u32) -> String {
    format!("q{}", number % QUEUES)
}

/// A pattern of one of three shapes.
fn pattern(number: u32) -> String {
    match number % 3 {
        0 => format!("stock.{number}.*"),
        1 => format!("*.{number}.price"),
        _ => format!("#.{number}.#"),
    }
}

#[test]
fn every_message_finds_its_one_binding_among_five_thousand() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    (0..QUEUES).for_each(|number| drop(client.declare(1, &queue(number))));
    let mut bytes = Vec::new();
    for number in 0..BINDINGS {
        let (queue, pattern) = (queue(number), pattern(number));
        let bind = Method::QueueBind {
            queue: &queue,
            exchange: "amq.topic",
            routing_key: &pattern,
            no_wait: true,
            arguments: TableRef::EMPTY,
        };
        bind.encode(1, &mut bytes);
    }
    client.write(&bytes);
    client.confirm_select(1);
    bytes.clear();
    for number in 0..BINDINGS {
        let key = format!("stock.{number}.price");
        encode_publish(
            &mut bytes,
            1,
            "amq.topic",
            &key,
            true,
            &number.to_be_bytes(),
            131_072,
        );
    }
    client.write(&bytes);
    // A message that found none would come back first.
    client.await_confirms(u64::from(BINDINGS));
    for number in 0..QUEUES {
        assert_eq!(client.ready(1, &queue(number)), BINDINGS / QUEUES);
    }
    for number in 0..BINDINGS {
        let (queue, pattern) = (queue(number), pattern(number));
        let unbind = Method::QueueUnbind {
            queue: &queue,
            exchange: "amq.topic",
            routing_key: &pattern,
            arguments: TableRef::EMPTY,
        };
        client.send(1, unbind);
        client.expect(1, Method::QueueUnbindOk);
    }
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, 1, "amq.topic", "stock.1.price", true, b"x", 131_072);
    client.write(&bytes);
    assert!(matches!(
        client.message().method.method(),
        Method::BasicReturn { reply_code: 312, .. }
    ));
}
