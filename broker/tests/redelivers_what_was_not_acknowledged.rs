//! Whatever a consumer took and did not acknowledge comes back: once, in order, flagged.

mod support;

use support::{BrokerProcess, Client};
use wire::{FieldTable, Method};

fn published(broker: &BrokerProcess, count: u8) -> Client {
    let mut client = Client::connect(broker);
    client.declare(1, "work");
    for index in 0..count {
        client.publish(1, "work", &[index]);
    }
    client
}

#[test]
fn a_connection_that_dies_gives_everything_back() {
    let broker = BrokerProcess::start(&[]);
    let mut client = published(&broker, 10);
    let mut doomed = Client::connect(&broker);
    doomed.qos(1, 6, false);
    doomed.consume(1, "work", "c", false);
    assert_eq!(doomed.bodies(6).concat(), [0, 1, 2, 3, 4, 5]);
    doomed.ack(1, 2, true);
    assert_eq!(doomed.bodies(2).concat(), [6, 7], "two acknowledged, two more");
    drop(doomed);
    client.consume(1, "work", "c", false);
    let mut seen: Vec<(u8, bool)> = (0..8)
        .map(|_| client.message())
        .map(|m| (m.body[0], m.tag().1))
        .collect();
    // 8 and 9 were never delivered before and may come before the dead connection is noticed.
    seen.sort_unstable();
    let redelivered = (2..8).map(|body| (body, true));
    assert_eq!(
        seen,
        redelivered.chain([(8, false), (9, false)]).collect::<Vec<_>>()
    );
}

#[test]
fn nack_and_reject_requeue_in_the_original_order() {
    let broker = BrokerProcess::start(&[]);
    let mut client = published(&broker, 5);
    client.qos(1, 5, false);
    client.consume(1, "work", "c", false);
    client.bodies(5);
    client.send(
        1,
        Method::BasicReject {
            delivery_tag: 4,
            requeue: true,
        },
    );
    let again = client.message();
    assert_eq!((again.body.as_slice(), again.tag()), ([3].as_slice(), (6, true)));
    client.send(
        1,
        Method::BasicNack {
            delivery_tag: 3,
            multiple: true,
            requeue: true,
        },
    );
    let again: Vec<_> = (0..3)
        .map(|_| client.message())
        .map(|m| (m.body[0], m.tag().1))
        .collect();
    assert_eq!(again, [(0, true), (1, true), (2, true)]);
    client.send(
        1,
        Method::BasicNack {
            delivery_tag: 0,
            multiple: true,
            requeue: false,
        },
    );
    assert_eq!(client.ready(1, "work"), 0);
}

#[test]
fn recover_redelivers_to_the_same_channel() {
    let broker = BrokerProcess::start(&[]);
    let mut client = published(&broker, 3);
    client.consume(1, "work", "c", false);
    client.bodies(3);
    client.ack(1, 2, false);
    client.send(1, Method::BasicRecover { requeue: true });
    client.expect(1, Method::BasicRecoverOk);
    let again: Vec<_> = (0..2)
        .map(|_| client.message())
        .map(|m| (m.body[0], m.tag()))
        .collect();
    assert_eq!(again, [(0, (4, true)), (2, (5, true))]);
}

#[test]
fn closing_a_channel_gives_back_what_it_held_and_spares_the_others() {
    let broker = BrokerProcess::start(&[]);
    let mut client = published(&broker, 4);
    client.open_channel(2);
    client.consume(1, "work", "first", false);
    client.bodies(4);
    client.consume(2, "work", "second", false);
    client.send(
        1,
        Method::ChannelClose {
            reply_code: 200,
            reply_text: "bye",
            class_id: 0,
            method_id: 0,
        },
    );
    let mut bodies = Vec::new();
    let mut closed = false;
    while !closed || bodies.len() < 4 {
        // The close-ok and the redeliveries on channel 2 may come in either order.
        let frame = client.frame();
        match frame.kind {
            wire::FrameKind::Method if frame.channel == 1 => {
                assert_eq!(frame.method(), Method::ChannelCloseOk);
                closed = true;
            }
            wire::FrameKind::Body => bodies.extend(frame.payload),
            _ => assert_eq!(frame.channel, 2),
        }
    }
    assert_eq!(bodies, [0, 1, 2, 3]);
}

#[test]
fn prefetch_counts_for_each_consumer_or_for_the_channel() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let mut publisher = Client::connect(&broker);
    for (queue, global, delivered) in [("shared", true, 3), ("each", false, 6)] {
        let channel = if global { 1 } else { 2 };
        if channel == 2 {
            client.open_channel(2);
        }
        client.declare(channel, queue);
        client.qos(channel, 3, global);
        client.consume(channel, queue, "a", false);
        client.consume(channel, queue, "b", false);
        for index in 0..20 {
            publisher.publish(1, queue, &[index]);
        }
        client.bodies(delivered);
        assert_eq!(publisher.ready(1, queue), 20 - delivered as u32, "{queue}");
        client.ack(channel, 2, true);
        client.bodies(2);
        assert_eq!(publisher.ready(1, queue), 18 - delivered as u32, "{queue}");
    }
}

#[test]
fn a_consumer_that_holds_a_delivery_too_long_loses_its_channel() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let mut arguments = FieldTable::new();
    arguments.insert("x-consumer-timeout", 1000_i32);
    client.declare_durable(1, "impatient", &arguments);
    client.publish(1, "impatient", b"1");
    client.consume(1, "impatient", "c", false);
    assert_eq!(client.message().tag(), (1, false));
    let text = client.expect_close(1, 406);
    assert!(
        text.starts_with("PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1000 ms"),
        "{text}"
    );
    client.open_channel(1);
    assert!(client.get(1, "impatient").unwrap().tag().1, "redelivered");
}
