//! Class basic.

use wire::{BasicProperties, Method, TableRef};

use super::super::errors::{Row, channel, connection, method, row};
use super::super::{Client, consume};
use super::{NONE, one, own_queue, owner_of};

const QOS: (u16, u16) = (60, 10);
const CONSUME: (u16, u16) = (60, 20);
const PUBLISH: (u16, u16) = (60, 40);
const GET: (u16, u16) = (60, 70);
const ACK: (u16, u16) = (60, 80);
const REJECT: (u16, u16) = (60, 90);
const RECOVER_ASYNC: (u16, u16) = (60, 100);
const RECOVER: (u16, u16) = (60, 110);
const NACK: (u16, u16) = (60, 120);
const MISSING: &str = "NOT_FOUND - no queue 'error-missing' in vhost '/'";
const NONE_BEFORE: &str = "NOT_FOUND - no previously declared queue";
const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'error-locked' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
const UNKNOWN_TAG: &str = "PRECONDITION_FAILED - unknown delivery tag 7";

const fn ack(delivery_tag: u64, multiple: bool) -> Method<'static> {
    Method::BasicAck {
        delivery_tag,
        multiple,
    }
}

const fn nack(delivery_tag: u64, multiple: bool) -> Method<'static> {
    Method::BasicNack {
        delivery_tag,
        multiple,
        requeue: true,
    }
}

const fn reject(delivery_tag: u64) -> Method<'static> {
    Method::BasicReject {
        delivery_tag,
        requeue: true,
    }
}

const fn get(queue: &str) -> Method<'_> {
    Method::BasicGet { queue, no_ack: false }
}

const fn exclusively(queue: &str) -> Method<'_> {
    Method::BasicConsume {
        queue,
        consumer_tag: "only",
        no_local: false,
        no_ack: true,
        exclusive: true,
        no_wait: false,
        arguments: NONE,
    }
}

/// Fetches one message, delivery tag 1.
fn fetch(client: &mut Client) {
    own_queue(client, "error-own");
    client.confirm_select(1);
    client.publish(1, "error-own", b"x");
    client.await_confirms(1);
    client.get(1, "error-own").unwrap();
}

fn publish(client: &mut Client, exchange: &str, immediate: bool, properties: &BasicProperties<'_>) {
    let mut bytes = Vec::new();
    let method = Method::BasicPublish {
        exchange,
        routing_key: "k",
        mandatory: false,
        immediate,
    };
    method.encode(1, &mut bytes);
    wire::encode_content_header(&mut bytes, 1, 1, properties);
    wire::encode_body_frames(&mut bytes, 1, b"x", client.frame_bytes_max);
    client.write(&bytes);
}

fn locked(what: &'static str, ask: Method<'static>, by: (u16, u16)) -> Row {
    row(
        what,
        move |client| {
            let mut owner = owner_of(client, "error-locked");
            client.send(1, ask);
            client.wait_for_frame();
            owner.close();
        },
        channel(405, by, LOCKED),
    )
}

pub fn basic() -> Vec<Row> {
    let mut rows = consumers();
    rows.extend(publishes());
    rows.extend(acknowledgements());
    rows
}

fn consumers() -> Vec<Row> {
    vec![
        method(
            "a prefetch size",
            Method::BasicQos {
                prefetch_size: 5,
                prefetch_count: 1,
                global: false,
            },
            connection(540, QOS, "NOT_IMPLEMENTED - prefetch_size!=0 (5)"),
        ),
        method(
            "consuming from a missing queue",
            consume("error-missing", "c", false),
            channel(404, CONSUME, MISSING),
        ),
        method(
            "consuming from the last queue when there was none",
            consume("", "c", false),
            channel(404, CONSUME, NONE_BEFORE),
        ),
        locked(
            "consuming from what another connection holds",
            consume("error-locked", "c", false),
            CONSUME,
        ),
        row(
            "a consumer tag twice",
            |client| {
                own_queue(client, "error-own");
                client.consume(1, "error-own", "c", false);
                client.send(1, consume("error-own", "c", false));
            },
            connection(530, CONSUME, "NOT_ALLOWED - attempt to reuse consumer tag 'c'"),
        ),
        row(
            "consuming beside an exclusive consumer",
            |client| {
                own_queue(client, "error-own");
                client.send(1, exclusively("error-own"));
                client.expect(1, Method::BasicConsumeOk { consumer_tag: "only" });
                client.send(1, consume("error-own", "second", true));
            },
            channel(
                403,
                CONSUME,
                "ACCESS_REFUSED - queue 'error-own' in vhost '/' in exclusive use",
            ),
        ),
        row(
            "consuming exclusively beside another consumer",
            |client| {
                own_queue(client, "error-own");
                client.consume(1, "error-own", "c", false);
                client.send(1, exclusively("error-own"));
            },
            channel(
                403,
                CONSUME,
                "ACCESS_REFUSED - queue 'error-own' in vhost '/' in exclusive use",
            ),
        ),
        method(
            "getting from a missing queue",
            get("error-missing"),
            channel(404, GET, MISSING),
        ),
        method(
            "getting from the last queue when there was none",
            get(""),
            channel(404, GET, NONE_BEFORE),
        ),
        locked(
            "getting from what another connection holds",
            get("error-locked"),
            GET,
        ),
    ]
}

fn publishes() -> Vec<Row> {
    vec![
        row(
            "publishing to a missing exchange",
            |client| publish(client, "error-missing", false, &BasicProperties::default()),
            channel(
                404,
                PUBLISH,
                "NOT_FOUND - no exchange 'error-missing' in vhost '/'",
            ),
        ),
        row(
            "publishing to an internal exchange",
            |client| {
                let internal = Method::ExchangeDeclare {
                    exchange: "error-internal",
                    kind: "fanout",
                    passive: false,
                    durable: false,
                    auto_delete: false,
                    internal: true,
                    no_wait: false,
                    arguments: NONE,
                };
                client.send(1, internal);
                client.expect(1, Method::ExchangeDeclareOk);
                publish(client, "error-internal", false, &BasicProperties::default());
            },
            channel(
                403,
                PUBLISH,
                "ACCESS_REFUSED - cannot publish to internal exchange 'error-internal' in vhost '/'",
            ),
        ),
        row(
            "publishing immediately",
            |client| publish(client, "", true, &BasicProperties::default()),
            connection(540, PUBLISH, "NOT_IMPLEMENTED - immediate=true"),
        ),
        row(
            "publishing as another user",
            |client| {
                let properties = BasicProperties {
                    user_id: Some("somebody"),
                    ..BasicProperties::default()
                };
                publish(client, "", false, &properties);
            },
            channel(
                406,
                PUBLISH,
                "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
            ),
        ),
        row(
            "an expiration that is no number",
            |client| {
                let properties = BasicProperties {
                    expiration: Some("soon"),
                    ..BasicProperties::default()
                };
                publish(client, "", false, &properties);
            },
            channel(
                406,
                PUBLISH,
                "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
            ),
        ),
        row(
            "an expiration before now",
            |client| {
                let properties = BasicProperties {
                    expiration: Some("-1"),
                    ..BasicProperties::default()
                };
                publish(client, "", false, &properties);
            },
            channel(
                406,
                PUBLISH,
                "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}",
            ),
        ),
        row(
            "copies to what is no list",
            |client| {
                let headers = one("CC", 7i32);
                let properties = BasicProperties {
                    headers: TableRef::parse(&headers).ok(),
                    ..BasicProperties::default()
                };
                publish(client, "", false, &properties);
            },
            channel(
                406,
                PUBLISH,
                "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",signedint}",
            ),
        ),
        row(
            "a body over the limit",
            |client| {
                let mut bytes = Vec::new();
                let method = Method::BasicPublish {
                    exchange: "",
                    routing_key: "k",
                    mandatory: false,
                    immediate: false,
                };
                method.encode(1, &mut bytes);
                wire::encode_content_header(&mut bytes, 1, 1 << 40, &BasicProperties::default());
                client.write(&bytes);
            },
            channel(
                406,
                PUBLISH,
                "PRECONDITION_FAILED - message size 1099511627776 is larger than configured max size *",
            ),
        )
        .not_rabbitmq("it waits for the body first"),
    ]
}

fn acknowledgements() -> Vec<Row> {
    vec![
        method(
            "acknowledging an unknown tag",
            ack(7, false),
            channel(406, ACK, UNKNOWN_TAG),
        ),
        method(
            "acknowledging up to an unknown tag",
            ack(7, true),
            channel(406, ACK, UNKNOWN_TAG),
        ),
        method(
            "acknowledging tag 0",
            ack(0, false),
            channel(406, ACK, "PRECONDITION_FAILED - unknown delivery tag 0"),
        ),
        row(
            "acknowledging twice",
            |client| {
                fetch(client);
                client.send(1, ack(1, false));
                client.send(1, ack(1, false));
            },
            channel(406, ACK, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
        row(
            "acknowledging on another channel",
            |client| {
                client.open_channel(2);
                own_queue(client, "error-own");
                client.confirm_select(1);
                client.publish(1, "error-own", b"x");
                client.await_confirms(1);
                client.get(2, "error-own").unwrap();
                client.send(1, ack(1, false));
            },
            channel(406, ACK, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
        row(
            "acknowledging what needs none",
            |client| {
                own_queue(client, "error-own");
                client.publish(1, "error-own", b"x");
                client.consume(1, "error-own", "c", true);
                client.message();
                client.send(1, ack(1, false));
            },
            channel(406, ACK, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
        method(
            "refusing an unknown tag",
            nack(7, false),
            channel(406, NACK, UNKNOWN_TAG),
        ),
        method(
            "refusing up to an unknown tag",
            nack(7, true),
            channel(406, NACK, UNKNOWN_TAG),
        ),
        row(
            "refusing what was acknowledged",
            |client| {
                fetch(client);
                client.send(1, ack(1, false));
                client.send(1, nack(1, false));
            },
            channel(406, NACK, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
        method(
            "rejecting an unknown tag",
            reject(7),
            channel(406, REJECT, UNKNOWN_TAG),
        ),
        row(
            "rejecting twice",
            |client| {
                fetch(client);
                client.send(1, reject(1));
                client.send(1, reject(1));
            },
            channel(406, REJECT, "PRECONDITION_FAILED - unknown delivery tag 1"),
        ),
        method(
            "recovering to the same consumer",
            Method::BasicRecover { requeue: false },
            connection(540, RECOVER, "NOT_IMPLEMENTED - requeue=false"),
        ),
        method(
            "recovering to the same consumer without an answer",
            Method::BasicRecoverAsync { requeue: false },
            connection(540, RECOVER_ASYNC, "NOT_IMPLEMENTED - requeue=false"),
        ),
    ]
}
