//! `POST /api/queues/{vhost}/{name}/get`: some messages, taken or only looked at.

use axum::extract::Path;
use base64::Engine as _;
use serde_json::{Value, json};
use wire::{BasicProperties, ContentHeader};

use super::properties::to_value;
use crate::auth::{Operation, Resource};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::observe::now_ms;
use crate::queue::Queue;
use crate::record::Record;

/// Most messages in one answer.
const MESSAGES_MAX: i64 = 10_000;
/// Bytes of bodies after which an answer is full.
const BYTES_MAX: usize = 16 << 20;

pub(super) fn add(routes: Routes) -> Routes {
    routes.post("/api/queues/{vhost}/{name}/get", get)
}

/// What becomes of what was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Requeue,
    Settle,
    Reject,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Always base64; otherwise only what is no UTF-8.
    encoded: bool,
    truncate: usize,
}

async fn get(
    session: Session,
    Path((vhost, name)): Path<(String, String)>,
    mut object: Object,
) -> Result<Json, Refusal> {
    let vhost = session.vhost(&vhost)?;
    let count = object.number("count")?.unwrap_or(1);
    if !(0..=MESSAGES_MAX).contains(&count) {
        let reason = format!("count: expected a number from 0 to {MESSAGES_MAX}, found {count}");
        return Err(Refusal::bad_request(reason));
    }
    let fate = fate(&object.text("ackmode")?)?;
    let encoded = match object.text("encoding")?.as_str() {
        "auto" => false,
        "base64" => true,
        _ => {
            return Err(Refusal::bad_request(
                "Unsupported encoding. Please use auto or base64.",
            ));
        }
    };
    let truncate = match object.number("truncate")? {
        None => usize::MAX,
        Some(bytes @ 0..) => bytes as usize,
        Some(bytes) => {
            let reason = format!("truncate: expected a number of bytes, found {bytes}");
            return Err(Refusal::bad_request(reason));
        }
    };
    let queue = vhost.find_queue(&name, None)?;
    session.check(&vhost, |access| {
        access.check(Operation::Read, Resource::Queue(&name))
    })?;
    let shown = Shown { encoded, truncate };
    let messages = take(&queue, count, fate, shown);
    let counts = &session.broker.tallies.http;
    let redelivered = messages.iter().filter(|message| message["redelivered"] == true);
    counts.redelivered.add(redelivered.count() as u64);
    match fate {
        Fate::Settle => counts.got_auto.add(messages.len() as u64),
        Fate::Requeue | Fate::Reject => counts.got_manual.add(messages.len() as u64),
    }
    Ok(Json(messages.into()))
}

fn fate(ackmode: &str) -> Result<Fate, Refusal> {
    Ok(match ackmode {
        "ack_requeue_true" | "reject_requeue_true" => Fate::Requeue,
        "ack_requeue_false" => Fate::Settle,
        "reject_requeue_false" => Fate::Reject,
        other => {
            let reason = format!(
                "ackmode: expected ack_requeue_true, ack_requeue_false, reject_requeue_true or reject_requeue_false, found '{other}'"
            );
            return Err(Refusal::bad_request(reason));
        }
    })
}

fn take(queue: &std::sync::Arc<Queue>, count: i64, fate: Fate, shown: Shown) -> Vec<Value> {
    let (mut messages, mut offsets, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..count {
        let got = queue.get(
            fate == Fate::Settle,
            now_ms(),
            |offset, redelivered, record, left| {
                (
                    offset,
                    record.content.body_len(),
                    render(record, redelivered, left, shown),
                )
            },
        );
        let Some((offset, len, message)) = got else { break };
        messages.push(message);
        offsets.push((offset, 1));
        bytes += len.min(shown.truncate);
        if bytes >= BYTES_MAX {
            break;
        }
    }
    let has_work = match fate {
        Fate::Settle => false,
        Fate::Requeue => queue.requeue(None, &offsets),
        Fate::Reject => queue.reject(None, &offsets),
    };
    if has_work || fate == Fate::Settle {
        queue.dispatch_at_home();
    }
    messages
}

fn render(record: &Record<'_>, redelivered: bool, left: usize, shown: Shown) -> Value {
    let (exchange, routing_key) = record.split_names();
    let properties = ContentHeader::decode(record.content.header())
        .and_then(|header| BasicProperties::decode(header.properties))
        .unwrap_or_default();
    let body = record.content.body();
    let part = &body[..body.len().min(shown.truncate)];
    let (payload, encoding) = match std::str::from_utf8(part) {
        Ok(text) if !shown.encoded => (text.to_owned(), "string"),
        _ => (base64::engine::general_purpose::STANDARD.encode(part), "base64"),
    };
    json!({
        "payload_bytes": body.len(),
        "redelivered": redelivered,
        "exchange": String::from_utf8_lossy(exchange),
        "routing_key": String::from_utf8_lossy(routing_key),
        "message_count": left,
        "properties": to_value(&properties),
        "payload": payload,
        "payload_encoding": encoding,
    })
}
