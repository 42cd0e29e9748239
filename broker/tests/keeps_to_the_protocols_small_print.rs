//! What the protocol asks for at its edges: requests that want no answer, closes that cross, methods of older versions,
//! server properties, secrets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, encode_publish};
use wire::{Method, PROTOCOL_HEADER, TableRef};

const NONE: TableRef<'static> = TableRef::EMPTY;

fn close() -> Method<'static> {
    Method::ChannelClose {
        reply_code: 200,
        reply_text: "",
        class_id: 0,
        method_id: 0,
    }
}

#[test]
fn who_wants_no_answer_gets_none() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let requests = [
        Method::ExchangeDeclare {
            exchange: "x",
            kind: "fanout",
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            no_wait: true,
            arguments: NONE,
        },
        Method::QueueDeclare {
            queue: "q",
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            no_wait: true,
            arguments: NONE,
        },
        Method::ExchangeBind {
            destination: "x",
            source: "amq.direct",
            routing_key: "k",
            no_wait: true,
            arguments: NONE,
        },
        Method::QueueBind {
            queue: "q",
            exchange: "x",
            routing_key: "",
            no_wait: true,
            arguments: NONE,
        },
        Method::ConfirmSelect { no_wait: true },
        Method::BasicConsume {
            queue: "q",
            consumer_tag: "c",
            no_local: false,
            no_ack: true,
            exclusive: false,
            no_wait: true,
            arguments: NONE,
        },
        Method::BasicCancel {
            consumer_tag: "c",
            no_wait: true,
        },
    ];
    let mut bytes = Vec::new();
    for request in requests {
        request.encode(1, &mut bytes);
    }
    encode_publish(&mut bytes, 1, "amq.direct", "k", false, b"x", 131_072);
    client.write(&bytes);
    // The first answer at all is the confirm, and the message has gone all the way.
    client.await_confirms(1);
    assert_eq!(client.ready(1, "q"), 1);
    bytes.clear();
    let requests = [
        Method::QueuePurge {
            queue: "q",
            no_wait: true,
        },
        Method::ExchangeUnbind {
            destination: "x",
            source: "amq.direct",
            routing_key: "k",
            no_wait: true,
            arguments: NONE,
        },
        Method::QueueDelete {
            queue: "q",
            if_unused: false,
            if_empty: true,
            no_wait: true,
        },
        Method::ExchangeDelete {
            exchange: "x",
            if_unused: true,
            no_wait: true,
        },
    ];
    for request in requests {
        request.encode(1, &mut bytes);
    }
    client.write(&bytes);
    assert_eq!(client.declare(1, "q"), ("q".to_owned(), 0));
}

#[test]
fn closes_may_cross() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    // The client closes before it has seen that the broker did.
    client.send(1, Method::TxCommit);
    client.publish(1, "discarded", b"x");
    client.send(1, close());
    let frame = client.frame();
    assert!(matches!(
        frame.method(),
        Method::ChannelClose { reply_code: 406, .. }
    ));
    client.expect(1, Method::ChannelCloseOk);
    client.send(1, Method::ChannelCloseOk);
    client.open_channel(1);
    // A close-ok that answers nothing.
    for (channel, code) in [(1, 503), (5, 504)] {
        let mut client = Client::connect(&broker);
        client.send(channel, Method::ChannelCloseOk);
        client.expect_close(0, code);
    }
}

#[test]
fn methods_that_need_no_reaction_get_none() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.send(1, Method::ChannelFlow { active: true });
    client.expect(1, Method::ChannelFlowOk { active: true });
    client.send(1, Method::ChannelFlowOk { active: true });
    client.send(1, Method::BasicCancelOk { consumer_tag: "any" });
    client.send(1, Method::BasicRecoverAsync { requeue: true });
    let request = Method::AccessRequest {
        realm: "/data",
        exclusive: false,
        passive: true,
        active: true,
        write: true,
        read: true,
    };
    client.send(1, request);
    client.expect(1, Method::AccessRequestOk { ticket: 1 });
}

#[test]
fn a_new_secret_is_taken() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let update = Method::ConnectionUpdateSecret {
        new_secret: b"renewed",
        reason: "expired",
    };
    client.send(0, update);
    client.expect(0, Method::ConnectionUpdateSecretOk);
    client.declare(1, "q");
}

#[test]
fn the_broker_introduces_itself() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::raw(&broker);
    client.write(&PROTOCOL_HEADER);
    let start = client.frame();
    let Method::ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties,
        mechanisms,
        locales,
    } = start.method()
    else {
        panic!("{start:?}")
    };
    assert_eq!((mechanisms, locales), (&b"PLAIN AMQPLAIN"[..], &b"en_US"[..]));
    for name in [
        "product",
        "version",
        "implementation",
        "implementation_version",
        "platform",
        "copyright",
        "information",
        "cluster_name",
    ] {
        let value = server_properties.get(name).and_then(|value| value.as_str());
        assert!(value.is_some_and(|text| !text.is_empty()), "{name}");
    }
    let capabilities = server_properties.get("capabilities").unwrap().as_table().unwrap();
    let mut names: Vec<_> = capabilities.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "authentication_failure_close",
            "basic.nack",
            "connection.blocked",
            "consumer_cancel_notify",
            "consumer_priorities",
            "direct_reply_to",
            "exchange_exchange_bindings",
            "per_consumer_qos",
            "publisher_confirms",
        ]
    );
    assert!(
        capabilities
            .iter()
            .all(|(_, value)| value.as_bool() == Some(true))
    );
}
