//! CC and BCC, user-id and expiration: what a publish asks for by its properties.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, Message, definitions};
use wire::{BasicProperties, ContentHeader, FieldTable, FieldValue, Method, TableRef};

fn keys(keys: &[&str]) -> FieldValue {
    FieldValue::Array(
        keys.iter()
            .map(|key| FieldValue::LongStr(key.as_bytes().to_vec()))
            .collect(),
    )
}

fn headers(entries: &[(&str, FieldValue)]) -> Vec<u8> {
    let mut table = FieldTable::new();
    for (name, value) in entries {
        table.insert(*name, value.clone());
    }
    table.to_bytes()
}

fn with_headers(bytes: &[u8]) -> BasicProperties<'_> {
    BasicProperties {
        headers: Some(TableRef::parse(bytes).unwrap()),
        message_id: Some("m"),
        ..BasicProperties::default()
    }
}

fn header_names(message: &Message) -> Vec<String> {
    let header = ContentHeader::decode(&message.header).unwrap();
    let properties = BasicProperties::decode(header.properties).unwrap();
    assert_eq!(properties.message_id, Some("m"));
    properties
        .headers
        .unwrap()
        .iter()
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn bind(client: &mut Client, queue: &str, exchange: &str, key: &str) {
    client.send(
        1,
        Method::QueueBind {
            queue,
            exchange,
            routing_key: key,
            no_wait: false,
            arguments: TableRef::EMPTY,
        },
    );
    client.expect(1, Method::QueueBindOk);
}

#[test]
fn copies_go_to_every_key_once() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    for queue in ["to", "cc", "bcc"] {
        client.declare(1, queue);
    }
    client.confirm_select(1);
    let table = headers(&[
        ("first", FieldValue::I32(1)),
        ("CC", keys(&["cc", "to", "nowhere"])),
        ("BCC", keys(&["bcc", "cc"])),
        ("last", FieldValue::Void),
    ]);
    client.publish(1, "to", b"before");
    client.publish_with(1, "", "to", &with_headers(&table), b"copied");
    client.publish_with(1, "", "to", &with_headers(&headers(&[])), b"not copied");
    client.publish(1, "to", b"after");
    client.await_confirms(4);
    let counts = ["to", "cc", "bcc"].map(|queue| client.ready(1, queue));
    assert_eq!(counts, [4, 1, 1]);
    for queue in ["cc", "bcc"] {
        let message = client.get(1, queue).unwrap();
        assert_eq!(message.body, b"copied");
        assert_eq!(header_names(&message), ["first", "CC", "last"]);
        assert!(
            matches!(
                message.method.method(),
                Method::BasicGetOk {
                    routing_key: "to",
                    ..
                }
            ),
            "the key is the publisher's"
        );
    }
    // In order, whatever had to be looked at.
    let bodies: Vec<_> = (0..4).map(|_| client.get(1, "to").unwrap().body).collect();
    assert_eq!(bodies, [&b"before"[..], b"copied", b"not copied", b"after"]);
}

#[test]
fn copies_are_routed_by_the_exchange() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    for (queue, key) in [("red", "*.red"), ("big", "big.*")] {
        client.declare(1, queue);
        bind(&mut client, queue, "amq.topic", key);
    }
    client.confirm_select(1);
    let table = headers(&[
        ("CC", keys(&["small.red"])),
        ("BCC", keys(&["big.blue", "big.red"])),
    ]);
    client.publish_with(1, "amq.topic", "no.match", &with_headers(&table), b"x");
    client.await_confirms(1);
    assert_eq!(["red", "big"].map(|queue| client.ready(1, queue)), [1, 1]);
}

#[test]
fn a_copy_saves_a_mandatory_message_from_being_returned() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "cc");
    client.confirm_select(1);
    let publish = |client: &mut Client, copies: &[&str]| {
        let table = headers(&[("CC", keys(copies))]);
        let mut bytes = Vec::new();
        let publish = Method::BasicPublish {
            exchange: "",
            routing_key: "nowhere",
            mandatory: true,
            immediate: false,
        };
        publish.encode(1, &mut bytes);
        wire::encode_content_header(&mut bytes, 1, 1, &with_headers(&table));
        wire::encode_body_frames(&mut bytes, 1, b"x", 131_072);
        client.write(&bytes);
    };
    publish(&mut client, &["cc"]);
    client.await_confirms(1);
    publish(&mut client, &["elsewhere"]);
    let returned = client.message();
    assert!(matches!(
        returned.method.method(),
        Method::BasicReturn { reply_code: 312, .. }
    ));
    client.await_confirms(2);
}

#[test]
fn copies_need_an_array() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "to");
    for (name, value, kind) in [
        ("CC", FieldValue::LongStr(b"cc".to_vec()), "longstr"),
        ("BCC", FieldValue::I32(7), "signedint"),
    ] {
        let table = headers(&[(name, value)]);
        client.publish(1, "to", b"before");
        client.publish_with(1, "", "to", &with_headers(&table), b"refused");
        assert_eq!(
            client.expect_close(1, 406),
            format!(
                "PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}"
            )
        );
        client.open_channel(1);
    }
    assert_eq!(client.ready(1, "to"), 2);
}

#[test]
fn the_user_id_is_who_has_logged_in() {
    let broker = BrokerProcess::start(&["--user=ada:secret"]);
    let mut client = Client::raw(&broker);
    client.handshake("ada", "secret");
    client.open_channel(1);
    client.declare(1, "q");
    for (user_id, accepted) in [("ada", true), ("guest", false)] {
        let properties = BasicProperties {
            user_id: Some(user_id),
            ..BasicProperties::default()
        };
        client.publish_with(1, "", "q", &properties, b"x");
        if !accepted {
            assert_eq!(
                client.expect_close(1, 406),
                "PRECONDITION_FAILED - user_id property set to 'guest' but authenticated user was 'ada'"
            );
            client.open_channel(1);
        }
    }
    assert_eq!(client.ready(1, "q"), 1);
}

#[test]
fn an_impersonator_may_publish_in_the_name_of_others() {
    let (_file, flag) = definitions(
        r#"{"users": [{"name": "ada", "tags": ["impersonator"],
            "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
            "hashing_algorithm": "rabbit_password_hashing_sha256"}],
        "permissions": [{"user": "ada", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}"#,
    );
    let broker = BrokerProcess::start(&[&flag]);
    let mut client = Client::connect_as(&broker, "ada", "test12", "/");
    client.declare(1, "q");
    let properties = BasicProperties {
        user_id: Some("somebody else"),
        ..BasicProperties::default()
    };
    client.publish_with(1, "", "q", &properties, b"x");
    assert_eq!(client.ready(1, "q"), 1);
}

#[test]
fn an_expiration_is_a_number() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    for (expiration, problem) in [
        ("", "no_integer"),
        ("soon", "no_integer"),
        ("60s", "{leftover_string,\"s\"}"),
        ("-1", "{value_negative,-1}"),
    ] {
        let properties = BasicProperties {
            expiration: Some(expiration),
            ..BasicProperties::default()
        };
        client.publish_with(1, "", "q", &properties, b"x");
        assert_eq!(
            client.expect_close(1, 406),
            format!("PRECONDITION_FAILED - invalid expiration '{expiration}': {problem}")
        );
        client.open_channel(1);
    }
    let properties = BasicProperties {
        expiration: Some("600000"),
        ..BasicProperties::default()
    };
    client.publish_with(1, "", "q", &properties, b"x");
    assert_eq!(client.ready(1, "q"), 1);
}
