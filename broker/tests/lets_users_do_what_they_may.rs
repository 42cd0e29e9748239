//! Permissions decide what a user may configure, write and read, with RabbitMQ's refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, bind, declare, definitions};
use wire::{FieldTable, Method, TableRef};

const DEFINITIONS: &str = r#"{
    "vhosts": [{"name": "/"}],
    "users": [
        {"name": "guest", "password": "guest", "tags": "administrator"},
        {"name": "ada", "password": "a", "tags": []}
    ],
    "permissions": [
        {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "ada", "vhost": "/", "configure": "^mine", "write": "^(mine|amq\\.topic)", "read": "^(?!yours)"}
    ],
    "topic_permissions": [
        {"user": "ada", "vhost": "/", "exchange": "amq.topic", "write": "^{username}\\.", "read": "^public\\."}
    ],
    "queues": [{"name": "yours", "vhost": "/"}, {"name": "both", "vhost": "/"}],
    "exchanges": [{"name": "yours", "vhost": "/", "type": "topic"}]
}"#;

fn start() -> (tempfile::TempDir, BrokerProcess) {
    let (file, flag) = definitions(DEFINITIONS);
    (file, BrokerProcess::start(&[&flag]))
}

fn ada(broker: &BrokerProcess) -> Client {
    Client::connect_as(broker, "ada", "a", "/")
}

fn refusal(operation: &str, of: &str) -> String {
    format!("ACCESS_REFUSED - {operation} access to {of} in vhost '/' refused for user 'ada'")
}

fn unbind<'a>(queue: &'a str, exchange: &'a str) -> Method<'a> {
    Method::QueueUnbind {
        queue,
        exchange,
        routing_key: "public.x",
        arguments: TableRef::EMPTY,
    }
}

fn exchange_bind<'a>(destination: &'a str, source: &'a str) -> Method<'a> {
    Method::ExchangeBind {
        destination,
        source,
        routing_key: "public.x",
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

fn exchange_unbind<'a>(destination: &'a str, source: &'a str) -> Method<'a> {
    Method::ExchangeUnbind {
        destination,
        source,
        routing_key: "public.x",
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

fn declare_with<'a>(queue: &'a str, arguments: TableRef<'a>) -> Method<'a> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments,
    }
}

fn exchange<'a>(exchange: &'a str, arguments: TableRef<'a>) -> Method<'a> {
    Method::ExchangeDeclare {
        exchange,
        kind: "fanout",
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments,
    }
}

#[test]
fn every_method_is_refused_for_its_own_reason() {
    let (_file, broker) = start();
    let mut alternate = FieldTable::new();
    alternate.insert("alternate-exchange", "yours");
    let alternate = alternate.to_bytes();
    let alternate = TableRef::parse(&alternate).unwrap();
    let mut dead_letters = FieldTable::new();
    dead_letters.insert("x-dead-letter-exchange", "yours");
    let dead_letters = dead_letters.to_bytes();
    let dead_letters = TableRef::parse(&dead_letters).unwrap();
    let cases = [
        (declare("yours"), "configure", "queue 'yours'"),
        (
            exchange("yours", TableRef::EMPTY),
            "configure",
            "exchange 'yours'",
        ),
        (exchange("mine-too", alternate), "write", "exchange 'yours'"),
        (
            Method::QueueDelete {
                queue: "yours",
                if_unused: false,
                if_empty: false,
                no_wait: false,
            },
            "configure",
            "queue 'yours'",
        ),
        (
            Method::ExchangeDelete {
                exchange: "missing",
                if_unused: false,
                no_wait: false,
            },
            "configure",
            "exchange 'missing'",
        ),
        (bind("both", "amq.topic", "public.x"), "write", "queue 'both'"),
        (bind("mine", "yours", ""), "read", "exchange 'yours'"),
        (
            bind("mine", "amq.topic", "secret.x"),
            "read",
            "topic 'secret.x' in exchange 'amq.topic'",
        ),
        (
            Method::QueuePurge {
                queue: "yours",
                no_wait: false,
            },
            "read",
            "queue 'yours'",
        ),
        (
            Method::BasicGet {
                queue: "yours",
                no_ack: true,
            },
            "read",
            "queue 'yours'",
        ),
        (support::consume("yours", "", true), "read", "queue 'yours'"),
        (unbind("both", "amq.topic"), "write", "queue 'both'"),
        (unbind("mine", "yours"), "read", "exchange 'yours'"),
        (exchange_bind("yours", "amq.topic"), "write", "exchange 'yours'"),
        (exchange_bind("amq.topic", "yours"), "read", "exchange 'yours'"),
        (exchange_unbind("yours", "amq.topic"), "write", "exchange 'yours'"),
        (exchange_unbind("amq.topic", "yours"), "read", "exchange 'yours'"),
        (
            declare_with("mine-too", dead_letters),
            "write",
            "exchange 'yours'",
        ),
    ];
    for (method, operation, of) in cases {
        let mut client = ada(&broker);
        client.send(1, method);
        assert_eq!(
            client.expect_close(1, 403),
            refusal(operation, of),
            "{}",
            method.name()
        );
    }
}

#[test]
fn publishes_are_checked_by_exchange_and_by_topic() {
    let (_file, broker) = start();
    for (exchange, key, of) in [
        ("", "both", "exchange 'amq.default'"),
        ("yours", "ada.x", "exchange 'yours'"),
        ("amq.topic", "bob.x", "topic 'bob.x' in exchange 'amq.topic'"),
    ] {
        let mut client = ada(&broker);
        client.publish_persistent(1, exchange, key, b"x");
        assert_eq!(client.expect_close(1, 403), refusal("write", of));
    }
    // By none of the other ways to publish either: in a transaction, or with further keys.
    let mut client = ada(&broker);
    client.call(1, Method::TxSelect);
    client.publish_persistent(1, "yours", "ada.x", b"x");
    assert_eq!(client.expect_close(1, 403), refusal("write", "exchange 'yours'"));
    let mut keys = FieldTable::new();
    keys.insert("CC", wire::FieldValue::Array(vec!["bob.x".into()]));
    let keys = keys.to_bytes();
    let properties = wire::BasicProperties {
        headers: TableRef::parse(&keys).ok(),
        ..wire::BasicProperties::default()
    };
    let mut client = ada(&broker);
    client.publish_with(1, "amq.topic", "ada.x", &properties, b"x");
    assert_eq!(
        client.expect_close(1, 403),
        refusal("write", "topic 'bob.x' in exchange 'amq.topic'")
    );
    let mut client = ada(&broker);
    client.declare(1, "mine");
    client.send(1, bind("mine", "amq.topic", "public.#"));
    client.expect(1, Method::QueueBindOk);
    let mut other = Client::connect(&broker);
    other.publish_persistent(1, "amq.topic", "public.news", b"news");
    client.consume(1, "mine", "c", true);
    assert_eq!(client.message().body, b"news");
    // What is allowed goes through, and passive declarations ask for nothing.
    client.confirm_select(1);
    client.publish_persistent(1, "amq.topic", "ada.x", b"x");
    client.await_confirms(1);
    assert_eq!(client.ready(1, "yours"), 0);
}
