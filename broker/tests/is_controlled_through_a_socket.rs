//! The control socket: the commands find the broker by its data directory, tell how it is and what is waited for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::control::{ask, reply, socket, status, wait_of};
use support::{BrokerProcess, Client, wait_for};
use wire::FieldTable;

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

/// Watches the broker, every tenth of a second: the process, and what it says.
fn watch(broker: &BrokerProcess, flag: &str) -> (Child, impl Iterator<Item = Value> + use<>) {
    let mut watching = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["status", "--watch=100ms", "--format=json", flag, "--data-dir"])
        .arg(broker.data_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let seen = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    (watching, seen)
}

#[test]
fn it_is_watched_until_nobody_reads_any_more() {
    let broker = BrokerProcess::start(&[]);
    let (mut watching, mut seen) = watch(&broker, "--interval=100ms");
    let mut uptime = || seen.next().unwrap()["uptime_ms"].as_u64().unwrap();
    let (first, second) = (uptime(), uptime());
    assert!(second >= first + 100, "{first} {second}");
    drop(seen);
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}

#[test]
fn one_who_watches_gets_on_with_the_next_broker() {
    let mut broker = BrokerProcess::start(&[]);
    let (mut watching, mut seen) = watch(&broker, "--interval=0");
    let mut pid = || seen.next().unwrap()["pid"].clone();
    let signal = |name: &str| {
        let kill = Command::new("kill")
            .args([name, &watching.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    };
    assert_eq!(pid(), json!(broker.pid()));
    // As a terminal whose output is paused: it asks for nothing, until the broker has hung up.
    signal("-STOP");
    broker.kill();
    broker.restart(&[]);
    signal("-CONT");
    let next = json!(broker.pid());
    wait_for("the next broker", || (pid() == next).then_some(()));
    broker.stop();
    assert!([1, 3].contains(&watching.wait().unwrap().code().unwrap()));
}

#[test]
fn without_an_interval_nothing_is_said_of_it() {
    let broker = BrokerProcess::start(&[]);
    let status = ask(&broker, &["status", "--format=json", "--interval=0"]).json();
    let names = ["rates", "interval_ms", "log", "threads"];
    let said = names.map(|name| status[name].clone());
    assert_eq!(
        said,
        [json!(null), json!(null), json!(null), json!([])],
        "{status}"
    );
    assert_eq!(status["waits"], json!([]));
}

#[test]
fn a_queue_whose_log_cannot_be_read_is_named() {
    let mut broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare_durable(1, "orders", &FieldTable::new());
    client.confirm_select(1);
    for _ in 0..50 {
        client.publish_persistent(1, "", "orders", &[b'x'; 20_000]);
    }
    client.await_confirms(50);
    broker.stop();
    broker.restart(&[]);
    let logs = std::fs::read_dir(broker.data_dir().join("queues")).unwrap();
    let files = logs.flat_map(|log| std::fs::read_dir(log.unwrap().path()).unwrap());
    for path in files.map(|file| file.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "log") {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&[0xFF; 900_000], 1000).unwrap();
        }
    }
    let mut client = Client::connect(&broker);
    client.send(1, support::consume("orders", "c", true));
    let text = wait_of(&broker, "messages", "log");
    assert!(
        text.contains("could not be read back") && text.contains("queue 'orders'"),
        "{text}"
    );
    let columns = "--columns=name,unreadable,waits_for";
    let queues = ask(&broker, &["queues", "--format=json", columns]).json();
    let expected = json!([{"name": "orders", "unreadable": true, "waits_for": "messages: log"}]);
    assert_eq!(queues, expected);
}
