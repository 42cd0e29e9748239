//! The control socket: the commands find the broker by its data directory, tell how it is and what is waited for, and change
//! what they are asked to.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::control::{ask, ask_at, reply, socket, status, wait_of};
use support::{BrokerProcess, Client, Watched, wait_for};
use wire::{FieldTable, Method};

#[test]
fn it_tells_how_it_is_without_http() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "orders");
    for _ in 0..3 {
        client.publish(1, "orders", b"x");
    }
    client.qos(1, 2, false);
    client.consume(1, "orders", "worker", false);
    client.bodies(2);

    let status = status(&broker);
    assert_eq!(
        (&status["state"], &status["pid"]),
        (&json!("running"), &json!(broker.pid()))
    );
    assert_eq!(
        status["listeners"],
        json!([{"protocol": "amqp", "address": broker.address.to_string()}])
    );
    assert_eq!(
        status["data_directory"],
        json!(broker.data_dir().display().to_string())
    );
    let totals = &status["totals"];
    let expected = json!([1, 1, 1, 1, 1, 2]);
    let names = [
        "connections",
        "channels",
        "queues",
        "consumers",
        "messages_ready",
        "messages_unacknowledged",
    ];
    assert_eq!(
        names.iter().map(|name| totals[name].clone()).collect::<Value>(),
        expected
    );
    assert_eq!(
        (&status["durability"], &status["alarms"]),
        (&json!("sync"), &json!([]))
    );
    assert!(
        status["memory"]["resident_bytes"].as_u64() > Some(1 << 20),
        "{status}"
    );
    let threads = status["threads"].as_array().unwrap();
    assert!(
        threads.iter().any(|thread| thread["name"] == "reactor-0"),
        "{status}"
    );

    let queues = ask(
        &broker,
        &[
            "queues",
            "--format=json",
            "--columns=name,messages_ready,messages,waits_for",
        ],
    )
    .json();
    let expected =
        json!([{"name": "orders", "messages_ready": 1, "messages": 3, "waits_for": "consumers: prefetch"}]);
    assert_eq!(queues, expected);
    let consumers = ask(&broker, &["consumers", "--format=json"]).json();
    assert_eq!(
        (
            &consumers[0]["queue_name"],
            &consumers[0]["consumer_tag"],
            &consumers[0]["waits_for"]
        ),
        (&json!("orders"), &json!("worker"), &json!("prefetch"))
    );
    let channels = ask(&broker, &["channels", "--format=json", "--interval=0"]).json();
    assert_eq!(
        (&channels[0]["user"], &channels[0]["messages_unacknowledged"]),
        (&json!("guest"), &json!(2))
    );
    let table = ask(
        &broker,
        &["connections", "--columns=id,vhost,user,state,channels"],
    );
    assert_eq!(
        table.out, "id  vhost  user   state    channels\n 1  /      guest  running         1\n",
        "{table:?}"
    );
    let text = ask(&broker, &["status", "--interval=0"]).out;
    assert!(
        text.contains("running for") && text.contains("queues 1"),
        "{text}"
    );
}

#[test]
fn lists_are_sorted_and_cut_and_their_rates_are_over_the_interval() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    for (queue, messages) in [("a", 1), ("b", 3), ("c", 2)] {
        client.declare(1, queue);
        (0..messages).for_each(|_| client.publish(1, queue, b"x"));
    }
    assert_eq!(client.ready(1, "c"), 2);
    let names = |words: &[&str]| {
        let words = [&["queues", "--format=json", "--columns=name"], words].concat();
        let rows = ask(&broker, &words).json();
        let names = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    };
    assert_eq!(names(&[]), ["a", "b", "c"]);
    assert_eq!(names(&["--sort=messages", "--limit=2"]), ["b", "c"]);
    assert_eq!(names(&["--vhost=/", "--sort=name", "--limit=1"]), ["a"]);
    ask(&broker, &["queues", "--vhost=nowhere"]).refused(1, "vhost: there is no virtual host 'nowhere'");
    ask(&broker, &["queues", "--columns=nome"]).refused(2, "possible values: vhost, name");
    ask(&broker, &["status", "--interval=2min"]).refused(2, "from 0 to 60s");

    // Published while the broker waits between its two looks.
    let mut asked = socket(&broker);
    let request = json!({"version": 1, "command": "queues", "columns": ["name", "publish_rate"], "interval_ms": 300, "sort": null, "limit": 1, "vhost": null});
    let rate = wait_for("a publish between two looks", || {
        asked.write_all(format!("{request}\n").as_bytes()).unwrap();
        client.publish(1, "a", b"x");
        reply(&asked)["answer"]["rows"][0][1]
            .as_f64()
            .filter(|rate| *rate > 0.0)
    });
    assert!(
        (1.0..=4.0).contains(&rate),
        "one in 0.3 s or somewhat more: {rate}"
    );
}

#[test]
fn it_names_what_is_waited_for() {
    let broker = BrokerProcess::start(&["--outbox-bytes=128KiB"]);
    let mut client = Client::connect(&broker);
    for queue in ["held", "unread", "alone"] {
        client.declare(1, queue);
        client.publish(1, queue, b"x");
    }
    client.publish(1, "held", b"x");
    client.qos(1, 1, false);
    client.consume(1, "held", "holds", false);
    client.message();
    let text = wait_of(&broker, "consumers", "prefetch");
    assert!(
        text.contains("queue 'held' in '/'") && !text.contains("alone"),
        "{text}"
    );
    let text = wait_of(&broker, "messages", "consumers");
    assert!(
        text.contains("'alone'") && text.contains("'unread'") && !text.contains("held"),
        "{text}"
    );

    let mut deaf = Client::connect(&broker);
    deaf.send(1, support::consume("unread", "deaf", true));
    // More than its socket and its outbox take.
    let body = vec![0; 100_000];
    for _ in 0..150 {
        client.publish(1, "unread", &body);
    }
    let text = wait_of(&broker, "consumers", "outbox");
    assert!(text.contains("'unread'"), "{text}");
    let consumers = ask(&broker, &["consumers", "--format=json"]).json();
    let deaf = consumers
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["consumer_tag"] == "deaf")
        .unwrap();
    assert_eq!(deaf["waits_for"], "outbox");
}

#[test]
fn it_names_the_disk_that_publishers_wait_for() {
    let broker = BrokerProcess::start(&["--disk-free-min=1000000GiB"]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    let name = wait_for("the alarm", || {
        let alarms = &status(&broker)["alarms"];
        alarms[0]["name"].as_str().map(str::to_owned)
    });
    assert_eq!(name, "disk");
    client.publish(1, "q", b"x");
    let waits = wait_for("the publisher to wait", || {
        let waits = status(&broker)["waits"].clone();
        (waits[0]["count"] == 1).then_some(waits)
    });
    assert_eq!(
        (&waits[0]["who"], &waits[0]["cause"]),
        (&json!("publishers"), &json!("disk"))
    );
    assert!(
        waits[0]["text"].as_str().unwrap().contains("127.0.0.1:"),
        "{waits}"
    );
    let connections = ask(&broker, &["connections", "--format=json", "--columns=state"]).json();
    assert_eq!(connections, json!([{"state": "blocked"}]));
}

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
    let exclusive = Method::QueueDeclare {
        queue: "own",
        passive: false,
        durable: false,
        exclusive: true,
        auto_delete: false,
        no_wait: false,
        arguments: wire::TableRef::EMPTY,
    };
    client.call(1, exclusive);
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

#[test]
fn a_deep_data_directory_has_a_socket_and_the_environment_may_name_it() {
    let parent = tempfile::tempdir().unwrap();
    let deep = parent.path().join("d".repeat(120)).join("e".repeat(120));
    let mut child = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["--listen=127.0.0.1:0", "--log=warn", "--data-dir"])
        .arg(&deep)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    let config = parent.path().join("broker.toml");
    let mut broker = BrokerProcess::adopt(child, address, parent);
    let by_environment = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["status", "--format=json", "--interval=0"])
        .env("BROKER_DATA_DIR", &deep)
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&by_environment.stdout).unwrap();
    assert_eq!(found["pid"], json!(broker.pid()));
    // What else is wrong with the file is not this command's business.
    std::fs::write(
        &config,
        format!("data_dir = '{}'\nreactors = 0\n", deep.display()),
    )
    .unwrap();
    let by_file = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["stop", "--wait", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert!(by_file.status.success(), "{by_file:?}");
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn it_is_watched_until_nobody_reads_any_more() {
    let broker = BrokerProcess::start(&[]);
    let mut watching = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args([
            "status",
            "--watch=100ms",
            "--interval=100ms",
            "--format=json",
            "--data-dir",
        ])
        .arg(broker.data_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut uptime = || {
        serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["uptime_ms"]
            .as_u64()
            .unwrap()
    };
    let (first, second) = (uptime(), uptime());
    assert!(second >= first + 100, "{first} {second}");
    drop(lines);
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}
