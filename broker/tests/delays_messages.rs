//! A delayed exchange holds messages for as long as their `x-delay` says, also over a restart, and then routes them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, Message};
use wire::{BasicProperties, ContentHeader, FieldTable, FieldValue, Method, TableRef};

fn declare_delayed(client: &mut Client, kind: Option<&str>) {
    let mut arguments = FieldTable::new();
    if let Some(kind) = kind {
        arguments.insert("x-delayed-type", kind);
    }
    let arguments = arguments.to_bytes();
    client.send(
        1,
        Method::ExchangeDeclare {
            exchange: "later",
            kind: "x-delayed-message",
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: TableRef::parse(&arguments).unwrap(),
        },
    );
}

fn bind(client: &mut Client, queue: &str, key: &str) {
    let bind = Method::QueueBind {
        queue,
        exchange: "later",
        routing_key: key,
        no_wait: false,
        arguments: TableRef::EMPTY,
    };
    client.send(1, bind);
    client.expect(1, Method::QueueBindOk);
}

fn publish(client: &mut Client, key: &str, delay_ms: i32, body: &[u8]) {
    let mut headers = FieldTable::new();
    headers.insert("x-delay", delay_ms);
    let headers = headers.to_bytes();
    let properties = BasicProperties {
        headers: TableRef::parse(&headers).ok(),
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    client.publish_with(1, "later", key, &properties, body);
}

fn delay(message: &Message) -> Option<FieldValue> {
    let header = ContentHeader::decode(&message.header).unwrap();
    let headers = BasicProperties::decode(header.properties).unwrap().headers?;
    headers.to_table().get("x-delay").cloned()
}

#[test]
fn messages_come_when_they_are_due_and_by_the_route_of_the_kind_below() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    declare_delayed(&mut client, Some("topic"));
    client.expect(1, Method::ExchangeDeclareOk);
    client.declare(1, "q");
    bind(&mut client, "q", "a.*");
    client.consume(1, "q", "c", true);
    for (delay_ms, body) in [(150, b"third"), (75, b"twice"), (0, b"first")] {
        publish(&mut client, "a.b", delay_ms, body);
    }
    publish(&mut client, "elsewhere", 1, b"never");
    let messages: Vec<Message> = (0..3).map(|_| client.message()).collect();
    let bodies: Vec<&[u8]> = messages.iter().map(|message| message.body.as_slice()).collect();
    assert_eq!(bodies, [b"first", b"twice", b"third"]);
    assert_eq!(delay(&messages[1]), Some(FieldValue::I64(-75)), "it is over");
    match messages[2].method.method() {
        Method::BasicDeliver {
            exchange,
            routing_key,
            ..
        } => assert_eq!((exchange, routing_key), ("later", "a.b")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_outlives_the_broker() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    declare_delayed(&mut client, Some("direct"));
    client.expect(1, Method::ExchangeDeclareOk);
    client.declare_durable(1, "q", &FieldTable::new());
    bind(&mut client, "q", "key");
    client.confirm_select(1);
    publish(&mut client, "key", 600, b"later");
    publish(&mut client, "key", 500, b"sooner");
    client.await_confirms(2);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    client.consume(1, "q", "c", true);
    assert_eq!(client.bodies(2), [&b"sooner"[..], b"later"]);
}

#[test]
fn a_deleted_exchange_takes_what_waits_with_it() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    for _ in 0..2 {
        declare_delayed(&mut client, Some("fanout"));
        client.expect(1, Method::ExchangeDeclareOk);
        publish(&mut client, "", 60_000, b"1");
        let delete = Method::ExchangeDelete {
            exchange: "later",
            if_unused: false,
            no_wait: false,
        };
        client.send(1, delete);
        client.expect(1, Method::ExchangeDeleteOk);
    }
    client.send(1, support::declare("amq.delayed.later"));
    client.expect_close(1, 403);
}

#[test]
fn a_delayed_exchange_must_say_how_it_routes() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    for kind in [None, Some("x-delayed-message"), Some("nonsense")] {
        declare_delayed(&mut client, kind);
        let text = client.expect_close(1, 406);
        assert_eq!(
            text,
            "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type"
        );
        client.open_channel(1);
    }
}
