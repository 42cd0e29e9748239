//! Priorities, delivery counts, times to live and limits are there again after a restart, and leases begin anew.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, Message, passive, wait_for};
use wire::{BasicProperties, ContentHeader, FieldTable, FieldValue, Method};

fn arguments(entries: &[(&str, FieldValue)]) -> FieldTable {
    let mut table = FieldTable::new();
    for (name, value) in entries {
        table.insert(*name, value.clone());
    }
    table
}

fn delivery_count(message: &Message) -> Option<i64> {
    let header = ContentHeader::decode(&message.header).unwrap();
    let headers = BasicProperties::decode(header.properties).unwrap().headers?;
    headers.get("x-delivery-count")?.as_i64()
}

fn requeue(client: &mut Client, delivery_tag: u64) {
    client.send(
        1,
        Method::BasicReject {
            delivery_tag,
            requeue: true,
        },
    );
}

fn exists(client: &mut Client, queue: &str) -> bool {
    client.open_channel(2);
    let answer = client.call(2, passive(queue));
    let exists = match answer.method() {
        Method::QueueDeclareOk { .. } => {
            let close = Method::ChannelClose {
                reply_code: 200,
                reply_text: "",
                class_id: 0,
                method_id: 0,
            };
            client.send(2, close);
            client.expect(2, Method::ChannelCloseOk);
            return true;
        }
        Method::ChannelClose { reply_code, .. } => {
            assert_eq!(reply_code, 404);
            false
        }
        other => panic!("{other:?}"),
    };
    client.send(2, Method::ChannelCloseOk);
    exists
}

#[test]
fn priorities_and_limits_hold_for_what_a_restart_has_left() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let priorities = arguments(&[("x-max-priority", FieldValue::I32(9))]);
    let limited = arguments(&[("x-max-length-bytes", FieldValue::I32(12))]);
    client.declare_durable(1, "ranked", &priorities);
    client.declare_durable(1, "limited", &limited);
    client.confirm_select(1);
    for priority in [1, 5, 3, 9, 5] {
        let properties = BasicProperties {
            delivery_mode: Some(2),
            priority: Some(priority),
            ..BasicProperties::default()
        };
        client.publish_with(1, "", "ranked", &properties, &[priority]);
    }
    for _ in 0..2 {
        client.publish_persistent(1, "", "limited", b"12345");
    }
    client.await_confirms(7);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    assert_eq!(client.declare_durable(1, "ranked", &priorities), 5);
    client.consume(1, "ranked", "c", true);
    assert_eq!(client.bodies(5), [[9], [5], [5], [3], [1]]);
    assert_eq!(client.declare_durable(1, "limited", &limited), 2);
    client.publish(1, "limited", b"67890");
    assert_eq!(
        client.declare_durable(1, "limited", &limited),
        2,
        "the oldest made room"
    );
}

#[test]
fn a_message_is_not_tried_anew_for_ever_because_the_broker_restarts() {
    let quorum = arguments(&[
        ("x-queue-type", FieldValue::from("quorum")),
        ("x-delivery-limit", FieldValue::I32(2)),
    ]);
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "q", &quorum);
    client.publish_persistent(1, "", "q", b"poison");
    let message = client.get(1, "q").unwrap();
    assert_eq!(delivery_count(&message), None);
    requeue(&mut client, message.tag().0);
    assert_eq!(client.ready(1, "q"), 1);
    broker.stop();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    assert_eq!(client.declare_durable(1, "q", &quorum), 1);
    for count in [1, 2] {
        let message = client.get(1, "q").unwrap();
        assert_eq!(delivery_count(&message), Some(count));
        requeue(&mut client, message.tag().0);
    }
    assert_eq!(client.ready(1, "q"), 0, "dropped after the third delivery");
}

#[test]
fn what_has_expired_meanwhile_is_gone_and_an_unused_queue_goes() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "brief", &arguments(&[("x-message-ttl", FieldValue::I32(200))]));
    let lease = arguments(&[("x-expires", FieldValue::I32(300))]);
    client.declare_durable(1, "leased", &lease);
    client.confirm_select(1);
    client.publish_persistent(1, "", "brief", b"1");
    client.await_confirms(1);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    assert!(exists(&mut client, "leased"));
    wait_for("the message to expire", || {
        (client.ready(1, "brief") == 0).then_some(())
    });
    wait_for("the queue to go", || {
        (!exists(&mut client, "leased")).then_some(())
    });
    client.declare_durable(1, "leased", &lease);
    client.consume(1, "leased", "c", true);
    assert!(exists(&mut client, "leased"));
}

#[test]
fn a_priority_queue_knows_what_it_has_never_delivered() {
    let priorities = arguments(&[("x-max-priority", FieldValue::I32(9))]);
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "ranked", &priorities);
    client.confirm_select(1);
    for body in [b"first", b"other"] {
        client.publish_persistent(1, "", "ranked", body);
    }
    client.await_confirms(2);
    assert_eq!(client.get(1, "ranked").unwrap().tag(), (1, false));
    broker.stop();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    let flags = [0, 0].map(|_| client.get(1, "ranked").unwrap().tag().1);
    assert_eq!(flags, [true, false]);
}
