//! Errors close a channel, a few close the connection.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicRecoverOptions,
    ChannelFlowOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer, Error, ErrorKind, Event, ExchangeKind, Result,
};

use crate::harness::on_rabbitmq_3;
use crate::messages::*;
use crate::scope::{Address, Scope, connect};

fn code_of(error: &Error) -> u16 {
    match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_id(),
        other => panic!("expected a reply code, got {other:?}"),
    }
}

/// The reply code with which the broker refused.
pub fn code<T>(result: Result<T>) -> u16 {
    match result {
        Ok(_) => panic!("not refused"),
        Err(error) => code_of(&error),
    }
}

/// A channel with a consumer that sees how the channel ends.
async fn watched(scope: &Scope) -> (Channel, Consumer) {
    let channel = scope.channel().await;
    let queue = channel
        .queue_declare("".into(), QueueDeclareOptions::exclusive(), none())
        .await
        .unwrap();
    let consumer = consume(&channel, queue.name().as_str(), none()).await;
    (channel, consumer)
}

async fn closed_with(mut consumer: Consumer) -> u16 {
    code_of(&consumer.next().await.expect("an error").expect_err("no delivery"))
}

async fn declare(channel: &Channel, queue: &str, options: QueueDeclareOptions) -> u16 {
    code(channel.queue_declare(queue.into(), options, none()).await)
}

async fn declare_exchange(channel: &Channel, exchange: &str, kind: ExchangeKind) -> Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(exchange.into(), kind, options, none())
        .await
}

pub async fn errors(scope: Arc<Scope>) {
    let missing = "interop.lapin.missing";
    let owner = scope.channel().await;
    let queue = scope.exclusive(&owner, "queue").await;
    let shared = scope.declare(&owner, "shared", none()).await;
    // Each call closes its channel; the next one proves that the connection lives on.
    assert_eq!(
        code(passive(&scope.channel().await, missing).await),
        404,
        "missing queue"
    );
    let options = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    let channel = scope.channel().await;
    let declared = channel
        .exchange_declare(missing.into(), ExchangeKind::Direct, options, none())
        .await;
    assert_eq!(code(declared), 404, "missing exchange");
    let channel = scope.channel().await;
    let bound = channel.queue_bind(
        queue.as_str().into(),
        missing.into(),
        "key".into(),
        Default::default(),
        none(),
    );
    assert_eq!(code(bound.await), 404, "bind to a missing exchange");
    let options = BasicConsumeOptions::default();
    let consumed = scope
        .channel()
        .await
        .basic_consume(missing.into(), "".into(), options, none())
        .await;
    assert_eq!(code(consumed), 404, "consume from a missing queue");
    let got = scope
        .channel()
        .await
        .basic_get(missing.into(), BasicGetOptions::default())
        .await;
    assert_eq!(code(got), 404, "get from a missing queue");
    let published = publish(&scope.confirming().await, missing, "key", properties(), b"lost").await;
    assert_eq!(code(published), 404, "publish to a missing exchange");

    let durable = QueueDeclareOptions::durable();
    assert_eq!(
        declare(&scope.channel().await, "amq.interop", durable).await,
        403,
        "reserved queue name"
    );
    let declared = declare_exchange(&scope.channel().await, "amq.interop", ExchangeKind::Direct).await;
    assert_eq!(code(declared), 403, "reserved exchange name");
    let deleted = scope
        .channel()
        .await
        .exchange_delete("amq.direct".into(), Default::default())
        .await;
    assert_eq!(code(deleted), 403, "delete of amq.direct");
    let channel = scope.channel().await;
    let bound = channel.queue_bind(
        queue.as_str().into(),
        "".into(),
        "key".into(),
        Default::default(),
        none(),
    );
    assert_eq!(code(bound.await), 403, "bind to the default exchange");

    assert_eq!(
        declare(&scope.channel().await, &shared, durable).await,
        406,
        "other durability"
    );
    let arguments = table([("x-message-ttl", int(1000))]);
    let declared = scope
        .channel()
        .await
        .queue_declare(shared.as_str().into(), Default::default(), arguments)
        .await;
    assert_eq!(code(declared), 406, "other arguments");
    let declared = declare_exchange(&scope.channel().await, "amq.direct", ExchangeKind::Fanout).await;
    assert_eq!(code(declared), 406, "other exchange type");
    assert_eq!(
        code(passive(&scope.stranger().await, &queue).await),
        405,
        "another's exclusive queue"
    );

    let (channel, consumer) = watched(&scope).await;
    channel.basic_ack(7, BasicAckOptions::default()).await.unwrap();
    assert_eq!(closed_with(consumer).await, 406, "unknown delivery tag");
    send_texts(&scope.confirming().await, &queue, &["once"]).await;
    let (channel, consumer) = watched(&scope).await;
    let tag = get(&channel, &queue, false).await.unwrap().delivery.delivery_tag;
    channel.basic_ack(tag, BasicAckOptions::default()).await.unwrap();
    channel.basic_ack(tag, BasicAckOptions::default()).await.unwrap();
    assert_eq!(closed_with(consumer).await, 406, "acknowledged twice");
    connection_errors(&scope, missing).await;
}

/// A connection to break, and a channel of it.
async fn doomed(scope: &Scope) -> (Arc<Connection>, Channel) {
    let connection = scope
        .connect(Address::default(), ConnectionProperties::default())
        .await;
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// Listens from now on for the code with which the connection ends.
fn end_of(connection: &Connection) -> impl Future<Output = u16> {
    let mut events = connection.events_listener();
    async move {
        loop {
            if let Event::Error(error) = events.next().await.expect("an error before the end") {
                return code_of(&error);
            }
        }
    }
}

async fn connection_errors(scope: &Scope, missing: &str) {
    let elsewhere = Address {
        vhost: missing.to_owned(),
        ..Address::default()
    };
    let connected = connect(elsewhere, ConnectionProperties::default()).await;
    assert_eq!(code(connected), 530, "missing virtual host");

    let (connection, channel) = doomed(scope).await;
    let closed = end_of(&connection);
    let queue = channel
        .queue_declare("".into(), QueueDeclareOptions::exclusive(), none())
        .await
        .unwrap();
    let options = BasicConsumeOptions::default();
    let first = channel
        .basic_consume(queue.name().clone(), "twice".into(), options, none())
        .await;
    let second = channel
        .basic_consume(queue.name().clone(), "twice".into(), options, none())
        .await;
    assert!(first.is_ok() && second.is_err());
    assert_eq!(closed.await, 530, "consumer tag used twice");

    let (connection, channel) = doomed(scope).await;
    let closed = end_of(&connection);
    let options = BasicPublishOptions {
        immediate: true,
        ..BasicPublishOptions::default()
    };
    let _unconfirmed = channel
        .basic_publish("".into(), missing.into(), options, b"", properties())
        .await
        .unwrap();
    assert_eq!(closed.await, 540, "immediate");
    let (connection, channel) = doomed(scope).await;
    let closed = end_of(&connection);
    channel
        .basic_recover(BasicRecoverOptions { requeue: false })
        .await
        .unwrap_err();
    assert_eq!(closed.await, 540, "recover without requeue");
    let (connection, channel) = doomed(scope).await;
    let closed = end_of(&connection);
    channel
        .channel_flow(ChannelFlowOptions { active: false })
        .await
        .unwrap_err();
    assert_eq!(closed.await, 540, "flow off");

    let unknown = ExchangeKind::Custom("x-unknown".to_owned());
    if on_rabbitmq_3("an unknown exchange type closes the connection with 503 before RabbitMQ 4") {
        let (connection, channel) = doomed(scope).await;
        let closed = end_of(&connection);
        declare_exchange(&channel, missing, unknown).await.unwrap_err();
        assert_eq!(closed.await, 503, "unknown exchange type");
    } else {
        let declared = declare_exchange(&scope.channel().await, missing, unknown).await;
        assert_eq!(code(declared), 406, "unknown exchange type");
    }
}
