//! `broker shovel` keeps what a message says, stops after as many as it was told, gives back what nobody takes, and
//! refuses what it cannot do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;

use support::shovel::Shovel;
use support::{BrokerProcess, Client};
use wire::{BasicProperties, ContentHeader, FieldTable, TableRef};

/// A broker with two queues, of which `from` has some messages.
fn broker(messages: u32) -> (BrokerProcess, Client) {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    for queue in ["from", "to"] {
        client.declare_durable(1, queue, &FieldTable::new());
    }
    client.confirm_select(1);
    for number in 0..messages {
        client.publish_persistent(1, "", "from", &number.to_be_bytes());
    }
    if messages > 0 {
        client.await_confirms(messages.into());
    }
    (broker, client)
}

fn shovel(address: SocketAddr, flags: &[&str]) -> support::shovel::Ended {
    let uri = format!("amqp://guest:guest@{address}");
    let sides = ["--from", &uri, "--from-queue", "from", "--to", &uri];
    Shovel::run(&[&sides[..], flags].concat())
}

#[test]
fn it_ends_after_as_many_as_it_was_told() {
    for mode in ["on-confirm", "on-publish", "no-ack"] {
        let (broker, mut client) = broker(30);
        let flags = ["--to-queue=to", "--prefetch=7", "--ack-mode", mode];
        let ended = shovel(broker.address, &[&flags[..], &["--delete-after=20"]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.told);
        assert!(ended.told.contains("moved 20\n"), "{}", ended.told);
        assert_eq!(
            (client.ready(1, "from"), client.ready(1, "to")),
            (10, 20),
            "{mode}"
        );
        for expected in 0..20u32 {
            let message = client.get(1, "to").unwrap();
            assert_eq!(message.body, expected.to_be_bytes(), "in order");
        }
        // A queue as source and destination has always one more: its length at the start counts.
        let same = [
            "--to-exchange=",
            "--to-key=from",
            "--delete-after=queue-length",
            "--quiet",
        ];
        let ended = shovel(broker.address, &same);
        assert_eq!((ended.code, ended.told.as_str()), (Some(0), ""));
        assert_eq!(client.ready(1, "from"), 10);
    }
}

#[test]
fn a_message_keeps_what_it_says() {
    let (broker, mut client) = broker(0);
    let mut headers = FieldTable::new();
    headers.insert("colour", "green");
    let bytes = headers.to_bytes();
    let properties = BasicProperties {
        headers: Some(TableRef::parse(&bytes).unwrap()),
        content_type: Some("text/plain"),
        delivery_mode: Some(2),
        priority: Some(3),
        correlation_id: Some("c-1"),
        message_id: Some("m-1"),
        kind: Some("t"),
        ..BasicProperties::default()
    };
    client.publish_with(1, "", "from", &properties, b"body");
    client.await_confirms(1);
    let ended = shovel(broker.address, &["--to-queue=to", "--delete-after=1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    let message = client.get(1, "to").unwrap();
    let header = ContentHeader::decode(&message.header).unwrap();
    assert_eq!(BasicProperties::decode(header.properties).unwrap(), properties);
    assert_eq!(message.body, b"body");
}

#[test]
fn what_nobody_takes_stays_in_the_source() {
    let (broker, mut client) = broker(5);
    let flags = [
        "--to-exchange=amq.direct",
        "--to-key=nobody",
        "--reconnect-delay=0",
    ];
    let ended = shovel(broker.address, &flags);
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("refused messages"), "{}", ended.told);
    assert!(ended.told.contains("moved 0, "), "{}", ended.told);
    assert_eq!(client.ready(1, "from"), 5);
}

#[test]
fn what_a_broker_refuses_ends_it_with_the_reason() {
    let (broker, mut client) = broker(1);
    for (flags, expected) in [
        (["--to-queue=missing"], "missing"),
        (["--to-exchange=missing"], "missing"),
    ] {
        let ended = shovel(broker.address, &flags);
        assert_eq!(ended.code, Some(1));
        assert!(
            ended.told.contains("NOT_FOUND") && ended.told.contains(expected),
            "{}",
            ended.told
        );
    }
    let wrong = format!("amqp://guest:wrong@{}", broker.address);
    let flags = [
        "--from-queue=from",
        "--to-queue=to",
        "--to",
        &wrong,
        "--from",
        &wrong,
    ];
    let ended = Shovel::run(&flags);
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("ACCESS_REFUSED"), "{}", ended.told);
    assert_eq!(client.ready(1, "from"), 1);
}

#[test]
fn wrong_usage_ends_it_before_it_connects() {
    for flags in [
        &[
            "--from=amqps://h?cacertfile=/no/such.pem",
            "--from-queue=q",
            "--to=amqp://h",
            "--to-queue=q",
        ][..],
        &["--from=amqp://h", "--from-queue=q", "--to=amqp://h"],
    ] {
        assert_eq!(Shovel::run(flags).code, Some(2));
    }
}
