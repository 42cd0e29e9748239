//! Rings far smaller than what is published into them: nothing is lost, in whatever order things happen.

mod support;

use support::{BrokerProcess, Client, encode_publish, wait_for};

const FLAGS: [&str; 2] = ["--ring-messages", "100"];

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
fn a_fanout_to_a_slow_and_a_fast_queue_loses_nothing() {
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
        (observer.ready(1, "slow") == 250).then_some(())
    });
    let mut slow = Client::connect(&broker);
    slow.consume(1, "slow", "s", true);
    let expected: Vec<u8> = (0..250u32).flat_map(u32::to_be_bytes).collect();
    assert_eq!(slow.bodies(250).concat(), expected);
    assert_eq!(fast.bodies(250).concat(), expected);
}

#[test]
fn a_backlog_of_many_rings_lies_on_disk_and_comes_back_in_order() {
    let broker = BrokerProcess::start(&["--ring-messages", "100", "--memory-budget", "160MiB"]);
    let mut publisher = Client::connect(&broker);
    publisher.declare(1, "small");
    publisher.confirm_select(1);
    let total = 4000u32;
    let mut body = vec![7; 64 * 1024];
    for index in 0..total {
        body[..4].copy_from_slice(&index.to_be_bytes());
        publisher.publish(1, "small", &body);
    }
    publisher.await_confirms(total.into());
    assert!(
        broker.resident_bytes() < 160 << 20,
        "{} bytes",
        broker.resident_bytes()
    );
    let spilled = || {
        std::fs::read_dir(broker.data_dir().join("spill"))
            .unwrap()
            .count()
    };
    assert_eq!(spilled(), 1);
    let mut consumer = Client::connect(&broker);
    assert_eq!(consumer.ready(1, "small"), total);
    consumer.qos(1, 50, false);
    consumer.consume(1, "small", "c", false);
    for index in 0..total {
        let message = consumer.message();
        assert_eq!(message.body[..4], index.to_be_bytes());
        assert_eq!(message.body.len(), body.len());
        assert_eq!(message.tag(), (u64::from(index) + 1, false));
        consumer.ack(1, u64::from(index) + 1, false);
    }
    publisher.send(
        1,
        wire::Method::QueueDelete {
            queue: "small",
            if_unused: false,
            if_empty: false,
            no_wait: false,
        },
    );
    publisher.expect(1, wire::Method::QueueDeleteOk { message_count: 0 });
    wait_for("the files to go", || (spilled() == 0).then_some(()));
}

#[test]
fn messages_of_a_third_of_a_ring_find_room_without_a_consumer() {
    let broker = BrokerProcess::start(&["--ring-bytes=2MiB", "--message-bytes-max=1MiB"]);
    let mut client = Client::connect(&broker);
    client.declare(1, "transient");
    client.declare_durable(1, "durable", &wire::FieldTable::new());
    client.confirm_select(1);
    // Two fill less than four fifths of the ring, and many small ones leave no room for a large one.
    for index in 0..10u8 {
        client.publish(1, "transient", &vec![index; 700_000]);
        client.publish_persistent(1, "", "durable", &vec![index; 700_000]);
        client.await_confirms(u64::from(index) * 2 + 2);
    }
    let mut small = Vec::new();
    for queue in ["transient", "durable"] {
        (0..10_000).for_each(|_| encode_publish(&mut small, 1, "", queue, false, b"small", 131_072));
    }
    client.write(&small);
    for queue in ["transient", "durable"] {
        client.publish_persistent(1, "", queue, &vec![10; 1 << 20]);
    }
    client.await_confirms(20_022);
    for queue in ["transient", "durable"] {
        for index in 0..10 {
            assert_eq!(client.get(1, queue).unwrap().body, vec![index; 700_000]);
        }
    }
}

#[test]
fn a_cold_message_can_be_got_and_given_back() {
    let broker = BrokerProcess::start(&FLAGS);
    let mut client = Client::connect(&broker);
    client.declare(1, "cold");
    for index in 0..500u32 {
        client.publish(1, "cold", &index.to_be_bytes());
    }
    for redelivered in [false, true, true] {
        let message = client.get(1, "cold").unwrap();
        assert_eq!((&message.body, message.tag().1), (&vec![0; 4], redelivered));
        client.send(1, wire::Method::BasicRecover { requeue: true });
        client.expect(1, wire::Method::BasicRecoverOk);
    }
    for index in 0..500u32 {
        let message = client.get(1, "cold").unwrap();
        assert_eq!(message.body, index.to_be_bytes());
    }
    assert_eq!(client.get(1, "cold"), None);
}
