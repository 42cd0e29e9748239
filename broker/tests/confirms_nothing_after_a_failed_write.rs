//! A write that fails poisons the log: publishers learn it, nothing more is confirmed, consumers may drain.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client};
use wire::{FieldTable, Method};

/// A shell that limits the size of the files its command can write; a write beyond fails with EFBIG.
const SMALL_FILES: [&str; 4] = ["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"];
/// The same on a disk so full that not even the broker's words about it can be written.
const NO_WORDS: [&str; 4] = [
    "sh",
    "-c",
    "trap '' XFSZ; ulimit -f 64; exec \"$@\" 2>/dev/full",
    "sh",
];

#[test]
fn publishers_get_an_error_and_consumers_drain() {
    fails_in_good_order(&SMALL_FILES);
}

#[test]
fn a_broker_that_cannot_even_complain_does_the_same() {
    fails_in_good_order(&NO_WORDS);
}

fn fails_in_good_order(wrapper: &[&str]) {
    let broker = BrokerProcess::start_under(wrapper, &[]);
    let mut consumer = Client::connect(&broker);
    let mut client = Client::connect(&broker);
    // Descriptions are small: they can be written. A segment is not.
    client.declare_durable(1, "orders", &FieldTable::new());
    client.declare(1, "passing");
    client.publish(1, "passing", b"in memory");
    client.confirm_select(1);
    client.publish_persistent(1, "", "orders", b"never confirmed");
    let text = client.expect_close(0, 541);
    assert!(
        text.contains("log has failed") && text.contains("allocate"),
        "{text}"
    );
    let mut client = Client::connect(&broker);
    client.publish_persistent(1, "", "orders", b"refused");
    client.expect_close(0, 541);
    // What is in memory goes on: also what was never confirmed.
    assert_eq!(consumer.get(1, "orders").unwrap().body, b"never confirmed");
    assert_eq!(consumer.get(1, "passing").unwrap().body, b"in memory");
    consumer.confirm_select(1);
    consumer.publish(1, "passing", b"transient messages need no log");
    consumer.await_confirms(1);
    consumer.send(
        1,
        Method::QueuePurge {
            queue: "passing",
            no_wait: false,
        },
    );
    consumer.expect(1, Method::QueuePurgeOk { message_count: 1 });
}
