//! Frames that are none, and frames in an order that means nothing.

use wire::{BasicProperties, Method};

use super::super::errors::{Row, connection, row};
use super::super::frame;

const NOBODY: (u16, u16) = (0, 0);
const PUBLISH: (u16, u16) = (60, 40);
const DECLARE: (u16, u16) = (50, 10);
const PURGE: (u16, u16) = (50, 30);

/// A content header for `body_size` octets.
fn header(channel: u16, body_size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode_content_header(&mut bytes, channel, body_size, &BasicProperties::default());
    bytes
}

fn method(channel: u16, method: Method<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    method.encode(channel, &mut bytes);
    bytes
}

fn publish() -> Vec<u8> {
    let publish = Method::BasicPublish {
        exchange: "",
        routing_key: "error-nowhere",
        mandatory: false,
        immediate: false,
    };
    method(1, publish)
}

fn purge() -> Vec<u8> {
    method(
        1,
        Method::QueuePurge {
            queue: "q",
            no_wait: false,
        },
    )
}

fn sent(what: &'static str, parts: &[&[u8]], code: u16, by: (u16, u16), text: &'static str) -> Row {
    let bytes = parts.concat();
    row(
        what,
        move |client| client.write(&bytes),
        connection(code, by, text),
    )
}

pub fn frames() -> Vec<Row> {
    let mut rows = sequences();
    rows.extend(malformed());
    rows
}

fn sequences() -> Vec<Row> {
    let no_method = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    let no_header =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    let no_body = "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
    vec![
        sent(
            "a header without a publish",
            &[&header(1, 1)],
            505,
            NOBODY,
            no_method,
        ),
        sent(
            "a body without a publish",
            &[&frame(3, 1, b"x")],
            505,
            NOBODY,
            no_method,
        ),
        sent(
            "a header on a channel that is not open",
            &[&header(2, 1)],
            505,
            NOBODY,
            no_method,
        ),
        sent(
            "a body on a channel that is not open",
            &[&frame(3, 2, b"x")],
            505,
            NOBODY,
            no_method,
        ),
        sent(
            "a method instead of a header",
            &[&publish(), &purge()],
            505,
            PUBLISH,
            no_header,
        ),
        sent(
            "a body instead of a header",
            &[&publish(), &frame(3, 1, b"x")],
            505,
            PUBLISH,
            no_header,
        ),
        sent(
            "another publish instead of a header",
            &[&publish(), &publish()],
            505,
            PUBLISH,
            no_header,
        ),
        sent(
            "a header of another class",
            &[
                &publish(),
                &frame(2, 1, &[0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]),
            ],
            505,
            PUBLISH,
            "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        ),
        sent(
            "a method instead of a body",
            &[&publish(), &header(1, 1), &purge()],
            505,
            PUBLISH,
            no_body,
        ),
        sent(
            "a second header instead of a body",
            &[&publish(), &header(1, 1), &header(1, 1)],
            505,
            PUBLISH,
            no_body,
        ),
        sent(
            "a body shorter than announced",
            &[&publish(), &header(1, 2), &frame(3, 1, b"x"), &publish()],
            505,
            PUBLISH,
            no_body,
        ),
        sent(
            "a body longer than announced",
            &[&publish(), &header(1, 1), &frame(3, 1, b"xy")],
            501,
            PUBLISH,
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it waits for ever"),
        sent(
            "a header on channel 0",
            &[&header(0, 1)],
            505,
            NOBODY,
            "UNEXPECTED_FRAME - *",
        ),
        sent(
            "a body on channel 0",
            &[&frame(3, 0, b"x")],
            505,
            NOBODY,
            "UNEXPECTED_FRAME - *",
        ),
        sent(
            "a heartbeat on channel 1",
            &[&frame(8, 1, b"")],
            505,
            NOBODY,
            "UNEXPECTED_FRAME - *",
        ),
    ]
}

fn malformed() -> Vec<Row> {
    vec![
        sent(
            "a wrong frame end",
            &[&[1, 0, 1, 0, 0, 0, 4, 0, 20, 0, 10, 0xCD]],
            501,
            NOBODY,
            "FRAME_ERROR - *",
        ),
        sent(
            "an unknown frame type",
            &[&frame(9, 1, b"")],
            501,
            NOBODY,
            "FRAME_ERROR - *",
        ),
        sent(
            "a frame larger than agreed on",
            &[&[3, 0, 1, 0x7f, 0xff, 0xff, 0xff]],
            501,
            NOBODY,
            "FRAME_ERROR - *",
        ),
        sent(
            "a method frame without a method",
            &[&frame(1, 1, b"\x00")],
            501,
            NOBODY,
            "FRAME_ERROR - *",
        ),
        sent(
            "an unknown method",
            &[&frame(1, 1, &[0, 60, 0, 200])],
            501,
            (60, 200),
            "FRAME_ERROR - *",
        ),
        sent(
            "an unknown class",
            &[&frame(1, 1, &[0, 61, 0, 10])],
            501,
            (61, 10),
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it closes the socket without a word"),
        sent(
            "arguments that end too early",
            &[&frame(1, 1, &[0, 50, 0, 30, 0, 0, 9, b'q'])],
            501,
            PURGE,
            "FRAME_ERROR - *",
        ),
        sent(
            "a table longer than its frame",
            &[&declare_with(&[0xff, 0xff, 0xff, 0xff])],
            501,
            DECLARE,
            "FRAME_ERROR - *",
        ),
        sent(
            "a value longer than its table",
            &[&declare_with(&[0, 0, 0, 8, 1, b'k', b'S', 0, 0, 1, 0, b'v'])],
            501,
            DECLARE,
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it loses the connection to a crash"),
        sent(
            "an array longer than its table",
            &[&declare_with(&[
                0, 0, 0, 8, 1, b'k', b'A', 0x7f, 0xff, 0xff, 0xff, b't',
            ])],
            501,
            DECLARE,
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it loses the connection to a crash"),
        sent(
            "a key longer than its table",
            &[&declare_with(&[0, 0, 0, 3, 255, b'k', b'V'])],
            501,
            DECLARE,
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it loses the connection to a crash"),
        sent(
            "a value of no known type",
            &[&declare_with(&[0, 0, 0, 3, 1, b'k', b'?'])],
            502,
            DECLARE,
            "SYNTAX_ERROR - *",
        )
        .not_rabbitmq("it loses the connection to a crash"),
        sent(
            "properties that end too early",
            &[&published(&[0x80, 0])],
            501,
            PUBLISH,
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it answers 541, INTERNAL_ERROR"),
        sent(
            "headers longer than their frame",
            &[&published(&[0x20, 0, 0xff, 0xff, 0xff, 0xff])],
            501,
            PUBLISH,
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it answers 541, INTERNAL_ERROR"),
        sent(
            "headers with a value of no known type",
            &[&published(&[0x20, 0, 0, 0, 0, 3, 1, b'k', b'?'])],
            502,
            PUBLISH,
            "SYNTAX_ERROR - *",
        )
        .not_rabbitmq("it answers 541, INTERNAL_ERROR"),
        sent(
            "octets after the properties",
            &[&published(&[0, 0, 1])],
            501,
            PUBLISH,
            "FRAME_ERROR - *",
        )
        .not_rabbitmq("it answers 541, INTERNAL_ERROR"),
        sent(
            "a property that does not exist",
            &[&published(&[0, 2])],
            502,
            PUBLISH,
            "SYNTAX_ERROR - *",
        )
        .not_rabbitmq("it passes the flag on"),
    ]
}

/// A `queue.declare` with this argument table, its length first.
fn declare_with(table: &[u8]) -> Vec<u8> {
    let arguments = [&[0, 50, 0, 10, 0, 0, 1, b'q', 0], table].concat();
    frame(1, 1, &arguments)
}

/// A publish of one octet with these property flags and properties.
fn published(properties: &[u8]) -> Vec<u8> {
    let header = [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], properties].concat();
    [publish(), frame(2, 1, &header), frame(3, 1, b"x")].concat()
}
