//! What is durable outlives the process, whether it stops in good order or is killed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, passive};
use wire::{BasicProperties, FieldTable, Method, TableRef};

fn declare_exchange(client: &mut Client, exchange: &str, kind: &str, durable: bool) {
    client.send(
        1,
        Method::ExchangeDeclare {
            exchange,
            kind,
            passive: false,
            durable,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        },
    );
    client.expect(1, Method::ExchangeDeclareOk);
}

fn bind(client: &mut Client, queue: &str, exchange: &str, routing_key: &str) {
    client.send(1, support::bind(queue, exchange, routing_key));
    client.expect(1, Method::QueueBindOk);
}

/// Bodies and flags of everything that is ready.
fn drain(client: &mut Client, queue: &str) -> Vec<(String, bool)> {
    std::iter::from_fn(|| client.get(1, queue))
        .map(|message| (String::from_utf8(message.body.clone()).unwrap(), message.tag().1))
        .collect()
}

fn flagged(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
    expected
        .iter()
        .map(|&(body, again)| (body.to_owned(), again))
        .collect()
}

#[test]
fn an_orderly_stop_keeps_messages_and_knows_which_were_delivered() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    client.declare(1, "passing");
    client.confirm_select(1);
    for index in 0..6 {
        client.publish_persistent(1, "", "orders", format!("p{index}").as_bytes());
    }
    client.publish(1, "orders", b"transient");
    client.publish_persistent(1, "", "orders", b"p6");
    client.publish_persistent(1, "", "passing", b"lost with its queue");
    client.await_confirms(9);
    client.qos(1, 3, false);
    client.consume(1, "orders", "c", false);
    assert_eq!(client.bodies(3), [b"p0", b"p1", b"p2"]);
    client.ack(1, 2, false);
    assert_eq!(client.message().body, b"p3");
    broker.stop();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    assert_eq!(client.ready(1, "orders"), 6);
    let expected = [
        ("p0", true),
        ("p2", true),
        ("p3", true),
        ("p4", false),
        ("p5", false),
        ("p6", false),
    ];
    assert_eq!(drain(&mut client, "orders"), flagged(&expected));
    client.send(1, support::declare("passing"));
    match client.frame().method() {
        Method::QueueDeclareOk { message_count, .. } => assert_eq!(message_count, 0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_killed_broker_delivers_what_it_confirmed_and_flags_all_of_it() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    client.confirm_select(1);
    for index in 0..100 {
        client.publish_persistent(1, "", "orders", format!("{index}").as_bytes());
    }
    client.await_confirms(100);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    let expected: Vec<_> = (0..100).map(|index| (index.to_string(), true)).collect();
    assert_eq!(drain(&mut client, "orders"), expected);
    client.publish_persistent(1, "", "orders", b"new");
    client.send(
        1,
        Method::BasicAck {
            delivery_tag: 100,
            multiple: true,
        },
    );
    assert_eq!(drain(&mut client, "orders"), flagged(&[("new", false)]));
}

#[test]
fn what_may_have_been_delivered_before_an_earlier_end_is_still_flagged() {
    for first_end in ["killed", "stopped"] {
        let mut broker = BrokerProcess::start(&[]);
        let mut client = Client::connect(&broker);
        client.declare_durable(1, "orders", &FieldTable::new());
        client.confirm_select(1);
        client.publish_persistent(1, "", "orders", b"seen");
        client.await_confirms(1);
        assert_eq!(drain(&mut client, "orders"), flagged(&[("seen", false)]));
        if first_end == "killed" {
            broker.kill();
        } else {
            broker.stop();
        }
        // Nobody takes anything in this life of the broker.
        broker.restart(&[]);
        broker.stop();
        broker.restart(&[]);
        let mut client = Client::connect(&broker);
        let expected = flagged(&[("seen", true)]);
        assert_eq!(drain(&mut client, "orders"), expected, "first {first_end}");
    }
}

#[test]
fn every_property_and_every_size_comes_back() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "all", &FieldTable::new());
    client.confirm_select(1);
    let mut headers = FieldTable::new();
    headers.insert("x-number", 5i64);
    headers.insert("x-text", "täglich");
    let headers = headers.to_bytes();
    let properties = BasicProperties {
        content_type: Some("text/plain"),
        content_encoding: Some("utf-8"),
        headers: Some(TableRef::parse(&headers).unwrap()),
        delivery_mode: Some(2),
        priority: Some(7),
        correlation_id: Some("c-1"),
        reply_to: Some("answers"),
        expiration: Some("600000"),
        message_id: Some("m-1"),
        timestamp: Some(1_700_000_000),
        kind: Some("order"),
        user_id: Some("guest"),
        app_id: Some("shop"),
        ..BasicProperties::default()
    };
    let sizes = [0usize, 1, 131_064, 131_065, 3_000_000];
    let body = |size: usize| -> Vec<u8> { (0..size).map(|index| (index * 31 % 251) as u8).collect() };
    for size in sizes {
        client.publish_with(1, "", "all", &properties, &body(size));
    }
    client.await_confirms(sizes.len() as u64);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    for size in sizes {
        let message = client.get(1, "all").unwrap();
        assert!(message.body == body(size), "size {size}");
        let header = wire::ContentHeader::decode(&message.header).unwrap();
        assert_eq!(BasicProperties::decode(header.properties).unwrap(), properties);
        match message.method.method() {
            Method::BasicGetOk {
                exchange,
                routing_key,
                ..
            } => assert_eq!((exchange, routing_key), ("", "all")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_topology_comes_back_and_what_was_deleted_does_not() {
    let long = "ß".repeat(127);
    let names = ["a/b", "A/B", "..", "käse + brot", &long];
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    declare_exchange(&mut client, "events", "topic", true);
    declare_exchange(&mut client, "gone", "fanout", true);
    declare_exchange(&mut client, "brief", "fanout", false);
    for name in names {
        client.declare_durable(1, name, &FieldTable::new());
        bind(&mut client, name, "events", &format!("{name}.#"));
    }
    client.declare_durable(1, "removed", &FieldTable::new());
    bind(&mut client, "removed", "events", "#");
    bind(&mut client, "a/b", "gone", "");
    client.send(
        1,
        Method::QueueDelete {
            queue: "removed",
            if_unused: false,
            if_empty: false,
            no_wait: false,
        },
    );
    client.expect(1, Method::QueueDeleteOk { message_count: 0 });
    client.send(
        1,
        Method::ExchangeDelete {
            exchange: "gone",
            if_unused: false,
            no_wait: false,
        },
    );
    client.expect(1, Method::ExchangeDeleteOk);
    client.send(
        1,
        Method::QueueUnbind {
            queue: "A/B",
            exchange: "events",
            routing_key: "A/B.#",
            arguments: TableRef::EMPTY,
        },
    );
    client.expect(1, Method::QueueUnbindOk);
    // Killed right after the last answer: what was answered is stored.
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    client.confirm_select(1);
    for name in names {
        client.publish_persistent(1, "events", &format!("{name}.x"), name.as_bytes());
    }
    client.await_confirms(names.len() as u64);
    for name in names {
        let expected = if name == "A/B" {
            vec![]
        } else {
            flagged(&[(name, false)])
        };
        assert_eq!(drain(&mut client, name), expected, "{name}");
    }
    for (exchange, exists) in [("events", true), ("gone", false), ("brief", false)] {
        client.open_channel(2);
        let passive = Method::ExchangeDeclare {
            exchange,
            kind: "topic",
            passive: true,
            durable: false,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        client.send(2, passive);
        if exists {
            client.expect(2, Method::ExchangeDeclareOk);
            client.send(
                2,
                Method::ChannelClose {
                    reply_code: 200,
                    reply_text: "",
                    class_id: 0,
                    method_id: 0,
                },
            );
            client.expect(2, Method::ChannelCloseOk);
        } else {
            client.expect_close(2, 404);
        }
    }
    client.send(1, support::declare("removed"));
    assert!(matches!(
        client.frame().method(),
        Method::QueueDeclareOk { message_count: 0, .. }
    ));
}

#[test]
fn a_checkpoint_keeps_acknowledged_messages_away_after_a_crash() {
    let mut broker = BrokerProcess::start(&["--offset-checkpoint-interval", "0"]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    client.confirm_select(1);
    for index in 0..10 {
        client.publish_persistent(1, "", "orders", format!("{index}").as_bytes());
    }
    client.await_confirms(10);
    let taken: Vec<_> = (0..7).map(|_| client.get(1, "orders").unwrap()).collect();
    assert_eq!(taken.len(), 7);
    client.ack(1, 5, true);
    client.ack(1, 7, false);
    // The acknowledgements are handled once something behind them is answered.
    client.ready(1, "orders");
    assert_eq!(
        std::fs::read_dir(broker.data_dir().join("offsets"))
            .unwrap()
            .count(),
        0
    );
    broker.signal("USR1");
    let offsets = broker.data_dir().join("offsets");
    support::wait_for("the checkpoint", || {
        let mut files = std::fs::read_dir(&offsets)
            .unwrap()
            .map(|file| file.unwrap().path());
        let file = files.find(|path| path.extension().is_some_and(|extension| extension == "json"))?;
        let text = std::fs::read_to_string(file).ok()?;
        (text.contains("\"frontier\": 5") && text.contains("[6,1]")).then_some(())
    });
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    let expected = [("5", true), ("7", true), ("8", true), ("9", true)];
    assert_eq!(drain(&mut client, "orders"), flagged(&expected));
}

#[test]
fn a_second_broker_is_refused_and_learns_the_first_ones_pid() {
    let broker = BrokerProcess::start(&[]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(broker.data_dir())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let pid = std::fs::read_to_string(broker.data_dir().join("LOCK")).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("in use by process {}", pid.trim())),
        "{text}"
    );
}

#[test]
fn an_exclusive_queue_goes_with_its_connection_even_when_the_broker_is_killed() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let declared = Method::QueueDeclare {
        queue: "mine",
        passive: false,
        durable: true,
        exclusive: true,
        auto_delete: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    };
    let answer = client.call(1, declared);
    assert!(matches!(answer.method(), Method::QueueDeclareOk { .. }));
    client.confirm_select(1);
    client.publish_persistent(1, "", "mine", b"for this connection only");
    client.await_confirms(1);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    client.send(1, passive("mine"));
    assert_eq!(
        client.expect_close(1, 404),
        "NOT_FOUND - no queue 'mine' in vhost '/'"
    );
}
