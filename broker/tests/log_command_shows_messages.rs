//! `broker log dump` prints what a queue's log holds, and no command touches the directory of a running broker.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use support::{BrokerProcess, Client};
use wire::{BasicProperties, FieldTable, TableRef};

fn log(data_dir: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    let output = command
        .arg("log")
        .args(words)
        .arg("--data-dir")
        .arg(data_dir)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn messages_are_shown_with_all_that_they_carry() {
    let mut broker = BrokerProcess::start(&["--offset-checkpoint-interval=0"]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    client.confirm_select(1);
    let mut headers = FieldTable::new();
    headers.insert("x-tries", 3_i32);
    let headers = headers.to_bytes();
    let properties = BasicProperties {
        content_type: Some("text/plain"),
        delivery_mode: Some(2),
        headers: Some(TableRef::parse(&headers).unwrap()),
        ..BasicProperties::default()
    };
    for number in 0..20 {
        client.publish_with(1, "", "orders", &properties, format!("body {number}").as_bytes());
    }
    client.await_confirms(20);
    client.consume(1, "orders", "c", false);
    client.bodies(20);
    client.ack(1, 5, true);
    assert_eq!(client.ready(1, "orders"), 0);

    let (code, out, error) = log(broker.data_dir(), &["verify"]);
    let pid = std::fs::read_to_string(broker.data_dir().join("LOCK")).unwrap();
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains(&format!("process {}", pid.trim())), "{error}");

    drop(client);
    broker.stop();
    let (code, out, error) = log(
        broker.data_dir(),
        &["dump", "--queue=orders", "--from=3", "--count=4", "--format=json"],
    );
    assert_eq!((code, error.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 4);
    for (line, offset) in lines.iter().zip(3..) {
        let head = format!("{{\"offset\":{offset},\"segment\":\"00000000000000000000.log\",\"position\":");
        assert!(line.starts_with(&head), "{line}");
        assert!(line.contains(&format!("\"settled\":{}", offset < 5)), "{line}");
        let tail = format!(
            "\"exchange\":\"\",\"routing_key\":\"orders\",\"properties\":{{\"content_type\":\"text/plain\",\
             \"headers\":{{\"x-tries\":3}},\"delivery_mode\":2}},\"body_bytes\":6,\"body\":\"body {offset}\"}}"
        );
        assert!(line.ends_with(&tail), "{line}");
    }
    let (code, out, _) = log(
        broker.data_dir(),
        &["dump", "--queue=orders", "--count=0", "--bodies=none"],
    );
    assert_eq!(code, 0);
    assert_eq!(out.matches("\n  body of ").count(), 20);
    assert!(
        out.starts_with("offset 0, persistent (flags 0x0001), settled, 20"),
        "{out}"
    );

    let (code, _, error) = log(broker.data_dir(), &["dump", "--queue=nobody"]);
    assert_eq!(code, 2);
    assert!(error.contains("nobody"), "{error}");
}

#[test]
fn a_path_that_is_no_data_directory_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_owned(), directory.path().join("missing")] {
        let (code, _, error) = log(&path, &["verify"]);
        assert_eq!(code, 2);
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
