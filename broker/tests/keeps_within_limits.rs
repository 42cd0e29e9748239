//! Virtual hosts and users hold no more connections, channels, queues and consumers than they may.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, consume, declare, definitions, wait_for};
use wire::Method;

const DEFINITIONS: &str = r#"{
    "vhosts": [{"name": "/"}, {"name": "small"}],
    "users": [
        {"name": "ada", "password": "a", "tags": [], "limits": {"max-connections": 2, "max-channels": 2}},
        {"name": "bob", "password": "b", "tags": []}
    ],
    "permissions": [
        {"user": "ada", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "bob", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "bob", "vhost": "small", "configure": ".*", "write": ".*", "read": ".*"}
    ],
    "parameters": [{"component": "vhost-limits", "vhost": "small", "name": "limits",
        "value": {"max-connections": 1, "max-queues": 1}}]
}"#;

/// The answer to `connection.open`: `None` when it is open, else the refusal.
fn open(broker: &BrokerProcess, user: &str, password: &str, virtual_host: &str) -> (Client, Option<String>) {
    let mut client = Client::raw(broker);
    client.start(user, password);
    client.tune_and_ask(virtual_host);
    client.wait_for_frame();
    let answer = client.frame();
    let refused = match answer.method() {
        Method::ConnectionOpenOk => None,
        Method::ConnectionClose {
            reply_code,
            reply_text,
            ..
        } => {
            assert_eq!(reply_code, 530);
            Some(reply_text.to_owned())
        }
        other => panic!("{}", other.name()),
    };
    (client, refused)
}

#[test]
fn connections_of_a_virtual_host_and_of_a_user_are_limited() {
    let (_file, flag) = definitions(DEFINITIONS);
    let broker = BrokerProcess::start(&[&flag]);
    let (only, refused) = open(&broker, "bob", "b", "small");
    assert_eq!(refused, None);
    let (_, refused) = open(&broker, "bob", "b", "small");
    assert_eq!(
        refused.unwrap(),
        "NOT_ALLOWED - access to vhost 'small' refused for user 'bob': connection limit (1) is reached"
    );
    drop(only);
    let again = wait_for("the place to be free", || {
        let (client, refused) = open(&broker, "bob", "b", "small");
        refused.is_none().then_some(client)
    });
    drop(again);

    let held = [open(&broker, "ada", "a", "/"), open(&broker, "ada", "a", "/")];
    assert!(held.iter().all(|(_, refused)| refused.is_none()));
    let (_, refused) = open(&broker, "ada", "a", "/");
    assert_eq!(
        refused.unwrap(),
        "NOT_ALLOWED - connection refused for user 'ada': user connection limit (2) is reached"
    );
    assert_eq!(open(&broker, "bob", "b", "/").1, None, "others are not concerned");
}

#[test]
fn channels_of_a_user_are_limited() {
    let (_file, flag) = definitions(DEFINITIONS);
    let broker = BrokerProcess::start(&[&flag]);
    let mut one = Client::connect_as(&broker, "ada", "a", "/");
    let mut other = Client::connect_as(&broker, "ada", "a", "/");
    let close = Method::ChannelClose {
        reply_code: 200,
        reply_text: "",
        class_id: 0,
        method_id: 0,
    };
    one.send(1, close);
    one.expect(1, Method::ChannelCloseOk);
    other.open_channel(2);
    other.send(3, Method::ChannelOpen);
    assert_eq!(
        other.expect_close(0, 530),
        "NOT_ALLOWED - number of channels opened for user 'ada' has reached the maximum allowed user limit of (2)"
    );
}

#[test]
fn queues_of_a_virtual_host_are_limited() {
    let (_file, flag) = definitions(DEFINITIONS);
    let broker = BrokerProcess::start(&[&flag]);
    let mut client = Client::connect_as(&broker, "bob", "b", "small");
    client.declare(1, "one");
    client.declare(1, "one");
    client.send(1, declare("two"));
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost 'small' (1) is reached"
    );
}

#[test]
fn consumers_of_a_channel_are_limited() {
    let broker = BrokerProcess::start(&["--consumers-per-channel-max=1"]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.consume(1, "q", "one", true);
    client.send(1, consume("q", "two", true));
    assert_eq!(
        client.expect_close(0, 530),
        "NOT_ALLOWED - reached maximum (1) of consumers per channel"
    );
}
