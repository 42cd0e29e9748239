//! The disk alarm: publishers are told and wait, consumers go on, and when there is room everything continues.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use support::{BrokerProcess, Client, free_bytes, wait_for};
use wire::Method;

/// How far the limit lies below what is free, and what a file takes to cross it.
const MARGIN_BYTES: u64 = 512 << 20;

#[test]
fn publishers_wait_and_consumers_go_on_while_the_disk_is_nearly_full() {
    let free = free_bytes(&std::env::temp_dir());
    let limit = format!("--disk-free-min={}B", free.saturating_sub(MARGIN_BYTES));
    let broker = BrokerProcess::start(&[&limit]);
    let mut client = Client::connect(&broker);
    client.declare(1, "orders");
    client.confirm_select(1);
    client.publish(1, "orders", b"before");
    client.await_confirms(1);
    let hog = broker.data_dir().join("hog");
    let taken = Command::new("fallocate")
        .arg("--length")
        .arg((2 * MARGIN_BYTES).to_string())
        .arg(&hog)
        .status()
        .unwrap();
    assert!(
        taken.success(),
        "the test needs {} bytes of free disk",
        2 * MARGIN_BYTES
    );
    // Publishes until one has to wait.
    let mut published = 1;
    loop {
        client.publish(1, "orders", b"during");
        published += 1;
        match client.frame().method() {
            Method::BasicAck { .. } => std::thread::yield_now(),
            Method::ConnectionBlocked { reason } => {
                assert_eq!(reason, "low on disk");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // On the same connection and channel: what is there can be had and acknowledged.
    let message = client.get(1, "orders").unwrap();
    assert_eq!(message.body, b"before");
    client.ack(1, message.tag().0, false);
    let mut other = Client::connect(&broker);
    other.consume(1, "orders", "c", true);
    let bodies = other.bodies(published - 2);
    assert!(bodies.iter().all(|body| body == b"during"));
    std::fs::remove_file(&hog).unwrap();
    client.expect(0, Method::ConnectionUnblocked);
    let confirm = client.frame();
    assert!(
        matches!(confirm.method(), Method::BasicAck { delivery_tag, .. } if delivery_tag == published as u64),
        "{confirm:?}"
    );
    assert_eq!(other.message().body, b"during");
    wait_for("the queue to be empty", || {
        (other.ready(1, "orders") == 0).then_some(())
    });
}
