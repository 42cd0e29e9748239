//! What a result says and keeps, whole.

use super::*;
use crate::calibration::Ceiling;
use crate::conditions::Conditions;
use crate::conductor::Conducted;
use crate::environment::Environment;
use crate::fixtures;
use crate::scenario::json_schema_tests::is_valid;
use crate::scenario::{Overrides, built_in};
use crate::subject::Subject;
use crate::utc::Utc;

/// The result of a made-up good run.
pub(crate) fn run_result(name: &str) -> RunResult {
    let overridden = Overrides::default().apply(&built_in(name).unwrap()).unwrap();
    let scenario = &overridden.scenario;
    let seconds = (scenario.warmup_s + scenario.duration_s) as u64;
    let conducted = Conducted {
        recording: fixtures::recording(scenario),
        samples: fixtures::samples(seconds),
        started_ns: 0,
        window_ns: ((scenario.warmup_s * 1e9) as u64, seconds * 1_000_000_000),
        strikes: fixtures::strikes(scenario),
        interval_log: crate::formats::IntervalLog::default(),
        hiccups: fixtures::hiccups(seconds),
        hopeless: None,
    };
    let given = Given {
        overridden: &overridden,
        seed: 1,
        command: vec!["loadgen".into(), "--scenario".into(), name.into()],
        subject: &Subject::embedded(),
        started: Utc::now(),
        environment: Environment::detect(),
        conditions: Conditions::at_start(),
        ceiling: Some(Ceiling {
            msgs_per_s: 2_000_000.0,
            commit: "0123456".into(),
            measured: "2026-11-23T22:04:05Z".into(),
        }),
    };
    RunResult::new(&given, &conducted)
}

#[test]
fn the_summary_has_every_key_that_programs_rely_on() {
    let value = serde_json::to_value(run_result("20p20c-latency").summary).unwrap();
    for pointer in [
        "/scenario",
        "/target",
        "/verdict",
        "/reasons",
        "/duration_s",
        "/published",
        "/consumed",
        "/publish_rate",
        "/consume_rate",
        "/latency_us/p50",
        "/latency_us/p90",
        "/latency_us/p99",
        "/latency_us/p99_9",
        "/latency_us/max",
        "/latency_us/count",
        "/service_latency_us/p99",
        "/ledger/lost",
        "/ledger/duplicated",
        "/ledger/redelivered",
        "/ledger/reordered",
        "/ledger/corrupt",
        "/broker/rss_anon_bytes_max",
        "/broker/rss_file_bytes_max",
        "/broker/cpu_us_per_message",
        "/generator/cpu_us_per_message",
        "/generator/schedule_lag_us_p99",
        "/persistent",
        "/durable",
        "/cost/broker_cpu_us",
        "/cost/broker_written_bytes",
        "/cost/broker_voluntary_switches",
        "/cost/broker_anonymous_bytes",
        "/cost/generator_cpu_us",
        "/faults",
    ] {
        assert!(
            value.pointer(pointer).is_some_and(|found| !found.is_null()),
            "{pointer}"
        );
    }
    assert_eq!(
        value.pointer("/confirm_latency_us"),
        Some(&serde_json::Value::Null)
    );
    assert_eq!(value["verdict"], "pass");
    for unknown in ["/durability", "/confirm_window", "/ledger/confirmed_lost"] {
        assert_eq!(
            value.pointer(unknown),
            Some(&serde_json::Value::Null),
            "{unknown}"
        );
    }
}

#[test]
fn a_crash_is_reported_with_the_brokers_return() {
    let value = serde_json::to_value(run_result("crash").summary).unwrap();
    assert_eq!(value["verdict"], "pass", "{}", value["reasons"]);
    assert_eq!(value["ledger"]["confirmed_lost"], 0);
    assert_eq!(value["ledger"]["unconfirmed_lost"], 17);
    let kill = &value["faults"][0];
    assert_eq!(kill["kind"], "kill");
    assert_eq!(kill["ended_ms"], 120.0);
    assert_eq!(kill["first_confirm_ms"], 160.0);
    assert_eq!(kill["recovered"], 700);
}

#[test]
fn figures_follow_from_what_was_measured() {
    let summary = run_result("20p20c").summary;
    assert_eq!(summary.publish_rate, 1_600_000.0);
    let cpu_us = summary.broker.cpu_us_per_message.unwrap();
    assert!((cpu_us - 0.85 / 1.6).abs() < 0.01, "{cpu_us}");
    assert_eq!(summary.generator.schedule_lag_us_p99, None);
    assert_eq!(summary.generator.messages_per_write, Some(1_200.0));
    assert_eq!(summary.generator.ceiling_msgs_per_s, Some(2_000_000.0));
    assert_eq!(summary.generator.ceiling_share, Some(0.8));
}

#[test]
fn a_run_survives_its_file() {
    let run = run_result("crash");
    let directory = tempfile::tempdir().unwrap();
    run.write(directory.path()).unwrap();
    let read = RunResult::read(&directory.path().join("run.json")).unwrap();
    assert_eq!((&read.id, &read.summary.ledger), (&run.id, &run.summary.ledger));
    assert_eq!(read.summary.durability, run.summary.durability);
    assert_eq!(read.effective_scenario, run.effective_scenario);
    let histograms = read.histograms.decode().unwrap();
    assert_eq!(LatencyUs::of(&histograms.response), run.summary.latency_us);
    let mut damaged = read.histograms;
    damaged.service.truncate(20);
    let message = damaged.decode().unwrap_err().to_string();
    assert!(
        message.starts_with("the service histogram is damaged: "),
        "{message}"
    );
}

#[test]
fn runs_have_the_schema_that_is_committed() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/schema.json");
    let committed: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(
        committed,
        json_schema(),
        "loadgen schema run > results/schema.json"
    );
    for name in ["20p20c", "20p20c-latency", "crash"] {
        let mut run = serde_json::to_value(run_result(name)).unwrap();
        assert!(is_valid(&run, &committed, &committed), "{name}");
        run["summary"]["ledger"]["lost"] = serde_json::json!("many");
        assert!(!is_valid(&run, &committed, &committed), "{name}");
    }
}

#[test]
fn the_id_sorts_by_time_and_names_scenario_and_commit() {
    let run = run_result("fanout");
    let commit = run.environment.commit_short().replace('+', "-modified");
    assert!(run.id.ends_with(&format!("-fanout-{commit}")), "{}", run.id);
    assert_eq!(run.id.split('-').next().unwrap().len(), "20261123T220405Z".len());
}
