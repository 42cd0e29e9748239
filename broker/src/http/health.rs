//! `/healthz`: the process answers. `/readyz`: clients can publish and consume.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::Json;
use super::stage::{Phase, Shared, Stage};

/// Always 200: whoever asks gets an answer, so the process is alive.
pub(super) async fn alive() -> Json {
    Json(json!({"status": "ok"}))
}

/// 200, or 503 with everything that stands in the way.
pub(super) async fn ready(State(shared): State<Shared>) -> (StatusCode, Json) {
    let reasons = obstacles(&shared);
    if reasons.is_empty() {
        return (StatusCode::OK, Json(json!({"status": "ok"})));
    }
    let reasons: Vec<Value> = reasons
        .into_iter()
        .map(|(check, reason)| json!({"check": check, "reason": reason}))
        .collect();
    let body = json!({"status": "failed", "reasons": reasons});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

/// Why clients cannot publish and consume as they should: name of the check, and a sentence.
pub(super) fn obstacles(stage: &Stage) -> Vec<(&'static str, String)> {
    let mut obstacles = Vec::new();
    match stage.phase() {
        Phase::Serving => {}
        Phase::Starting => obstacles.push((
            "started",
            "the broker is starting: it reads its data directory".to_owned(),
        )),
        Phase::Stopping => obstacles.push(("running", "the broker is stopping".to_owned())),
    }
    let Some(broker) = stage.opened() else {
        return obstacles;
    };
    if let Some(reason) = broker.store.poison_reason() {
        obstacles.push(("log", format!("the message log has failed: {reason}")));
    }
    if broker.store.has_alarm() {
        let limit = broker.config.disk_free_min;
        obstacles.push((
            "disk",
            format!("less than {limit} bytes are free on the disk: publishers wait"),
        ));
    }
    if broker.starved.any() {
        let budget = broker.pool.bytes_budget();
        obstacles.push((
            "memory",
            format!("the memory budget of {budget} bytes is spent: publishers wait"),
        ));
    }
    obstacles
}
