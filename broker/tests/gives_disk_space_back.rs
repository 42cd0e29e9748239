//! Compaction: settled segments go, sparse ones shrink, and what is left is still there after a restart.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use support::{BrokerProcess, Client, wait_for};
use wire::FieldTable;

const MESSAGES: u32 = 4000;
/// One message in so many stays.
const KEPT: u32 = 100;

/// Bytes of all segments of all queues.
fn bytes_on_disk(data_dir: &Path) -> u64 {
    let queues = std::fs::read_dir(data_dir.join("queues")).unwrap();
    let files = queues.flat_map(|queue| std::fs::read_dir(queue.unwrap().path()).unwrap());
    // A file may go between listing and looking.
    files
        .filter_map(|file| file.unwrap().metadata().ok())
        .map(|file| file.len())
        .sum()
}

#[test]
fn settled_segments_go_and_sparse_ones_shrink() {
    let flags = ["--segment-bytes=256KiB"];
    let mut broker = BrokerProcess::start(&flags);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    client.confirm_select(1);
    let mut body = vec![1; 1000];
    for index in 0..MESSAGES {
        body[..4].copy_from_slice(&index.to_be_bytes());
        client.publish_persistent(1, "", "orders", &body);
    }
    client.await_confirms(MESSAGES.into());
    let full = bytes_on_disk(broker.data_dir());
    assert!(full > u64::from(MESSAGES) * 1000, "{full}");
    client.consume(1, "orders", "c", false);
    for index in 0..MESSAGES {
        assert_eq!(client.message().body[..4], index.to_be_bytes());
        if index % KEPT != 0 {
            client.ack(1, u64::from(index) + 1, false);
        }
    }
    wait_for("sparse segments to shrink", || {
        (bytes_on_disk(broker.data_dir()) < full / 4).then_some(())
    });
    broker.kill();
    broker.restart(&flags);
    let mut client = Client::connect(&broker);
    let mut left = Vec::new();
    while let Some(message) = client.get(1, "orders") {
        left.push(u32::from_be_bytes(message.body[..4].try_into().unwrap()));
        client.ack(1, message.tag().0, false);
    }
    // What was settled after the last checkpoint may come again; what was not must.
    assert!(
        (0..MESSAGES)
            .step_by(KEPT as usize)
            .all(|index| left.contains(&index))
    );
    assert!(left.is_sorted());
    wait_for("settled segments to go", || {
        (bytes_on_disk(broker.data_dir()) <= 256 << 10).then_some(())
    });
}
