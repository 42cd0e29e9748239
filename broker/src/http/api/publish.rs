//! `POST /api/exchanges/{vhost}/{name}/publish`: one message, answered when it is as safe as a confirm says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Path;
use base64::Engine as _;
use ring::Offset;
use serde_json::json;

use super::exchange_name;
use super::properties::Properties;
use crate::auth::{Operation, Resource};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::observe::now_ms;
use crate::queue::{Placed, Publisher, Queue};
use crate::record::{Content, RecordFields, join_names};
use crate::vhost::VirtualHost;

/// How long a message may wait for room, and for its confirm.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often that is looked at.
const POLL: Duration = Duration::from_millis(2);
/// Users with this tag may publish in the name of others.
const IMPERSONATOR: &str = "impersonator";

pub(super) fn add(routes: Routes) -> Routes {
    routes.post("/api/exchanges/{vhost}/{name}/publish", publish)
}

async fn publish(
    session: Session,
    Path((vhost, exchange)): Path<(String, String)>,
    mut object: Object,
) -> Result<Json, Refusal> {
    let vhost = session.vhost(&vhost)?;
    let exchange = exchange_name(&exchange);
    if !exchange.is_empty() && vhost.topology.read().exchange_spec(exchange).is_none() {
        return Err(Refusal::not_found());
    }
    let routing_key = object.name("routing_key")?;
    let body = payload(&session, &mut object)?;
    let fields = object.0.object("properties").map_err(Refusal::bad_request)?;
    let mut properties = Properties::read(fields).map_err(Refusal::bad_request)?;
    check_properties(&session, &properties)?;
    let mut keys = vec![routing_key.clone()];
    keys.extend(further_keys(&mut properties));
    session.check(&vhost, |access| {
        access.check(Operation::Write, Resource::Exchange(exchange))?;
        let mut keys = keys.iter();
        keys.try_for_each(|key| access.check_topic(Operation::Write, exchange, key))
    })?;
    let message = Message {
        names: join_names(exchange, &routing_key),
        frames: frames(&properties, &body),
    };
    let queues = route(&vhost, exchange, &keys, &properties)?;
    let counts = &session.broker.tallies.http;
    counts.received.add(1);
    counts.received_confirm.add(1);
    counts.routed.add(queues.len() as u64);
    if queues.is_empty() {
        // As if it had been mandatory.
        counts.unroutable_returned.add(1);
        return Ok(Json(json!({"routed": false})));
    }
    let alarms = &session.broker.alarms;
    if alarms.stops_publishers()
        && let Some(reason) = alarms.reason()
    {
        return Err(Refusal::unavailable(format!("{reason}: nothing is published")));
    }
    let deadline = Instant::now() + DEADLINE;
    let mut placed = Vec::new();
    for queue in &queues {
        placed.push((queue, message.place(queue, deadline).await?));
    }
    for (queue, next) in placed {
        await_kept(&session, queue, next, deadline).await?;
    }
    counts.confirmed.add(1);
    Ok(Json(json!({"routed": true})))
}

fn payload(session: &Session, object: &mut Object) -> Result<Vec<u8>, Refusal> {
    let text = object.text("payload")?;
    let encoding = object.optional_text("payload_encoding")?;
    let body = match encoding.as_deref() {
        None | Some("string") => text.into_bytes(),
        Some("base64") => base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .map_err(|error| Refusal::bad_request(format!("payload: no base64: {error}")))?,
        Some(other) => {
            let reason = format!("payload_encoding: expected string or base64, found '{other}'");
            return Err(Refusal::bad_request(reason));
        }
    };
    let max = session.broker.config.message_bytes_max;
    if body.len() as u64 > max {
        let reason = format!(
            "payload: {} bytes are more than the {max} that are allowed",
            body.len()
        );
        return Err(Refusal::bad_request(reason));
    }
    Ok(body)
}

fn check_properties(session: &Session, properties: &Properties) -> Result<(), Refusal> {
    let user = &session.user;
    if let Some(claimed) = properties.text("user_id")
        && claimed != user.name
        && !user.tags.iter().any(|tag| tag == IMPERSONATOR)
    {
        let reason = format!(
            "properties.user_id: set to '{claimed}' but authenticated user was '{}'",
            user.name
        );
        return Err(Refusal::bad_request(reason));
    }
    match properties.text("expiration") {
        Some(text) if text.parse::<u64>().is_err() => {
            let reason = format!("properties.expiration: expected milliseconds as digits, found '{text}'");
            Err(Refusal::bad_request(reason))
        }
        _ => Ok(()),
    }
}

/// The routing keys in the headers `CC` and `BCC`; nobody sees the latter.
fn further_keys(properties: &mut Properties) -> Vec<String> {
    let Some(mut headers) = properties.headers.clone() else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    for name in ["CC", "BCC"] {
        if let Some(wire::FieldValue::Array(values)) = headers.get(name) {
            keys.extend(
                values
                    .iter()
                    .filter_map(|value| value.as_str())
                    .map(str::to_owned),
            );
        }
    }
    headers.remove("BCC");
    properties.set_headers(headers);
    keys
}

fn route(
    vhost: &VirtualHost,
    exchange: &str,
    keys: &[String],
    properties: &Properties,
) -> Result<Vec<Arc<Queue>>, Refusal> {
    let topology = vhost.topology.read();
    let mut queues: Vec<Arc<Queue>> = Vec::new();
    for key in keys {
        for queue in topology.route(exchange, key, &properties.basic())? {
            if !queues.iter().any(|known| Arc::ptr_eq(known, &queue)) {
                queues.push(queue);
            }
        }
    }
    Ok(queues)
}

/// Header frame and body frame, and the size of the header.
fn frames(properties: &Properties, body: &[u8]) -> (Vec<u8>, usize) {
    let mut header = Vec::new();
    wire::encode_content_header(&mut header, 0, body.len() as u64, &properties.basic());
    let header = &header[wire::FRAME_HEADER_SIZE..header.len() - 1];
    let mut frames = Vec::new();
    Content::build(&mut frames, header, body);
    (frames, header.len())
}

struct Message {
    names: Vec<u8>,
    frames: (Vec<u8>, usize),
}

impl Message {
    /// Puts it into a queue, once there is room; the offset behind it.
    async fn place(&self, queue: &Arc<Queue>, deadline: Instant) -> Result<Offset, Refusal> {
        let (frames, header_len) = &self.frames;
        loop {
            let content = Content::from_frames(frames, *header_len);
            let fields = RecordFields::new(now_ms(), &self.names, content);
            let published = queue.publish(std::iter::once(fields), Publisher::Caller, true, None);
            queue.dispatch_at_home();
            if !published.refused.is_empty() {
                return Err(Refusal::bad_request(
                    "Unable to publish message. Check queue limits.",
                ));
            }
            match published.placed {
                Placed::All => return Ok(published.next),
                Placed::First(_) if Instant::now() > deadline => {
                    let reason = format!("queue '{}' has no room", queue.name());
                    return Err(Refusal::unavailable(reason));
                }
                Placed::First(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}

async fn await_kept(
    session: &Session,
    queue: &Queue,
    next: Offset,
    deadline: Instant,
) -> Result<(), Refusal> {
    while queue.keeps() && !queue.is_kept_through(next) {
        if let Some(reason) = session.broker.store.poison_reason() {
            return Err(Refusal::unavailable(format!(
                "the message log has failed: {reason}"
            )));
        }
        if Instant::now() > deadline {
            let reason = format!("queue '{}' did not confirm in time", queue.name());
            return Err(Refusal::unavailable(reason));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
