//! The binary from the outside: what it prints, writes and exits with. The load is small; the broker is the real one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod executable;

use std::path::Path;
use std::process::Output;

use executable::{loadgen, text};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a scenario `tiny` whose verdict does not depend on how busy the machine is.
fn directory_with(targets: Value) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let scenario = json!({
        "name": "tiny",
        "description": "A short load of 5,000 messages a second",
        "producers": 2, "consumers": 2, "queues": 2, "size_bytes": 100,
        "load": {"shape": "open_loop", "rate": 5_000},
        "duration_s": 1.0, "warmup_s": 0.2, "prefetch": 100, "ack_every": 10, "confirm_window": 1_000,
        "targets": targets,
        "validity": {
            "schedule_lag_p99_us_max": 60e6, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6,
        },
    });
    std::fs::create_dir(directory.path().join("scenarios")).unwrap();
    std::fs::write(directory.path().join("scenarios/tiny.json"), scenario.to_string()).unwrap();
    directory
}

fn last_line(output: &Output) -> Value {
    serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap()
}

#[test]
fn one_command_measures_the_embedded_broker_and_keeps_everything() {
    let directory = directory_with(json!({"publish_rate_min": 1_000, "consume_rate_min": 1_000}));
    let output = loadgen(directory.path(), &["--scenario", "tiny", "--format", "json"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    let summary = last_line(&output);
    assert_eq!(
        (&summary["verdict"], &summary["target"]),
        (&json!("pass"), &json!("embedded"))
    );
    // Whatever product it tells client libraries that it is.
    let server = summary["server"].as_str().unwrap();
    assert!(
        server.starts_with("AMQP performance lab reference broker "),
        "{server}"
    );
    assert_eq!(summary["ledger"]["published"], 6_000);
    assert_eq!(summary["ledger"]["received"], 6_000);
    assert_eq!(summary["ledger"]["confirmed"], 6_000);
    assert_eq!(summary["latency_us"]["count"], 5_000);
    assert!(summary["broker"]["rss_anon_bytes_max"].as_u64().unwrap() > 0);
    let run = directory.path().join(summary["directory"].as_str().unwrap());
    for file in [
        "run.json",
        "throughput.svg",
        "latency.svg",
        "percentiles.svg",
        "memory.svg",
        "heat.svg",
        "heat-dark.svg",
        "heat.png",
    ] {
        assert!(run.join(file).metadata().unwrap().len() > 1_000, "{file}");
    }
    for file in [
        "intervals.hlog",
        "response.hgrm",
        "service.hgrm",
        "confirm.hgrm",
        "series.csv",
    ] {
        assert!(run.join(file).metadata().unwrap().len() > 100, "{file}");
    }
    assert!(
        text(&output.stderr).contains("measure"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn repeated_runs_have_a_line_each_and_a_summary() {
    let directory = directory_with(json!({"publish_rate_min": 1_000}));
    let arguments = [
        "--scenario",
        "tiny",
        "--repeat",
        "2",
        "--seed",
        "5",
        "--format",
        "json",
    ];
    let output = loadgen(directory.path(), &arguments);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [first, second, summary] = &lines[..] else {
        panic!("{stdout}");
    };
    assert_eq!((&first["seed"], &second["seed"]), (&json!(5), &json!(6)));
    assert_ne!(first["run"], second["run"]);
    assert_eq!(summary["repeated"], true);
    assert_eq!(
        (&summary["runs"], &summary["passed"], &summary["verdict"]),
        (&json!(2), &json!(2), &json!("pass"))
    );
    assert_eq!(summary["ledger"]["published"], 12_000);
}

/// The broker's own tests look closer at what survives; here everything that it confirmed must.
#[test]
fn a_crash_run_kills_and_restarts_the_embedded_broker() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR")).to_str().unwrap();
    let arguments = [
        "--scenario",
        "crash",
        "--duration",
        "2.5",
        "--data-dir-parent",
        disk,
    ];
    let output = loadgen(
        directory.path(),
        &[&arguments[..], &["--format", "json"]].concat(),
    );
    let summary = last_line(&output);
    let kill = &summary["faults"][0];
    assert_eq!(summary["faults"].as_array().unwrap().len(), 1, "{summary}");
    assert!(kill["ended_ms"].as_f64().unwrap() > 0.0, "{kill}");
    assert!(
        kill["first_confirm_ms"].as_f64().unwrap() >= kill["ended_ms"].as_f64().unwrap(),
        "{kill}"
    );
    let ledger = &summary["ledger"];
    assert!(
        ledger["published"].as_u64().unwrap().abs_diff(60_000) <= 8,
        "{ledger}"
    );
    assert_eq!(ledger["corrupt"], 0);
    assert_eq!(ledger["confirmed_lost"], 0, "{summary}");
    assert_eq!(ledger["duplicated"], 0, "{summary}");
    assert!(kill["at_stake"].as_u64().unwrap() > 1_000, "{kill}");
    assert_eq!(output.status.code(), Some(0), "{summary}");
    assert!(summary["durability"].is_string(), "{summary}");
    assert!(summary["broker"]["rss_anon_bytes_max"].as_u64().unwrap() > 0);
    let left = std::fs::read_dir(disk).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("loadgen-"));
    assert_eq!(left.count(), 0, "the broker's data were left behind");
}

#[test]
fn a_counted_run_against_the_embedded_broker_ends_with_its_last_message() {
    let directory = tempfile::tempdir().unwrap();
    for scenario in ["backlog-fill", "backlog-drain"] {
        let arguments = ["--scenario", scenario, "--messages", "20000", "--format", "json"];
        let summary = last_line(&loadgen(directory.path(), &arguments));
        assert_eq!(summary["ledger"]["published"], 20_000, "{summary}");
        assert_eq!(summary["ledger"]["lost"], 0, "{summary}");
        assert!(summary["duration_s"].as_f64().unwrap() < 60.0, "{summary}");
        let counted = if scenario == "backlog-fill" {
            "published"
        } else {
            "consumed"
        };
        assert_eq!(summary[counted], 20_000, "{summary}");
    }
}

#[test]
fn missed_targets_are_exit_code_1_and_shown() {
    let directory = directory_with(json!({"broker_rss_bytes_max": 1}));
    let output = loadgen(directory.path(), &["--scenario", "tiny", "--quiet"]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(
        table.contains("MISS\n") && table.contains("verdict: FAIL"),
        "{table}"
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn wrong_usage_is_exit_code_2_and_names_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["--scenario", "20p2c"], "20p20c-latency"),
        (
            &["--scenario", "20p20c", "--producers", "0"],
            "producers is 0; allowed: at least 1, or load.shape = none",
        ),
        (
            &["--scenario", "20p20c", "--ack-every", "2000"],
            "ack_every is 2000; allowed: at most prefetch = 1000",
        ),
        (&["--scenario", "20p20c", "--driver", "pika"], "native or lapin"),
        (
            &["--scenario", "20p20c", "--url", "amqps://x?verify=maybe"],
            "verify is \"maybe\"; allowed: verify_peer, verify_none",
        ),
        (
            &["--scenario", "crash", "--url", "amqp://127.0.0.1:1"],
            "crash kills, restarts or pauses the broker, which loadgen does only to its own",
        ),
        (
            &["--scenario", "crash", "--driver", "lapin"],
            "driver is lapin; allowed: native when there are faults",
        ),
        (
            &["--scenario", "20p20c", "--data-dir-parent", "no/such/place"],
            "no/such/place is not a directory",
        ),
    ];
    for (arguments, expected) in cases {
        let output = loadgen(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(expected),
            "{}",
            text(&output.stderr)
        );
    }
    assert!(
        std::fs::read_dir(directory.path()).unwrap().next().is_none(),
        "refused before any work"
    );
}

#[test]
fn an_invalid_run_is_exit_code_3_and_enters_no_history() {
    let directory = directory_with(json!({}));
    let output = loadgen(
        directory.path(),
        &[
            "--scenario",
            "tiny",
            "--rate",
            "500",
            "--format",
            "json",
            "--quiet",
        ],
    );
    assert_eq!(output.status.code(), Some(3));
    let summary = last_line(&output);
    assert_eq!(summary["verdict"], "invalid");
    assert_eq!(
        summary["reasons"][0],
        "only 500 latencies were measured; at least 1000 are needed"
    );
    assert_eq!(summary["overrides"][0], "load = open_loop at 500/s");
    assert!(!directory.path().join("results/history.ndjson").exists());
}

#[test]
fn a_broker_that_is_not_there_is_exit_code_4() {
    let directory = directory_with(json!({}));
    // A port that was free a moment ago: nobody listens on it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = loadgen(
        directory.path(),
        &["--scenario", "tiny", "--url", &url, "--format", "json", "--quiet"],
    );
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let failure = last_line(&output);
    assert_eq!(failure["verdict"], "fail");
    assert!(
        failure["reasons"][0].as_str().unwrap().contains("cannot connect"),
        "{failure}"
    );
}

#[test]
fn an_embedded_broker_that_refuses_its_flags_is_exit_code_4_with_its_words() {
    let directory = directory_with(json!({}));
    let output = loadgen(
        directory.path(),
        &["--scenario", "tiny", "--broker-arg=--no-such-flag"],
    );
    assert_eq!(output.status.code(), Some(4));
    assert!(
        text(&output.stderr).contains("--no-such-flag"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_list_has_one_line_a_scenario() {
    let directory = directory_with(json!({}));
    let output = loadgen(directory.path(), &["--list"]);
    let list = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    assert!(list.lines().any(|line| line.starts_with("20p20c ")), "{list}");
    assert!(
        list.lines()
            .any(|line| line.starts_with("tiny ") && line.ends_with("5,000 messages a second")),
        "{list}"
    );
}
