//! A run that two workers share, on one machine: real processes, the real broker. What they measured must add up, and a worker
//! that is gone must make the run invalid, by name.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake_peer;
mod tls_front;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use fake_peer::{FakePeer, Faults};
use serde_json::{Value, json};
use tempfile::TempDir;
use tls_front::{Authority, Front, Manners};

/// A worker process; ended when the test ends, however it ends.
struct Worker {
    process: Child,
    address: String,
}

impl Worker {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .arg("worker")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, address }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn directory(duration_s: f64) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let scenario = json!({
        "name": "shared", "description": "A load for two workers",
        "producers": 4, "consumers": 4, "queues": 4, "size_bytes": 100,
        "load": {"shape": "open_loop", "rate": 4_000},
        "duration_s": duration_s, "warmup_s": 0.2, "prefetch": 100, "ack_every": 10, "confirm_window": 1_000,
        "targets": {"publish_rate_min": 1_000},
        "validity": {
            "schedule_lag_p99_us_max": 60e6, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6,
        },
    });
    std::fs::create_dir(directory.path().join("scenarios")).unwrap();
    std::fs::write(
        directory.path().join("scenarios/shared.json"),
        scenario.to_string(),
    )
    .unwrap();
    directory
}

fn command(directory: &Path, workers: &[&Worker], arguments: &[&str]) -> Command {
    let addresses: Vec<_> = workers.iter().map(|worker| worker.address.as_str()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command
        .args([
            "--scenario",
            "shared",
            "--format",
            "json",
            "--workers",
            &addresses.join(","),
        ])
        .args(arguments)
        .current_dir(directory);
    command
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().last();
    serde_json::from_str(line.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))))
        .unwrap()
}

#[test]
fn what_two_workers_measured_adds_up() {
    let directory = directory(2.0);
    let workers = [Worker::start(&[]), Worker::start(&["--token", "a secret"])];
    let both = [&workers[0], &workers[1]];
    let run = || {
        command(directory.path(), &both, &["--token", "a secret"])
            .output()
            .unwrap()
    };
    let output = run();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary = last_line(&output);
    let parts = summary["workers"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    let sum = |field: &str| {
        parts
            .iter()
            .map(|part| part[field].as_u64().unwrap())
            .sum::<u64>()
    };
    let ledger = &summary["ledger"];
    assert_eq!(ledger["published"], sum("published"));
    assert_eq!(ledger["received"], sum("received"));
    // The schedule of 2.2 s at 4,000 a second, whoever sends it.
    assert_eq!(ledger["published"], 8_800);
    for fault in [
        "lost",
        "duplicated",
        "redelivered",
        "reordered",
        "corrupt",
        "nacked",
    ] {
        assert_eq!(ledger[fault], 0, "{fault}");
    }
    assert_eq!(summary["latency_us"]["count"], sum("latencies"));
    assert_eq!(summary["latency_us"]["count"], 8_000);
    assert_eq!(parts[1]["producers"], 2);
    // Every second has both workers' messages, and the interval log holds every latency once.
    let run_directory = directory.path().join(summary["directory"].as_str().unwrap());
    let text = std::fs::read_to_string(run_directory.join("run.json")).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    let intervals = result["intervals"].as_array().unwrap();
    let published: u64 = intervals.iter().map(|it| it["published"].as_u64().unwrap()).sum();
    assert_eq!(published, 8_800);
    let log = std::fs::read_to_string(run_directory.join("intervals.hlog")).unwrap();
    let logged: u64 = loadgen::formats::IntervalLog(log)
        .intervals()
        .unwrap()
        .iter()
        .filter(|interval| interval.tag == "response")
        .map(|interval| interval.histogram.len())
        .sum();
    assert_eq!(logged, 8_000);
    assert!(!directory.path().join("results/history.ndjson").exists());
    // Workers serve one run after the other.
    assert_eq!(run().status.code(), Some(0));
}

#[test]
fn workers_read_the_files_of_tls_themselves() {
    let directory = directory(0.5);
    let workers = [Worker::start(&[]), Worker::start(&[])];
    let authority = Authority::new();
    let identity = authority.identity("localhost");
    let peer = FakePeer::start(Faults::default());
    let front = Front::start(peer.target().port, &authority, &identity, Manners::default());
    let cacertfile = authority.cacertfile();
    // The coordinator has it, but in its own working directory.
    std::fs::copy(&cacertfile, directory.path().join("own-ca.pem")).unwrap();
    for (file, code) in [(cacertfile.to_str().unwrap(), 0), ("own-ca.pem", 3)] {
        let url = front.url("localhost", &format!("cacertfile={file}"));
        let output = command(directory.path(), &[&workers[0], &workers[1]], &["--url", &url])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        if code == 0 {
            assert_eq!(last_line(&output)["tls"]["verify"], "verify_peer");
        } else {
            for expected in ["worker 127.0.0.1:", "own-ca.pem", "cannot be read"] {
                assert!(said.contains(expected), "{said}");
            }
        }
    }
}

#[test]
fn a_killed_worker_makes_the_run_invalid_by_name() {
    let directory = directory(60.0);
    let (one, mut other) = (Worker::start(&[]), Worker::start(&[]));
    let mut run = command(directory.path(), &[&one, &other], &["--metrics", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The plain lines on standard error tell when the load has begun.
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let begun = lines
        .by_ref()
        .any(|line| line.unwrap().trim_start().starts_with("measure "));
    assert!(begun);
    other.process.kill().unwrap();
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{said:?}");
    let summary = last_line(&output);
    assert_eq!(summary["verdict"], "invalid");
    let expected = format!("worker {} is gone", other.address);
    assert!(
        summary["reasons"][0].as_str().unwrap().starts_with(&expected),
        "{summary}"
    );
}

#[test]
fn what_cannot_be_shared_or_reached_is_refused_before_any_work() {
    let directory = directory(1.0);
    let worker = Worker::start(&["--token", "a secret"]);
    let cases = [
        (vec!["--queues", "1"], 2, "queues is 1; allowed with 2 workers"),
        (vec!["--token", "another"], 3, "refused: the token is wrong"),
    ];
    let other = Worker::start(&["--token", "a secret"]);
    for (arguments, code, expected) in cases {
        let output = command(directory.path(), &[&worker, &other], &arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let twice = command(directory.path(), &[&worker, &worker], &[])
        .output()
        .unwrap();
    assert_eq!(twice.status.code(), Some(2));
}
