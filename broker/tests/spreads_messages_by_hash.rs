//! A consistent hash exchange over the wire: every message goes one way, the same way after a restart and beside new queues.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client};
use wire::{BasicProperties, FieldTable, Method, TableRef};

const CUSTOMERS: u32 = 3000;

fn declare_exchange(client: &mut Client, arguments: &FieldTable) {
    let arguments = arguments.to_bytes();
    let declare = Method::ExchangeDeclare {
        exchange: "shards",
        kind: "x-consistent-hash",
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: TableRef::parse(&arguments).unwrap(),
    };
    client.send(1, declare);
    client.expect(1, Method::ExchangeDeclareOk);
}

fn bind(client: &mut Client, queue: &str, weight: &str) {
    client.declare_durable(1, queue, &FieldTable::new());
    let bind = Method::QueueBind {
        queue,
        exchange: "shards",
        routing_key: weight,
        no_wait: false,
        arguments: TableRef::EMPTY,
    };
    client.send(1, bind);
    client.expect(1, Method::QueueBindOk);
}

/// Publishes one message for each customer, by routing key or by header, and empties the queues again: who got whose.
fn shards(client: &mut Client, by_header: bool, queues: &[&str]) -> Vec<Vec<u32>> {
    client.confirm_select(1);
    for customer in 0..CUSTOMERS {
        let text = customer.to_string();
        let mut headers = FieldTable::new();
        headers.insert("customer", text.as_str());
        let headers = headers.to_bytes();
        let properties = BasicProperties {
            headers: TableRef::parse(&headers).ok(),
            ..BasicProperties::default()
        };
        let key = if by_header { "same" } else { &text };
        client.publish_with(1, "shards", key, &properties, &customer.to_be_bytes());
    }
    client.await_confirms(u64::from(CUSTOMERS));
    let shards: Vec<Vec<u32>> = queues
        .iter()
        .map(|queue| {
            let count = client.ready(1, queue) as usize;
            client.open_channel(2);
            client.consume(2, queue, "c", true);
            let bodies = client.bodies(count);
            let close = Method::ChannelClose {
                reply_code: 200,
                reply_text: "",
                class_id: 0,
                method_id: 0,
            };
            client.send(2, close);
            client.expect(2, Method::ChannelCloseOk);
            let number = |body: Vec<u8>| u32::from_be_bytes(body.try_into().unwrap());
            bodies.into_iter().map(number).collect()
        })
        .collect();
    assert_eq!(shards.iter().map(Vec::len).sum::<usize>(), CUSTOMERS as usize);
    shards
}

#[test]
fn a_restart_changes_no_way_and_a_new_queue_takes_its_share_only() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    declare_exchange(&mut client, &FieldTable::new());
    for (queue, weight) in [("a", "1"), ("b", "1"), ("c", "2")] {
        bind(&mut client, queue, weight);
    }
    let before = shards(&mut client, false, &["a", "b", "c"]);
    let [a, b, c] = [before[0].len(), before[1].len(), before[2].len()];
    assert!(
        a.abs_diff(750) < 120 && b.abs_diff(750) < 120 && c.abs_diff(1500) < 140,
        "{a} {b} {c}"
    );
    broker.stop();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    assert_eq!(shards(&mut client, false, &["a", "b", "c"]), before);
    bind(&mut client, "d", "4");
    let mut client = Client::connect(&broker);
    let with_new = shards(&mut client, false, &["a", "b", "c", "d"]);
    for (was, is) in before.iter().zip(&with_new) {
        assert!(is.iter().all(|customer| was.contains(customer)));
    }
    assert!(with_new[3].len().abs_diff(1500) < 140, "{}", with_new[3].len());
}

#[test]
fn a_header_decides_for_each_message() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let mut arguments = FieldTable::new();
    arguments.insert("hash-header", "customer");
    declare_exchange(&mut client, &arguments);
    bind(&mut client, "a", "1");
    bind(&mut client, "b", "1");
    let by_header = shards(&mut client, true, &["a", "b"]);
    let (a, b) = (by_header[0].len(), by_header[1].len());
    assert!(a.abs_diff(b) < 300, "{a} {b}");
}
