//! `/healthz` says that the process lives, `/readyz` whether clients can publish and consume, and if not, why.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use support::held_up::held_up;
use support::http::{Answer, Http};
use support::{BrokerProcess, Client, free_bytes, wait_for};

const MANAGED: &str = "--management-listen=127.0.0.1:0";

fn failed_checks(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let reasons = body["reasons"].as_array().unwrap();
    assert!(
        reasons
            .iter()
            .all(|reason| !reason["reason"].as_str().unwrap().is_empty())
    );
    let checks = reasons
        .iter()
        .map(|reason| reason["check"].as_str().unwrap().to_owned());
    checks.collect()
}

#[test]
fn a_broker_that_serves_is_alive_and_ready() {
    let broker = BrokerProcess::start(&[MANAGED]);
    let http = Http::anonymous(&broker);
    for path in ["/healthz", "/readyz"] {
        let answer = http.get(path);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "{\"status\":\"ok\"}"),
            "{path}"
        );
    }
}

#[test]
fn a_nearly_full_disk_makes_it_unready_and_it_stays_alive() {
    let directory = tempfile::tempdir().unwrap();
    let more_than_free = (free_bytes(directory.path()) * 2).to_string();
    let broker = BrokerProcess::start(&[MANAGED, "--disk-free-min", &more_than_free]);
    let http = Http::anonymous(&broker);
    let answer = wait_for("the alarm", || {
        let answer = http.get("/readyz");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(failed_checks(&answer), ["disk"]);
    assert_eq!(http.get("/healthz").status, 200);
    assert_eq!(
        http.get("/metrics")
            .value("rabbitmq_alarms_free_disk_space_watermark"),
        1.0
    );
}

#[test]
fn a_process_above_its_memory_mark_makes_it_unready_and_it_stays_alive() {
    let broker = BrokerProcess::start(&[MANAGED, "--memory-high-watermark=1MiB"]);
    let http = Http::anonymous(&broker);
    let answer = wait_for("the alarm", || {
        let answer = http.get("/readyz");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(failed_checks(&answer), ["memory"]);
    assert!(
        answer.body.contains("1048576 is the high watermark"),
        "{answer:?}"
    );
    assert_eq!(http.get("/healthz").status, 200);
}

/// A broker that waits, while it starts, for somebody to write into a pipe.
struct LongStart {
    starting: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pipe: PathBuf,
    http: Http,
    _before: BrokerProcess,
}

impl LongStart {
    fn begin() -> LongStart {
        let (broker, pipe) = held_up();
        let mut starting = Command::new(env!("CARGO_BIN_EXE_broker"))
            .args(["--listen=127.0.0.1:0", MANAGED, "--data-dir"])
            .arg(broker.data_dir())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(starting.stdout.take().unwrap()).lines();
        let http = Http::at(address_behind("broker management listening on ", &mut lines));
        LongStart {
            starting,
            lines,
            pipe,
            http,
            _before: broker,
        }
    }

    /// Ends the wait. An empty checkpoint is none to believe: the start goes on with the older one.
    fn go_on(&self) {
        wait_for("the broker to read it", || {
            let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
            let mut options = OpenOptions::new();
            options
                .write(true)
                .custom_flags(nonblocking as i32)
                .open(&self.pipe)
                .ok()
        });
    }
}

impl Drop for LongStart {
    fn drop(&mut self) {
        let _ = self.starting.kill();
        let _ = self.starting.wait();
    }
}

fn address_behind(words: &str, lines: &mut Lines<BufReader<ChildStdout>>) -> SocketAddr {
    let line = lines.next().unwrap().unwrap();
    line.strip_prefix(words).unwrap().parse().unwrap()
}

#[test]
fn a_start_that_takes_long_is_alive_and_not_ready() {
    let mut start = LongStart::begin();
    assert_eq!(start.http.get("/healthz").status, 200);
    assert_eq!(failed_checks(&start.http.get("/readyz")), ["started"]);
    start.go_on();
    address_behind("broker listening on ", &mut start.lines);
    assert_eq!(start.http.get("/readyz").status, 200);
}

#[test]
fn a_start_that_takes_long_can_be_stopped() {
    for name in ["TERM", "INT"] {
        let mut start = LongStart::begin();
        let pid = start.starting.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
        // By itself: one that does not handle a signal is not ended by it, when it is the first process of a container.
        let ended = wait_for("the end", || start.starting.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0), "{name}: {ended}");
    }
}

#[test]
fn a_broker_that_stops_is_not_ready() {
    let mut broker = BrokerProcess::start(&[MANAGED]);
    let http = Http::anonymous(&broker);
    // A connection that does not answer the broker's close holds the stop up.
    let client = Client::connect(&broker);
    broker.terminate();
    let answer = wait_for("the stop", || {
        let answer = http.get("/readyz");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(failed_checks(&answer), ["running"]);
    assert_eq!(http.get("/healthz").status, 200);
    drop(client);
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_ends_the_start() {
    let broker = BrokerProcess::start(&[MANAGED]);
    let taken = format!("--management-listen={}", broker.management.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(["--listen=127.0.0.1:0", &taken, "--data-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot listen on"), "{error}");
    assert!(
        std::fs::read_dir(directory.path().join("metadata")).is_err(),
        "nothing was done before"
    );
}
