//! `compare` and `gate` from the outside, over a made-up history.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod executable;

use std::path::Path;

use executable::{loadgen, text};
use serde_json::{Value, json};

/// Ten runs of a build, the first line of the committed history with rates `factor` times as high, written to
/// `<directory>/<results>/history.ndjson` behind what is there.
fn add_runs(directory: &Path, results: &str, commit: &str, factor: f64, change: impl Fn(&mut Value)) {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/history.ndjson");
    let committed = std::fs::read_to_string(committed).unwrap();
    let line: Value = serde_json::from_str(committed.lines().next().unwrap()).unwrap();
    let file = directory.join(results).join("history.ndjson");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut text = std::fs::read_to_string(&file).unwrap_or_default();
    for index in 0..10 {
        let mut line = line.clone();
        line["environment"]["commit"] = json!(commit);
        line["id"] = json!(format!("run-{commit}-{index}"));
        for rate in ["publish_rate", "consume_rate"] {
            let noise = 1.0 + 0.001 * f64::from(index) + 1e-5 * factor;
            line[rate] = json!(line[rate].as_f64().unwrap() * factor * noise);
        }
        change(&mut line);
        text += &format!("{line}\n");
    }
    std::fs::write(file, text).unwrap();
}

#[test]
fn a_slower_build_is_found_and_drawn() {
    let directory = tempfile::tempdir().unwrap();
    add_runs(directory.path(), "results", "aaaaaaa", 1.0, |_| {});
    add_runs(directory.path(), "results", "bbbbbbb", 0.9, |_| {});
    let output = loadgen(
        directory.path(),
        &["compare", "aaaaaaa", "bbbbbbb", "--chart", "x"],
    );
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{table}{}", text(&output.stderr));
    assert!(
        table.contains("aaaaaaa (10 runs) → bbbbbbb (10 runs)") && table.contains("WORSE"),
        "{table}"
    );
    let svg = std::fs::read_to_string(directory.path().join("x.svg")).unwrap();
    assert!(svg.contains("20p20c · consume_rate"));
    let output = loadgen(
        directory.path(),
        &["compare", "bbbbbbb", "aaaaaaa", "--format", "json"],
    );
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(comparison["rows"][0]["finding"], "better");
}

#[test]
fn another_machine_is_refused_unless_allowed() {
    let directory = tempfile::tempdir().unwrap();
    add_runs(directory.path(), "results", "aaaaaaa", 1.0, |_| {});
    add_runs(directory.path(), "results", "bbbbbbb", 1.0, |line| {
        line["environment"]["cpu"] = json!("Another CPU");
    });
    let compare = ["compare", "aaaaaaa", "bbbbbbb"];
    let output = loadgen(directory.path(), &compare);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stdout).contains("NOT COMPARED: the machines differ"),
        "{}",
        text(&output.stdout)
    );
    let output = loadgen(
        directory.path(),
        &[&compare[..], &["--allow", "machine"]].concat(),
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("WARNING: the machines differ"));
}

#[test]
fn the_gate_stops_a_regression_and_a_missing_benchmark_and_lets_the_rest_pass() {
    let directory = tempfile::tempdir().unwrap();
    let results = directory.path();
    let other_load = |line: &mut Value| {
        line["scenario"] = json!("other");
        line["scenario_hash"] = json!("0123456789abcdef");
    };
    add_runs(results, "base", "aaaaaaa", 1.0, |_| {});
    add_runs(results, "base", "aaaaaaa", 1.0, other_load);
    add_runs(results, "equal", "bbbbbbb", 1.0, |_| {});
    add_runs(results, "equal", "bbbbbbb", 1.0, other_load);
    add_runs(results, "slow", "ccccccc", 0.8, |_| {});
    add_runs(results, "slow", "ccccccc", 1.0, other_load);
    add_runs(results, "part", "ddddddd", 1.0, |_| {});
    for (candidate, code, expected) in [
        ("equal", 0, "gate: PASS"),
        ("slow", 1, "REGRESSION  20p20c"),
        ("part", 1, "MISSING     other"),
        ("nothing", 1, "MISSING     20p20c"),
    ] {
        std::fs::create_dir_all(results.join(candidate)).unwrap();
        let output = loadgen(results, &["gate", "--baseline", "base", "--candidate", candidate]);
        let table = text(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{candidate}: {table}{}",
            text(&output.stderr)
        );
        assert!(table.contains(expected), "{candidate}: {table}");
    }
    // A file does as well as a directory, and a margin forgives.
    let arguments = [
        "gate",
        "--baseline",
        "base/history.ndjson",
        "--candidate",
        "slow/history.ndjson",
    ];
    let output = loadgen(results, &[&arguments[..], &["--margin", "30%"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("empty")).unwrap();
    add_runs(directory.path(), "results", "aaaaaaa", 1.0, |_| {});
    let cases: [(&[&str], &str); 5] = [
        (
            &["compare", "aaaaaaa", "eeeeeee"],
            "selection is eeeeeee; allowed: one that matches runs",
        ),
        (&["compare", "a", "b"], "at least 4 characters"),
        (
            &["gate", "--baseline", "empty", "--candidate", "results"],
            "a history with runs",
        ),
        (
            &["gate", "--baseline", "absent.ndjson", "--candidate", "results"],
            "cannot read absent.ndjson",
        ),
        (
            &[
                "gate",
                "--baseline",
                "results",
                "--candidate",
                "results",
                "--metric",
                "speed",
            ],
            "consume_rate",
        ),
    ];
    for (arguments, expected) in cases {
        let output = loadgen(directory.path(), arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
