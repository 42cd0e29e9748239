//! Mandatory messages and confirms: a return comes before the confirm of its message, and a queue that goes takes no confirm
//! with it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, encode_publish};
use wire::{BasicProperties, FieldTable, Method};

fn delete(queue: &str) -> Method<'_> {
    Method::QueueDelete {
        queue,
        if_unused: false,
        if_empty: false,
        no_wait: false,
    }
}

/// Reads frames until everything up to `through` is confirmed; returns, in order, what came back, each before its confirm.
/// `numbers` gives the number of the publish whose body it is.
fn returned(client: &mut Client, through: u64, number: impl Fn(&[u8]) -> u64) -> Vec<u64> {
    let (mut confirmed, mut numbers) = (0, Vec::new());
    while confirmed < through {
        let frame = client.frame();
        match frame.method() {
            Method::BasicAck {
                delivery_tag,
                multiple,
            } => {
                assert!(multiple || delivery_tag == confirmed + 1);
                confirmed = delivery_tag;
            }
            Method::BasicReturn { reply_code: 312, .. } => {
                let number = number(&client.content_of(frame).body);
                assert!(number > confirmed, "{number} came back after its confirm");
                numbers.push(number);
            }
            other => panic!("{other:?}"),
        }
    }
    numbers
}

fn number_in(body: &[u8]) -> u64 {
    u64::from_be_bytes(body.try_into().unwrap())
}

#[test]
fn what_is_unroutable_comes_back_before_its_confirm() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.confirm_select(1);
    let mut bytes = Vec::new();
    // Runs of one and of many, routable and not.
    let key = |number: u64| {
        if number % 7 < 3 || number % 100 > 50 {
            "q"
        } else {
            "nowhere"
        }
    };
    for number in 1..=2000u64 {
        let body = number.to_be_bytes();
        encode_publish(&mut bytes, 1, "", key(number), true, &body, 131_072);
    }
    client.write(&bytes);
    let expected: Vec<u64> = (1..=2000).filter(|&number| key(number) == "nowhere").collect();
    assert_eq!(returned(&mut client, 2000, number_in), expected);
    assert_eq!(client.ready(1, "q") as usize, 2000 - expected.len());
}

#[test]
fn a_deleted_queue_is_no_route() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.confirm_select(1);
    let mut bytes = Vec::new();
    let publish = |bytes: &mut Vec<u8>, number: u64| {
        encode_publish(bytes, 1, "", "q", true, &number.to_be_bytes(), 131_072);
    };
    publish(&mut bytes, 1);
    publish(&mut bytes, 2);
    delete("q").encode(1, &mut bytes);
    publish(&mut bytes, 3);
    support::declare("q").encode(1, &mut bytes);
    publish(&mut bytes, 4);
    client.write(&bytes);
    let (mut confirmed, mut came_back) = (0, Vec::new());
    while confirmed < 4 {
        let frame = client.frame();
        match frame.method() {
            Method::BasicAck { delivery_tag, .. } => confirmed = delivery_tag,
            Method::BasicReturn { .. } => came_back.push(number_in(&client.content_of(frame).body)),
            Method::QueueDeleteOk { message_count } => assert_eq!(message_count, 2),
            Method::QueueDeclareOk { message_count, .. } => assert_eq!(message_count, 0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came_back, [3]);
    assert_eq!(client.ready(1, "q"), 1);
}

#[test]
fn what_a_deleted_queue_took_along_is_confirmed() {
    let broker = BrokerProcess::start(&[]);
    let (mut client, mut other) = (Client::connect(&broker), Client::connect(&broker));
    client.confirm_select(1);
    let mut published = 0;
    for _ in 0..20 {
        other.declare_durable(1, "q", &FieldTable::new());
        let mut bytes = Vec::new();
        let properties = BasicProperties {
            delivery_mode: Some(2),
            ..BasicProperties::default()
        };
        for _ in 0..50 {
            let publish = Method::BasicPublish {
                exchange: "",
                routing_key: "q",
                mandatory: false,
                immediate: false,
            };
            publish.encode(1, &mut bytes);
            wire::encode_content_header(&mut bytes, 1, 1000, &properties);
            wire::encode_body_frames(&mut bytes, 1, &[7; 1000], 131_072);
            published += 1;
        }
        client.write(&bytes);
        // While they are on their way to the log, or into the queue, or nowhere any more.
        other.send(1, delete("q"));
        assert!(matches!(other.frame().method(), Method::QueueDeleteOk { .. }));
    }
    client.await_confirms(published);
}
