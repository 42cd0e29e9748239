//! Publish, confirm, consume, acknowledge: the life that nearly every message leads.

mod support;

use support::{BrokerProcess, Client, encode_publish};
use wire::Method;

#[test]
fn messages_arrive_in_order_and_confirmed() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "orders");
    client.send(1, Method::ConfirmSelect { no_wait: false });
    client.expect(1, Method::ConfirmSelectOk);
    for index in 0..1000u32 {
        client.publish(1, "orders", &index.to_be_bytes());
    }
    let mut confirmed = 0;
    while confirmed < 1000 {
        match client.frame().method() {
            Method::BasicAck {
                delivery_tag,
                multiple,
            } => {
                assert!(delivery_tag > confirmed && (multiple || delivery_tag == confirmed + 1));
                confirmed = delivery_tag;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.ready(1, "orders"), 1000);
    client.consume(1, "orders", "c", false);
    for index in 0..1000u32 {
        let message = client.message();
        assert_eq!(message.body, index.to_be_bytes());
        assert_eq!(message.tag(), (u64::from(index) + 1, false));
    }
    client.ack(1, 1000, true);
    client.send(
        1,
        Method::BasicCancel {
            consumer_tag: "c",
            no_wait: false,
        },
    );
    client.expect(1, Method::BasicCancelOk { consumer_tag: "c" });
    assert_eq!(client.ready(1, "orders"), 0);
}

#[test]
fn bodies_of_any_size_arrive_byte_for_byte() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "sizes");
    client.consume(1, "sizes", "c", true);
    for size in [0, 1, 4088, 131_064, 131_065, 300_000, 5_000_000] {
        let body: Vec<u8> = (0..size).map(|index| (index * 31 % 251) as u8).collect();
        client.publish(1, "sizes", &body);
        assert!(client.message().body == body, "size {size}");
    }
}

#[test]
fn a_publish_may_arrive_in_any_number_of_pieces() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "pieces");
    client.consume(1, "pieces", "c", true);
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, 1, "", "pieces", false, b"in pieces", 131_072);
    for cut in 1..bytes.len() {
        client.write(&bytes[..cut]);
        client.write(&bytes[cut..]);
        assert_eq!(client.message().body, b"in pieces", "cut at {cut}");
    }
}

#[test]
fn a_mandatory_message_without_a_queue_comes_back_before_its_confirm() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.send(1, Method::ConfirmSelect { no_wait: false });
    client.expect(1, Method::ConfirmSelectOk);
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, 1, "", "nowhere", true, b"back", 131_072);
    client.write(&bytes);
    let returned = client.message();
    match returned.method.method() {
        Method::BasicReturn {
            reply_code: 312,
            routing_key: "nowhere",
            ..
        } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(returned.body, b"back");
    let confirm = client.frame();
    assert!(
        matches!(confirm.method(), Method::BasicAck { delivery_tag: 1, .. }),
        "{:?}",
        confirm.method()
    );
}

#[test]
fn get_empties_a_queue_message_by_message() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "polled");
    client.publish(1, "polled", b"one");
    client.publish(1, "polled", b"two");
    for (body, left) in [(b"one", 1), (b"two", 0)] {
        client.send(
            1,
            Method::BasicGet {
                queue: "polled",
                no_ack: false,
            },
        );
        let message = client.message();
        assert_eq!(message.body, body);
        let Method::BasicGetOk {
            delivery_tag,
            message_count,
            ..
        } = message.method.method()
        else {
            panic!()
        };
        assert_eq!(message_count, left);
        client.ack(1, delivery_tag, false);
    }
    client.send(
        1,
        Method::BasicGet {
            queue: "polled",
            no_ack: false,
        },
    );
    client.expect(1, Method::BasicGetEmpty);
}
