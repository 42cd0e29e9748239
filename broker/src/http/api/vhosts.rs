//! `/api/vhosts`.

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{check_name, gone, made};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::node_name;
use crate::observe::{QueueTotals, queue_views};
use crate::store::metadata::{PermissionRecord, VhostRecord};
use crate::vhost::VirtualHost;

/// Matches every name.
const EVERYTHING: &str = ".*";

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/vhosts", list)
        .get("/api/vhosts/{vhost}", show)
        .put("/api/vhosts/{vhost}", put)
        .delete("/api/vhosts/{vhost}", delete)
}

async fn list(session: Session, listing: Listing) -> Result<Json, Refusal> {
    let vhosts = session.visible_vhosts();
    listing.answer(vhosts, |vhost| vhost.name().to_owned(), render)
}

async fn show(session: Session, listing: Listing, Path(name): Path<String>) -> Result<Json, Refusal> {
    let vhost = session.visible(&name)?;
    Ok(Json(listing.selected(render(&vhost))))
}

async fn put(session: Session, Path(name): Path<String>, mut object: Object) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    check_name(&name)?;
    if object.flag("tracing", false)? {
        return Err(Refusal::bad_request("tracing: this broker traces nothing"));
    }
    let description = object.optional_text("description")?;
    let tags = object.0.tags("tags").map_err(Refusal::bad_request)?;
    let broker = &session.broker;
    if let Some(vhost) = broker.vhost(&name) {
        let mut record = vhost.record();
        record.description = description.unwrap_or(record.description);
        if !tags.is_empty() {
            record.tags = tags;
        }
        let ticket = broker.put_vhost(record);
        return made(&session, false, Some(ticket)).await;
    }
    let record = VhostRecord {
        name: name.clone(),
        description: description.unwrap_or_default(),
        tags,
        ..VhostRecord::default()
    };
    let created = broker.create_vhost(record);
    // Who makes a virtual host may work in it, as in RabbitMQ.
    let permission = PermissionRecord {
        vhost: name,
        user: session.user.name.clone(),
        configure: EVERYTHING.to_owned(),
        write: EVERYTHING.to_owned(),
        read: EVERYTHING.to_owned(),
    };
    let granted = broker.set_permission(permission).map_err(Refusal::bad_request)?;
    made(&session, created.is_some(), Some(granted)).await
}

async fn delete(session: Session, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    let ticket = session
        .broker
        .delete_vhost(&name)
        .ok_or_else(Refusal::not_found)?;
    gone(&session, Some(ticket)).await
}

fn render(vhost: &std::sync::Arc<VirtualHost>) -> Value {
    let record = vhost.record();
    let totals = QueueTotals::of(&queue_views(std::slice::from_ref(vhost)));
    json!({
        "name": record.name,
        "description": record.description,
        "tags": record.tags,
        "metadata": {"description": record.description, "tags": record.tags},
        "tracing": false,
        "cluster_state": {node_name(): "running"},
        "messages": totals.messages(),
        "messages_ready": totals.ready,
        "messages_unacknowledged": totals.unsettled,
    })
}
