//! Class queue.

use wire::{FieldValue, Method, TableRef};

use super::super::Client;
use super::super::errors::{Row, channel, method, row};
use super::{NONE, declare_own, one, own_queue, owner_of};

const DECLARE: (u16, u16) = (50, 10);
const BIND: (u16, u16) = (50, 20);
const PURGE: (u16, u16) = (50, 30);
const DELETE: (u16, u16) = (50, 40);
const UNBIND: (u16, u16) = (50, 50);
const MISSING: &str = "NOT_FOUND - no queue 'error-missing' in vhost '/'";
const NONE_BEFORE: &str = "NOT_FOUND - no previously declared queue";
const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'error-locked' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";

const fn passive(queue: &str) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: NONE,
    }
}

const fn bind<'a>(queue: &'a str, exchange: &'a str) -> Method<'a> {
    Method::QueueBind {
        queue,
        exchange,
        routing_key: "k",
        no_wait: false,
        arguments: NONE,
    }
}

const fn unbind<'a>(queue: &'a str, exchange: &'a str) -> Method<'a> {
    Method::QueueUnbind {
        queue,
        exchange,
        routing_key: "k",
        arguments: NONE,
    }
}

const fn purge(queue: &str) -> Method<'_> {
    Method::QueuePurge {
        queue,
        no_wait: false,
    }
}

const fn delete(queue: &str, if_unused: bool, if_empty: bool) -> Method<'_> {
    Method::QueueDelete {
        queue,
        if_unused,
        if_empty,
        no_wait: false,
    }
}

/// A method on a queue that another connection holds.
fn locked(what: &'static str, ask: Method<'static>, by: (u16, u16)) -> Row {
    row(
        what,
        move |client| {
            let mut owner = owner_of(client, "error-locked");
            client.send(1, ask);
            // Holds the owner until the answer is there.
            client.wait_for_frame();
            owner.close();
        },
        channel(405, by, LOCKED),
    )
}

/// Declares an own queue with arguments, and then again with others.
fn redeclared(
    what: &'static str,
    first: Option<(&'static str, FieldValue)>,
    again: Option<(&'static str, FieldValue)>,
    text: &'static str,
) -> Row {
    let encoded =
        |entry: Option<(&str, FieldValue)>| entry.map_or_else(Vec::new, |(name, value)| one(name, value));
    let (first, again) = (encoded(first), encoded(again));
    let declare = |client: &mut Client, arguments: &[u8]| {
        let method = Method::QueueDeclare {
            queue: "error-own",
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: false,
            no_wait: false,
            arguments: TableRef::parse(arguments).unwrap(),
        };
        client.send(1, method);
    };
    row(
        what,
        move |client| {
            declare(client, &first);
            assert!(matches!(client.frame().method(), Method::QueueDeclareOk { .. }));
            declare(client, &again);
        },
        channel(406, DECLARE, text),
    )
}

/// Declares a queue with an argument that makes no sense.
fn refused(what: &'static str, argument: (&'static str, FieldValue), text: &'static str) -> Row {
    let arguments = one(argument.0, argument.1);
    row(
        what,
        move |client| {
            let declare = Method::QueueDeclare {
                queue: "error-own",
                passive: false,
                durable: false,
                exclusive: true,
                auto_delete: false,
                no_wait: false,
                arguments: TableRef::parse(&arguments).unwrap(),
            };
            client.send(1, declare);
        },
        channel(406, DECLARE, text),
    )
}

pub fn queues() -> Vec<Row> {
    let mut rows = declarations();
    rows.extend(others());
    rows
}

fn declarations() -> Vec<Row> {
    vec![
        method(
            "asking for a missing queue",
            passive("error-missing"),
            channel(404, DECLARE, MISSING),
        ),
        method(
            "asking for the last queue when there was none",
            passive(""),
            channel(404, DECLARE, "NOT_FOUND - no queue '' in vhost '/'"),
        ),
        method(
            "a reserved name",
            declare_own("amq.error"),
            channel(
                403,
                DECLARE,
                "ACCESS_REFUSED - queue name 'amq.error' contains reserved prefix 'amq.*'",
            ),
        ),
        row(
            "declaring again what the server has named",
            |client| {
                let (name, _) = client.declare(1, "");
                client.send(1, declare_own(&name));
            },
            channel(
                403,
                DECLARE,
                "ACCESS_REFUSED - queue name 'amq.gen-*' contains reserved prefix 'amq.*'",
            ),
        ),
        locked(
            "declaring what another connection holds",
            declare_own("error-locked"),
            DECLARE,
        ),
        locked(
            "asking for what another connection holds",
            passive("error-locked"),
            DECLARE,
        ),
        row(
            "another durability",
            |client| {
                client.send(1, delete("error-shared", false, false));
                assert!(matches!(client.frame().method(), Method::QueueDeleteOk { .. }));
                client.declare(1, "error-shared");
                let durable = Method::QueueDeclare {
                    queue: "error-shared",
                    passive: false,
                    durable: true,
                    exclusive: false,
                    auto_delete: false,
                    no_wait: false,
                    arguments: NONE,
                };
                client.send(1, durable);
            },
            channel(
                406,
                DECLARE,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'error-shared' in vhost '/': received 'true' but current is 'false'",
            ),
        ),
        row(
            "another way to go",
            |client| {
                own_queue(client, "error-own");
                let auto_delete = Method::QueueDeclare {
                    queue: "error-own",
                    passive: false,
                    durable: false,
                    exclusive: true,
                    auto_delete: true,
                    no_wait: false,
                    arguments: NONE,
                };
                client.send(1, auto_delete);
            },
            channel(
                406,
                DECLARE,
                "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'error-own' in vhost '/': received 'true' but current is 'false'",
            ),
        ),
        row(
            "exclusive no more",
            |client| {
                own_queue(client, "error-own");
                client.send(1, super::super::declare("error-own"));
            },
            channel(
                405,
                DECLARE,
                "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'error-own' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.",
            ),
        ),
        redeclared(
            "a length where there was none",
            None,
            Some(("x-max-length", 5i32.into())),
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'error-own' in vhost '/': received the value '5' of type 'signedint' but current is none",
        ),
        redeclared(
            "another length",
            Some(("x-max-length", 5i32.into())),
            Some(("x-max-length", 6i64.into())),
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'error-own' in vhost '/': received '6' but current is '5'",
        ),
        redeclared(
            "a time to live no more",
            Some(("x-message-ttl", 5000i32.into())),
            None,
            "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'error-own' in vhost '/': received none but current is the value '5000' of type 'signedint'",
        ),
        refused(
            "a length below nothing",
            ("x-max-length", FieldValue::I32(-1)),
            "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'error-own' in vhost '/': {value_negative,-1}",
        ),
        refused(
            "a length that is no number",
            ("x-max-length", "many".into()),
            "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'error-own' in vhost '/': *longstr*",
        ),
        refused(
            "a time to live below nothing",
            ("x-message-ttl", FieldValue::I32(-1)),
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'error-own' in vhost '/': {value_negative,-1}",
        ),
        refused(
            "a time to live that is no number",
            ("x-message-ttl", "long".into()),
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'error-own' in vhost '/': *longstr*",
        ),
        refused(
            "an end at once",
            ("x-expires", FieldValue::I32(0)),
            "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'error-own' in vhost '/': {value_zero,0}",
        ),
        refused(
            "an odd overflow",
            ("x-overflow", "explode".into()),
            "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'error-own' in vhost '/': *",
        ),
        refused(
            "more priorities than an octet holds",
            ("x-max-priority", FieldValue::I32(256)),
            "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'error-own' in vhost '/': *256*",
        ),
        refused(
            "a dead letter exchange that is no name",
            ("x-dead-letter-exchange", 7i32.into()),
            "PRECONDITION_FAILED - invalid *'x-dead-letter-exchange' *queue 'error-own' in vhost '/'*",
        ),
        refused(
            "a dead letter key without an exchange",
            ("x-dead-letter-routing-key", "k".into()),
            "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'error-own' in vhost '/': routing_key_but_no_dlx_defined",
        ),
        refused(
            "an odd type",
            ("x-queue-type", "fast".into()),
            "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'error-own' in vhost '/': *queue type 'fast'*",
        ),
        refused(
            "an odd mode",
            ("x-queue-mode", "eager".into()),
            "PRECONDITION_FAILED - invalid arg 'x-queue-mode' for queue 'error-own' in vhost '/': *'eager'*",
        ),
        refused(
            "a strategy that quorum queues have",
            ("x-dead-letter-strategy", "at-least-once".into()),
            "PRECONDITION_FAILED - invalid arg 'x-dead-letter-strategy' for queue 'error-own' in vhost '/' of queue type rabbit_classic_queue",
        ),
        refused(
            "an age that streams have",
            ("x-max-age", "1D".into()),
            "PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'error-own' in vhost '/' of queue type rabbit_classic_queue",
        ),
        refused(
            "single, but not quite",
            ("x-single-active-consumer", "yes".into()),
            "PRECONDITION_FAILED - invalid arg 'x-single-active-consumer' for queue 'error-own' in vhost '/': {unacceptable_type,longstr}",
        ),
    ]
}

fn others() -> Vec<Row> {
    let no_exchange = "NOT_FOUND - no exchange 'error-missing' in vhost '/'";
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    vec![
        method(
            "binding a missing queue",
            bind("error-missing", "amq.direct"),
            channel(404, BIND, MISSING),
        ),
        row(
            "binding to a missing exchange",
            |client| {
                own_queue(client, "error-own");
                client.send(1, bind("error-own", "error-missing"));
            },
            channel(404, BIND, no_exchange),
        ),
        method(
            "binding a missing queue to a missing exchange",
            bind("error-missing", "error-source"),
            channel(404, BIND, "NOT_FOUND - no exchange 'error-source' in vhost '/'"),
        ),
        method(
            "binding the last queue when there was none",
            bind("", "amq.direct"),
            channel(404, BIND, NONE_BEFORE),
        ),
        row(
            "binding to the default exchange",
            |client| {
                own_queue(client, "error-own");
                client.send(1, bind("error-own", ""));
            },
            channel(403, BIND, default),
        ),
        method(
            "binding a missing queue to the default exchange",
            bind("error-missing", ""),
            channel(403, BIND, default),
        ),
        locked(
            "binding what another connection holds",
            bind("error-locked", "amq.direct"),
            BIND,
        ),
        row(
            "unbinding from the default exchange",
            |client| {
                own_queue(client, "error-own");
                client.send(1, unbind("error-own", ""));
            },
            channel(403, UNBIND, default),
        ),
        method(
            "unbinding a missing queue from the default exchange",
            unbind("error-missing", ""),
            channel(403, UNBIND, default),
        ),
        method(
            "unbinding the last queue when there was none",
            unbind("", "amq.direct"),
            channel(404, UNBIND, NONE_BEFORE),
        ),
        method(
            "purging a missing queue",
            purge("error-missing"),
            channel(404, PURGE, MISSING),
        ),
        method(
            "purging the last queue when there was none",
            purge(""),
            channel(404, PURGE, NONE_BEFORE),
        ),
        locked(
            "purging what another connection holds",
            purge("error-locked"),
            PURGE,
        ),
        method(
            "deleting the last queue when there was none",
            delete("", false, false),
            channel(404, DELETE, NONE_BEFORE),
        ),
        locked(
            "deleting what another connection holds",
            delete("error-locked", false, false),
            DELETE,
        ),
        row(
            "deleting a queue in use",
            |client| {
                own_queue(client, "error-own");
                client.consume(1, "error-own", "c", false);
                client.send(1, delete("error-own", true, false));
            },
            channel(
                406,
                DELETE,
                "PRECONDITION_FAILED - queue 'error-own' in vhost '/' in use",
            ),
        ),
        row(
            "deleting a queue that is not empty",
            |client| {
                own_queue(client, "error-own");
                client.confirm_select(1);
                client.publish(1, "error-own", b"x");
                client.await_confirms(1);
                client.send(1, delete("error-own", false, true));
            },
            channel(
                406,
                DELETE,
                "PRECONDITION_FAILED - queue 'error-own' in vhost '/' not empty",
            ),
        ),
    ]
}
