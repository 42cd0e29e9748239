//! `/api/bindings`, and the bindings of an exchange or a queue.
//!
//! A binding is named by its ends and a `properties_key`: the routing key, percent-encoded (`~` for an empty one), and behind a `~` a
//! hash of its arguments, if it has any. The hash is this broker's own; clients only hand it back.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wire::FieldTable;

use super::{exchange_name, gone, stored};
use crate::auth::Resource;
use crate::definitions::table_to_object;
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::topology::{BindingSpec, BindingsOf, DestinationName};
use crate::vhost::VirtualHost;

/// Bytes of the hash of arguments that are shown.
const HASH_BYTES: usize = 12;

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/bindings", list)
        .get("/api/bindings/{vhost}", list)
        .get("/api/bindings/{vhost}/e/{source}/{kind}/{destination}", between)
        .post("/api/bindings/{vhost}/e/{source}/{kind}/{destination}", bind)
        .get(
            "/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{props}",
            show,
        )
        .delete(
            "/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{props}",
            unbind,
        )
        .get("/api/exchanges/{vhost}/{name}/bindings/source", from_exchange)
        .get("/api/exchanges/{vhost}/{name}/bindings/destination", to_exchange)
        .get("/api/queues/{vhost}/{name}/bindings", of_queue)
}

/// Path of two ends: virtual host, source, `q` or `e`, destination.
type Ends = (String, String, String, String);
/// With the properties key.
type Named = (String, String, String, String, String);

async fn list(session: Session, listing: Listing, vhost: Option<Path<String>>) -> Result<Json, Refusal> {
    let mut rows = Vec::new();
    for vhost in session.vhosts_of(vhost)? {
        let of_vhost = all(&vhost, BindingsOf::All);
        rows.extend(of_vhost.into_iter().map(|spec| (vhost.name().to_owned(), spec)));
    }
    answer(&listing, rows)
}

fn answer(listing: &Listing, mut rows: Vec<(String, BindingSpec)>) -> Result<Json, Refusal> {
    rows.sort_by_cached_key(|(vhost, spec)| {
        let (kind, destination) = split(&spec.destination);
        (
            vhost.clone(),
            spec.source.clone(),
            kind,
            destination.to_owned(),
            spec.key.clone(),
        )
    });
    listing.answer(rows, |row| row.1.key.clone(), |(vhost, spec)| render(vhost, spec))
}

/// Bindings, those of the default exchange among them: each queue has one with its name as the key.
fn all(vhost: &VirtualHost, of: BindingsOf<'_>) -> Vec<BindingSpec> {
    let topology = vhost.topology.read();
    let mut specs = topology.bindings(of);
    let implied = |name: &str| BindingSpec {
        source: String::new(),
        destination: DestinationName::Queue(name.to_owned()),
        key: name.to_owned(),
        arguments: FieldTable::new(),
    };
    match of {
        BindingsOf::All | BindingsOf::Source("") => {
            specs.extend(topology.queues().map(|queue| implied(queue.name())));
        }
        BindingsOf::ToQueue(name) if topology.queue(name).is_some() => specs.push(implied(name)),
        _ => {}
    }
    specs
}

async fn from_exchange(
    session: Session,
    listing: Listing,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Json, Refusal> {
    let vhost = session.visible(&vhost)?;
    let name = exchange_name(&name);
    super::exchanges::find(&vhost, name)?;
    of(&listing, &vhost, BindingsOf::Source(name))
}

async fn to_exchange(
    session: Session,
    listing: Listing,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Json, Refusal> {
    let vhost = session.visible(&vhost)?;
    let name = exchange_name(&name);
    super::exchanges::find(&vhost, name)?;
    of(&listing, &vhost, BindingsOf::ToExchange(name))
}

async fn of_queue(
    session: Session,
    listing: Listing,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Json, Refusal> {
    let vhost = session.visible(&vhost)?;
    if vhost.topology.read().queue(&name).is_none() {
        return Err(Refusal::not_found());
    }
    of(&listing, &vhost, BindingsOf::ToQueue(&name))
}

fn of(listing: &Listing, vhost: &VirtualHost, of: BindingsOf<'_>) -> Result<Json, Refusal> {
    let specs = all(vhost, of).into_iter();
    answer(
        listing,
        specs.map(|spec| (vhost.name().to_owned(), spec)).collect(),
    )
}

async fn between(session: Session, listing: Listing, Path(ends): Path<Ends>) -> Result<Json, Refusal> {
    let vhost = session.visible(&ends.0)?;
    let specs = specs_between(&vhost, &ends)?.into_iter();
    answer(
        &listing,
        specs.map(|spec| (vhost.name().to_owned(), spec)).collect(),
    )
}

fn specs_between(
    vhost: &VirtualHost,
    (_, source, kind, destination): &Ends,
) -> Result<Vec<BindingSpec>, Refusal> {
    let source = exchange_name(source);
    let wanted = destination_of(kind, destination)?;
    let mut specs = all(
        vhost,
        match &wanted {
            DestinationName::Queue(name) => BindingsOf::ToQueue(name),
            DestinationName::Exchange(name) => BindingsOf::ToExchange(name),
        },
    );
    specs.retain(|spec| spec.source == source);
    Ok(specs)
}

fn destination_of(kind: &str, name: &str) -> Result<DestinationName, Refusal> {
    match kind {
        "q" => Ok(DestinationName::Queue(name.to_owned())),
        "e" => Ok(DestinationName::Exchange(exchange_name(name).to_owned())),
        _ => Err(Refusal::not_found()),
    }
}

fn find(
    vhost: &VirtualHost,
    (name, source, kind, destination, props): Named,
) -> Result<BindingSpec, Refusal> {
    let ends = (name, source, kind, destination);
    let specs = specs_between(vhost, &ends)?;
    let found = specs.into_iter().find(|spec| properties_key(spec) == props);
    found.ok_or_else(Refusal::not_found)
}

async fn show(session: Session, Path(named): Path<Named>) -> Result<Json, Refusal> {
    let vhost = session.visible(&named.0)?;
    let spec = find(&vhost, named)?;
    Ok(Json(render(vhost.name(), &spec)))
}

async fn bind(session: Session, Path(ends): Path<Ends>, mut object: Object) -> Result<Response, Refusal> {
    let vhost = session.vhost(&ends.0)?;
    let (source, destination) = (
        exchange_name(&ends.1).to_owned(),
        destination_of(&ends.2, &ends.3)?,
    );
    let key = object.optional_text("routing_key")?.unwrap_or_default();
    if key.len() > 255 {
        return Err(Refusal::bad_request("routing_key: longer than 255 bytes"));
    }
    let arguments = object.arguments()?;
    let spec = BindingSpec {
        source,
        destination,
        key,
        arguments,
    };
    check(&session, &vhost, &spec)?;
    let (bound, ticket) = vhost.change_topology(|topology| match &spec.destination {
        DestinationName::Queue(name) => topology.bind_queue(name, &spec.source, &spec.key, &spec.arguments),
        DestinationName::Exchange(name) => {
            topology.bind_exchange(name, &spec.source, &spec.key, &spec.arguments)
        }
    });
    bound?;
    stored(&session, ticket).await?;
    // Relative to the path of the request, as in RabbitMQ.
    let location = format!("{}/{}", quoted(&ends.3), quoted(&properties_key(&spec)));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

async fn unbind(session: Session, Path(named): Path<Named>) -> Result<StatusCode, Refusal> {
    let vhost = session.vhost(&named.0)?;
    let spec = find(&vhost, named)?;
    check(&session, &vhost, &spec)?;
    let (unbound, ticket) = vhost.change_topology(|topology| match &spec.destination {
        DestinationName::Queue(name) => topology.unbind_queue(name, &spec.source, &spec.key, &spec.arguments),
        DestinationName::Exchange(name) => {
            topology.unbind_exchange(name, &spec.source, &spec.key, &spec.arguments)
        }
    });
    unbound?;
    gone(&session, ticket).await
}

/// What a client that does the same must be allowed.
fn check(session: &Session, vhost: &VirtualHost, spec: &BindingSpec) -> Result<(), Refusal> {
    let destination = match &spec.destination {
        DestinationName::Queue(name) => {
            vhost.find_queue(name, None)?;
            Resource::Queue(name)
        }
        DestinationName::Exchange(name) => Resource::Exchange(name),
    };
    session.check(vhost, |access| {
        access.check_binding(&spec.source, destination, &spec.key)
    })
}

fn split(destination: &DestinationName) -> (&'static str, &str) {
    match destination {
        DestinationName::Queue(name) => ("queue", name),
        DestinationName::Exchange(name) => ("exchange", name),
    }
}

fn render(vhost: &str, spec: &BindingSpec) -> Value {
    let (kind, destination) = split(&spec.destination);
    json!({
        "source": spec.source,
        "vhost": vhost,
        "destination": destination,
        "destination_type": kind,
        "routing_key": spec.key,
        "arguments": table_to_object(&spec.arguments),
        "properties_key": properties_key(spec),
    })
}

/// See the module documentation.
fn properties_key(spec: &BindingSpec) -> String {
    let key = quoted(&spec.key);
    if spec.arguments.iter().next().is_none() {
        return if key.is_empty() { "~".to_owned() } else { key };
    }
    let digest = Sha256::digest(spec.arguments.to_bytes());
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest[..HASH_BYTES]);
    format!("{key}~{hash}")
}

/// Percent-encoded, but for letters, digits, `-`, `_` and `.`.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_properties_key_tells_bindings_of_the_same_ends_apart() {
        let key = |key: &str, arguments: &[(&str, &str)]| {
            let mut table = FieldTable::new();
            for &(name, value) in arguments {
                table.insert(name, value);
            }
            properties_key(&BindingSpec {
                source: "x".to_owned(),
                destination: DestinationName::Queue("q".to_owned()),
                key: key.to_owned(),
                arguments: table,
            })
        };
        assert_eq!(key("", &[]), "~");
        assert_eq!(key("a.#/~ b", &[]), "a.%23%2F%7E%20b");
        let hashed = key("k", &[("a", "1")]);
        assert!(hashed.starts_with("k~") && hashed.len() == 2 + 16, "{hashed}");
        assert_ne!(hashed, key("k", &[("a", "2")]));
    }
}
