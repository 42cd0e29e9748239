//! Direct reply-to: answers go to the channel that asked, over connections and reactors, without a queue.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{BrokerProcess, Client, Message, consume, encode_publish, passive};
use wire::{BasicProperties, ContentHeader, Method};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn reply_to(message: &Message) -> String {
    let header = ContentHeader::decode(&message.header).unwrap();
    let properties = BasicProperties::decode(header.properties).unwrap();
    properties.reply_to.unwrap().to_owned()
}

fn request(client: &mut Client, channel: u16, queue: &str) {
    let properties = BasicProperties {
        content_type: Some("text/plain"),
        correlation_id: Some("7"),
        reply_to: Some(REPLY_TO),
        message_id: Some("m"),
        ..BasicProperties::default()
    };
    client.publish_with(channel, "", queue, &properties, b"question");
}

#[test]
fn an_answer_reaches_the_channel_that_asked() {
    let broker = BrokerProcess::start(&["--reactors=2"]);
    let (mut client, mut server) = (Client::connect(&broker), Client::connect(&broker));
    server.declare(1, "requests");
    server.consume(1, "requests", "s", true);
    client.consume(1, REPLY_TO, "answers", true);
    request(&mut client, 1, "requests");
    let question = server.message();
    let address = reply_to(&question);
    assert!(
        address.starts_with("amq.rabbitmq.reply-to.") && address.len() > 30,
        "{address}"
    );
    let header = ContentHeader::decode(&question.header).unwrap();
    let properties = BasicProperties::decode(header.properties).unwrap();
    let rest = (
        properties.content_type,
        properties.correlation_id,
        properties.message_id,
    );
    assert_eq!(rest, (Some("text/plain"), Some("7"), Some("m")));
    // Small, empty and longer than a frame.
    for body in [&b"answer"[..], b"", &[9; 300_000]] {
        server.publish(1, &address, body);
        let answer = client.message();
        assert_eq!(answer.body, body);
        assert!(
            matches!(
                answer.method.method(),
                Method::BasicDeliver { consumer_tag: "answers", exchange: "", routing_key, redelivered: false, .. }
                    if routing_key == address
            ),
            "{:?}",
            answer.method.method()
        );
    }
    // Tags count on with the channel's other deliveries, and there is nothing to acknowledge.
    client.ack(1, 3, false);
    assert!(client.expect_close(1, 406).contains("unknown delivery tag 3"));
}

#[test]
fn who_is_gone_gets_no_answer() {
    let broker = BrokerProcess::start(&[]);
    let mut server = Client::connect(&broker);
    server.declare(1, "requests");
    server.consume(1, "requests", "s", true);
    server.confirm_select(1);
    for how in ["cancel", "close the channel", "close the connection"] {
        let mut client = Client::connect(&broker);
        client.consume(1, REPLY_TO, "answers", true);
        request(&mut client, 1, "requests");
        let address = reply_to(&server.message());
        let expected = Method::QueueDeclareOk {
            queue: &address,
            message_count: 0,
            consumer_count: 1,
        };
        server.send(1, passive(&address));
        server.expect(1, expected);
        match how {
            "cancel" => {
                client.send(
                    1,
                    Method::BasicCancel {
                        consumer_tag: "answers",
                        no_wait: false,
                    },
                );
                client.expect(
                    1,
                    Method::BasicCancelOk {
                        consumer_tag: "answers",
                    },
                );
            }
            "close the channel" => {
                client.send(
                    1,
                    Method::ChannelClose {
                        reply_code: 200,
                        reply_text: "",
                        class_id: 0,
                        method_id: 0,
                    },
                );
                client.expect(1, Method::ChannelCloseOk);
            }
            _ => {
                client.send(
                    0,
                    Method::ConnectionClose {
                        reply_code: 200,
                        reply_text: "",
                        class_id: 0,
                        method_id: 0,
                    },
                );
                client.expect(0, Method::ConnectionCloseOk);
                assert_eq!(client.try_frame(), None);
            }
        }
        let mut bytes = Vec::new();
        encode_publish(&mut bytes, 1, "", &address, true, b"too late", 131_072);
        server.write(&bytes);
        let returned = server.message();
        assert!(
            matches!(
                returned.method.method(),
                Method::BasicReturn {
                    reply_code: 312,
                    reply_text: "NO_ROUTE",
                    ..
                }
            ),
            "{how}: {:?}",
            returned.method.method()
        );
        assert!(matches!(server.frame().method(), Method::BasicAck { .. }));
        server.open_channel(2);
        server.send(2, passive(&address));
        assert!(server.expect_close(2, 404).contains(&address));
    }
}

#[test]
fn answers_are_confirmed_and_not_returned() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "requests");
    client.consume(1, REPLY_TO, "answers", true);
    client.confirm_select(1);
    request(&mut client, 1, "requests");
    client.await_confirms(1);
    let address = reply_to(&client.get(1, "requests").unwrap());
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, 1, "", &address, true, b"to myself", 131_072);
    client.write(&bytes);
    assert_eq!(client.message().body, b"to myself");
    client.await_confirms(2);
}

#[test]
fn the_pseudo_queue_has_its_rules() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    client.declare(1, "requests");
    request(&mut client, 1, "requests");
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - fast reply consumer does not exist"
    );
    client.open_channel(1);
    client.send(1, consume(REPLY_TO, "c", false));
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - reply consumer cannot acknowledge"
    );
    client.open_channel(1);
    client.consume(1, REPLY_TO, "c", true);
    client.send(1, consume(REPLY_TO, "d", true));
    assert_eq!(
        client.expect_close(1, 406),
        "PRECONDITION_FAILED - reply consumer already set"
    );
    client.open_channel(1);
    assert_eq!(client.declare(1, REPLY_TO), (REPLY_TO.to_owned(), 0));
    client.send(
        1,
        Method::BasicGet {
            queue: REPLY_TO,
            no_ack: true,
        },
    );
    client.expect_close(1, 404);
    client.open_channel(1);
    // An address that nobody has is a queue that does not exist.
    client.publish(1, "amq.rabbitmq.reply-to.nobody", b"lost");
    client.send(1, passive("amq.rabbitmq.reply-to.nobody"));
    client.expect_close(1, 404);
}
