//! `/api/overview`, `/api/whoami`, `/api/cluster-name`.

use serde_json::{Value, json};

use super::rates;
use crate::http::answer::{Json, Refusal};
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::Node;
use crate::observe::{QueueTotals, links, overview, queue_views};
use crate::topology::ExchangeKind;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/overview", show)
        .get("/api/whoami", whoami)
        .get("/api/cluster-name", cluster_name)
}

async fn show(session: Session, listing: Listing) -> Result<Json, Refusal> {
    let broker = &session.broker;
    let node = Node::of(broker);
    let earlier = session.shared.sampler.earlier();
    let vhosts = session.visible_vhosts();
    let totals = QueueTotals::of(&queue_views(&vhosts));
    let exchanges: usize = vhosts
        .iter()
        .map(|vhost| vhost.topology.read().exchanges().count() + 1)
        .sum();
    let links: Vec<_> = vhosts.iter().flat_map(|vhost| links(vhost)).collect();
    let channels: usize = links.iter().map(|link| link.channels.len()).sum();
    let counts = overview(broker).counts;
    let (created, deleted) = broker.tallies.queues();
    let listeners = session.shared.listeners(&node.name);
    let mut document = json!({
        "management_version": node.product_version,
        "rates_mode": "basic",
        "product_name": node.product_name,
        "product_version": node.product_version,
        "rabbitmq_version": node.rabbitmq_version,
        "cluster_name": node.name,
        "node": node.name,
        "exchange_types": exchange_types(),
        "object_totals": {
            "connections": links.len(), "channels": channels, "exchanges": exchanges,
            "queues": totals.queues, "consumers": totals.consumers,
        },
        "queue_totals": {
            "messages": totals.messages(), "messages_ready": totals.ready,
            "messages_unacknowledged": totals.unsettled,
        },
        "message_stats": {},
        "churn_rates": {
            "connection_created": counts.connections_opened, "connection_closed": counts.connections_closed,
            "channel_created": counts.channels_opened, "channel_closed": counts.channels_closed,
            "queue_declared": counts.queues_declared, "queue_created": created, "queue_deleted": deleted,
        },
        "listeners": listeners,
        "contexts": [],
        "statistics_db_event_queue": 0,
    });
    // Of all virtual hosts together: for those who see them all.
    if session.is_monitor() {
        document["message_stats"] = rates::of_all(earlier.as_ref(), &counts);
    }
    Ok(Json(listing.selected(document)))
}

/// Every kind of exchange that can be declared.
pub(super) fn exchange_types() -> Vec<Value> {
    let kinds = [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
        ExchangeKind::ConsistentHash,
        ExchangeKind::Delayed,
    ];
    let kinds = kinds.iter();
    kinds
        .map(|kind| json!({"name": kind.name(), "description": "", "enabled": true}))
        .collect()
}

async fn whoami(session: Session) -> Json {
    Json(json!({"name": session.user.name, "tags": session.user.tags, "is_internal_user": true}))
}

async fn cluster_name(session: Session) -> Json {
    Json(json!({"name": Node::of(&session.broker).name}))
}
