//! `/api/definitions`: everything that is durable, out and in.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::Value;

use super::gone;
use crate::definitions::{self, Definitions};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Text;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::vhost::VirtualHost;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/definitions", export)
        .post("/api/definitions", import)
        .get("/api/definitions/{vhost}", export_vhost)
        .post("/api/definitions/{vhost}", import_vhost)
}

async fn export(session: Session) -> Result<Json, Refusal> {
    session.administrator()?;
    exported(&session, None)
}

async fn export_vhost(session: Session, Path(vhost): Path<String>) -> Result<Json, Refusal> {
    session.administrator()?;
    let vhost = session.vhost(&vhost)?;
    exported(&session, Some(vhost))
}

fn exported(session: &Session, vhost: Option<Arc<VirtualHost>>) -> Result<Json, Refusal> {
    let document = definitions::running(&session.broker, vhost);
    document
        .map(|(document, _)| Json(document))
        .map_err(|error| Refusal::bad_request(format!("{error:#}")))
}

async fn import(session: Session, Text(text): Text) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    apply(&session, text.parse().map_err(Refusal::bad_request)?).await
}

async fn import_vhost(
    session: Session,
    Path(vhost): Path<String>,
    Text(text): Text,
) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    session.vhost(&vhost)?;
    let mut document: Value = serde_json::from_str(&text)
        .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))?;
    if let Value::Object(lists) = &mut document {
        definitions::move_into(lists, &vhost);
    }
    apply(&session, Definitions::of(document).map_err(Refusal::bad_request)?).await
}

async fn apply(session: &Session, mut definitions: Definitions) -> Result<StatusCode, Refusal> {
    definitions.note_source("a request");
    let broker = Arc::clone(&session.broker);
    // Reads what is stored: not on the thread that answers.
    let applied = tokio::task::spawn_blocking(move || definitions::apply(&broker, &definitions)).await;
    match applied {
        Ok(Ok(())) => gone(session, Some(session.broker.store.ticket_last())).await,
        Ok(Err(error)) => Err(Refusal::bad_request(format!("{error:#}"))),
        Err(_) => Err(Refusal::unavailable("the import has failed")),
    }
}
