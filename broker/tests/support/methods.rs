//! Methods and frames that many tests send.

use wire::{BasicProperties, Method, TableRef};

/// A frame of any type, well formed.
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(wire::FRAME_END);
    bytes
}

pub fn declare(queue: &str) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

/// A queue that goes with its connection, and that only this sees.
pub fn declare_own(queue: &str) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable: false,
        exclusive: true,
        auto_delete: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

/// Nothing asked for but heartbeats, every so many seconds; 0 = none.
pub fn tune_ok(heartbeat: u16) -> Method<'static> {
    Method::ConnectionTuneOk {
        channel_max: 0,
        frame_max: 0,
        heartbeat,
    }
}

/// A question about a queue.
pub fn passive(queue: &str) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

pub fn bind<'a>(queue: &'a str, exchange: &'a str, routing_key: &'a str) -> Method<'a> {
    Method::QueueBind {
        queue,
        exchange,
        routing_key,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

pub fn consume<'a>(queue: &'a str, consumer_tag: &'a str, no_ack: bool) -> Method<'a> {
    Method::BasicConsume {
        queue,
        consumer_tag,
        no_local: false,
        no_ack,
        exclusive: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

/// All frames of one publish.
pub fn encode_publish(
    out: &mut Vec<u8>,
    channel: u16,
    exchange: &str,
    routing_key: &str,
    mandatory: bool,
    body: &[u8],
    frame_bytes_max: usize,
) {
    Method::BasicPublish {
        exchange,
        routing_key,
        mandatory,
        immediate: false,
    }
    .encode(channel, out);
    wire::encode_content_header(out, channel, body.len() as u64, &BasicProperties::default());
    wire::encode_body_frames(out, channel, body, frame_bytes_max);
}
