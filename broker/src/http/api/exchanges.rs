//! `/api/exchanges`.

use axum::extract::{Path, Query};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{check_name, exchange_name, gone, made};
use crate::auth::{Operation, Resource};
use crate::definitions::table_to_object;
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::topology::ExchangeSpec;
use crate::vhost::VirtualHost;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/exchanges", list)
        .get("/api/exchanges/{vhost}", list)
        .get("/api/exchanges/{vhost}/{name}", show)
        .put("/api/exchanges/{vhost}/{name}", declare)
        .delete("/api/exchanges/{vhost}/{name}", delete)
}

#[derive(Debug, Default, Deserialize)]
struct DeleteQuery {
    #[serde(default, rename = "if-unused")]
    if_unused: bool,
}

async fn list(session: Session, listing: Listing, vhost: Option<Path<String>>) -> Result<Json, Refusal> {
    let mut rows = Vec::new();
    for vhost in session.vhosts_of(vhost)? {
        let topology = vhost.topology.read();
        rows.push((vhost.name().to_owned(), ExchangeSpec::default_exchange()));
        let specs = topology.exchanges().cloned();
        rows.extend(specs.map(|spec| (vhost.name().to_owned(), spec)));
    }
    rows.sort_by(|one, other| (&one.0, &one.1.name).cmp(&(&other.0, &other.1.name)));
    listing.answer(
        rows,
        |row| row.1.name.clone(),
        |(vhost, spec)| render(vhost, spec),
    )
}

async fn show(
    session: Session,
    listing: Listing,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Json, Refusal> {
    let vhost = session.visible(&vhost)?;
    let spec = find(&vhost, exchange_name(&name))?;
    Ok(Json(listing.selected(render(vhost.name(), &spec))))
}

/// The exchange of this name, the default one among them.
pub(super) fn find(vhost: &VirtualHost, name: &str) -> Result<ExchangeSpec, Refusal> {
    if name.is_empty() {
        return Ok(ExchangeSpec::default_exchange());
    }
    let topology = vhost.topology.read();
    topology
        .exchange_spec(name)
        .cloned()
        .ok_or_else(Refusal::not_found)
}

async fn declare(
    session: Session,
    Path((vhost, name)): Path<(String, String)>,
    mut object: Object,
) -> Result<StatusCode, Refusal> {
    let vhost = session.vhost(&vhost)?;
    check_name(&name)?;
    let kind = object.text("type")?;
    let spec = ExchangeSpec {
        name: exchange_name(&name).to_owned(),
        kind: kind.parse()?,
        durable: object.flag("durable", false)?,
        auto_delete: object.flag("auto_delete", false)?,
        internal: object.flag("internal", false)?,
        arguments: object.arguments()?,
    };
    session.check(&vhost, |access| access.check_exchange_declare(&spec))?;
    let is_new = vhost.topology.read().exchange_spec(&spec.name).is_none();
    let (declared, ticket) = vhost.change_topology(|topology| topology.declare_exchange(spec));
    declared?;
    made(&session, is_new, ticket).await
}

async fn delete(
    session: Session,
    Path((vhost, name)): Path<(String, String)>,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, Refusal> {
    let vhost = session.vhost(&vhost)?;
    let name = exchange_name(&name);
    find(&vhost, name)?;
    session.check(&vhost, |access| {
        access.check(Operation::Configure, Resource::Exchange(name))
    })?;
    let (deleted, ticket) = vhost.change_topology(|topology| topology.delete_exchange(name, query.if_unused));
    deleted?;
    gone(&session, ticket).await
}

fn render(vhost: &str, spec: &ExchangeSpec) -> Value {
    json!({
        "name": spec.name,
        "vhost": vhost,
        "type": spec.kind.name(),
        "durable": spec.durable,
        "auto_delete": spec.auto_delete,
        "internal": spec.internal,
        "arguments": table_to_object(&spec.arguments),
        "policy": null,
    })
}
