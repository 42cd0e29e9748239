//! Virtual hosts and users hold no more connections, channels, queues and consumers than they may.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::http::Http;
use support::{BrokerProcess, Client, bind, consume, declare, definitions, wait_for};
use wire::{Method, TableRef};

const MANAGED: &str = "--management-listen=127.0.0.1:0";

const DEFINITIONS: &str = r#"{
    "vhosts": [{"name": "/"}, {"name": "small"}],
    "users": [
        {"name": "ada", "password": "a", "tags": [], "limits": {"max-connections": 2, "max-channels": 2}},
        {"name": "bob", "password": "b", "tags": []}
    ],
    "permissions": [
        {"user": "ada", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "bob", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "bob", "vhost": "small", "configure": ".*", "write": ".*", "read": ".*"}
    ],
    "parameters": [{"component": "vhost-limits", "vhost": "small", "name": "limits",
        "value": {"max-connections": 1, "max-queues": 1}}]
}"#;

/// The answer to `connection.open`: `None` when it is open, else the refusal.
fn open(broker: &BrokerProcess, user: &str, password: &str, virtual_host: &str) -> (Client, Option<String>) {
    let mut client = Client::raw(broker);
    client.start(user, password);
    client.tune_and_ask(virtual_host);
    client.wait_for_frame();
    let answer = client.frame();
    let refused = match answer.method() {
        Method::ConnectionOpenOk => None,
        Method::ConnectionClose {
            reply_code,
            reply_text,
            ..
        } => {
            assert_eq!(reply_code, 530);
            Some(reply_text.to_owned())
        }
        other => panic!("{}", other.name()),
    };
    (client, refused)
}

#[test]
fn connections_of_a_virtual_host_and_of_a_user_are_limited() {
    let (_file, flag) = definitions(DEFINITIONS);
    let broker = BrokerProcess::start(&[&flag]);
    let (only, refused) = open(&broker, "bob", "b", "small");
    assert_eq!(refused, None);
    let (_, refused) = open(&broker, "bob", "b", "small");
    assert_eq!(
        refused.unwrap(),
        "NOT_ALLOWED - access to vhost 'small' refused for user 'bob': connection limit (1) is reached"
    );
    drop(only);
    let again = wait_for("the place to be free", || {
        let (client, refused) = open(&broker, "bob", "b", "small");
        refused.is_none().then_some(client)
    });
    drop(again);

    let held = [open(&broker, "ada", "a", "/"), open(&broker, "ada", "a", "/")];
    assert!(held.iter().all(|(_, refused)| refused.is_none()));
    let (_, refused) = open(&broker, "ada", "a", "/");
    assert_eq!(
        refused.unwrap(),
        "NOT_ALLOWED - connection refused for user 'ada': user connection limit (2) is reached"
    );
    assert_eq!(open(&broker, "bob", "b", "/").1, None, "others are not concerned");
}

#[test]
fn channels_of_a_user_are_limited() {
    let (_file, flag) = definitions(DEFINITIONS);
    let broker = BrokerProcess::start(&[&flag]);
    let mut one = Client::connect_as(&broker, "ada", "a", "/");
    let mut other = Client::connect_as(&broker, "ada", "a", "/");
    let close = Method::ChannelClose {
        reply_code: 200,
        reply_text: "",
        class_id: 0,
        method_id: 0,
    };
    one.send(1, close);
    one.expect(1, Method::ChannelCloseOk);
    other.open_channel(2);
    other.send(3, Method::ChannelOpen);
    assert_eq!(
        other.expect_close(0, 530),
        "NOT_ALLOWED - number of channels opened for user 'ada' has reached the maximum allowed user limit of (2)"
    );
}

#[test]
fn queues_of_a_virtual_host_are_limited() {
    let (_file, flag) = definitions(DEFINITIONS);
    let broker = BrokerProcess::start(&[&flag]);
    let mut client = Client::connect_as(&broker, "bob", "b", "small");
    client.declare(1, "one");
    client.declare(1, "one");
    client.send(1, declare("two"));
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost 'small' (1) is reached"
    );
}

#[test]
fn consumers_of_a_channel_are_limited() {
    let broker = BrokerProcess::start(&["--consumers-per-channel-max=1"]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.consume(1, "q", "one", true);
    client.send(1, consume("q", "two", true));
    assert_eq!(
        client.expect_close(0, 530),
        "NOT_ALLOWED - reached maximum (1) of consumers per channel"
    );
}

fn declare_exchange(name: &str) -> Method<'_> {
    Method::ExchangeDeclare {
        exchange: name,
        kind: "fanout",
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

#[test]
fn queues_exchanges_and_bindings_of_all_virtual_hosts_are_limited_together() {
    let (_file, flag) = definitions(DEFINITIONS);
    // Six exchanges are predeclared in each of the two.
    let flags = [
        &flag,
        MANAGED,
        "--queues-max=3",
        "--exchanges-max=13",
        "--bindings-max=1",
    ];
    let broker = BrokerProcess::start(&flags);
    let mut client = Client::connect_as(&broker, "bob", "b", "/");
    let mut small = Client::connect_as(&broker, "bob", "b", "small");
    small.declare(1, "there");
    client.declare(1, "here");
    let exclusive = Method::QueueDeclare {
        queue: "mine",
        passive: false,
        durable: false,
        exclusive: true,
        auto_delete: true,
        no_wait: false,
        arguments: TableRef::EMPTY,
    };
    let mut other = Client::connect_as(&broker, "bob", "b", "/");
    other.send(1, exclusive);
    other.frame();
    client.send(1, declare("one-too-many"));
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - cannot declare queue 'one-too-many': queue limit in cluster (3) is reached"
    );
    client.open_channel(1);
    // What is there may be declared again, and there is room when something goes.
    client.declare(1, "here");
    drop(other);
    wait_for("room for a queue", || {
        let mut client = Client::connect_as(&broker, "bob", "b", "/");
        client.send(1, declare("another"));
        matches!(client.frame().method(), Method::QueueDeclareOk { .. }).then_some(())
    });

    client.send(1, declare_exchange("x"));
    client.expect(1, Method::ExchangeDeclareOk);
    client.send(1, declare_exchange("y"));
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - cannot declare exchange 'y' in vhost '/': exchange limit of 13 is reached"
    );
    client.open_channel(1);
    client.send(1, declare_exchange("x"));
    client.expect(1, Method::ExchangeDeclareOk);

    client.send(1, bind("here", "x", "a"));
    client.expect(1, Method::QueueBindOk);
    client.send(1, bind("here", "x", "b"));
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - cannot bind to exchange 'x' in vhost '/': binding limit of 1 is reached"
    );
    client.open_channel(1);
    client.send(1, bind("here", "x", "a"));
    client.expect(1, Method::QueueBindOk);

    let metrics = Http::anonymous(&broker).get("/metrics");
    for (what, used, max) in [
        ("queues", 3.0, 3.0),
        ("exchanges", 13.0, 13.0),
        ("bindings", 1.0, 1.0),
    ] {
        let value = |name: &str| metrics.value(&format!("broker_limited_{name}{{what=\"{what}\"}}"));
        assert_eq!((value("used"), value("max")), (used, max), "{what}");
    }
    assert_eq!(metrics.metric("broker_limited_max{what=\"channels\"}"), None);
}

#[test]
fn what_was_stored_is_restored_whatever_the_limits_say_now() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let none = wire::FieldTable::new();
    client.declare_durable(1, "one", &none);
    client.declare_durable(1, "two", &none);
    drop(client);
    broker.stop();
    broker.restart(&["--queues-max=1"]);
    let mut client = Client::connect(&broker);
    assert_eq!(client.declare_durable(1, "two", &none), 0);
    client.send(1, declare("three"));
    client.expect_close(1, 406);
}

#[test]
fn channels_of_all_connections_are_limited_together() {
    let broker = BrokerProcess::start(&["--channels-max=2"]);
    let first = Client::connect(&broker);
    let mut second = Client::connect(&broker);
    second.send(2, Method::ChannelOpen);
    let text = second.expect_close(0, 530);
    assert!(
        text.starts_with("NOT_ALLOWED - number of channels opened on node 'broker@")
            && text.ends_with("' has reached the maximum allowed limit of (2)"),
        "{text}"
    );
    drop(first);
    wait_for("room for channels", || {
        let mut client = Client::raw(&broker);
        client.handshake("guest", "guest");
        client.send(1, Method::ChannelOpen);
        matches!(client.frame().method(), Method::ChannelOpenOk).then_some(())
    });
}

#[test]
fn deliveries_pause_while_too_many_bytes_are_unacknowledged_and_one_message_always_goes() {
    let broker = BrokerProcess::start(&[MANAGED, "--unacked-bytes-max=100KiB"]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.confirm_select(1);
    let large = vec![1; 1 << 20];
    for body in [
        &large,
        &large,
        &vec![2; 40 << 10],
        &vec![2; 40 << 10],
        &vec![2; 40 << 10],
        &vec![2; 40 << 10],
    ] {
        client.publish(1, "q", body);
    }
    client.await_confirms(6);
    let mut consumer = Client::connect(&broker);
    consumer.consume(1, "q", "c", false);
    let unacked = |client: &mut Client, expected| {
        wait_for("the queue to be left alone", || {
            (client.ready(1, "q") == expected).then_some(())
        });
    };
    // Larger than the limit, and alone.
    for left in [5, 4] {
        let message = consumer.message();
        assert_eq!(message.body.len(), large.len());
        unacked(&mut client, left);
        consumer.ack(1, message.tag().0, false);
    }
    // As many as it takes to reach the limit, and no more; a get is none of its business.
    let tags: Vec<u64> = (0..3).map(|_| consumer.message().tag().0).collect();
    unacked(&mut client, 1);
    let metrics = Http::anonymous(&broker).get("/metrics");
    assert!(metrics.value("broker_unacked_bytes") > f64::from(120 << 10));
    consumer.open_channel(2);
    let got = consumer.get(2, "q").unwrap().tag().0;
    let reject = Method::BasicReject {
        delivery_tag: got,
        requeue: true,
    };
    consumer.send(2, reject);
    // Any acknowledgement that makes room makes it for all.
    consumer.ack(1, tags[0], false);
    consumer.ack(1, tags[1], false);
    assert_eq!(consumer.message().body.len(), 40 << 10);
    unacked(&mut client, 0);
}
