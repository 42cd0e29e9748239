//! What dies in a queue goes to its dead-letter exchange, with its history, and is not lost on the way.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, Message};
use wire::{BasicProperties, ContentHeader, FieldTable, FieldValue, Method, TableRef};

fn arguments(entries: &[(&str, FieldValue)]) -> FieldTable {
    let mut table = FieldTable::new();
    for (name, value) in entries {
        table.insert(*name, value.clone());
    }
    table
}

/// Dead letters go to the default exchange, and so to the queue named.
fn dying_into(queue: &str, further: &[(&str, FieldValue)]) -> FieldTable {
    let target = [
        ("x-dead-letter-exchange", FieldValue::from("")),
        ("x-dead-letter-routing-key", FieldValue::from(queue)),
    ];
    arguments(&[&target[..], further].concat())
}

fn headers(message: &Message) -> FieldTable {
    let header = ContentHeader::decode(&message.header).unwrap();
    let properties = BasicProperties::decode(header.properties).unwrap();
    assert_eq!(properties.expiration, None);
    properties.headers.map(TableRef::to_table).unwrap_or_default()
}

/// Reason, queue and count of each death.
fn deaths(message: &Message) -> Vec<(String, String, i64)> {
    let headers = headers(message);
    let Some(FieldValue::Array(deaths)) = headers.get("x-death") else {
        return Vec::new();
    };
    let entry = |value: &FieldValue| match value {
        FieldValue::Table(entry) => {
            let text = |name| entry.get(name).unwrap().as_str().unwrap().to_owned();
            (
                text("reason"),
                text("queue"),
                entry.get("count").unwrap().as_i64().unwrap(),
            )
        }
        other => panic!("{other:?}"),
    };
    deaths.iter().map(entry).collect()
}

fn death(reason: &str, queue: &str, count: i64) -> (String, String, i64) {
    (reason.to_owned(), queue.to_owned(), count)
}

fn nack(client: &mut Client, delivery_tag: u64, requeue: bool) {
    client.send(
        1,
        Method::BasicNack {
            delivery_tag,
            multiple: false,
            requeue,
        },
    );
}

#[test]
fn rejected_expired_and_surplus_messages_arrive_with_their_history() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "dead", &FieldTable::new());
    client.declare_durable(1, "rejecting", &dying_into("dead", &[]));
    client.declare_durable(
        1,
        "expiring",
        &dying_into("dead", &[("x-message-ttl", FieldValue::I32(20))]),
    );
    client.declare_durable(
        1,
        "short",
        &dying_into("dead", &[("x-max-length", FieldValue::I32(1))]),
    );
    client.consume(1, "dead", "undertaker", true);

    client.publish_persistent(1, "", "rejecting", b"unwanted");
    let got = client.get(1, "rejecting").unwrap();
    nack(&mut client, got.tag().0, false);
    let message = client.message();
    assert_eq!(message.body, b"unwanted");
    assert_eq!(deaths(&message), [death("rejected", "rejecting", 1)]);
    let headers = headers(&message);
    for (name, value) in [
        ("x-first-death-queue", "rejecting"),
        ("x-first-death-reason", "rejected"),
        ("x-last-death-exchange", ""),
    ] {
        assert_eq!(headers.get(name).unwrap().as_str(), Some(value), "{name}");
    }

    let expiring = BasicProperties {
        expiration: Some("60000"),
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    client.publish_with(1, "", "expiring", &expiring, b"old");
    let message = client.message();
    assert_eq!(message.body, b"old");
    assert_eq!(deaths(&message), [death("expired", "expiring", 1)]);

    client.publish_persistent(1, "", "short", b"first");
    client.publish_persistent(1, "", "short", b"second");
    let message = client.message();
    assert_eq!(message.body, b"first");
    assert_eq!(deaths(&message), [death("maxlen", "short", 1)]);
    assert_eq!(client.ready(1, "short"), 1);
}

#[test]
fn a_retry_loop_counts_its_rounds_and_an_idle_circle_ends() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "work", &dying_into("wait", &[]));
    client.declare_durable(
        1,
        "wait",
        &dying_into("work", &[("x-message-ttl", FieldValue::I32(5))]),
    );
    client.publish_persistent(1, "", "work", b"job");
    client.consume(1, "work", "worker", false);
    for round in 0..3 {
        let message = client.message();
        let expected = match round {
            0 => vec![],
            n => vec![death("expired", "wait", n), death("rejected", "work", n)],
        };
        assert_eq!(deaths(&message), expected);
        nack(&mut client, message.tag().0, false);
    }
    let message = client.message();
    client.ack(1, message.tag().0, false);

    // Nobody takes part in this circle: the message comes to its end when it has been all the way round.
    client.declare_durable(1, "end", &FieldTable::new());
    let idle = dying_into("idle", &[("x-message-ttl", FieldValue::I32(5))]);
    client.declare_durable(1, "idle", &idle);
    client.publish_persistent(1, "", "idle", b"round and round");
    support::wait_for("the circle to end", || {
        (client.ready(1, "idle") == 0).then_some(())
    });
}

#[test]
fn letters_to_nowhere_are_dropped_and_the_queue_goes_on() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let nowhere = [("x-dead-letter-exchange", FieldValue::from("later"))];
    client.declare_durable(1, "q", &arguments(&nowhere));
    client.publish_persistent(1, "", "q", b"1");
    let got = client.get(1, "q").unwrap();
    nack(&mut client, got.tag().0, false);
    client.publish_persistent(1, "", "q", b"2");
    assert_eq!(client.get(1, "q").unwrap().body, b"2");
}

#[test]
fn no_letter_is_lost_when_the_broker_is_killed() {
    const MESSAGES: u32 = 500;
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "dead", &FieldTable::new());
    client.declare_durable(1, "source", &dying_into("dead", &[]));
    client.confirm_select(1);
    for index in 0..MESSAGES {
        client.publish_persistent(1, "", "source", &index.to_be_bytes());
    }
    client.await_confirms(MESSAGES.into());
    client.consume(1, "source", "c", false);
    for _ in 0..MESSAGES {
        let message = client.message();
        nack(&mut client, message.tag().0, false);
    }
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    let mut found = std::collections::BTreeSet::new();
    for queue in ["dead", "source"] {
        while let Some(message) = client.get(1, queue) {
            found.insert(message.body);
        }
    }
    let expected: std::collections::BTreeSet<_> =
        (0..MESSAGES).map(|index| index.to_be_bytes().to_vec()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_full_queue_refuses_by_nack_and_passes_on_what_it_refused() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "dead", &FieldTable::new());
    let limit = [
        ("x-max-length", FieldValue::I32(2)),
        ("x-overflow", FieldValue::from("reject-publish-dlx")),
    ];
    client.declare_durable(1, "short", &dying_into("dead", &limit));
    client.confirm_select(1);
    for body in [b"1", b"2", b"3", b"4"] {
        client.publish_persistent(1, "", "short", body);
    }
    let mut refused = Vec::new();
    let mut confirmed = 0;
    while confirmed < 2 || refused.len() < 2 {
        match client.frame().method() {
            Method::BasicAck { delivery_tag, .. } => confirmed = delivery_tag,
            Method::BasicNack { delivery_tag, .. } => refused.push(delivery_tag),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((confirmed, refused), (2, vec![3, 4]));
    client.consume(1, "dead", "undertaker", true);
    assert_eq!(client.bodies(2), [b"3", b"4"]);
}

#[test]
fn a_letter_that_a_client_publishes_again_begins_a_new_life() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "dead", &FieldTable::new());
    client.declare_durable(1, "work", &dying_into("dead", &[]));
    client.consume(1, "dead", "undertaker", true);
    client.publish_persistent(1, "", "work", b"job");
    for _ in 0..2 {
        let got = client.get(1, "work").unwrap();
        nack(&mut client, got.tag().0, false);
        let letter = client.message();
        assert_eq!(deaths(&letter), [death("rejected", "work", 1)]);
        let headers = headers(&letter).to_bytes();
        let again = BasicProperties {
            headers: TableRef::parse(&headers).ok(),
            ..BasicProperties::default()
        };
        client.publish_with(1, "", "work", &again, &letter.body);
    }
}

#[test]
fn what_expires_by_itself_does_so_after_a_crash_too() {
    let mut broker = BrokerProcess::start(&["--offset-checkpoint-interval=0"]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "dead", &FieldTable::new());
    client.declare_durable(1, "waiting", &dying_into("dead", &[]));
    client.confirm_select(1);
    let brief = BasicProperties {
        expiration: Some("250"),
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    client.publish_with(1, "", "waiting", &brief, b"nobody looks at me");
    client.await_confirms(1);
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    client.consume(1, "dead", "undertaker", true);
    let letter = client.message();
    assert_eq!(deaths(&letter), [death("expired", "waiting", 1)]);
}

#[test]
fn an_orderly_stop_lets_letters_arrive() {
    const MESSAGES: u32 = 300;
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "dead", &FieldTable::new());
    client.declare_durable(1, "source", &dying_into("dead", &[]));
    client.confirm_select(1);
    for index in 0..MESSAGES {
        client.publish_persistent(1, "", "source", &index.to_be_bytes());
    }
    client.await_confirms(MESSAGES.into());
    client.consume(1, "source", "c", false);
    client.bodies(MESSAGES as usize);
    client.send(
        1,
        Method::BasicNack {
            delivery_tag: 0,
            multiple: true,
            requeue: false,
        },
    );
    client.ready(1, "dead");
    broker.stop();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    assert_eq!(client.ready(1, "source"), 0);
    assert_eq!(client.ready(1, "dead"), MESSAGES, "each once");
}
