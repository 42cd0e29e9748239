//! The log: one line an event, as text or JSON, that no client can forge or flood, and that has no secret in it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::{Command, Output};

use serde_json::Value;
use support::{Client, Watched, passive, wait_for};
use wire::Method;

/// Lines of one kind that are written, and the message of the one that counts the others.
const LINES_MAX: usize = 10;
const LEFT_OUT: &str = "more lines like this were left out";
/// A name as a client might choose it.
const HOSTILE: &str = "q\n2026-01-01T00:00:00Z ERROR broker: forged\u{1b}[2J\u{9b}";

/// Asks for a queue of this name, which is not there: the broker says so in its log.
fn ask_for(client: &mut Client, queue: &str) {
    client.send(1, passive(queue));
    client.expect_close(1, 404);
    client.open_channel(1);
}

fn object(line: &str) -> Value {
    let read: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    for key in ["time", "level", "target", "message"] {
        assert!(read[key].is_string(), "{key}: {line}");
    }
    assert!(read["fields"].is_object(), "{line}");
    read
}

fn broker(flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.args(flags).output().unwrap()
}

#[test]
fn every_line_is_an_object_where_json_is_asked_for() {
    let mut broker = Watched::start(&["--log-format=json"], &[("RUST_LOG", "debug")], 1);
    let mut client = Client::connect(&broker);
    ask_for(&mut client, HOSTILE);
    let closed = object(&broker.expect_log(&["channel closed"]));
    assert_eq!(closed["level"], "info");
    assert_eq!(closed["fields"]["channel"], 1);
    assert!(
        closed["fields"]["failure"].as_str().unwrap().contains(HOSTILE),
        "{closed}"
    );
    broker.stop();
    let rest = broker.rest_of_log();
    assert!(!rest.is_empty());
    for line in rest {
        object(&line);
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
    }
}

#[test]
fn a_client_cannot_write_lines_of_its_own() {
    let mut broker = Watched::start(&[], &[("RUST_LOG", "debug")], 1);
    let mut client = Client::connect(&broker);
    ask_for(&mut client, HOSTILE);
    let mut stranger = Client::raw(&broker);
    stranger.start(HOSTILE, "x");
    stranger.expect_close(0, 403);
    let refused = broker.expect_log(&["login refused", "forged"]);
    assert!(refused.contains(&format!("user={HOSTILE:?} ")), "{refused}");
    client.close();
    broker.stop();
    for line in broker.rest_of_log() {
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{line}");
    }
}

#[test]
fn a_flood_is_counted_instead_of_written() {
    const FLOOD: usize = 50;
    let mut broker = Watched::start(&["--log-format=json"], &[], 1);
    for _ in 0..FLOOD {
        let mut client = Client::raw(&broker);
        client.write(b"GET / HTTP/1.1\r\n\r\n");
        // The answer is the header that the broker expected, and the end.
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut answer);
    }
    broker.stop();
    let log: Vec<Value> = broker.rest_of_log().iter().map(|line| object(line)).collect();
    let said = "peer does not speak AMQP 0-9-1";
    let written = log.iter().filter(|line| line["message"] == said).count();
    let left_out: u64 = log
        .iter()
        .filter(|line| line["message"] == LEFT_OUT && line["fields"]["like"] == said)
        .map(|line| line["fields"]["left_out"].as_u64().unwrap())
        .sum();
    // Its limit may have ended once on a slow machine.
    assert!((LINES_MAX..FLOOD).contains(&written), "{written}: {log:#?}");
    assert_eq!(written as u64 + left_out, FLOOD as u64, "{log:#?}");
}

#[test]
fn no_password_is_in_it_however_talkative_it_is() {
    const SECRET: &str = "sesame-93b1";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.toml");
    let configure = |more: &str| {
        std::fs::write(&path, format!("user = ['ada:{SECRET}1'{more}]\n")).unwrap();
    };
    configure("");
    let config = format!("--config={}", path.display());
    let mut broker = Watched::start(&[&config, "--log=trace"], &[], 1);
    drop(Client::connect_as(&broker, "ada", &format!("{SECRET}1"), "/"));
    let mut wrong = Client::raw(&broker);
    wrong.start("ada", &format!("{SECRET}2"));
    wrong.expect_close(0, 403);
    configure(&format!(", 'bob:{SECRET}3'"));
    broker.signal("HUP");
    wait_for("bob to be known", || {
        let mut bob = Client::raw(&broker);
        bob.start("bob", &format!("{SECRET}3"));
        matches!(bob.frame().method(), Method::ConnectionTune { .. }).then_some(())
    });
    broker.stop();
    let log = broker.rest_of_log();
    assert!(log.iter().any(|line| line.contains("bob:***")), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("authenticated")), "{log:#?}");
    assert!(log.iter().all(|line| !line.contains(SECRET)), "{log:#?}");
}

#[test]
fn the_format_changes_with_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.toml");
    std::fs::write(&path, "log_format = 'text'\n").unwrap();
    let config = format!("--config={}", path.display());
    let broker = Watched::start(&[&config], &[], 1);
    std::fs::write(&path, "log_format = 'json'\n").unwrap();
    broker.signal("HUP");
    let changed = object(&broker.expect_log(&["setting changed", "log_format"]));
    assert_eq!(changed["fields"]["to"], "json");
}

#[test]
fn what_ends_a_start_is_told_in_the_same_format() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let flag = format!("--data-dir={}", file.display());
    // Even where nothing else is to be logged.
    let output = broker(&[&flag, "--log-format=json", "--log=off"]);
    assert_eq!(output.status.code(), Some(1));
    let told = object(String::from_utf8(output.stderr).unwrap().trim_end());
    assert_eq!(told["level"], "error");
    let error = told["fields"]["error"].as_str().unwrap();
    assert!(error.contains("cannot use data directory"), "{error}");
    let output = broker(&[&flag, "--log=off"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("broker: cannot use data directory"), "{told}");
}

#[test]
fn another_format_is_refused_with_those_that_there_are() {
    let output = broker(&["--log-format=xml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("--log-format") && told.contains("text, json"),
        "{told}"
    );
}
