//! A broker starts with what a definitions file says, and writes one about what it has.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{BrokerProcess, Client, definitions};
use wire::FieldTable;

const DEFINITIONS: &str = r#"{
    "users": [{"name": "ada", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
        "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["administrator"]}],
    "permissions": [{"user": "ada", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    "exchanges": [{"name": "x", "vhost": "/", "type": "direct", "durable": true},
        {"name": "later", "vhost": "/", "type": "x-delayed-message", "durable": true, "arguments": {"x-delayed-type": "fanout"}}],
    "queues": [{"name": "q", "vhost": "/", "durable": true, "arguments": {"x-durability": "write"}}],
    "bindings": [{"source": "x", "vhost": "/", "destination": "q", "destination_type": "queue",
        "routing_key": "k", "arguments": {}}]
}"#;
/// Of the hash above, which is the example of RabbitMQ's documentation.
const PASSWORD: &str = "test12";

fn broker(flags: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_broker");
    Command::new(program).args(flags).output().unwrap()
}

fn exported(process: &BrokerProcess) -> Value {
    let path = process.data_dir().to_str().unwrap();
    let output = broker(&["definitions", "export", "--data-dir", path]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("1 queue(s) with x-durability 'q': RabbitMQ and LavinMQ keep the argument"),
        "{told}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_is_defined_is_there_and_stays() {
    let (_file, flag) = definitions(DEFINITIONS);
    let mut process = BrokerProcess::start(&[&flag]);
    let mut client = Client::connect_as(&process, "ada", PASSWORD, "/");
    client.confirm_select(1);
    client.publish_persistent(1, "x", "k", b"kept");
    client.await_confirms(1);
    client.close();
    process.stop();
    let first = exported(&process);
    assert_eq!(first["queues"][0]["arguments"], json!({"x-durability": "write"}));

    // The same file again: nothing changes, and what is in the queue stays.
    process.restart(&[&flag]);
    let mut client = Client::connect_as(&process, "ada", PASSWORD, "/");
    assert_eq!(client.get(1, "q").unwrap().body, b"kept");
    client.ack(1, 1, false);
    client.declare_durable(1, "more", &FieldTable::new());
    client.close();
    process.stop();
    let second = exported(&process);
    assert_eq!(second["users"], first["users"]);
    assert_eq!(second["queues"].as_array().unwrap().len(), 2);

    // What was exported starts another broker with the same.
    let (_file, flag) = definitions(&second.to_string());
    let mut copy = BrokerProcess::start(&[&flag]);
    let mut client = Client::connect_as(&copy, "ada", PASSWORD, "/");
    assert_eq!(client.ready(1, "more"), 0);
    client.close();
    copy.stop();
    assert_eq!(exported(&copy), second);
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    for (text, expected) in [
        (r#"{"queues": [{"name": "q"}]}"#, "queues[0].vhost: missing"),
        (r#"{"policies": [{"name": "p"}]}"#, "policies: not supported"),
        ("{", "EOF while parsing"),
    ] {
        let (directory, flag) = definitions(text);
        let data_dir = directory.path().join("data");
        let output = broker(&[&flag, "--data-dir", data_dir.to_str().unwrap()]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(expected), "{errors}");
        assert!(!data_dir.exists(), "{expected}");
    }
}
