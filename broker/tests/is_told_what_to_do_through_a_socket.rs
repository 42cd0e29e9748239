//! The control socket: what a broker that runs is told to change, and to stop.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::control::{ask, ask_at, reply, socket, status};
use support::held_up::held_up;
use support::{BrokerProcess, Client, Watched, declare_own, wait_for};
use wire::{FieldTable, Method};

#[test]
fn connections_are_closed_by_name_and_by_id() {
    let broker = Watched::start(&[], &[("RUST_LOG", "info")], 1);
    let mut one = Client::connect(&broker);
    let mut other = Client::connect(&broker);
    let rows = ask(&broker, &["connections", "--format=json", "--columns=id,name"]).json();
    let (id, name) = (
        rows[0]["id"].to_string(),
        rows[1]["name"].as_str().unwrap().to_owned(),
    );
    let said = ask(&broker, &["close", &id, "--reason", "gone fishing"]);
    assert!(
        said.code == 0 && said.out.starts_with("closed 127.0.0.1:"),
        "{said:?}"
    );
    assert!(one.expect_close(0, 320).contains("gone fishing"));
    broker.expect_log(&["control", "uid=", "command=\"close\"", "gone fishing"]);
    assert_eq!(ask(&broker, &["close", &name]).out, format!("closed {name}\n"));
    assert!(other.expect_close(0, 320).contains("closed by the operator"));
    wait_for("both to be gone", || {
        (status(&broker)["totals"]["connections"] == 0).then_some(())
    });
    ask(&broker, &["close", &name]).refused(1, "connection: none has the id or the name");
    ask(&broker, &["close", "1", &format!("--reason={}", "x".repeat(201))])
        .refused(2, "reason: longer than 200 bytes");
}

#[test]
fn a_queue_is_purged() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.publish(1, "q", b"x");
    client.publish(1, "q", b"x");
    assert_eq!(client.ready(1, "q"), 2);
    assert_eq!(ask(&broker, &["purge", "q"]).out, "purged 2 messages\n");
    assert_eq!(client.ready(1, "q"), 0);
    ask(&broker, &["purge", "q", "--vhost=v"]).refused(1, "vhost: there is no virtual host 'v'");
    ask(&broker, &["purge", "p"]).refused(1, "no queue 'p' in vhost '/'");
    client.call(1, declare_own("own"));
    ask(&broker, &["purge", "own"]).refused(1, "exclusive");
}

#[test]
fn a_checkpoint_is_on_disk_when_the_command_ends() {
    let flags = ["--offset-checkpoint-interval=0"];
    let mut broker = BrokerProcess::start(&flags);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "q", &FieldTable::new());
    client.confirm_select(1);
    for body in [b"1", b"2", b"3"] {
        client.publish_persistent(1, "", "q", body);
    }
    client.await_confirms(3);
    let first = client.get(1, "q").unwrap();
    client.ack(1, first.tag().0, false);
    assert_eq!(client.ready(1, "q"), 2);
    assert_eq!(ask(&broker, &["checkpoint"]).out, "1 checkpoints written\n");
    assert_eq!(ask(&broker, &["checkpoint"]).out, "0 checkpoints written\n");
    broker.kill();
    broker.restart(&flags);
    let mut client = Client::connect(&broker);
    assert_eq!(
        client.get(1, "q").unwrap().body,
        b"2",
        "what was settled does not come again"
    );
}

#[test]
fn definitions_go_out_and_into_a_broker_that_runs() {
    let source = BrokerProcess::start(&["--user=ada:secret"]);
    let mut client = Client::connect(&source);
    client.declare_durable(1, "orders", &FieldTable::new());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("definitions.json");
    let path = file.to_str().unwrap();
    assert_eq!(ask(&source, &["export", path]).code, 0);
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let printed = ask(&source, &["export"]).json();
    assert_eq!(
        serde_json::from_str::<Value>(&std::fs::read_to_string(&file).unwrap()).unwrap(),
        printed
    );
    ask(&source, &["definitions", "export"]).refused(1, "a broker runs on it, which `broker export` asks");

    let target = BrokerProcess::start(&[]);
    assert_eq!(ask(&target, &["import", path]).out, "imported\n");
    let mut ada = Client::connect_as(&target, "ada", "secret", "/");
    assert_eq!(ada.ready(1, "orders"), 0);
    // One virtual host's part of it has another place.
    let part = ask(&source, &["export", "--vhost=/"]).json();
    assert!(
        part.get("users").is_none() && part["queues"][0].get("vhost").is_none(),
        "{part}"
    );
    std::fs::write(
        &file,
        r#"{"vhosts": [{"name": "tenant"}], "queues": [{"name": "q", "vhost": "tenant", "durable": true}]}"#,
    )
    .unwrap();
    assert_eq!(ask(&target, &["import", path]).code, 0);
    std::fs::write(&file, part.to_string()).unwrap();
    assert_eq!(ask(&target, &["import", path, "--vhost=tenant"]).code, 0);
    let queues = ask(
        &target,
        &["queues", "--vhost=tenant", "--format=json", "--columns=name"],
    )
    .json();
    assert_eq!(queues, json!([{"name": "orders"}, {"name": "q"}]));

    // Far more than a request usually is.
    let description = "d".repeat(1 << 20);
    let wide = json!({"vhosts": [{"name": "wide", "metadata": {"description": description}}], "streams": []});
    std::fs::write(&file, wide.to_string()).unwrap();
    let said = ask(&target, &["import", path]);
    assert!(
        said.code == 0 && said.error.contains("nothing like it: streams"),
        "{said:?}"
    );
    assert!(ask(&target, &["export"]).out.contains(&description));

    std::fs::write(
        &file,
        r#"{"queues": [{"name": "p", "vhost": "nowhere", "durable": true}]}"#,
    )
    .unwrap();
    ask(&target, &["import", path]).refused(1, "nowhere");
    std::fs::write(&file, r#"{"queues": [{"vhost": "/"}]}"#).unwrap();
    ask(&target, &["import", path]).refused(2, "queues[0].name: missing");
    ask(&target, &["import", "/nowhere.json"]).refused(2, "/nowhere.json: cannot read it");
}

#[test]
fn a_reload_tells_what_came_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("broker.toml");
    let write = |text: &str| std::fs::write(&config, text).unwrap();
    write("heartbeat = 10\nframe_max = '8KiB'\n");
    let broker = Watched::start(&[&format!("--config={}", config.display())], &[], 1);
    assert_eq!(ask(&broker, &["reload"]).out, "nothing has changed\n");
    write("heartbeat = 20\nframe_max = '16KiB'\n");
    let said = ask(&broker, &["reload"]);
    let (first, second) = said.out.split_once('\n').unwrap();
    assert_eq!(
        first,
        format!(
            "changed: heartbeat from \"10\" to \"20\" ({}:1)",
            config.display()
        )
    );
    assert!(
        second.starts_with("at the next start: frame_max from \"8KiB\" to \"16KiB\""),
        "{said:?}"
    );
    let mut client = Client::raw(&broker);
    client.start("guest", "guest");
    assert!(matches!(
        client.frame().method(),
        Method::ConnectionTune { heartbeat: 20, .. }
    ));
    write("heartbeat = 30\nreactors = 0\nnonsense = 1\n");
    let said = ask(&broker, &["reload"]);
    said.refused(1, "nothing is changed");
    assert!(
        said.error.contains(":2: reactors") && said.error.contains(":3: unknown key 'nonsense'"),
        "{said:?}"
    );
}

#[test]
fn a_reload_tells_of_files_that_changed_under_the_same_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("definitions.json");
    let write = |queues: &str| {
        let text = format!(r#"{{"queues": [{queues}], "nonsense": []}}"#);
        std::fs::write(&file, text).unwrap();
    };
    write("");
    let broker = Watched::start(&[&format!("--definitions={}", file.display())], &[], 1);
    assert_eq!(ask(&broker, &["reload"]).out, "nothing has changed\n");
    write(r#"{"name": "new", "vhost": "/", "durable": true}"#);
    let said = ask(&broker, &["reload"]);
    let imported = format!("done: {}: 1 definitions imported\n", file.display());
    assert!(said.out.ends_with(&imported), "{said:?}");
    assert!(said.out.contains("nonsense left out"), "{said:?}");
    // What was told is on disk.
    let records = std::fs::read_dir(broker.data_dir().join("metadata/queues")).unwrap();
    assert_eq!(records.count(), 1);
    write(r#"{"name": "newer", "vhost": "/", "durable": true}, {"name": "lost", "vhost": "nowhere"}"#);
    ask(&broker, &["reload"]).refused(1, "nothing is changed");
    assert!(!ask(&broker, &["queues"]).out.contains("newer"));
}

#[test]
fn a_signal_after_a_command_to_stop_is_the_first_one() {
    let mut broker = BrokerProcess::start(&[]);
    // Does not answer the close, so that the stop takes its time.
    let mut silent = Client::connect(&broker);
    assert_eq!(ask(&broker, &["stop"]).out, "stopping\n");
    silent.wait_for_frame();
    broker.terminate();
    silent.expect_close(0, 320);
    assert_eq!(broker.wait().code(), Some(0));
    assert!(broker.data_dir().join("CLEAN").exists());
}

#[test]
fn it_stops_when_it_is_told_to_and_a_crash_leaves_nothing_in_the_way() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let said = ask(&broker, &["stop", "--wait"]);
    assert_eq!((said.code, said.out.as_str()), (0, "stopped\n"), "{said:?}");
    assert_eq!(broker.wait().code(), Some(0));
    client.expect_close(0, 320);
    let socket = broker.data_dir().join("control.sock");
    assert!(!socket.exists() && broker.data_dir().join("CLEAN").exists());
    ask(&broker, &["status"]).refused(3, "no broker runs on data directory");
    ask_at(&broker.data_dir().join("no"), &["status"]).refused(3, "choose the broker's --data-dir");

    broker.restart(&[]);
    broker.kill();
    ask(&broker, &["queues"]).refused(3, "nobody listens");
    broker.restart(&[]);
    assert_eq!(
        std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(ask(&broker, &["stop"]).out, "stopping\n");
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn who_waits_for_the_end_of_a_broker_that_dies_is_told() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    // A client that never answers connection.close holds the stop up for a while.
    client.declare(1, "q");
    let waiting = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["stop", "--wait", "--data-dir"])
        .arg(broker.data_dir())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.expect(0, close_for_shutdown());
    broker.signal("KILL");
    let output = waiting.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && error.contains("ended before"),
        "{error}"
    );
}

fn close_for_shutdown() -> Method<'static> {
    Method::ConnectionClose {
        reply_code: 320,
        reply_text: "CONNECTION_FORCED - broker is shutting down",
        class_id: 0,
        method_id: 0,
    }
}

/// `broker stop --wait` about a data directory.
fn stop_and_wait(directory: &Path, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["stop", "--wait", "--data-dir"])
        .arg(directory)
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its exit code, and all that it said.
fn said(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn who_waits_for_the_end_hears_of_it_at_the_end() {
    let broker = BrokerProcess::start(&[]);
    // Nobody answers the close, so that the stop takes its time.
    let mut silent = Client::connect(&broker);
    let hasty = stop_and_wait(broker.data_dir(), &["--timeout=1ms"]);
    let (code, text) = said(hasty);
    assert!(
        code == Some(4) || text.contains("no answer within"),
        "{code:?} {text}"
    );
    let patient = stop_and_wait(broker.data_dir(), &[]);
    assert_eq!(said(patient), (Some(0), "stopped\n".to_owned()));
    assert!(broker.data_dir().join("CLEAN").exists());
    silent.expect_close(0, 320);
}

#[test]
fn who_waits_for_longer_than_they_want_to_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("control.sock")).unwrap();
    let waiting = stop_and_wait(directory.path(), &["--timeout=3s"]);
    let (mut broker, _) = listener.accept().unwrap();
    broker
        .write_all(b"{\"version\":1,\"broker\":\"0\",\"answer\":{\"stopping\":true}}\n")
        .unwrap();
    let (code, text) = said(waiting);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("still stopping after 3 s"), "{text}");
}

#[test]
fn who_waits_for_the_end_hears_when_not_everything_was_written() {
    let small_files = ["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"];
    let broker = BrokerProcess::start_under(&small_files, &[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    client.confirm_select(1);
    client.publish_persistent(1, "", "orders", b"x");
    client.expect_close(0, 541);
    drop(client);
    let (code, text) = said(stop_and_wait(broker.data_dir(), &[]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("could not write everything"), "{text}");
    assert!(!broker.data_dir().join("CLEAN").exists());
}

#[test]
fn a_broker_that_starts_stops_when_it_has_read_its_data_directory() {
    let (broker, pipe) = held_up();
    let mut starting = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["--listen=127.0.0.1:0", "--log=off", "--data-dir"])
        .arg(broker.data_dir())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let state = wait_for("the socket", || {
        let said = ask(&broker, &["status", "--format=json"]);
        (said.code == 0).then(|| said.json()["state"].clone())
    });
    assert_eq!(state, "starting");
    ask(&broker, &["checkpoint"]).refused(1, "the broker is starting");
    let waiting = stop_and_wait(broker.data_dir(), &[]);
    wait_for("the command", || {
        let log = ask(&broker, &["status", "--format=json"]).json();
        (log["state"] == "starting").then_some(())
    });
    drop(std::fs::OpenOptions::new().write(true).open(&pipe).unwrap());
    assert_eq!(said(waiting), (Some(0), "stopped\n".to_owned()));
    assert_eq!(starting.wait().unwrap().code(), Some(0));
}

#[test]
fn a_broker_without_a_control_socket_is_told_from_none() {
    let broker = BrokerProcess::start(&[]);
    let path = broker.data_dir().join("control.sock");
    std::fs::remove_file(&path).unwrap();
    let runs = format!("process {} runs on data directory", broker.pid());
    ask(&broker, &["status"]).refused(1, &runs);
    std::fs::write(&path, "").unwrap();
    ask(&broker, &["stop"]).refused(1, &runs);
}

#[test]
fn a_change_that_takes_longer_than_its_client_waits_goes_on() {
    let broker = Watched::start(&[], &[("RUST_LOG", "info")], 1);
    // Each password is hashed.
    let user = |number: u32| json!({"name": format!("u{number}"), "password": "p", "tags": ""});
    let users: Vec<Value> = (0..3).map(user).collect();
    let request = json!({"version": 1, "command": "import", "patience_ms": 1, "vhost": null, "definitions": {"users": users}});
    let mut stream = socket(&broker);
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let text = reply(&stream)["error"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("takes longer than 0.001 s"), "{text}");
    // Not twice at a time.
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let text = reply(&stream)["error"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("another import is under way"), "{text}");
    broker.expect_log(&["definitions imported", "records=3"]);
    let file = broker.data_dir().join("definitions.json");
    std::fs::write(
        &file,
        r#"{"queues": [{"name": "p", "vhost": "nowhere", "durable": true}]}"#,
    )
    .unwrap();
    let words = ["import", file.to_str().unwrap()];
    // Its turn may have to be waited for a moment after the line in the log.
    wait_for("its turn", || {
        let said = ask(&broker, &words);
        said.error.contains("nowhere").then_some(())
    });
    broker.expect_log(&["control: cannot import", "nowhere"]);
}

#[test]
fn an_export_that_was_interrupted_is_in_nobodys_way() {
    let broker = BrokerProcess::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("definitions.json");
    // The shell has the number that the command will have.
    let script = format!("touch {0}.$$.part; exec \"$@\" {0}", file.display());
    let status = Command::new("sh")
        .args([
            "-c",
            &script,
            "sh",
            env!("CARGO_BIN_EXE_broker"),
            "export",
            "--data-dir",
        ])
        .arg(broker.data_dir())
        .status()
        .unwrap();
    assert!(status.success());
    let names = std::fs::read_dir(directory.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["definitions.json"]);
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}
