//! What people look at: the status page, the description of the API, and the dashboard over the metrics.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::http::Http;
use support::{BrokerProcess, Client};

const DASHBOARD: &str = include_str!("../dashboards/broker.json");

fn start() -> (BrokerProcess, Http) {
    let broker = BrokerProcess::start(&[
        "--management-listen=127.0.0.1:0",
        "--offset-checkpoint-interval=100ms",
    ]);
    let http = Http::anonymous(&broker);
    (broker, http)
}

/// The names of metrics in an expression.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| word.starts_with("rabbitmq_") || word.starts_with("broker_");
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn every_metric_of_the_dashboard_is_exported() {
    let (broker, http) = start();
    Client::connect(&broker).declare(1, "q");
    let metrics = support::wait_for("a round of checkpoints", || {
        let metrics = http.get("/metrics");
        metrics
            .metric("broker_checkpoint_age_seconds")
            .is_some()
            .then_some(metrics)
    });
    let exported: BTreeSet<&str> = metrics
        .body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut named = metrics_in(dashboard["templating"]["list"][2]["query"].as_str().unwrap());
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            let found = metrics_in(target["expr"].as_str().unwrap());
            assert!(!found.is_empty(), "{target}");
            named.extend(found);
        }
    }
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !exported.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
}

#[test]
fn the_page_is_one_document_that_loads_nothing_from_elsewhere() {
    let (_broker, http) = start();
    let page = http.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for foreign in ["src=\"", "href=\"http", "@import", "url("] {
        assert!(!page.body.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_api_describes_itself() {
    let (_broker, http) = start();
    let document = http.json("/api/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let queue = &document["paths"]["/api/queues/{vhost}/{name}"];
    assert_eq!(
        queue["put"]["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Queue"
    );
    assert_eq!(queue["get"]["parameters"][1]["name"], "name");
    // What it says of passwords is so.
    for (path, item) in document["paths"].as_object().unwrap() {
        if path.contains('{') || item["get"].is_null() {
            continue;
        }
        let is_open = item["get"]["security"] == serde_json::json!([]);
        assert_eq!(http.get(path).status == 401, !is_open, "{path}");
    }
}
