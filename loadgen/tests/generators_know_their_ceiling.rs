//! The null sink, calibrations against it, and what a run makes of them. Limits that depend on how busy the machine is are out of
//! reach; ceilings are set by hand where a verdict hangs on them.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod executable;
mod run;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use executable::{loadgen, text};
use loadgen::target::Target;
use run::{drivers, run, scenario};
use serde_json::{Value, json};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_loadgen");

/// A null sink in a process of its own; killed if a test gives up.
struct Sink {
    child: Child,
    target: Target,
}

impl Sink {
    fn start() -> Self {
        let mut command = Command::new(BINARY);
        command
            .arg("null-sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("null sink listening on ").unwrap();
        let target = format!("amqp://{address}").parse().unwrap();
        Self { child, target }
    }

    /// Ends with its standard input.
    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sink {
    /// `changes` laid over a counted load of 5,000 messages arrive whole, with both drivers.
    fn carries(&self, changes: Value) {
        let mut fields = json!({
            "messages": 5_000, "duration_s": 60.0, "warmup_s": 0.0, "producers": 3, "consumers": 4, "queues": 2,
        });
        for (name, value) in changes.as_object().unwrap() {
            fields[name] = value.clone();
        }
        let scenario = scenario(fields);
        for mut driver in drivers() {
            let recording = run(driver.as_mut(), &scenario, &self.target).unwrap();
            let (ledger, name) = (&recording.ledger, driver.name());
            assert!(ledger.is_clean(), "{name} {changes}: {ledger:?}");
            let copies = u64::from(scenario.copies());
            assert_eq!(
                (ledger.published, ledger.received),
                (5_000, 5_000 * copies),
                "{name}"
            );
            let confirmed = if scenario.confirm_window.is_some() {
                5_000
            } else {
                0
            };
            assert_eq!(ledger.confirmed, confirmed, "{name}");
            assert_eq!(recording.server.product, "null sink", "{name}");
        }
    }
}

#[test]
fn the_null_sink_carries_counted_runs_of_every_routing() {
    let sink = Sink::start();
    sink.carries(json!({}));
    sink.carries(json!({"confirm_window": 50, "load": {"shape": "flood"}}));
    sink.carries(json!({"routing": "fanout"}));
    let keys = json!({"count": 6, "distribution": "uniform"});
    sink.carries(json!({"routing": "direct", "keys": keys}));
    sink.carries(json!({"routing": "topic", "keys": keys, "size_bytes": 200_000, "confirm_window": 10}));
    sink.stop();
}

/// A directory with a scenario `tiny` that may use at most half of the generator's ceiling.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let scenario = json!({
        "name": "tiny", "description": "5,000 messages a second", "producers": 2, "consumers": 2, "queues": 2,
        "size_bytes": 100, "load": {"shape": "open_loop", "rate": 5_000}, "duration_s": 0.6, "warmup_s": 0.1,
        "prefetch": 100, "ack_every": 10, "confirm_window": 1_000,
        "targets": {"expressions": ["generator.ceiling_share < 200 %"]},
        "validity": {
            "schedule_lag_p99_us_max": 60e6, "generator_cpu_max": 1.0, "steal_max": 1.0, "foreign_cpu_max": 1.0,
            "hiccup_p99_us_max": 60e6, "ceiling_share_max": 0.5,
        },
    });
    std::fs::create_dir(directory.path().join("scenarios")).unwrap();
    std::fs::write(directory.path().join("scenarios/tiny.json"), scenario.to_string()).unwrap();
    directory
}

/// The exit code and the summary of a run.
fn measure(directory: &Path) -> (Option<i32>, Value) {
    let output = loadgen(directory, &["--scenario", "tiny", "--format", "json", "--quiet"]);
    let stdout = text(&output.stdout);
    let summary = stdout.lines().last().map(serde_json::from_str);
    (
        output.status.code(),
        summary
            .unwrap_or_else(|| panic!("{}", text(&output.stderr)))
            .unwrap(),
    )
}

#[test]
fn a_run_is_measured_against_the_calibration_of_its_shape() {
    let directory = directory();
    let directory = directory.path();
    let (code, summary) = measure(directory);
    assert_eq!(code, Some(0), "without a calibration nothing fails: {summary}");
    assert_eq!(summary["generator"]["ceiling_share"], Value::Null);
    let run: Value = serde_json::from_slice(
        &std::fs::read(
            directory
                .join(summary["directory"].as_str().unwrap())
                .join("run.json"),
        )
        .unwrap(),
    )
    .unwrap();
    let check = run["checks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&check["target"], &check["compared"], &check["passed"]),
        (
            &json!("validity.ceiling_share_max"),
            &json!("not calibrated"),
            &Value::Null
        )
    );
    assert!(
        run["conditions"]["load_average_start"].is_number(),
        "{}",
        run["conditions"]
    );

    let calibrate = [
        "calibrate",
        "tiny",
        "--repeat",
        "2",
        "--duration",
        "0.5",
        "--warmup",
        "0.1",
        "--format",
        "json",
    ];
    let output = loadgen(directory, &calibrate);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let file = directory.join("results/calibration.json");
    let mut calibrations: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let entry: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(calibrations["entries"], json!([entry]));
    assert_eq!(entry["runs"].as_array().unwrap().len(), 2);
    let ceiling = entry["msgs_per_s"].as_f64().unwrap();

    let (_, summary) = measure(directory);
    let generator = &summary["generator"];
    assert_eq!(generator["ceiling_msgs_per_s"].as_f64(), Some(ceiling));
    let share = summary["consume_rate"].as_f64().unwrap() / ceiling;
    assert!((generator["ceiling_share"].as_f64().unwrap() - share).abs() < 1e-9);

    calibrations["entries"][0]["msgs_per_s"] = json!(5_500.0);
    std::fs::write(&file, calibrations.to_string()).unwrap();
    let (code, summary) = measure(directory);
    assert_eq!((code, &summary["verdict"]), (Some(3), &json!("invalid")));
    let reason = summary["reasons"][0].as_str().unwrap();
    assert!(
        reason.contains("of the generator's own ceiling, 5.50 k/s; allowed: 50.0 %"),
        "{reason}"
    );

    calibrations["entries"][0]["machine"]["kernel"] = json!("another");
    std::fs::write(&file, calibrations.to_string()).unwrap();
    let (code, summary) = measure(directory);
    assert_eq!(code, Some(0), "another machine's ceiling is none: {summary}");
    assert_eq!(summary["generator"]["ceiling_msgs_per_s"], Value::Null);

    std::fs::write(&file, "{\"schema\": 1, ").unwrap();
    for arguments in [&["--scenario", "tiny"][..], &["calibrate", "tiny"]] {
        let output = loadgen(directory, arguments);
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(stderr.contains("results/calibration.json is damaged"), "{stderr}");
    }
}

#[test]
fn what_cannot_be_calibrated_is_refused_before_any_work() {
    let directory = directory();
    for (arguments, expected) in [
        (&["calibrate", "crash"][..], "one without faults"),
        (
            &["calibrate", "tiny", "backlog-drain"],
            "one without backlog_first",
        ),
        (&["calibrate", "nothing"], "there is no scenario"),
        (&["calibrate", "tiny", "--duration", "0"], "duration_s is 0"),
        (&["calibrate", "tiny", "--repeat", "0"], "1..=1000"),
        (&["calibrate", "tiny", "--driver", "best"], "native or lapin"),
    ] {
        let output = loadgen(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    assert!(!directory.path().join("results").exists());
}
