//! Every refused request gets the reply code RabbitMQ gives it, on the scope it gives it.

mod support;

use support::{BrokerProcess, Client, consume, declare, declare_own, encode_publish};
use wire::{BasicProperties, Method, TableRef};

const NONE: TableRef<'static> = TableRef::EMPTY;

fn exchange_declare<'a>(exchange: &'a str, kind: &'a str, passive: bool, durable: bool) -> Method<'a> {
    Method::ExchangeDeclare {
        exchange,
        kind,
        passive,
        durable,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: NONE,
    }
}

fn queue_declare(queue: &str, passive: bool, durable: bool) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive,
        durable,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: NONE,
    }
}

fn bind<'a>(queue: &'a str, exchange: &'a str) -> Method<'a> {
    Method::QueueBind {
        queue,
        exchange,
        routing_key: "",
        no_wait: false,
        arguments: NONE,
    }
}

#[test]
fn refused_requests_close_what_the_specification_says() {
    let broker = BrokerProcess::start(&[]);
    let mut admin = Client::connect(&broker);
    admin.declare(1, "taken");
    admin.declare(1, "held");
    admin.publish(1, "held", b"x");
    admin.consume(1, "taken", "t", false);
    let exclusive = declare_own("mine");
    assert!(matches!(
        admin.call(1, exclusive).method(),
        Method::QueueDeclareOk { .. }
    ));
    let channel_errors: Vec<(Method<'_>, u16, &str)> = vec![
        (
            queue_declare("missing", true, false),
            404,
            "no queue 'missing' in vhost '/'",
        ),
        (
            exchange_declare("missing", "direct", true, false),
            404,
            "no exchange 'missing' in vhost '/'",
        ),
        (consume("missing", "c", false), 404, "no queue 'missing'"),
        (
            Method::BasicGet {
                queue: "missing",
                no_ack: true,
            },
            404,
            "no queue 'missing'",
        ),
        (
            Method::QueuePurge {
                queue: "missing",
                no_wait: false,
            },
            404,
            "no queue 'missing'",
        ),
        (bind("missing", "amq.direct"), 404, "no queue 'missing'"),
        (bind("taken", "missing"), 404, "no exchange 'missing'"),
        (
            queue_declare("taken", false, true),
            406,
            "inequivalent arg 'durable' for queue 'taken'",
        ),
        (
            exchange_declare("amq.direct", "fanout", false, true),
            406,
            "inequivalent arg 'type'",
        ),
        (queue_declare("amq.taken", false, false), 403, "reserved prefix"),
        (
            exchange_declare("amq.own", "direct", false, true),
            403,
            "reserved prefix",
        ),
        (
            exchange_declare("odd", "no-such-type", false, false),
            406,
            "unknown exchange type 'no-such-type'",
        ),
        (bind("taken", ""), 403, "default exchange"),
        (queue_declare("mine", true, false), 405, "locked queue 'mine'"),
        (consume("mine", "c", false), 405, "locked queue 'mine'"),
        (
            Method::QueueDelete {
                queue: "taken",
                if_unused: true,
                if_empty: false,
                no_wait: false,
            },
            406,
            "in use",
        ),
        (
            Method::QueueDelete {
                queue: "held",
                if_unused: false,
                if_empty: true,
                no_wait: false,
            },
            406,
            "not empty",
        ),
        (
            Method::BasicAck {
                delivery_tag: 7,
                multiple: false,
            },
            406,
            "unknown delivery tag 7",
        ),
        (
            Method::BasicAck {
                delivery_tag: 7,
                multiple: true,
            },
            406,
            "unknown delivery tag 7",
        ),
        (
            Method::BasicNack {
                delivery_tag: 1,
                multiple: false,
                requeue: true,
            },
            406,
            "unknown delivery tag 1",
        ),
        (
            Method::BasicReject {
                delivery_tag: 0,
                requeue: true,
            },
            406,
            "unknown delivery tag 0",
        ),
    ];
    let mut client = Client::connect(&broker);
    for (method, code, text) in channel_errors {
        client.send(1, method);
        let said = client.expect_close(1, code);
        assert!(said.contains(text), "{}: {said}", method.name());
        // The connection lives on, and so does the channel number.
        client.open_channel(1);
    }
    let connection_errors: Vec<(Method<'_>, u16)> = vec![
        (Method::ChannelOpen, 504),
        (Method::ChannelFlow { active: false }, 540),
        (
            Method::BasicQos {
                prefetch_size: 1,
                prefetch_count: 1,
                global: false,
            },
            540,
        ),
        (Method::BasicRecover { requeue: false }, 540),
        (Method::BasicConsumeOk { consumer_tag: "c" }, 503),
    ];
    for (method, code) in connection_errors {
        let mut client = Client::connect(&broker);
        client.send(1, method);
        client.expect_close(0, code);
        assert_eq!(
            client.try_frame(),
            None,
            "{}: the socket closes after close-ok",
            method.name()
        );
    }
}

#[test]
fn publishing_to_a_missing_exchange_closes_the_channel() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, 1, "missing", "k", false, b"x", 131_072);
    client.write(&bytes);
    // What follows on a closed channel is discarded, up to close-ok.
    client.write(&bytes);
    assert!(client.expect_close(1, 404).contains("no exchange 'missing'"));
    client.open_channel(1);
}

#[test]
fn immediate_is_not_implemented() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let mut bytes = Vec::new();
    let publish = Method::BasicPublish {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        immediate: true,
    };
    publish.encode(1, &mut bytes);
    wire::encode_content_header(&mut bytes, 1, 0, &BasicProperties::default());
    client.write(&bytes);
    client.expect_close(0, 540);
}

#[test]
fn a_message_over_the_limit_closes_the_channel() {
    let broker = BrokerProcess::start(&["--message-bytes-max", "1000"]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.publish(1, "q", &[0; 1000]);
    client.publish(1, "q", &[0; 1001]);
    assert!(
        client
            .expect_close(1, 406)
            .contains("larger than configured max size 1000")
    );
    client.open_channel(1);
    assert_eq!(client.ready(1, "q"), 1);
}

#[test]
fn a_message_over_the_limit_is_read_to_its_end_before_its_channel_closes() {
    let broker = BrokerProcess::start(&["--message-bytes-max", "1000"]);
    let mut client = Client::connect(&broker);
    client.open_channel(2);
    let mut publish = Vec::new();
    let method = Method::BasicPublish {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        immediate: false,
    };
    method.encode(1, &mut publish);
    wire::encode_content_header(&mut publish, 1, 3000, &BasicProperties::default());
    wire::encode_body_frames(&mut publish, 1, &[0; 2000], 4096);
    client.write(&publish);
    // Answered by the time that channel 1 would have been closed.
    client.declare(2, "q");
    let mut rest = Vec::new();
    wire::encode_body_frames(&mut rest, 1, &[0; 1000], 4096);
    client.write(&rest);
    assert!(client.expect_close(1, 406).contains("message size 3000"));
}

#[test]
fn an_exclusive_consumer_keeps_others_out() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    let exclusive = Method::BasicConsume {
        queue: "q",
        consumer_tag: "only",
        no_local: false,
        no_ack: true,
        exclusive: true,
        no_wait: false,
        arguments: NONE,
    };
    client.send(1, exclusive);
    client.expect(1, Method::BasicConsumeOk { consumer_tag: "only" });
    client.open_channel(2);
    client.send(2, consume("q", "second", true));
    assert!(client.expect_close(2, 403).contains("exclusive use"));
}

#[test]
fn queues_go_with_their_owner_or_their_last_consumer() {
    let broker = BrokerProcess::start(&[]);
    let mut observer = Client::connect(&broker);
    let mut owner = Client::connect(&broker);
    for (queue, exclusive, auto_delete) in [("owned", true, false), ("used", false, true)] {
        let declare = Method::QueueDeclare {
            queue,
            passive: false,
            durable: false,
            exclusive,
            auto_delete,
            no_wait: true,
            arguments: NONE,
        };
        owner.send(1, declare);
    }
    owner.consume(1, "used", "c", false);
    owner.send(
        0,
        Method::ConnectionClose {
            reply_code: 200,
            reply_text: "",
            class_id: 0,
            method_id: 0,
        },
    );
    owner.expect(0, Method::ConnectionCloseOk);
    assert_eq!(owner.try_frame(), None);
    for queue in ["owned", "used"] {
        observer.send(1, queue_declare(queue, true, false));
        observer.expect_close(1, 404);
        observer.open_channel(1);
    }
}

#[test]
fn consumers_are_told_when_their_queue_is_deleted() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.consume(1, "q", "c", false);
    let mut other = Client::connect(&broker);
    other.publish(1, "q", b"held");
    client.message();
    other.send(
        1,
        Method::QueueDelete {
            queue: "q",
            if_unused: false,
            if_empty: false,
            no_wait: false,
        },
    );
    other.expect(1, Method::QueueDeleteOk { message_count: 0 });
    client.expect(
        1,
        Method::BasicCancel {
            consumer_tag: "c",
            no_wait: true,
        },
    );
    // Acknowledging what the queue took with it is harmless.
    client.ack(1, 1, false);
    client.send(1, declare("q"));
    client.expect(
        1,
        Method::QueueDeclareOk {
            queue: "q",
            message_count: 0,
            consumer_count: 0,
        },
    );
}
