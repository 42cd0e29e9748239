//! Transactions: nothing of what a channel publishes or settles takes effect before its commit, and all of it does then.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, bind, encode_publish};
use wire::{BasicProperties, FieldTable, Method};

const COMMIT: Method<'static> = Method::TxCommit;
const ROLLBACK: Method<'static> = Method::TxRollback;

/// A connection with a transactional channel 1.
fn transactional(broker: &BrokerProcess) -> Client {
    let mut client = Client::connect(broker);
    client.send(1, Method::TxSelect);
    client.expect(1, Method::TxSelectOk);
    client
}

fn commit(client: &mut Client) {
    client.send(1, COMMIT);
    client.expect(1, Method::TxCommitOk);
}

fn rollback(client: &mut Client) {
    client.send(1, ROLLBACK);
    client.expect(1, Method::TxRollbackOk);
}

#[test]
fn publishes_appear_with_the_commit_and_vanish_with_a_rollback() {
    let broker = BrokerProcess::start(&[]);
    let mut client = transactional(&broker);
    let mut observer = Client::connect(&broker);
    client.declare(1, "orders");
    client.declare(1, "others");
    client.publish(1, "orders", b"1");
    client.publish(1, "others", b"2");
    client.publish(1, "orders", b"3");
    // Whatever is answered on the channel is answered after the publishes were taken.
    client.declare(1, "orders");
    assert_eq!(observer.ready(1, "orders"), 0);
    commit(&mut client);
    assert_eq!((observer.ready(1, "orders"), observer.ready(1, "others")), (2, 1));
    client.publish(1, "orders", b"forgotten");
    rollback(&mut client);
    commit(&mut client);
    assert_eq!(observer.ready(1, "orders"), 2);
    assert_eq!(observer.get(1, "orders").unwrap().body, b"1");
    assert_eq!(observer.get(1, "orders").unwrap().body, b"3");
    // A second select changes nothing.
    client.publish(1, "orders", b"kept through a select");
    client.send(1, Method::TxSelect);
    client.expect(1, Method::TxSelectOk);
    commit(&mut client);
    assert_eq!(observer.ready(1, "orders"), 1);
}

#[test]
fn settlements_wait_for_the_commit() {
    let broker = BrokerProcess::start(&[]);
    let mut client = transactional(&broker);
    client.declare(1, "orders");
    for body in [b"a", b"b", b"c"] {
        client.publish(1, "orders", body);
    }
    commit(&mut client);
    client.qos(1, 1, false);
    client.consume(1, "orders", "c", false);
    assert_eq!(client.message().body, b"a");
    client.ack(1, 1, false);
    // The prefetch is still used: what comes next is the answer, not a delivery.
    commit(&mut client);
    assert_eq!(client.message().body, b"b");
    let nack = Method::BasicNack {
        delivery_tag: 2,
        multiple: false,
        requeue: true,
    };
    client.send(1, nack);
    rollback(&mut client);
    // Rolled back: the delivery is unsettled again, and can be settled again.
    client.send(1, nack);
    commit(&mut client);
    let again = client.message();
    assert_eq!((again.body.as_slice(), again.tag()), (&b"b"[..], (3, true)));
    client.ack(1, 0, true);
    commit(&mut client);
    assert_eq!(client.message().body, b"c");
    client.send(
        1,
        Method::BasicReject {
            delivery_tag: 4,
            requeue: false,
        },
    );
    commit(&mut client);
    assert_eq!(client.ready(1, "orders"), 0);
    client.send(
        1,
        Method::BasicCancel {
            consumer_tag: "c",
            no_wait: true,
        },
    );
    assert_eq!(client.get(1, "orders"), None);
}

#[test]
fn a_delivery_is_settled_once_in_a_transaction() {
    let broker = BrokerProcess::start(&[]);
    for (first, multiple) in [((1, false), false), ((2, true), false), ((2, true), true)] {
        let mut client = transactional(&broker);
        client.declare(1, "orders");
        for _ in 0..3 {
            client.publish(1, "orders", b"x");
        }
        commit(&mut client);
        for _ in 0..3 {
            client.get(1, "orders").unwrap();
        }
        client.ack(1, first.0, first.1);
        client.ack(1, 1, multiple);
        let text = client.expect_close(1, 406);
        assert!(text.contains("unknown delivery tag 1"), "{text}");
        // The channel took its transaction along: everything is there again.
        client.open_channel(2);
        assert_eq!(client.ready(2, "orders"), 3);
        client.send(
            2,
            Method::QueuePurge {
                queue: "orders",
                no_wait: false,
            },
        );
        client.expect(2, Method::QueuePurgeOk { message_count: 3 });
    }
}

#[test]
fn recover_leaves_what_the_transaction_has_settled() {
    let broker = BrokerProcess::start(&[]);
    let mut client = transactional(&broker);
    client.declare(1, "orders");
    client.publish(1, "orders", b"a");
    client.publish(1, "orders", b"b");
    commit(&mut client);
    client.get(1, "orders").unwrap();
    client.get(1, "orders").unwrap();
    client.ack(1, 1, false);
    client.send(1, Method::BasicRecover { requeue: true });
    client.expect(1, Method::BasicRecoverOk);
    commit(&mut client);
    assert_eq!(client.ready(1, "orders"), 1);
    assert_eq!(client.get(1, "orders").unwrap().body, b"b");
}

#[test]
fn closing_the_channel_rolls_back() {
    let broker = BrokerProcess::start(&[]);
    let mut client = transactional(&broker);
    client.declare(1, "orders");
    client.publish(1, "orders", b"taken");
    commit(&mut client);
    client.get(1, "orders").unwrap();
    client.ack(1, 1, false);
    client.publish(1, "orders", b"never published");
    client.send(
        1,
        Method::ChannelClose {
            reply_code: 200,
            reply_text: "",
            class_id: 0,
            method_id: 0,
        },
    );
    client.expect(1, Method::ChannelCloseOk);
    client.open_channel(2);
    assert_eq!(client.ready(2, "orders"), 1);
    let message = client.get(2, "orders").unwrap();
    assert_eq!(
        (message.body.as_slice(), message.tag()),
        (&b"taken"[..], (1, true))
    );
}

#[test]
fn transactions_and_confirms_exclude_each_other() {
    let broker = BrokerProcess::start(&[]);
    let refusals: [(&[Method<'_>], &str); 4] = [
        (&[COMMIT], "channel is not transactional"),
        (&[ROLLBACK], "channel is not transactional"),
        (
            &[Method::ConfirmSelect { no_wait: true }, Method::TxSelect],
            "cannot switch from confirm to tx mode",
        ),
        (
            &[Method::TxSelect, Method::ConfirmSelect { no_wait: true }],
            "cannot switch from tx to confirm mode",
        ),
    ];
    let mut client = Client::connect(&broker);
    for (methods, text) in refusals {
        for &method in methods {
            client.send(1, method);
        }
        if methods[0] == Method::TxSelect {
            client.expect(1, Method::TxSelectOk);
        }
        let said = client.expect_close(1, 406);
        assert_eq!(said, format!("PRECONDITION_FAILED - {text}"));
        client.open_channel(1);
    }
}

#[test]
fn what_is_unroutable_comes_back_before_the_commit_is_answered() {
    let broker = BrokerProcess::start(&[]);
    let mut client = transactional(&broker);
    let mut bytes = Vec::new();
    for body in [b"1", b"2"] {
        encode_publish(&mut bytes, 1, "", "nowhere", true, body, 131_072);
    }
    client.write(&bytes);
    // Not when it is published.
    client.declare(1, "orders");
    client.send(1, COMMIT);
    assert_eq!(client.bodies(2), [b"1", b"2"]);
    client.expect(1, Method::TxCommitOk);
    // A missing exchange is said at once.
    bytes.clear();
    encode_publish(&mut bytes, 1, "missing", "k", false, b"x", 131_072);
    client.write(&bytes);
    assert!(client.expect_close(1, 404).contains("no exchange 'missing'"));
}

#[test]
fn what_follows_a_commit_waits_for_its_answer() {
    let broker = BrokerProcess::start(&[]);
    let mut client = transactional(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    let mut bytes = Vec::new();
    for number in 0..50u8 {
        client.publish_persistent(1, "", "orders", &[number]);
        COMMIT.encode(1, &mut bytes);
        Method::BasicGet {
            queue: "orders",
            no_ack: true,
        }
        .encode(1, &mut bytes);
        client.write(&bytes);
        bytes.clear();
    }
    for number in 0..50u8 {
        client.expect(1, Method::TxCommitOk);
        assert_eq!(client.message().body, [number]);
    }
}

#[test]
fn what_was_committed_survives_a_crash() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = transactional(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    for body in [b"1", b"2", b"3"] {
        client.publish_persistent(1, "", "orders", body);
    }
    commit(&mut client);
    client.publish_persistent(1, "", "orders", b"not committed");
    client.ready(1, "orders");
    broker.kill();
    broker.restart(&[]);
    let mut client = Client::connect(&broker);
    assert_eq!(client.ready(1, "orders"), 3);
}

#[test]
fn a_commit_that_a_full_queue_refuses_is_partial() {
    let broker = BrokerProcess::start(&[]);
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length", 2);
    arguments.insert("x-overflow", "reject-publish");
    for persistent in [false, true] {
        let mut client = transactional(&broker);
        let queue = if persistent { "kept" } else { "passing" };
        client.declare_durable(1, queue, &arguments);
        for _ in 0..3 {
            if persistent {
                client.publish_persistent(1, "", queue, b"x");
            } else {
                client.publish(1, "", b"unroutable");
                client.publish(1, queue, b"x");
            }
        }
        client.send(1, COMMIT);
        assert_eq!(
            client.expect_close(1, 406),
            "PRECONDITION_FAILED - partial tx completion"
        );
        client.open_channel(1);
        assert_eq!(client.ready(1, queue), 2);
    }
}

#[test]
fn what_finds_no_room_in_a_commit_is_not_overtaken() {
    let broker = BrokerProcess::start(&["--ring-bytes=2MiB", "--message-bytes-max=1MiB"]);
    let mut client = transactional(&broker);
    client.declare(1, "orders");
    client.send(1, bind("orders", "amq.direct", "small"));
    client.expect(1, Method::QueueBindOk);
    let plain = BasicProperties::default();
    // Small ones, on another way to the queue, between large ones: there is always room for a small one.
    for index in 0..10 {
        client.publish_with(1, "", "orders", &plain, &vec![index; 700_000]);
        client.publish_with(1, "amq.direct", "small", &plain, &[index; 7]);
    }
    commit(&mut client);
    client.consume(1, "orders", "c", true);
    for index in 0..10 {
        assert_eq!(client.message().body, vec![index; 700_000]);
        assert_eq!(client.message().body, [index; 7]);
    }
}

#[test]
fn a_transaction_is_bounded() {
    let broker = BrokerProcess::start(&[
        "--memory-budget=8MiB",
        "--ring-bytes=2MiB",
        "--message-bytes-max=1MiB",
    ]);
    let mut client = transactional(&broker);
    client.declare(1, "orders");
    // Each of them too large for a quarter of the budget, one after the other: what they held is given back.
    for _ in 0..10 {
        for _ in 0..30 {
            client.publish(1, "orders", &[0; 100_000]);
        }
        let text = client.expect_close(1, 406);
        assert!(text.contains("transaction is larger"), "{text}");
        client.open_channel(1);
        client.send(1, Method::TxSelect);
        client.expect(1, Method::TxSelectOk);
    }
    client.publish(1, "orders", b"fits");
    commit(&mut client);
    assert_eq!(client.ready(1, "orders"), 1);
}
