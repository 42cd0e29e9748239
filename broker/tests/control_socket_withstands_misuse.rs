//! Nobody who misuses the control socket keeps others from it or makes the broker grow, and want of descriptors does not either.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;
use support::control::{ask, reply, socket, wait_of};
use support::{BrokerProcess, Client, wait_for};

#[test]
fn who_misuses_the_socket_keeps_nobody_from_it() {
    let broker = BrokerProcess::start(&[]);
    for (line, kind, words) in [
        ("dance\n", "request", "no JSON object"),
        (
            "{\"version\":9,\"command\":\"status\"}\n",
            "version",
            "understands version 1",
        ),
        (
            "{\"version\":1,\"command\":\"fly\"}\n",
            "request",
            "expected one of `status`",
        ),
        (
            "{\"version\":1,\"command\":\"status\",\"interval_ms\":3600000}\n",
            "request",
            "interval_ms: expected 0 to 60000",
        ),
    ] {
        let mut stream = socket(&broker);
        stream.write_all(line.as_bytes()).unwrap();
        let error = reply(&stream)["error"].clone();
        assert_eq!(error["kind"], kind);
        assert!(error["text"].as_str().unwrap().contains(words), "{line}{error}");
        // It is answered all the same when it asks properly then.
        stream
            .write_all(b"{\"version\":1,\"command\":\"status\",\"interval_ms\":0}\n")
            .unwrap();
        assert_eq!(reply(&stream)["answer"]["state"], "running");
    }

    // Without an end. The broker hangs up in the middle.
    let mut endless = socket(&broker);
    let before = broker.resident_bytes();
    let piece = vec![b'x'; 1 << 20];
    let sent = (0..160).take_while(|_| endless.write_all(&piece).is_ok()).count();
    assert!((63..160).contains(&sent), "{sent}");
    assert!(broker.resident_bytes() < before + (200 << 20));
    drop(endless);

    // All places are taken by clients that say nothing, one of them in the middle of a word.
    let mut silent: Vec<UnixStream> = (0..16).map(|_| socket(&broker)).collect();
    silent[0].write_all(b"{\"version\"").unwrap();
    let refused = wait_for("no place to be left", || {
        let mut stream = socket(&broker);
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).ok().map(|_| text)
    });
    assert!(refused.contains("16 others are being answered"), "{refused}");
    ask(&broker, &["status"]).refused(1, "16 others are being answered");
    Client::connect(&broker).declare(1, "q");
    drop(silent);
    wait_for("a place", || {
        (ask(&broker, &["status", "--interval=0"]).code == 0).then_some(())
    });
}

#[test]
fn a_client_that_does_not_read_its_answers_is_left() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    for number in 0..300 {
        client.declare(1, &format!("{number:0>200}"));
    }
    let mut deaf = socket(&broker);
    let request = json!({"version": 1, "command": "queues", "columns": ["name"], "interval_ms": 0, "sort": null, "limit": null, "vhost": null});
    let requests = format!("{request}\n").repeat(50);
    deaf.write_all(requests.as_bytes()).unwrap();
    // Lists are answered one at a time; this one's turn comes when the other is given up.
    assert_eq!(
        ask(&broker, &["queues", "--format=json", "--columns=name"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        300
    );
    let mut rest = Vec::new();
    // What it could have had is there, the rest is not.
    deaf.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 50 * 300 * 200, "{}", rest.len());
}

#[test]
fn it_can_be_asked_when_no_descriptor_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log").display().to_string();
    let broker = BrokerProcess::start_under(
        &["sh", "-c", "ulimit -n 40; exec \"$@\" 2>\"$0\"", &log],
        // They stay, however long this machine takes.
        &["--reactors=1", "--handshake-timeout=10min"],
    );
    let mut clients: Vec<Client> = Vec::new();
    // Until one is closed at once: the last descriptor is in use then.
    wait_for("no descriptor to be left", || {
        let mut client = Client::raw(&broker);
        client.write(&wire::PROTOCOL_HEADER);
        let is_closed = client.try_frame().is_none();
        clients.push(client);
        is_closed.then_some(())
    });
    let text = wait_of(&broker, "clients", "file_descriptors");
    // Some may have been open for a moment when that client was refused.
    assert!(
        ["38", "39", "40"]
            .iter()
            .any(|open| text.starts_with(&format!("{open} of 40 file descriptors"))),
        "{text}"
    );
    // Who takes a place for long keeps nobody out, and is counted.
    let silent: Vec<UnixStream> = (0..3).map(|_| socket(&broker)).collect();
    let asked = wait_for("an answer", || {
        let said = ask(&broker, &["status", "--format=json", "--interval=100ms"]);
        (said.code == 0).then(|| said.json())
    });
    assert!(asked["file_descriptors"]["open"].is_u64(), "{asked}");
    assert_ne!(asked["threads"], json!([]));
    // Not as many as there are places: those who cannot be served are told so.
    let more: Vec<UnixStream> = (0..6).map(|_| socket(&broker)).collect();
    ask(&broker, &["status"]).refused(1, "no file descriptor is left: try again");
    drop((silent, more));
    wait_for("room to look", || {
        let said = ask(&broker, &["status", "--format=json", "--interval=100ms"]);
        (said.code == 0).then_some(())
    });
    wait_of(&broker, "clients", "file_descriptors");
}
