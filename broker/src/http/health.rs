//! `/healthz`: the process answers. `/readyz`: clients can publish and consume.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::Json;
use super::shared::Shared;

/// Always 200: whoever asks gets an answer, so the process is alive.
pub(super) async fn alive() -> Json {
    Json(json!({"status": "ok"}))
}

/// 200, or 503 with everything that stands in the way.
pub(super) async fn ready(State(shared): State<Shared>) -> (StatusCode, Json) {
    let reasons = shared.obstacles();
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
