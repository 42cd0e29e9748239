//! lapin, the ecosystem's client, does what people use it for.
//!
//! `scripts/interop/lapin` tests many more features, against RabbitMQ too.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Error, ErrorKind, ExchangeKind,
};

use support::{BrokerProcess, DEADLINE};

const EXCHANGE: &str = "interop.lapin";
const LARGE_BYTES: usize = 1 << 20;
const MESSAGES: usize = 10_000;

/// Fails the test when an answer does not come in time.
async fn within<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(DEADLINE, answer)
        .await
        .expect("an answer in time")
}

async fn connect(address: &str, password: &str) -> Result<Connection, Error> {
    let uri = format!("amqp://guest:{password}@{address}/%2f?heartbeat=20");
    within(Connection::connect(&uri, ConnectionProperties::default())).await
}

fn reply_code(error: &Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

async fn publish(channel: &Channel, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
    let options = BasicPublishOptions::default();
    let publishing = channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    within(publishing).await.unwrap();
}

async fn ready(channel: &Channel, queue: &ShortString) -> u32 {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    within(channel.queue_declare(queue.clone(), options, FieldTable::default()))
        .await
        .unwrap()
        .message_count()
}

async fn declare(channel: &Channel) -> ShortString {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let none = FieldTable::default;
    within(channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, none()))
        .await
        .unwrap();
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = within(channel.queue_declare("".into(), options, none()))
        .await
        .unwrap()
        .name()
        .clone();
    let options = QueueBindOptions::default();
    within(channel.queue_bind(
        queue.clone(),
        EXCHANGE.into(),
        "stock.*.#".into(),
        options,
        none(),
    ))
    .await
    .unwrap();
    queue
}

async fn publishes_and_consumes(channel: &Channel, queue: &ShortString, messages: usize) {
    for number in 0..messages {
        let (key, body) = (format!("stock.{number}"), number.to_string());
        publish(
            channel,
            EXCHANGE,
            &key,
            body.as_bytes(),
            BasicProperties::default(),
        )
        .await;
    }
    assert!(
        within(channel.wait_for_confirms()).await.unwrap().is_empty(),
        "nothing is returned"
    );
    within(channel.basic_qos(200, BasicQosOptions::default()))
        .await
        .unwrap();
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = within(channel.basic_consume(queue.clone(), "taker".into(), options, none))
        .await
        .unwrap();
    for number in 0..messages {
        let delivery = tokio::time::timeout(DEADLINE, deliveries.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(delivery.data, number.to_string().into_bytes());
        if number % 100 == 99 || number == messages - 1 {
            let multiple = BasicAckOptions { multiple: true };
            within(channel.basic_ack(delivery.delivery_tag, multiple))
                .await
                .unwrap();
        }
    }
    within(channel.basic_cancel("taker".into(), BasicCancelOptions::default()))
        .await
        .unwrap();
    assert_eq!(ready(channel, queue).await, 0);
}

async fn returns_what_is_mandatory_and_unroutable(channel: &Channel) {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default();
    let publishing = channel.basic_publish(EXCHANGE.into(), "unbound".into(), options, b"back", properties);
    let confirm = within(publishing).await.unwrap();
    let Confirmation::Ack(Some(returned)) = within(confirm).await.unwrap() else {
        panic!("not returned")
    };
    assert_eq!(
        (returned.reply_code, returned.data.as_slice()),
        (312, &b"back"[..])
    );
}

async fn holds_back_and_requeues(channel: &Channel, queue: &ShortString) {
    for number in 0..20 {
        publish(
            channel,
            "",
            queue.as_str(),
            number.to_string().as_bytes(),
            BasicProperties::default(),
        )
        .await;
    }
    within(channel.wait_for_confirms()).await.unwrap();
    within(channel.basic_qos(5, BasicQosOptions::default()))
        .await
        .unwrap();
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = within(channel.basic_consume(queue.clone(), "holder".into(), options, none))
        .await
        .unwrap();
    let mut tag_last = 0;
    for number in 0..5 {
        let delivery = tokio::time::timeout(DEADLINE, deliveries.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(
            (delivery.data, delivery.redelivered),
            (number.to_string().into_bytes(), false)
        );
        tag_last = delivery.delivery_tag;
    }
    assert_eq!(ready(channel, queue).await, 15);
    within(channel.basic_cancel("holder".into(), BasicCancelOptions::default()))
        .await
        .unwrap();
    let options = BasicNackOptions {
        multiple: true,
        requeue: true,
    };
    within(channel.basic_nack(tag_last, options)).await.unwrap();
    let first = within(channel.basic_get(queue.clone(), BasicGetOptions::default()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (first.data.as_slice(), first.redelivered, first.message_count),
        (&b"0"[..], true, 19)
    );
    within(channel.basic_reject(first.delivery_tag, BasicRejectOptions { requeue: false }))
        .await
        .unwrap();
    assert_eq!(
        within(channel.queue_purge(queue.clone(), QueuePurgeOptions::default()))
            .await
            .unwrap(),
        19
    );
}

async fn carries_a_large_message(channel: &Channel, queue: &ShortString) {
    let body: Vec<u8> = (0..LARGE_BYTES)
        .map(|index| (index * 31 + index / 251) as u8)
        .collect();
    let mut headers = FieldTable::default();
    headers.insert("number".into(), AMQPValue::LongLongInt(-(1 << 40)));
    headers.insert("flag".into(), AMQPValue::Boolean(true));
    headers.insert("none".into(), AMQPValue::Void);
    let properties = BasicProperties::default()
        .with_content_type("application/x-test".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("c-1".into())
        .with_reply_to("r".into())
        .with_expiration("600000".into())
        .with_message_id("m-1".into())
        .with_timestamp(1_700_000_000)
        .with_type("t".into())
        .with_app_id("interop".into());
    publish(channel, "", queue.as_str(), &body, properties.clone()).await;
    within(channel.wait_for_confirms()).await.unwrap();
    let options = BasicGetOptions { no_ack: true };
    let got = within(channel.basic_get(queue.clone(), options))
        .await
        .unwrap()
        .unwrap();
    assert!(got.data == body, "the body came back byte for byte");
    assert_eq!(got.properties, properties);
}

async fn a_missing_queue_closes_the_channel_only(connection: &Connection) {
    let channel = within(connection.create_channel()).await.unwrap();
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declaring = channel.queue_declare("interop.missing".into(), options, FieldTable::default());
    assert_eq!(reply_code(&within(declaring).await.unwrap_err()), Some(404));
    within(connection.create_channel()).await.unwrap();
}

async fn story(address: &str, messages: usize) {
    assert_eq!(
        reply_code(&connect(address, "wrong").await.unwrap_err()),
        Some(403)
    );
    let connection = connect(address, "guest").await.unwrap();
    assert_eq!(connection.configuration().heartbeat(), 20);
    let channel = within(connection.create_channel()).await.unwrap();
    let queue = declare(&channel).await;
    within(channel.confirm_select(ConfirmSelectOptions::default()))
        .await
        .unwrap();
    publishes_and_consumes(&channel, &queue, messages).await;
    returns_what_is_mandatory_and_unroutable(&channel).await;
    holds_back_and_requeues(&channel, &queue).await;
    carries_a_large_message(&channel, &queue).await;
    a_missing_queue_closes_the_channel_only(&connection).await;
    within(channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()))
        .await
        .unwrap();
    within(connection.close(200, "done".into())).await.unwrap();
}

#[test]
fn lapin_works_unchanged() {
    let broker = BrokerProcess::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(story(&broker.address.to_string(), MESSAGES));
    runtime.shutdown_timeout(Duration::from_secs(1));
}
