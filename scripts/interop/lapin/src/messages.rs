//! Short forms for what nearly every feature does with queues and messages.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicGetOptions, BasicPublishOptions, BasicRejectOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Consumer, Result};

pub const QUIET: Duration = Duration::from_millis(200);

pub fn table<const N: usize>(fields: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert(name.into(), value);
    }
    table
}

pub fn none() -> FieldTable {
    FieldTable::default()
}

pub fn int(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}

pub fn string(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub fn strings(values: &[&str]) -> AMQPValue {
    AMQPValue::FieldArray(
        values
            .iter()
            .map(|value| string(value))
            .collect::<Vec<_>>()
            .into(),
    )
}

pub fn properties() -> BasicProperties {
    BasicProperties::default()
}

pub fn persistent() -> BasicProperties {
    properties().with_delivery_mode(2)
}

pub fn expiring(milliseconds: &str) -> BasicProperties {
    properties().with_expiration(milliseconds.into())
}

pub async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    properties: BasicProperties,
    body: &[u8],
) -> Result<Confirmation> {
    let options = BasicPublishOptions::default();
    channel
        .basic_publish(exchange.into(), key.into(), options, body, properties)
        .await?
        .await
}

/// Publishes and says whether the broker confirmed it.
pub async fn send(
    channel: &Channel,
    exchange: &str,
    key: &str,
    properties: BasicProperties,
    body: &str,
) -> bool {
    publish(channel, exchange, key, properties, body.as_bytes())
        .await
        .unwrap()
        .is_ack()
}

pub async fn send_texts(channel: &Channel, queue: &str, bodies: &[&str]) {
    for body in bodies {
        assert!(
            send(channel, "", queue, properties(), body).await,
            "confirm of {body}"
        );
    }
}

pub async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    bind_by(channel, queue, exchange, key, none()).await;
}

pub async fn bind_by(channel: &Channel, queue: &str, exchange: &str, key: &str, arguments: FieldTable) {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), options, arguments)
        .await
        .unwrap();
}

pub async fn unbind(channel: &Channel, queue: &str, exchange: &str, key: &str, arguments: FieldTable) {
    channel
        .queue_unbind(queue.into(), exchange.into(), key.into(), arguments)
        .await
        .unwrap();
}

pub async fn passive(channel: &Channel, queue: &str) -> Result<lapin::Queue> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(queue.into(), options, none()).await
}

pub async fn depth(channel: &Channel, queue: &str) -> u32 {
    passive(channel, queue).await.unwrap().message_count()
}

pub async fn get(channel: &Channel, queue: &str, no_ack: bool) -> Option<BasicGetMessage> {
    channel
        .basic_get(queue.into(), BasicGetOptions { no_ack })
        .await
        .unwrap()
}

pub async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some(message) = get(channel, queue, true).await {
        bodies.push(text(&message));
    }
    bodies
}

/// Gets the message that arrives a moment later, such as a dead letter.
pub async fn await_message(channel: &Channel, queue: &str) -> Delivery {
    loop {
        if let Some(message) = get(channel, queue, true).await {
            return message.delivery;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn consume(channel: &Channel, queue: &str, arguments: FieldTable) -> Consumer {
    channel
        .basic_consume(queue.into(), "".into(), Default::default(), arguments)
        .await
        .unwrap()
}

pub async fn cancel(channel: &Channel, consumer: &Consumer) {
    channel
        .basic_cancel(consumer.tag(), BasicCancelOptions::default())
        .await
        .unwrap();
}

pub async fn next(consumer: &mut Consumer) -> Delivery {
    consumer.next().await.expect("not cancelled").unwrap()
}

pub async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        deliveries.push(next(consumer).await);
    }
    deliveries
}

pub async fn quiet(consumer: &mut Consumer) {
    if let Ok(more) = tokio::time::timeout(QUIET, consumer.next()).await {
        panic!(
            "expected nothing, got {:?}",
            more.map(|more| text(&more.unwrap()))
        );
    }
}

pub async fn ack(delivery: &Delivery, multiple: bool) {
    delivery.ack(BasicAckOptions { multiple }).await.unwrap();
}

pub async fn reject(delivery: &Delivery, requeue: bool) {
    delivery.reject(BasicRejectOptions { requeue }).await.unwrap();
}

pub fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}

pub fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}

pub fn headers(delivery: &Delivery) -> FieldTable {
    delivery.properties.headers().clone().unwrap_or_default()
}
