//! Every kind of fault, made to the embedded broker by the binary: the load gets over it, nothing that was confirmed is
//! missing, and the report says how long it took. No figure depends on how fast the machine is.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::{Value, json};

const RATE: u64 = 4_000;
const DURATION_S: f64 = 1.5;

/// Runs an open loop of 4,000 messages a second for 1.5 s with these faults; the summary of a passed run.
fn passed(faults: &Value, changes: &Value) -> Value {
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut scenario = json!({
        "name": "faulty", "description": "A short load with faults",
        "producers": 4, "consumers": 4, "queues": 2, "size_bytes": 100,
        "load": {"shape": "open_loop", "rate": RATE},
        "duration_s": DURATION_S, "warmup_s": 0.2, "drain_s": 20.0, "prefetch": 100, "ack_every": 10, "ack_flush_ms": 5,
        "confirm_window": 2_000, "faults": faults,
        "validity": {
            "schedule_lag_p99_us_max": 60e6, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6,
        },
    });
    for (name, value) in changes.as_object().unwrap() {
        scenario[name] = value.clone();
    }
    let file = disk.path().join("faulty.json");
    std::fs::write(&file, scenario.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--format", "json", "--quiet", "--scenario"])
        .arg(&file)
        .args(["--data-dir-parent".as_ref(), disk.path()])
        .current_dir(disk.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stdout}{errors}");
    let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        summary["faults"].as_array().unwrap().len(),
        faults.as_array().unwrap().len()
    );
    let ledger = &summary["ledger"];
    let sent = (RATE as f64 * (DURATION_S + 0.2)) as u64;
    assert!(
        ledger["published"].as_u64().unwrap().abs_diff(sent) <= 8,
        "{ledger}"
    );
    for harm in ["lost", "duplicated", "reordered", "corrupt"] {
        assert_eq!(ledger[harm], 0, "{ledger}");
    }
    summary
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_paused_broker_shows_in_the_latency_of_what_was_intended_meanwhile() {
    let pause = json!([{"kind": "pause", "after_s": [0.5, 0.5], "for_s": 0.5}]);
    let summary = passed(&pause, &json!({}));
    let fault = &summary["faults"][0];
    // Who wanted to send when the pause began waited for all of it.
    assert!(number(&fault["response_worst_ms"]) >= 490.0, "{fault}");
    assert!(number(&fault["ended_ms"]) >= 500.0, "{fault}");
    assert!(number(&fault["first_confirm_ms"]) >= 500.0, "{fault}");
    assert!(number(&fault["first_delivery_ms"]) >= 500.0, "{fault}");
    // Nothing was left out: a third of all messages was intended in the pause, so a tenth waited for 350 ms and more.
    let latency = &summary["latency_us"];
    let in_window = (RATE as f64 * DURATION_S) as u64;
    assert!(
        latency["count"].as_u64().unwrap().abs_diff(in_window) <= 8,
        "{latency}"
    );
    assert!(number(&latency["p90"]) >= 300_000.0, "{latency}");
    assert_eq!(summary["ledger"]["confirmed_lost"], Value::Null);
}

#[test]
fn a_restart_in_order_loses_nothing_that_was_confirmed() {
    let restart = json!([{"kind": "restart", "after_s": [0.4, 0.8]}]);
    let asked = json!({"persistent": true, "durable": true, "consume_rate_max": 2_000});
    let summary = passed(&restart, &asked);
    let fault = &summary["faults"][0];
    assert_eq!(fault["reply_code"], 320, "{fault}");
    assert!(number(&fault["at_stake"]) > 0.0, "{fault}");
    assert!(
        number(&fault["first_confirm_ms"]) >= number(&fault["connected_ms"]),
        "{fault}"
    );
    assert!(
        number(&fault["connected_ms"]) >= number(&fault["ended_ms"]),
        "{fault}"
    );
    assert_eq!(summary["ledger"]["confirmed_lost"], 0);
    assert_eq!(fault["confirmed_lost"], 0);
}

#[test]
fn stalled_consumers_get_what_is_theirs_when_they_go_on() {
    let stall = json!([{"kind": "stall", "after_s": [0.4, 0.4], "for_s": 0.4, "share": 1.0}]);
    let summary = passed(&stall, &json!({}));
    let fault = &summary["faults"][0];
    assert!(number(&fault["first_delivery_ms"]) >= 400.0, "{fault}");
    assert!(number(&fault["response_worst_ms"]) >= 380.0, "{fault}");
}

#[test]
fn cut_connections_are_mended_and_what_was_on_them_comes_again() {
    let cuts = json!([
        {"kind": "cut", "after_s": [0.2, 0.5], "share": 0.5},
        {"kind": "cut", "after_s": [0.6, 1.0], "share": 0.5, "by": "finish"},
    ]);
    // The consumers are slow, so that there is something on their connections.
    let summary = passed(&cuts, &json!({"consume_rate_max": 3_000}));
    for fault in summary["faults"].as_array().unwrap() {
        assert!(number(&fault["connected_ms"]) > 0.0, "{fault}");
        assert!(
            number(&fault["first_confirm_ms"]) >= number(&fault["connected_ms"]),
            "{fault}"
        );
        assert!(number(&fault["repeated"]) > 0.0, "{fault}");
    }
    assert_eq!(summary["ledger"]["confirmed_lost"], 0);
    assert!(number(&summary["ledger"]["redelivered"]) > 0.0);
}

#[test]
fn faults_of_all_kinds_in_one_run() {
    let faults = json!([
        {"kind": "stall", "after_s": [0.1, 0.2], "for_s": 0.1, "share": 0.5},
        {"kind": "cut", "after_s": [0.3, 0.4], "share": 0.25},
        {"kind": "kill", "after_s": [0.5, 0.6]},
        {"kind": "pause", "after_s": [0.6, 0.8], "for_s": 0.1},
        {"kind": "restart", "after_s": [0.9, 1.4]},
    ]);
    let asked = json!({"persistent": true, "durable": true, "consume_rate_max": 2_000});
    let summary = passed(&faults, &asked);
    let kinds = summary["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["kind"].clone());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["stall", "cut", "kill", "pause", "restart"]
    );
    assert_eq!(summary["ledger"]["confirmed_lost"], 0);
}
