//! `/api/connections`: who is connected, and to send them away.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::rates::Stats;
use crate::connection::Link;
use crate::definitions::table_to_object;
use crate::http::answer::{Json, Refusal};
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::node_name;
use crate::observe::{LinkView, Opened};
use crate::vhost::VirtualHost;

/// Why a connection is closed when nobody says so.
const REASON: &str = "Closed via management plugin";
/// Longest reason that is passed on.
const REASON_BYTES_MAX: usize = 200;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/connections", list)
        .get("/api/vhosts/{vhost}/connections", list)
        .get("/api/connections/{name}", show)
        .delete("/api/connections/{name}", close)
        .get("/api/connections/username/{user}", list_of_user)
        .delete("/api/connections/username/{user}", close_of_user)
}

/// The connections that a user sees: monitors all, others their own; by name.
pub(super) fn visible(session: &Session, vhosts: &[Arc<VirtualHost>]) -> Vec<LinkView> {
    let mut views: Vec<LinkView> = links(session, vhosts)
        .iter()
        .map(|link| LinkView::of(link))
        .collect();
    views.sort_by_cached_key(|view| view.observed.opened().map(Opened::name));
    views
}

fn links(session: &Session, vhosts: &[Arc<VirtualHost>]) -> Vec<Arc<Link>> {
    let is_visible = |link: &Arc<Link>| {
        let opened = link.observed().opened();
        opened.is_some_and(|opened| session.is_monitor() || opened.user == session.user.name)
    };
    vhosts
        .iter()
        .flat_map(|vhost| vhost.links())
        .filter(is_visible)
        .collect()
}

async fn list(session: Session, listing: Listing, vhost: Option<Path<String>>) -> Result<Json, Refusal> {
    let views = visible(&session, &session.vhosts_of(vhost)?);
    answer(&session, &listing, views)
}

async fn list_of_user(session: Session, listing: Listing, Path(user): Path<String>) -> Result<Json, Refusal> {
    let mut views = visible(&session, &session.visible_vhosts());
    views.retain(|view| view.observed.opened().is_some_and(|opened| opened.user == user));
    answer(&session, &listing, views)
}

fn answer(session: &Session, listing: &Listing, views: Vec<LinkView>) -> Result<Json, Refusal> {
    let name = |view: &LinkView| view.observed.opened().map(Opened::name).unwrap_or_default();
    listing.answer(views, name, |view| render(session, view))
}

async fn show(session: Session, listing: Listing, Path(name): Path<String>) -> Result<Json, Refusal> {
    let link = find(&session, &name)?;
    Ok(Json(listing.selected(render(&session, &LinkView::of(&link)))))
}

/// The connection of this name, if the user sees it.
pub(super) fn find(session: &Session, name: &str) -> Result<Arc<Link>, Refusal> {
    // Whoever may see a connection may see it wherever it is.
    let all = links(session, &session.broker.vhosts());
    let is_it = |link: &Arc<Link>| {
        link.observed()
            .opened()
            .is_some_and(|opened| opened.name() == name)
    };
    all.into_iter().find(is_it).ok_or_else(Refusal::not_found)
}

async fn close(
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    let link = find(&session, &name)?;
    let is_own = link
        .observed()
        .opened()
        .is_some_and(|opened| opened.user == session.user.name);
    if !is_own && !session.is_administrator() {
        return Err(Refusal::not_authorised("User not authorised to access object"));
    }
    link.force_close(&reason(&headers));
    Ok(StatusCode::NO_CONTENT)
}

async fn close_of_user(
    session: Session,
    headers: HeaderMap,
    Path(user): Path<String>,
) -> Result<StatusCode, Refusal> {
    if user != session.user.name {
        session.administrator()?;
    }
    for link in links(&session, &session.broker.vhosts()) {
        if link.observed().opened().is_some_and(|opened| opened.user == user) {
            link.force_close(&reason(&headers));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

fn reason(headers: &HeaderMap) -> String {
    let given = headers
        .get("x-reason")
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut reason = given.map_or_else(|| REASON.to_owned(), |reason| reason.into_owned());
    while reason.len() > REASON_BYTES_MAX {
        reason.pop();
    }
    reason
}

fn render(session: &Session, view: &LinkView) -> Value {
    let Some(opened) = view.observed.opened() else {
        return Value::Null;
    };
    let earlier = session.shared.sampler.earlier();
    let then = earlier.as_ref().and_then(|earlier| earlier.link(view.id));
    let (in_then, out_then) = then.map_or((0, 0), |then| (then.bytes_in, then.bytes_out));
    let bytes_in = view.observed.bytes_in.get();
    let rates = Stats::new(earlier.as_ref())
        .add("recv_oct", in_then, bytes_in)
        .add("send_oct", out_then, view.bytes_out)
        .into_value();
    let properties = &opened.client.properties;
    let mut document = json!({
        "name": opened.name(),
        "node": node_name(),
        "type": "network",
        "protocol": "AMQP 0-9-1",
        "state": view.observed.state().name(),
        "user": opened.user,
        "user_who_performed_action": opened.user,
        "vhost": opened.vhost,
        "auth_mechanism": opened.client.mechanism,
        "client_properties": table_to_object(properties),
        "user_provided_name": properties.get("connection_name").and_then(|name| name.as_str()),
        "connected_at": opened.opened_ms,
        "host": opened.local.host(), "port": opened.local.port(),
        "peer_host": opened.peer.host(), "peer_port": opened.peer.port(),
        "ssl": opened.encryption.is_some(),
        "ssl_protocol": opened.encryption.as_ref().map(|tls| &tls.version),
        "ssl_cipher": opened.encryption.as_ref().map(|tls| &tls.cipher),
        "channel_max": opened.channel_max, "frame_max": opened.frame_max, "timeout": opened.heartbeat_s,
        "channels": view.channels.len(),
        "recv_cnt": view.observed.reads.get(), "send_cnt": view.writes, "send_pend": view.pending_bytes,
        "unacked_bytes": view.unacked_bytes,
    });
    if let (Value::Object(document), Value::Object(rates)) = (&mut document, rates) {
        document.extend(rates);
    }
    document
}
