//! What RabbitMQ has and this broker has not: lists of it are empty, there is none of any name, and it cannot be made.

use axum::extract::Path;
use serde_json::json;

use crate::http::answer::{Json, Refusal};
use crate::http::login::Session;
use crate::http::routes::Routes;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/policies", none)
        .get("/api/policies/{vhost}", none_in)
        .get("/api/policies/{vhost}/{name}", missing)
        .put("/api/policies/{vhost}/{name}", refuse)
        .delete("/api/policies/{vhost}/{name}", missing)
        .get("/api/operator-policies", none)
        .get("/api/operator-policies/{vhost}", none_in)
        .get("/api/operator-policies/{vhost}/{name}", missing)
        .put("/api/operator-policies/{vhost}/{name}", refuse)
        .delete("/api/operator-policies/{vhost}/{name}", missing)
        .get("/api/parameters", none)
        .get("/api/parameters/{component}", none)
        .get("/api/parameters/{component}/{vhost}", none_of_component)
        .get("/api/parameters/{component}/{vhost}/{name}", missing)
        .put("/api/parameters/{component}/{vhost}/{name}", refuse_parameter)
        .delete("/api/parameters/{component}/{vhost}/{name}", missing)
        .get("/api/global-parameters", none)
        .get("/api/global-parameters/{name}", missing)
        .get("/api/feature-flags", none)
        .get("/api/extensions", none)
}

async fn none(_: Session) -> Json {
    Json(json!([]))
}

async fn none_in(session: Session, Path(vhost): Path<String>) -> Result<Json, Refusal> {
    session.visible(&vhost)?;
    Ok(Json(json!([])))
}

async fn none_of_component(
    session: Session,
    Path((_, vhost)): Path<(String, String)>,
) -> Result<Json, Refusal> {
    none_in(session, Path(vhost)).await
}

async fn missing(_: Session) -> Refusal {
    Refusal::not_found()
}

async fn refuse(_: Session, Path(_): Path<(String, String)>) -> Refusal {
    Refusal::bad_request(
        "policies are not supported by this broker; give queues and exchanges arguments instead",
    )
}

async fn refuse_parameter(_: Session, Path((component, _, _)): Path<(String, String, String)>) -> Refusal {
    Refusal::bad_request(format!("component '{component}' is not supported by this broker"))
}
