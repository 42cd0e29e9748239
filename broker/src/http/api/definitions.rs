//! `/api/definitions`: everything that is durable, out and in.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::gone;
use crate::definitions::{self, Definitions};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Text;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::Node;

/// What a virtual host has of its own.
const OF_VHOST: [&str; 5] = ["parameters", "policies", "exchanges", "queues", "bindings"];

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/definitions", export)
        .post("/api/definitions", import)
        .get("/api/definitions/{vhost}", export_vhost)
        .post("/api/definitions/{vhost}", import_vhost)
}

async fn export(session: Session) -> Result<Json, Refusal> {
    session.administrator()?;
    let entities = definitions::live(&session.broker, &session.broker.vhosts());
    let mut all = session.broker.users.records();
    all.extend(entities);
    Ok(Json(with_versions(&session, document(all)?)))
}

async fn export_vhost(session: Session, Path(vhost): Path<String>) -> Result<Json, Refusal> {
    let vhost = session.vhost(&vhost)?;
    let mut lists = document(definitions::live(&session.broker, &[vhost]))?;
    lists.retain(|name, _| OF_VHOST.contains(&name.as_str()));
    for list in lists.values_mut() {
        for object in list.as_array_mut().into_iter().flatten() {
            if let Value::Object(object) = object {
                object.shift_remove("vhost");
            }
        }
    }
    Ok(Json(with_versions(&session, lists)))
}

fn document(entities: Vec<crate::store::metadata::Entity>) -> Result<Map<String, Value>, Refusal> {
    match definitions::document(entities) {
        Ok(Value::Object(lists)) => Ok(lists),
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(Refusal::bad_request(format!("{error:#}"))),
    }
}

fn with_versions(session: &Session, lists: Map<String, Value>) -> Value {
    let node = Node::of(&session.broker);
    let mut out = Map::new();
    out.insert("rabbit_version".to_owned(), node.rabbitmq_version.clone().into());
    out.insert("rabbitmq_version".to_owned(), node.rabbitmq_version.into());
    out.insert("product_name".to_owned(), node.product_name.into());
    out.insert("product_version".to_owned(), node.product_version.into());
    out.extend(lists);
    out.into()
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
        for (name, list) in lists {
            if !OF_VHOST.contains(&name.as_str()) {
                continue;
            }
            for object in list.as_array_mut().into_iter().flatten() {
                if let Value::Object(object) = object {
                    object.insert("vhost".to_owned(), vhost.clone().into());
                }
            }
        }
    }
    apply(
        &session,
        document.to_string().parse().map_err(Refusal::bad_request)?,
    )
    .await
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
