//! SIGHUP: what can change does, what cannot is named, and a file with a mistake changes nothing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpStream;

use support::configured::Configured;
use support::{Client, wait_for};
use wire::Method;

/// Writes the file anew, tells the broker, and waits until it has heard.
fn reload(configured: &Configured, text: &str) {
    configured.reload(text);
    configured
        .broker
        .expect_log(&["SIGHUP: reading the configuration again"]);
}

/// The heartbeat that a new connection is told.
fn heartbeat(configured: &Configured) -> u16 {
    let mut client = Client::raw(&configured.broker);
    client.start("guest", "guest");
    match client.frame().method() {
        Method::ConnectionTune { heartbeat, .. } => heartbeat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn limits_change_for_what_comes_next() {
    let configured = Configured::start("connections_max = 1\nheartbeat = 10\n", &[]);
    let mut first = Client::connect(&configured.broker);
    assert_eq!(Client::raw(&configured.broker).try_frame(), None, "no room");
    reload(&configured, "connections_max = 2\nheartbeat = 20\n");
    configured
        .broker
        .expect_log(&["setting changed", "connections_max", "from=\"1\"", "to=\"2\""]);
    configured.broker.expect_log(&["setting changed", "heartbeat"]);
    assert_eq!(heartbeat(&configured), 20);
    // Who was connected stays.
    first.declare(1, "still-here");
}

#[test]
fn what_needs_a_restart_is_named_and_flags_keep_their_say() {
    let configured = Configured::start("frame_max = '8KiB'\nheartbeat = 10\n", &["--heartbeat=30"]);
    reload(&configured, "frame_max = '16KiB'\nheartbeat = 20\n");
    let told = [
        "WARN",
        "takes effect at the next start",
        "frame_max",
        "from=\"8KiB\"",
        "to=\"16KiB\"",
    ];
    configured.broker.expect_log(&told);
    assert_eq!(heartbeat(&configured), 30);
    reload(&configured, "frame_max = '16KiB'\n");
    configured.broker.expect_log(&told);
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let configured = Configured::start("heartbeat = 10\n", &[]);
    reload(&configured, "heartbeat = 20\nreactors = 0\nnonsense = 1\n");
    let at = |line: usize| format!("broker.toml:{line}:");
    configured
        .broker
        .expect_log(&["ERROR", "nothing is changed", &at(2), "reactors", "1..=1024"]);
    configured
        .broker
        .expect_log(&["ERROR", "nothing is changed", &at(3), "unknown key 'nonsense'"]);
    assert_eq!(heartbeat(&configured), 10);
    std::fs::remove_file(configured.path()).unwrap();
    configured.broker.signal("HUP");
    configured
        .broker
        .expect_log(&["ERROR", "nothing is changed", "cannot read it"]);
    reload(&configured, "heartbeat = 40\n");
    configured.broker.expect_log(&["setting changed", "heartbeat"]);
    assert_eq!(heartbeat(&configured), 40);
}

#[test]
fn users_come_and_passwords_change() {
    let configured = Configured::start("user = ['ada:old']\n", &[]);
    let log_in = |user: &str, password: &str| {
        let mut client = Client::raw(&configured.broker);
        client.start(user, password);
        matches!(client.frame().method(), Method::ConnectionTune { .. })
    };
    assert!(log_in("ada", "old") && !log_in("bob", "b"));
    let mut open = Client::connect_as(&configured.broker, "ada", "old", "/");
    reload(&configured, "user = ['ada:new', 'bob:b']\n");
    let line = configured
        .broker
        .expect_log(&["setting changed", "user", "ada:***, bob:***"]);
    assert!(!line.contains("new"), "{line}");
    assert!(log_in("bob", "b") && log_in("ada", "new") && !log_in("ada", "old"));
    Client::connect_as(&configured.broker, "bob", "b", "/").declare(1, "as bob");
    open.declare(1, "as ada");
}

#[test]
fn definitions_are_imported_when_their_file_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("definitions.json");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("{}");
    let flag = format!("--definitions={}", path.display());
    let mut configured = Configured::start("", &[&flag]);
    let definitions = r#"{
        "vhosts": [{"name": "tenant"}],
        "users": [{"name": "eve", "password": "e", "tags": ""}],
        "permissions": [{"user": "eve", "vhost": "tenant", "configure": ".*", "write": ".*", "read": ".*"}],
        "exchanges": [{"name": "in", "vhost": "tenant", "type": "fanout", "durable": true, "auto_delete": false, "arguments": {}}],
        "queues": [{"name": "out", "vhost": "tenant", "durable": true, "auto_delete": false, "arguments": {}}],
        "bindings": [{"source": "in", "vhost": "tenant", "destination": "out", "destination_type": "queue", "routing_key": "", "arguments": {}}]
    }"#;
    write(definitions);
    reload(&configured, "");
    configured.broker.expect_log(&["6 definitions imported"]);
    let mut eve = Client::connect_as(&configured.broker, "eve", "e", "tenant");
    eve.confirm_select(1);
    eve.publish_persistent(1, "in", "", b"routed");
    eve.await_confirms(1);
    // A mistake in it is one of the configuration.
    write("{");
    reload(&configured, "heartbeat = 5\n");
    configured
        .broker
        .expect_log(&["ERROR", "nothing is changed", "definitions"]);
    assert_eq!(heartbeat(&configured), 60);
    // It is stored as at a start.
    eve.close();
    write(definitions);
    configured.broker.stop();
    configured.broker.restart(&[]);
    let mut eve = Client::connect_as(&configured.broker, "eve", "e", "tenant");
    assert_eq!(eve.get(1, "out").unwrap().body, b"routed");
}

#[test]
fn the_log_becomes_as_talkative_as_the_file_says() {
    let configured = Configured::start("", &[]);
    reload(&configured, "log = 'debug'\n");
    configured.broker.expect_log(&["setting changed", "log"]);
    wait_for("a line for debugging", || {
        drop(TcpStream::connect(configured.broker.address).unwrap());
        let ended = configured.broker.next_log()?;
        ended.contains("DEBUG").then_some(())
    });
}
