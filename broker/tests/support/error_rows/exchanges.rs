//! Class exchange.

use wire::{FieldTable, Method, TableRef};

use super::super::Client;
use super::super::errors::{Row, channel, connection, method, row};
use super::{NONE, one, own_queue};

const DECLARE: (u16, u16) = (40, 10);
const DELETE: (u16, u16) = (40, 20);
const BIND: (u16, u16) = (40, 30);
const UNBIND: (u16, u16) = (40, 40);
const QUEUE_BIND: (u16, u16) = (50, 20);
const DEFAULT: &str = "ACCESS_REFUSED - operation not permitted on the default exchange";

const fn declare<'a>(exchange: &'a str, kind: &'a str, passive: bool, arguments: TableRef<'a>) -> Method<'a> {
    Method::ExchangeDeclare {
        exchange,
        kind,
        passive,
        durable: false,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments,
    }
}

const fn bind<'a>(destination: &'a str, source: &'a str, arguments: TableRef<'a>) -> Method<'a> {
    Method::ExchangeBind {
        destination,
        source,
        routing_key: "",
        no_wait: false,
        arguments,
    }
}

const fn unbind<'a>(destination: &'a str, source: &'a str) -> Method<'a> {
    Method::ExchangeUnbind {
        destination,
        source,
        routing_key: "",
        no_wait: false,
        arguments: NONE,
    }
}

const fn delete(exchange: &str, if_unused: bool) -> Method<'_> {
    Method::ExchangeDelete {
        exchange,
        if_unused,
        no_wait: false,
    }
}

/// A new direct exchange of this name.
fn exchange(client: &mut Client, name: &str, arguments: &[u8]) {
    client.send(1, delete(name, false));
    client.expect(1, Method::ExchangeDeleteOk);
    client.send(
        1,
        declare(name, "direct", false, TableRef::parse(arguments).unwrap()),
    );
    client.expect(1, Method::ExchangeDeclareOk);
}

/// Declares `error-x` anew, and then again as `change` makes it.
fn redeclared(what: &'static str, change: fn(&mut Again), difference: &'static str) -> Row {
    row(
        what,
        move |client| {
            exchange(client, "error-x", &[]);
            let mut again = Again::default();
            change(&mut again);
            let arguments = again.arguments.to_bytes();
            let method = Method::ExchangeDeclare {
                exchange: "error-x",
                kind: again.kind,
                passive: false,
                durable: again.durable,
                auto_delete: again.auto_delete,
                internal: again.internal,
                no_wait: false,
                arguments: TableRef::parse(&arguments).unwrap(),
            };
            client.send(1, method);
        },
        channel(406, DECLARE, difference),
    )
}

/// What a second declaration says.
struct Again {
    kind: &'static str,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: FieldTable,
}

impl Default for Again {
    fn default() -> Again {
        Again {
            kind: "direct",
            durable: false,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::new(),
        }
    }
}

pub fn exchanges() -> Vec<Row> {
    let mut rows = declarations();
    rows.extend(bindings());
    rows
}

fn declarations() -> Vec<Row> {
    vec![
        method(
            "declaring the default exchange",
            declare("", "direct", false, NONE),
            channel(403, DECLARE, DEFAULT),
        ),
        method(
            "asking for the default exchange",
            declare("", "direct", true, NONE),
            channel(403, DECLARE, DEFAULT),
        ),
        method(
            "asking for a missing exchange",
            declare("error-missing", "direct", true, NONE),
            channel(
                404,
                DECLARE,
                "NOT_FOUND - no exchange 'error-missing' in vhost '/'",
            ),
        ),
        method(
            "an unknown type",
            declare("error-odd", "x-odd", false, NONE),
            channel(
                406,
                DECLARE,
                "PRECONDITION_FAILED - unknown exchange type 'x-odd'",
            ),
        )
        .before_4(connection(
            503,
            DECLARE,
            "COMMAND_INVALID - unknown exchange type 'x-odd'",
        )),
        method(
            "an unknown type for an exchange that is there",
            declare("amq.direct", "x-odd", false, NONE),
            channel(
                406,
                DECLARE,
                "PRECONDITION_FAILED - unknown exchange type 'x-odd'",
            ),
        )
        .before_4(connection(
            503,
            DECLARE,
            "COMMAND_INVALID - unknown exchange type 'x-odd'",
        )),
        method(
            "a reserved name",
            declare("amq.error", "direct", false, NONE),
            channel(
                403,
                DECLARE,
                "ACCESS_REFUSED - exchange name 'amq.error' contains reserved prefix 'amq.*'",
            ),
        ),
        redeclared(
            "another type",
            |again| again.kind = "fanout",
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'error-x' in vhost '/': received 'fanout' but current is 'direct'",
        ),
        redeclared(
            "another durability",
            |again| again.durable = true,
            "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'error-x' in vhost '/': received 'true' but current is 'false'",
        ),
        redeclared(
            "another way to go",
            |again| again.auto_delete = true,
            "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange 'error-x' in vhost '/': received 'true' but current is 'false'",
        ),
        redeclared(
            "another reach",
            |again| again.internal = true,
            "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'error-x' in vhost '/': received 'true' but current is 'false'",
        ),
        redeclared(
            "an alternate exchange where there was none",
            |again| again.arguments.insert("alternate-exchange", "error-y"),
            "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'error-x' in vhost '/': received the value 'error-y' of type 'longstr' but current is none",
        ),
        row(
            "another alternate exchange",
            |client| {
                exchange(client, "error-x", &one("alternate-exchange", "error-y"));
                let arguments = one("alternate-exchange", "error-z");
                client.send(
                    1,
                    declare("error-x", "direct", false, TableRef::parse(&arguments).unwrap()),
                );
            },
            channel(
                406,
                DECLARE,
                "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'error-x' in vhost '/': received 'error-z' but current is 'error-y'",
            ),
        ),
        row(
            "an alternate exchange that is no name",
            |client| {
                let arguments = one("alternate-exchange", 7i32);
                client.send(
                    1,
                    declare("error-new", "direct", false, TableRef::parse(&arguments).unwrap()),
                );
            },
            channel(
                406,
                DECLARE,
                "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'error-new' in vhost '/'",
            ),
        ),
        row(
            "hashing on two things",
            |client| {
                let mut arguments = FieldTable::new();
                arguments.insert("hash-header", "h");
                arguments.insert("hash-property", "message_id");
                let arguments = arguments.to_bytes();
                let arguments = TableRef::parse(&arguments).unwrap();
                client.send(1, declare("error-hash", "x-consistent-hash", false, arguments));
            },
            channel(
                406,
                DECLARE,
                "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
            ),
        )
        .not_rabbitmq("a plugin, not enabled by default"),
        method(
            "deleting the default exchange",
            delete("", false),
            channel(403, DELETE, DEFAULT),
        ),
        method(
            "deleting a predeclared exchange",
            delete("amq.topic", false),
            channel(
                403,
                DELETE,
                "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
            ),
        ),
        method(
            "deleting a reserved name that nobody has",
            delete("amq.error", false),
            channel(
                403,
                DELETE,
                "ACCESS_REFUSED - deletion of system exchange 'amq.error' in vhost '/' not allowed",
            ),
        ),
        row(
            "deleting an exchange in use",
            |client| {
                exchange(client, "error-x", &[]);
                own_queue(client, "error-bound");
                let bind = Method::QueueBind {
                    queue: "error-bound",
                    exchange: "error-x",
                    routing_key: "",
                    no_wait: false,
                    arguments: NONE,
                };
                client.send(1, bind);
                client.expect(1, Method::QueueBindOk);
                client.send(1, delete("error-x", true));
            },
            channel(
                406,
                DELETE,
                "PRECONDITION_FAILED - exchange 'error-x' in vhost '/' in use",
            ),
        ),
    ]
}

fn bindings() -> Vec<Row> {
    vec![
        method(
            "binding the default exchange to another",
            bind("", "amq.direct", NONE),
            channel(403, BIND, DEFAULT),
        ),
        method(
            "binding to the default exchange",
            bind("amq.direct", "", NONE),
            channel(403, BIND, DEFAULT),
        ),
        method(
            "binding to a missing exchange",
            bind("amq.direct", "error-missing", NONE),
            channel(404, BIND, "NOT_FOUND - no exchange 'error-missing' in vhost '/'"),
        ),
        method(
            "binding a missing exchange",
            bind("error-missing", "amq.direct", NONE),
            channel(404, BIND, "NOT_FOUND - no exchange 'error-missing' in vhost '/'"),
        ),
        method(
            "binding one missing exchange to another",
            bind("error-destination", "error-source", NONE),
            channel(404, BIND, "NOT_FOUND - no exchange 'error-source' in vhost '/'"),
        ),
        method(
            "unbinding the default exchange",
            unbind("", "amq.direct"),
            channel(403, UNBIND, DEFAULT),
        ),
        method(
            "unbinding from the default exchange",
            unbind("amq.direct", ""),
            channel(403, UNBIND, DEFAULT),
        ),
        row(
            "an odd x-match between exchanges",
            |client| {
                let arguments = one("x-match", "most");
                client.send(
                    1,
                    bind("amq.fanout", "amq.headers", TableRef::parse(&arguments).unwrap()),
                );
            },
            channel(
                406,
                BIND,
                "PRECONDITION_FAILED - Invalid x-match field value <<\"most\">>; expected all, any, all-with-x, or any-with-x",
            ),
        ),
        row(
            "an x-match that is no word",
            |client| {
                own_queue(client, "error-bound");
                let arguments = one("x-match", true);
                let bind = Method::QueueBind {
                    queue: "error-bound",
                    exchange: "amq.match",
                    routing_key: "",
                    no_wait: false,
                    arguments: TableRef::parse(&arguments).unwrap(),
                };
                client.send(1, bind);
            },
            channel(
                406,
                QUEUE_BIND,
                "PRECONDITION_FAILED - Invalid x-match field type bool (value true); expected longstr",
            ),
        ),
        row(
            "a weight that is no number",
            |client| {
                client.send(1, delete("error-hash", false));
                client.expect(1, Method::ExchangeDeleteOk);
                client.send(1, declare("error-hash", "x-consistent-hash", false, NONE));
                client.expect(1, Method::ExchangeDeclareOk);
                client.send(1, bind("amq.fanout", "error-hash", NONE));
            },
            channel(
                406,
                BIND,
                "PRECONDITION_FAILED - The binding key must be an integer: <<>>",
            ),
        )
        .not_rabbitmq("a plugin, not enabled by default"),
    ]
}
