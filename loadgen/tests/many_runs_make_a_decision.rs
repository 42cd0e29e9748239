//! Search, duel and sweep from the outside: what they run, write and exit with. Nothing here depends on how fast the
//! machine is: objectives are ones that always or never hold.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod executable;

use std::path::{Path, PathBuf};

use executable::{loadgen, text};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a scenario `tiny` whose runs are valid however busy the machine is.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let scenario = json!({
        "name": "tiny",
        "description": "A short load of 5,000 messages a second",
        "producers": 1, "consumers": 1, "queues": 1, "size_bytes": 100,
        "load": {"shape": "open_loop", "rate": 5_000},
        "duration_s": 0.3, "warmup_s": 0.0, "prefetch": 100, "ack_every": 10,
        "validity": {
            "schedule_lag_p99_us_max": 60e6, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6,
        },
    });
    std::fs::create_dir(directory.path().join("scenarios")).unwrap();
    std::fs::write(directory.path().join("scenarios/tiny.json"), scenario.to_string()).unwrap();
    directory
}

/// The only directory that a command made below `results/<kind>`.
fn files(directory: &Path, kind: &str) -> PathBuf {
    let mut entries = std::fs::read_dir(directory.join("results").join(kind)).unwrap();
    let first = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    first
}

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

const LOOSE: [&str; 4] = ["--backlog-slope-max", "100%", "--consumed-min", "0"];

#[test]
fn a_search_up_to_the_highest_rate_allowed_is_confirmed_and_written_down() {
    let directory = directory();
    let arguments = [
        &[
            "search",
            "--scenario",
            "tiny",
            "--objective",
            "latency_us.p99 <= 60e6",
        ][..],
        &["--rate-max", "8000", "--confirm", "5"],
        &LOOSE,
    ];
    let output = loadgen(directory.path(), &arguments.concat());
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
    assert!(
        stdout.contains("highest rate   8.00 k/s, held in 5 of 5 runs"),
        "{stdout}"
    );
    let files = files(directory.path(), "searches");
    let report = json_file(&files.join("search.json"));
    assert_eq!(
        (&report["found"]["rate"], &report["found"]["bound"]),
        (&json!(8_000), &json!("rate_max"))
    );
    assert_eq!(report["points"].as_array().unwrap().len(), 7, "{report}");
    assert!(report["consume_rate"]["low"].as_f64().unwrap() > 0.0, "{report}");
    let csv = std::fs::read_to_string(files.join("search.csv")).unwrap();
    assert_eq!(csv.lines().count(), 8, "{csv}");
    let runs = std::fs::read_dir(directory.path().join("results/runs")).unwrap();
    assert_eq!(runs.count(), 7);
    assert!(!directory.path().join("results/history.ndjson").exists());
}

#[test]
fn an_objective_that_nothing_holds_is_exit_code_1() {
    let directory = directory();
    let arguments = [
        &[
            "search",
            "--scenario",
            "tiny",
            "--objective",
            "latency_us.p99 < 0",
        ][..],
        &["--rate-min", "4000", "--rate-max", "5000", "--format", "json"],
        &LOOSE,
    ];
    let output = loadgen(directory.path(), &arguments.concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["found"]["rate"], Value::Null);
    assert_eq!(report["found"]["rate_not_held"], 4_000);
}

#[test]
fn a_duel_runs_its_rounds_on_fresh_brokers_and_decides_what_is_certain() {
    let directory = directory();
    let disk = directory.path().join("data");
    std::fs::create_dir(&disk).unwrap();
    // The rate of an open loop hardly varies, and a margin of 100 % holds whatever the noise.
    let arguments = [
        &[
            "duel",
            "one=embedded",
            "two=embedded --reactors=1",
            "--scenario",
            "tiny",
        ][..],
        &["--metric", "publish_rate", "--margin", "100%", "--pairs-max", "6"],
        &["--data-dir-parent", disk.to_str().unwrap(), "--seed", "3"],
    ];
    let output = loadgen(directory.path(), &arguments.concat());
    let stdout = text(&output.stdout);
    assert!(stdout.contains("noise floor"), "{stdout}{}", text(&output.stderr));
    let report = json_file(&files(directory.path(), "duels").join("duel.json"));
    let rounds = report["rounds"].as_array().unwrap();
    assert!(rounds.len() >= 5 && rounds.iter().all(|round| round.as_array().unwrap().len() == 3));
    assert_eq!(report["sides"][1]["arguments"], json!(["--reactors=1"]));
    let seeds = |runs: &Value| -> Vec<u64> {
        runs.as_array()
            .unwrap()
            .iter()
            .map(|run| run["seed"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(seeds(&report["sides"][0]["runs"])[..5], [3, 4, 5, 6, 7]);
    assert_eq!(
        seeds(&report["sides"][0]["runs"]),
        seeds(&report["sides"][1]["runs"])
    );
    assert_eq!(seeds(&report["sides"][0]["runs"]), seeds(&report["control_runs"]));
    let decided = ["equal", "b_higher", "b_lower"].contains(&report["verdict"].as_str().unwrap());
    assert_eq!(
        output.status.code(),
        Some(if decided { 0 } else { 3 }),
        "{report}"
    );
    assert_eq!(
        std::fs::read_dir(&disk).unwrap().count(),
        0,
        "data directories are removed"
    );
}

/// The broker, stopped four fifths of the time: slower on any machine.
fn slowed_broker(directory: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let script = format!(
        r#"#!/bin/sh
        exec 3<&0
        {} broker "$@" <&3 &
        broker=$!
        trap 'kill -CONT $broker; kill -TERM $broker; wait $broker; exit 0' TERM
        while sleep 0.01 && kill -STOP $broker; do sleep 0.04; kill -CONT $broker; done
        "#,
        env!("CARGO_BIN_EXE_loadgen")
    );
    let file = directory.join("slowed.sh");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn a_slowed_broker_loses_its_duel() {
    let directory = directory();
    let slowed = format!("slowed={}", slowed_broker(directory.path()).display());
    let arguments = [
        &[
            "duel",
            "plain=embedded",
            &slowed,
            "--scenario",
            "tiny",
            "--in-flight",
            "20",
        ][..],
        &["--no-control", "--pairs-max", "20", "--invalid-max", "40"],
    ];
    let output = loadgen(directory.path(), &arguments.concat());
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
    assert!(stdout.contains("verdict: plain is better"), "{stdout}");
    let report = json_file(&files(directory.path(), "duels").join("duel.json"));
    assert_eq!(report["metric"], "consume_rate");
    assert!(
        report["ratio"]["high"].as_f64().unwrap() < 1.0,
        "{}",
        report["ratio"]
    );
}

#[test]
fn a_sweep_runs_every_combination_and_tabulates_it() {
    let directory = directory();
    let arguments = [
        "--scenario",
        "tiny",
        "--sweep",
        "load.rate=4000,6000",
        "--sweep",
        "size_bytes=16,64",
    ];
    let output = loadgen(directory.path(), &[&arguments[..], &["--repeat", "2"]].concat());
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
    assert!(stdout.contains("load.rate = 6000, size_bytes = 16  "), "{stdout}");
    let files = files(directory.path(), "sweeps");
    let report = json_file(&files.join("sweep.json"));
    assert_eq!(report["fields"], json!(["load.rate", "size_bytes"]));
    let points = report["points"].as_array().unwrap();
    assert_eq!(points.len(), 4);
    for point in points {
        let runs = point["runs"].as_array().unwrap();
        let seeds: Vec<_> = runs.iter().map(|run| run["seed"].as_u64().unwrap()).collect();
        assert_eq!(seeds, [1, 2]);
        assert_eq!(point["consume_rate"], Value::Null, "two runs have no interval");
    }
    assert_eq!(
        std::fs::read_to_string(files.join("sweep.csv"))
            .unwrap()
            .lines()
            .count(),
        9
    );
}

#[test]
fn wrong_usage_is_refused_before_any_work() {
    let directory = directory();
    let cases: [(&[&str], &str); 11] = [
        (
            &["--scenario", "tiny", "--sweep", "producers=1,0"],
            "producers is 0; allowed",
        ),
        (
            &["--scenario", "tiny", "--sweep", "producers"],
            "allowed: FIELD=VALUE",
        ),
        (
            &["search", "--scenario", "tiny", "--objective", "p99"],
            "a condition over the summary",
        ),
        (
            &["search", "--scenario", "backlog-drain"],
            "one with consumers, without counted messages",
        ),
        (
            &["search", "--scenario", "tiny", "--factor", "1"],
            "a number above 1",
        ),
        (
            &[
                "search",
                "--scenario",
                "tiny",
                "--rate-min",
                "9",
                "--rate-max",
                "8",
            ],
            "at most --rate-max = 8",
        ),
        (
            &["search", "--scenario", "tiny", "--rate-max", "99000000"],
            "load.rate is 99000000; allowed",
        ),
        (
            &["duel", "a=embedded", "a=embedded", "--scenario", "tiny"],
            "two different names",
        ),
        (
            &["duel", "a=embedded", "b=/no/such", "--scenario", "tiny"],
            "an executable that exists",
        ),
        (
            &[
                "duel",
                "a=embedded",
                "b=embedded",
                "--scenario",
                "tiny",
                "--pairs-min",
                "3",
            ],
            "5..=10000",
        ),
        (
            &[
                "duel",
                "a=embedded",
                "b=embedded",
                "--scenario",
                "tiny",
                "--margin",
                "0",
            ],
            "a share above 0",
        ),
    ];
    for (arguments, expected) in cases {
        let output = loadgen(directory.path(), arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    assert!(!directory.path().join("results").exists());
}
