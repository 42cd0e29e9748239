//! Whoever is told that something durable is declared can rely on it after a crash, also who did not declare it first.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use support::{BrokerProcess, Client};
use wire::{Method, TableRef};

/// So many that storing the last ones takes a while.
const QUEUES: u16 = 300;

fn name(number: u16) -> String {
    format!("orders{number:03}")
}

fn declare(queue: &str) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

fn bind(queue: &str) -> Method<'_> {
    Method::QueueBind {
        queue,
        exchange: "amq.topic",
        routing_key: "k",
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

/// Descriptions below `directory` that name `queue`.
fn descriptions(directory: &Path, queue: &str) -> usize {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("\"{queue}\""))))
        .count()
}

/// A channel a queue: nothing waits for anything but its own answer.
fn pipeline(client: &mut Client, order: impl Iterator<Item = u16>, method: fn(&str) -> Method<'_>) {
    let mut bytes = Vec::new();
    for number in order {
        method(&name(number)).encode(number, &mut bytes);
    }
    client.write(&bytes);
}

#[test]
fn the_second_declarer_waits_as_the_first_does() {
    let broker = BrokerProcess::start(&[]);
    let (mut first, mut second) = (Client::connect(&broker), Client::connect(&broker));
    for number in 2..=QUEUES {
        first.open_channel(number);
        second.open_channel(number);
    }
    let metadata = broker.data_dir().join("metadata");
    for (method, directory) in [
        (declare as fn(&str) -> Method<'_>, metadata.join("queues")),
        (bind, metadata.join("bindings")),
    ] {
        pipeline(&mut first, 1..=QUEUES, method);
        pipeline(&mut second, (1..=QUEUES).rev(), method);
        for _ in 1..=QUEUES {
            let frame = second.frame();
            assert!(matches!(
                frame.method(),
                Method::QueueDeclareOk { .. } | Method::QueueBindOk
            ));
            assert_eq!(descriptions(&directory, &name(frame.channel)), 1);
        }
        for _ in 1..=QUEUES {
            first.frame();
        }
    }
}
