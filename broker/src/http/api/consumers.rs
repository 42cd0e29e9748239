//! `/api/consumers`.

use std::sync::Arc;

use axum::extract::Path;
use serde_json::{Value, json};

use crate::http::answer::{Json, Refusal};
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::node_name;
use crate::observe::{ConsumerView, Opened, consumers};
use crate::queue::Queue;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/consumers", list)
        .get("/api/consumers/{vhost}", list)
}

async fn list(session: Session, listing: Listing, vhost: Option<Path<String>>) -> Result<Json, Refusal> {
    let vhosts = session.vhosts_of(vhost)?;
    let mut rows: Vec<_> = vhosts.iter().flat_map(|vhost| consumers(vhost)).collect();
    rows.sort_by(|one, other| (one.0.name(), &one.1.tag).cmp(&(other.0.name(), &other.1.tag)));
    listing.answer(
        rows,
        |row| row.1.tag.clone(),
        |(queue, consumer)| render(queue, consumer),
    )
}

/// One of them.
pub(super) fn render(queue: &Arc<Queue>, consumer: &ConsumerView) -> Value {
    let opened = consumer.link.observed().opened();
    let connection = opened.map(Opened::name).unwrap_or_default();
    let arguments = match consumer.priority {
        0 => json!({}),
        priority => json!({"x-priority": priority}),
    };
    json!({
        "queue": {"name": queue.name(), "vhost": queue.vhost().map(|vhost| vhost.name().to_owned())},
        "consumer_tag": consumer.tag,
        "ack_required": consumer.acknowledges,
        "exclusive": consumer.exclusive,
        "prefetch_count": consumer.prefetch,
        "active": consumer.active,
        "activity_status": if consumer.active { "up" } else { "waiting" },
        "arguments": arguments,
        "channel_details": {
            "name": format!("{connection} ({})", consumer.channel),
            "number": consumer.channel,
            "connection_name": connection,
            "node": node_name(),
            "peer_host": opened.map(|opened| opened.peer.host()),
            "peer_port": opened.and_then(|opened| opened.peer.port()),
            "user": opened.map(|opened| &opened.user),
        },
    })
}
