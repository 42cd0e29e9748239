//! A full ring holds its publishers back; acknowledgements and consumes of the same connection still flow.

mod support;

use std::io::Write;
use std::time::Duration;

use support::{BrokerProcess, Client, encode_publish, wait_for};

const FLAGS: [&str; 2] = ["--ring-messages", "100"];

#[test]
fn a_publisher_beyond_the_ring_stops_being_read_and_loses_nothing() {
    let broker = BrokerProcess::start(&FLAGS);
    let mut publisher = Client::connect(&broker);
    publisher.declare(1, "small");
    // More than ring, parking space and both kernels' socket buffers hold together.
    let body = vec![7; 64 * 1024];
    let total = 400;
    let mut bytes = Vec::new();
    for _ in 0..total {
        encode_publish(&mut bytes, 1, "", "small", false, &body, 131_072);
    }
    publisher
        .stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut written = 0;
    let stalled = loop {
        match publisher.stream.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(_) => break true,
        }
        if written == bytes.len() {
            break false;
        }
    };
    assert!(
        stalled,
        "the broker read {written} bytes although the ring holds 100 messages"
    );
    let mut consumer = Client::connect(&broker);
    assert_eq!(consumer.ready(1, "small"), 100);
    consumer.qos(1, 10, false);
    consumer.consume(1, "small", "c", false);
    let rest = std::thread::spawn(move || {
        publisher
            .stream
            .set_write_timeout(Some(support::DEADLINE))
            .unwrap();
        publisher.stream.write_all(&bytes[written..]).unwrap();
        publisher
    });
    for tag in 1..=total {
        assert_eq!(consumer.message().body.len(), body.len());
        consumer.ack(1, tag, false);
    }
    rest.join().unwrap();
}

#[test]
fn a_connection_drains_the_queue_that_blocks_it() {
    let broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    client.declare(1, "own");
    client.qos(1, 20, false);
    client.consume(1, "own", "c", false);
    // All on one channel: 1,000 publishes into a ring of 100, with the acknowledgements behind them.
    let mut bytes = Vec::new();
    for index in 0..1000u32 {
        encode_publish(&mut bytes, 1, "", "own", false, &index.to_be_bytes(), 131_072);
    }
    client.write(&bytes);
    for index in 0..1000u32 {
        let message = client.message();
        assert_eq!(message.body, index.to_be_bytes());
        client.ack(1, message.tag().0, false);
    }
}

#[test]
fn consuming_after_the_ring_filled_up_gets_things_going() {
    let broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    client.declare(1, "late");
    for index in 0..300u32 {
        client.publish(1, "late", &index.to_be_bytes());
    }
    client.send(1, support::consume("late", "c", true));
    let mut bodies = Vec::new();
    while bodies.len() < 300 {
        let frame = client.frame();
        if frame.kind == wire::FrameKind::Body {
            bodies.push(u32::from_be_bytes(frame.payload.try_into().unwrap()));
        }
    }
    assert_eq!(bodies, (0..300).collect::<Vec<_>>());
}

#[test]
fn fanout_fills_one_queue_and_loses_nothing_in_the_other() {
    let broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    for queue in ["fast", "slow"] {
        client.declare(1, queue);
        let bind = wire::Method::QueueBind {
            queue,
            exchange: "amq.fanout",
            routing_key: "",
            no_wait: false,
            arguments: wire::TableRef::EMPTY,
        };
        client.send(1, bind);
        client.expect(1, wire::Method::QueueBindOk);
    }
    let mut fast = Client::connect(&broker);
    fast.consume(1, "fast", "f", true);
    let mut bytes = Vec::new();
    for index in 0..250u32 {
        encode_publish(
            &mut bytes,
            1,
            "amq.fanout",
            "",
            false,
            &index.to_be_bytes(),
            131_072,
        );
    }
    client.write(&bytes);
    let mut observer = Client::connect(&broker);
    wait_for("the slow queue to fill", || {
        (observer.ready(1, "slow") == 100).then_some(())
    });
    let mut slow = Client::connect(&broker);
    slow.consume(1, "slow", "s", true);
    let expected: Vec<u8> = (0..250u32).flat_map(u32::to_be_bytes).collect();
    assert_eq!(slow.bodies(250).concat(), expected);
    assert_eq!(fast.bodies(250).concat(), expected);
}
