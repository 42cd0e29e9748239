//! `/api/queues`: looking at queues, declaring, deleting and purging them.

use std::sync::Arc;

use axum::extract::{Path, Query};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{check_name, consumers, gone, made, rates};
use crate::auth::{Operation, Resource};
use crate::declare::{DeleteIf, check_queue_name, durability};
use crate::definitions::table_to_object;
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::node_name;
use crate::observe::{Earlier, QueueView, now_ms, queue_views};
use crate::queue::{Declaration, Queue, QueueKind};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/queues", list)
        .get("/api/queues/{vhost}", list)
        .get("/api/queues/{vhost}/{name}", show)
        .put("/api/queues/{vhost}/{name}", declare)
        .delete("/api/queues/{vhost}/{name}", delete)
        .delete("/api/queues/{vhost}/{name}/contents", purge)
}

#[derive(Debug, Default, Deserialize)]
struct DeleteQuery {
    #[serde(default, rename = "if-unused")]
    if_unused: bool,
    #[serde(default, rename = "if-empty")]
    if_empty: bool,
}

async fn list(session: Session, listing: Listing, vhost: Option<Path<String>>) -> Result<Json, Refusal> {
    let mut rows: Vec<(String, QueueView)> = Vec::new();
    for vhost in session.vhosts_of(vhost)? {
        let views = queue_views(std::slice::from_ref(&vhost));
        rows.extend(views.into_iter().map(|view| (vhost.name().to_owned(), view)));
    }
    rows.sort_by(|one, other| (&one.0, one.1.queue.name()).cmp(&(&other.0, other.1.queue.name())));
    let earlier = session.shared.sampler.earlier();
    listing.answer(
        rows,
        |row| row.1.queue.name().to_owned(),
        |(vhost, view)| render(vhost, view, earlier.as_ref()),
    )
}

async fn show(
    session: Session,
    listing: Listing,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Json, Refusal> {
    let vhost = session.visible(&vhost)?;
    let queue = vhost.topology.read().queue(&name).cloned();
    let queue = queue.ok_or_else(Refusal::not_found)?;
    let earlier = session.shared.sampler.earlier();
    let mut document = render(vhost.name(), &queue.view(), earlier.as_ref());
    let details: Vec<Value> = queue
        .consumers()
        .iter()
        .map(|consumer| consumers::render(&queue, consumer))
        .collect();
    document["consumer_details"] = details.into();
    Ok(Json(listing.selected(document)))
}

async fn declare(
    session: Session,
    Path((vhost, name)): Path<(String, String)>,
    mut object: Object,
) -> Result<StatusCode, Refusal> {
    let vhost = session.vhost(&vhost)?;
    let declaration = Declaration {
        durable: object.flag("durable", false)?,
        auto_delete: object.flag("auto_delete", false)?,
        owner: None,
        arguments: object.arguments()?,
    };
    let durability = durability(&declaration, session.broker.config.durability)?;
    session.check(&vhost, |access| {
        access.check_queue_declare(&name, &declaration.arguments)
    })?;
    check_name(&name)?;
    check_queue_name(&name)?;
    let declared = vhost.declare_queue(&session.broker.store, &name, declaration, durability, false)?;
    made(&session, declared.is_new, declared.ticket).await
}

async fn delete(
    session: Session,
    Path((vhost, name)): Path<(String, String)>,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, Refusal> {
    let vhost = session.vhost(&vhost)?;
    let queue = vhost.find_queue(&name, None)?;
    session.check(&vhost, |access| {
        access.check(Operation::Configure, Resource::Queue(&name))
    })?;
    let only = DeleteIf {
        unused: query.if_unused,
        empty: query.if_empty,
    };
    let deleted = vhost.delete_queue_if(&queue, only)?;
    for consumer in &deleted.consumers {
        let mut cancel = Vec::new();
        consumer.cancel(&mut cancel);
        consumer.link().outbound().pending.extend(cancel);
        consumer.link().flush();
    }
    gone(&session, deleted.ticket).await
}

async fn purge(session: Session, Path((vhost, name)): Path<(String, String)>) -> Result<StatusCode, Refusal> {
    let vhost = session.vhost(&vhost)?;
    let queue = vhost.find_queue(&name, None)?;
    session.check(&vhost, |access| {
        access.check(Operation::Read, Resource::Queue(&name))
    })?;
    queue.purge();
    gone(&session, None).await
}

fn render(vhost: &str, view: &QueueView, earlier: Option<&Earlier>) -> Value {
    let queue: &Arc<Queue> = &view.queue;
    let (declaration, options) = (queue.declaration(), queue.options());
    let then = earlier
        .and_then(|earlier| earlier.queue(queue.id()))
        .unwrap_or_default();
    let kind = match options.kind {
        QueueKind::Classic => "classic",
        QueueKind::Quorum => "quorum",
    };
    let utilisation = view.consumer_capacity();
    let rate =
        |then: u64, now: u64| json!({"rate": earlier.map_or(0.0, |earlier| earlier.change(then, now))});
    json!({
        "name": queue.name(),
        "vhost": vhost,
        "type": kind,
        "node": node_name(),
        "state": "running",
        "durable": declaration.durable,
        "auto_delete": declaration.auto_delete,
        "exclusive": declaration.owner.is_some(),
        "arguments": table_to_object(&declaration.arguments),
        "policy": null, "operator_policy": null, "effective_policy_definition": {},
        "messages": view.messages(),
        "messages_details": rate(then.messages(), view.messages()),
        "messages_ready": view.ready,
        "messages_ready_details": rate(then.ready, view.ready),
        "messages_unacknowledged": view.unsettled,
        "messages_unacknowledged_details": rate(then.unsettled, view.unsettled),
        "messages_ram": view.in_memory,
        "messages_paged_out": view.in_log_only,
        "message_bytes_ram": view.memory_bytes,
        "memory": view.held_bytes,
        "consumers": view.consumers,
        "consumer_capacity": utilisation,
        "consumer_utilisation": utilisation,
        "message_stats": rates::of_queue(earlier, &then, view),
        "broker": {
            "ring_fill": view.fill,
            "messages_dead": view.dead,
            "publishers_waiting": view.publishers_waiting,
            "unreadable": view.unreadable,
            "oldest_message_age_ms": view.oldest_ms.map(|ms| now_ms().saturating_sub(ms)),
            "durability": queue.log().durability().name(),
        },
    })
}
