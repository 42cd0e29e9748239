//! `loadgen matrix`: every broker runs every scenario, all are asked first, and the page holds them all.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod executable;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use executable::text;
use serde_json::{Value, json};
use tempfile::TempDir;

fn matrix(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("matrix")
        .args(arguments)
        .args(["--settle-max", "0", "--results", "results", "--quiet"])
        .current_dir(directory)
        .output()
        .unwrap()
}

/// A directory with two short loads whose verdicts do not depend on how busy the machine is.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let scenarios = directory.path().join("scenarios");
    std::fs::create_dir(&scenarios).unwrap();
    for (name, durable) in [("tiny", false), ("tiny-quorum", true)] {
        let mut scenario = json!({
            "name": name, "description": "A short load", "producers": 2, "consumers": 2, "queues": 1,
            "size_bytes": 64, "load": {"shape": "open_loop", "rate": 4_000},
            "duration_s": 0.5, "warmup_s": 0.1, "prefetch": 100, "ack_every": 10, "confirm_window": 1_000,
            "persistent": durable, "durable": durable,
            // Never reached: a matrix does not judge targets.
            "targets": {"broker_rss_bytes_max": 1},
            "validity": {
                "schedule_lag_p99_us_max": 60e6, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6,
            },
        });
        if durable {
            scenario["queue_type"] = json!("quorum");
        }
        std::fs::write(scenarios.join(format!("{name}.json")), scenario.to_string()).unwrap();
    }
    directory
}

#[test]
fn every_broker_runs_every_scenario_in_every_round() {
    let directory = directory();
    // Durable queues want a disk, which the directory for temporary files need not be on.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let output = matrix(
        directory.path(),
        &[
            "--target",
            "<plain>=embedded",
            "--target",
            "unsynced=embedded --durability=write",
            "--scenario",
            "tiny",
            "--scenario",
            "tiny-quorum",
            "--rounds",
            "2",
            "--seed",
            "7",
            "--data-dir-parent",
            disk.path().to_str().unwrap(),
        ],
    );
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
    assert_eq!(stdout.matches("  counted  ").count(), 8, "{stdout}");
    let peers = directory.path().join("results/peers");
    let document: Value =
        serde_json::from_str(&std::fs::read_to_string(peers.join("matrix.json")).unwrap()).unwrap();
    let cells = document["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    for cell in cells {
        let seeds: Vec<_> = cell["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| &run["seed"])
            .collect();
        assert_eq!(seeds, [&json!(7), &json!(8)], "{cell}");
        for run in cell["attempts"].as_array().unwrap() {
            assert!(run["figures"]["publish_rate"].as_f64().unwrap() > 0.0, "{run}");
            let id = run["run"].as_str().unwrap();
            assert!(
                directory
                    .path()
                    .join("results/runs")
                    .join(id)
                    .join("run.json")
                    .is_file(),
                "{id}"
            );
        }
    }
    // Transient messages promise nothing to anybody; a confirmed one is not worth the same on both.
    let comparison = |index: usize| &document["scenarios"][index]["comparison"];
    assert_eq!(comparison(0)["comparable"], true, "{document}");
    assert_eq!(comparison(1)["comparable"], false, "{document}");
    assert_eq!(document["figures"][3]["metrics"]["publish_rate"]["runs"], 2);
    let page = std::fs::read_to_string(peers.join("index.html")).unwrap();
    for expected in [
        "&lt;plain&gt;",
        "unsynced",
        "--durability=write",
        "Not comparable",
        "tiny-quorum",
    ] {
        assert!(page.contains(expected), "{expected} is not in\n{page}");
    }
    assert!(!page.contains("<plain>"));
}

#[test]
fn a_broker_that_cannot_be_reached_is_named_before_anything_runs() {
    let directory = directory();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = format!("nobody=amqp://127.0.0.1:{closed}");
    let output = matrix(
        directory.path(),
        &[
            "--target",
            "plain=embedded",
            "--target",
            &nobody,
            "--scenario",
            "tiny",
        ],
    );
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("target nobody (amqp://127.0.0.1:"), "{stderr}");
    let runs = std::fs::read_dir(directory.path().join("results/runs")).unwrap();
    assert_eq!(runs.count(), 0, "something ran");
}

#[test]
fn what_makes_no_matrix_is_refused() {
    let directory = directory();
    let refused = |arguments: &[&str], expected: &str| {
        let output = matrix(directory.path(), arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    };
    let plain = ["--target", "plain=embedded", "--scenario", "tiny"];
    refused(&["--scenario", "tiny"], "--target");
    refused(
        &["--target", "plain=/no/such/broker", "--scenario", "tiny"],
        "neither embedded nor a file",
    );
    refused(
        &["--target", "plain=embedded", "--scenario", "none"],
        "no scenario or file named none",
    );
    refused(
        &[&plain[..], &["--target", "plain=embedded"]].concat(),
        "two brokers are called \"plain\"",
    );
    refused(
        &[&plain[..], &["--scenario", "tiny"]].concat(),
        "tiny is named twice",
    );
    refused(
        &[&plain[..], &["--durability", "other=sync"]].concat(),
        "there is no target \"other\"",
    );
    refused(
        &[&plain[..], &["--durability", "plain=disk"]].concat(),
        "NAME=none, NAME=write or NAME=sync",
    );
    refused(
        &[&plain[..], &["--settings", "plain=/no/such/file"]].concat(),
        "cannot read the settings file",
    );
    assert!(!directory.path().join("results/peers").exists());
}
