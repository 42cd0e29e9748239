//! Consumer cancel notification: who is told, in which order, and what a client may do then.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, declare};
use wire::{FieldTable, Method, TableRef};

fn delete(queue: &str) -> Method<'_> {
    Method::QueueDelete {
        queue,
        if_unused: false,
        if_empty: false,
        no_wait: false,
    }
}

fn cancelled(consumer_tag: &str) -> Method<'_> {
    Method::BasicCancel {
        consumer_tag,
        no_wait: true,
    }
}

const DELETED: Method<'static> = Method::QueueDeleteOk { message_count: 0 };

#[test]
fn others_are_told_and_their_tags_are_free_again() {
    let broker = BrokerProcess::start(&["--reactors=2"]);
    let (mut client, mut other) = (Client::connect(&broker), Client::connect(&broker));
    client.open_channel(2);
    for _ in 0..3 {
        client.declare(1, "q");
        client.consume(1, "q", "c", false);
        client.consume(2, "q", "c", false);
        other.send(1, delete("q"));
        other.expect(1, DELETED);
        client.expect(1, cancelled("c"));
        client.expect(2, cancelled("c"));
    }
    // Cancelling what is gone, and answering the cancellation, do no harm.
    client.send(1, Method::BasicCancelOk { consumer_tag: "c" });
    client.send(
        1,
        Method::BasicCancel {
            consumer_tag: "c",
            no_wait: false,
        },
    );
    client.expect(1, Method::BasicCancelOk { consumer_tag: "c" });
}

#[test]
fn who_deletes_the_queue_gets_the_answer_first() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.open_channel(2);
    for durable in [false, true] {
        if durable {
            client.declare_durable(1, "q", &FieldTable::new());
        } else {
            client.declare(1, "q");
        }
        client.consume(1, "q", "a", false);
        client.consume(1, "q", "b", true);
        client.send(1, delete("q"));
        client.expect(1, DELETED);
        client.expect(1, cancelled("a"));
        client.expect(1, cancelled("b"));
        // The same tag, in the same breath as the deletion.
        let mut bytes = Vec::new();
        for _ in 0..2 {
            declare("q").encode(1, &mut bytes);
            support::consume("q", "a", true).encode(1, &mut bytes);
            delete("q").encode(1, &mut bytes);
        }
        client.write(&bytes);
        for _ in 0..2 {
            assert!(matches!(client.frame().method(), Method::QueueDeclareOk { .. }));
            client.expect(1, Method::BasicConsumeOk { consumer_tag: "a" });
            client.expect(1, DELETED);
            client.expect(1, cancelled("a"));
        }
    }
}

#[test]
fn clients_that_do_not_know_it_are_not_told() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::raw(&broker);
    client.start_as("guest", "guest", &[]);
    client.tune_and_open("/");
    client.open_channel(1);
    for _ in 0..2 {
        client.declare(1, "q");
        client.consume(1, "q", "c", false);
        client.send(1, delete("q"));
        client.expect(1, DELETED);
    }
    client.declare(1, "last");
}

#[test]
fn deliveries_of_a_queue_that_is_gone_can_still_be_settled() {
    let broker = BrokerProcess::start(&[]);
    let (mut client, mut other) = (Client::connect(&broker), Client::connect(&broker));
    client.declare(1, "q");
    client.consume(1, "q", "c", false);
    for _ in 0..4 {
        other.publish(1, "q", b"x");
        client.message();
    }
    other.send(1, delete("q"));
    other.expect(1, DELETED);
    client.expect(1, cancelled("c"));
    // The same name, another queue: nothing of the old one comes back.
    client.declare(1, "q");
    client.ack(1, 1, false);
    client.send(
        1,
        Method::BasicNack {
            delivery_tag: 2,
            multiple: false,
            requeue: true,
        },
    );
    client.send(1, Method::BasicRecover { requeue: true });
    client.expect(1, Method::BasicRecoverOk);
    assert_eq!(client.ready(1, "q"), 0);
    client.ack(1, 3, false);
    assert!(client.expect_close(1, 406).contains("unknown delivery tag 3"));
}

#[test]
fn an_exclusive_queue_goes_with_its_owner() {
    let broker = BrokerProcess::start(&[]);
    let (mut owner, mut other) = (Client::connect(&broker), Client::connect(&broker));
    let exclusive = Method::QueueDeclare {
        queue: "mine",
        passive: false,
        durable: false,
        exclusive: true,
        auto_delete: false,
        no_wait: true,
        arguments: TableRef::EMPTY,
    };
    owner.send(1, exclusive);
    owner.consume(1, "mine", "c", false);
    owner.publish(1, "mine", b"x");
    owner.message();
    drop(owner);
    support::wait_for("the queue to go", || {
        let ok = other.call(1, declare("mine"));
        match ok.method() {
            Method::QueueDeclareOk { message_count: 0, .. } => Some(()),
            Method::ChannelClose { reply_code: 405, .. } => {
                other.send(1, Method::ChannelCloseOk);
                other.open_channel(1);
                None
            }
            method => panic!("{method:?}"),
        }
    });
}
