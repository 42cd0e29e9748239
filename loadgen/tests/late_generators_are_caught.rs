//! A generator that is late, whoever made it late: what was due in the meantime has the latency that it would have had for
//! somebody who waited, no sample is missing, and if the generator is to blame the run is invalid.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake_peer;
mod run;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fake_peer::{FakePeer, Faults, Seen};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::{Value, json};

const STALL: Duration = Duration::from_millis(400);
const STALL_NS: u64 = 400_000_000;
/// One producer's messages a second.
const RATE: u64 = 2_000;

/// A loadgen process that measures `peer` in `directory`. Nothing but lateness can make its run invalid.
fn start(directory: &Path, peer: &FakePeer, changes: &Value) -> Child {
    let mut scenario = json!({
        "name": "late", "description": "One producer whose lateness is on purpose",
        "producers": 1, "consumers": 1, "queues": 1, "size_bytes": 16,
        "load": {"shape": "open_loop", "rate": RATE},
        "duration_s": 2.0, "warmup_s": 0.0, "drain_s": 10.0, "prefetch": 0, "ack_every": 0,
        "validity": {
            "schedule_lag_p99_us_max": 50_000, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6,
        },
    });
    for (name, value) in changes.as_object().unwrap() {
        scenario[name] = value.clone();
    }
    std::fs::write(directory.join("late.json"), scenario.to_string()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--scenario", "late.json", "--quiet", "--format", "json", "--url"])
        .arg(peer.target().to_string())
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a loadgen process: its exit code and its `run.json`.
fn finish(directory: &Path, child: Child) -> (Option<i32>, Value) {
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let shown = || format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let line = stdout.lines().last().unwrap_or_else(|| panic!("{}", shown()));
    let summary: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", shown()));
    let file = directory
        .join(summary["directory"].as_str().unwrap())
        .join("run.json");
    let run = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    (output.status.code(), run)
}

fn histogram(run: &Value, name: &str) -> Histogram<u64> {
    let bytes = STANDARD
        .decode(run["histograms"][name].as_str().unwrap())
        .unwrap();
    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
}

/// Stops the whole process for `length`, as a debugger or a suspended machine would, once `peer` has seen some messages.
fn suspend(child: &Child, peer: &FakePeer, length: Duration) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Seen::get(&peer.seen().published) < RATE / 4 {
        assert!(Instant::now() < deadline, "the load did not begin");
        std::thread::yield_now();
    }
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::STOP).unwrap();
    waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
    let stopped = Instant::now();
    // The length of the stall is the experiment, not a guess at how long something takes.
    while stopped.elapsed() < length {
        std::thread::sleep(length - stopped.elapsed().min(length));
    }
    kill_process(pid, Signal::CONT).unwrap();
}

#[test]
fn a_suspended_generator_shows_as_latency_and_makes_the_run_invalid() {
    let directory = tempfile::tempdir().unwrap();
    let peer = FakePeer::start(Faults::default());
    let child = start(directory.path(), &peer, &json!({}));
    suspend(&child, &peer, STALL);
    let (code, run) = finish(directory.path(), child);
    let summary = &run["summary"];

    // Nothing that was due is missing: neither messages nor samples.
    let due = 2 * RATE;
    assert_eq!(summary["ledger"]["published"], due, "{summary:#}");
    let (response, service) = (histogram(&run, "response"), histogram(&run, "service"));
    assert_eq!((response.len(), service.len()), (due, due));

    // 800 messages became due while it was stopped. Half of them waited for more than half of the stall, and the first
    // for nearly all of it; on a busy machine they waited longer, never shorter.
    let due_in_stall = RATE * STALL_NS / 1_000_000_000;
    let half = response.count_between(STALL_NS / 2, u64::MAX);
    assert!(half >= due_in_stall / 2 - 20, "{half}");
    assert!(response.max() >= STALL_NS - 5_000_000, "{}", response.max());

    // And it is the generator's own fault.
    assert_eq!(
        (code, summary["verdict"].as_str()),
        (Some(3), Some("invalid")),
        "{summary:#}"
    );
    let reasons = summary["reasons"].to_string();
    assert!(
        reasons.contains("schedule lag of the generator (p99)"),
        "{reasons}"
    );
    // Its hiccup meter was stopped, too, and saw it.
    let pause_us = summary["machine"]["hiccup_us"]["max"].as_f64().unwrap();
    assert!(pause_us >= STALL_NS as f64 / 1e3 * 0.98, "{pause_us}");
}

#[test]
fn a_broker_that_stops_reading_shows_as_latency_of_a_valid_run() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults {
        stall: Some((1_000, STALL)),
        ..Faults::default()
    };
    let peer = FakePeer::start(faults);
    // The confirm window keeps the producer from sending what is due meanwhile: it is late because of the broker.
    let changes = json!({
        "confirm_window": 50,
        "targets": {"expressions": ["latency_us.p99 <= 100 ms", "ledger.lost == 0"]},
    });
    let (code, run) = finish(directory.path(), start(directory.path(), &peer, &changes));
    let summary = &run["summary"];
    assert_eq!(
        (code, summary["verdict"].as_str()),
        (Some(1), Some("fail")),
        "{summary:#}"
    );
    let reasons = summary["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0]
            .as_str()
            .unwrap()
            .starts_with("latency_us.p99 <= 100 ms missed: "),
        "{reasons:?}"
    );
    let response = histogram(&run, "response");
    assert_eq!(response.len(), 2 * RATE);
    assert!(response.max() >= STALL_NS - 50_000_000, "{}", response.max());
}

#[test]
fn a_hopeless_run_is_ended_at_once_has_failed_and_is_no_history() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults {
        stall: Some((100, Duration::from_secs(20))),
        ..Faults::default()
    };
    let peer = FakePeer::start(faults);
    let changes = json!({
        "duration_s": 600.0, "drain_s": 600.0, "abort": ["backlog > 300 for 1 s", "t_s > 500"],
    });
    let (code, run) = finish(directory.path(), start(directory.path(), &peer, &changes));
    let summary = &run["summary"];
    assert_eq!(
        (code, summary["verdict"].as_str()),
        (Some(1), Some("fail")),
        "{summary:#}"
    );
    let reason = summary["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("hopeless after "), "{reason}");
    assert!(reason.contains("backlog > 300 for 1 s"), "{reason}");
    assert_eq!(summary["hopeless"], reason);
    assert!(summary["duration_s"].as_f64().unwrap() < 300.0, "{summary:#}");
    assert!(!directory.path().join("results/history.ndjson").exists());
}
