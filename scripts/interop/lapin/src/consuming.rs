//! Getting, consuming, acknowledging.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRecoverOptions, QueueDeclareOptions,
};
use lapin::{Channel, Consumer};

use crate::errors::code;
use crate::messages::*;
use crate::scope::{Address, Scope};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const NUMBERS: [&str; 20] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19",
];

async fn try_consume(
    channel: &Channel,
    queue: &str,
    options: BasicConsumeOptions,
) -> lapin::Result<Consumer> {
    channel
        .basic_consume(queue.into(), "".into(), options, none())
        .await
}

pub async fn get(scope: Arc<Scope>) {
    use crate::messages::get;
    let channel = scope.confirming().await;
    let queue = scope.declare(&channel, "queue", none()).await;
    send_texts(&channel, &queue, &NUMBERS[..3]).await;
    let first = get(&channel, &queue, false).await.unwrap();
    assert_eq!(
        (text(&first).as_str(), first.message_count, first.redelivered),
        ("0", 2, false)
    );
    assert_eq!(
        (first.exchange.as_str(), first.routing_key.as_str()),
        ("", queue.as_str())
    );
    first
        .nack(BasicNackOptions {
            requeue: true,
            multiple: false,
        })
        .await
        .unwrap();
    let again = get(&channel, &queue, false).await.unwrap();
    assert_eq!((text(&again).as_str(), again.redelivered), ("0", true));
    ack(&again, false).await;
    assert_eq!(
        text(&get(&channel, &queue, true).await.unwrap()),
        "1",
        "without acknowledgement"
    );
    assert_eq!(text(&get(&channel, &queue, false).await.unwrap()), "2");
    assert!(get(&channel, &queue, false).await.is_none());
    // Gives back only what was neither acknowledged nor got without acknowledgement.
    channel.close(200, "done".into()).await.unwrap();
    let last = get(&scope.channel().await, &queue, false).await.unwrap();
    assert_eq!(
        (text(&last).as_str(), last.message_count, last.redelivered),
        ("2", 0, true)
    );
}

pub async fn prefetch(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queue = scope.declare(&channel, "consumer", none()).await;
    send_texts(&channel, &queue, &NUMBERS).await;
    channel
        .basic_qos(5, BasicQosOptions { global: false })
        .await
        .unwrap();
    let mut consumer = consume(&channel, &queue, none()).await;
    let held = take(&mut consumer, 5).await;
    assert_eq!(texts(&held), NUMBERS[..5]);
    quiet(&mut consumer).await;
    assert_eq!(depth(&channel, &queue).await, 15, "ready");
    ack(&held[1], true).await;
    assert_eq!(texts(&take(&mut consumer, 2).await), NUMBERS[5..7]);
    quiet(&mut consumer).await;

    let shared = scope.confirming().await;
    let queue = scope.declare(&shared, "channel", none()).await;
    send_texts(&shared, &queue, &NUMBERS).await;
    shared
        .basic_qos(3, BasicQosOptions { global: true })
        .await
        .unwrap();
    let (one, two) = (
        consume(&shared, &queue, none()).await,
        consume(&shared, &queue, none()).await,
    );
    let mut both = futures_util::stream::select(one, two);
    let mut held = Vec::new();
    while held.len() < 3 {
        held.push(both.next().await.unwrap().unwrap());
    }
    assert!(
        tokio::time::timeout(QUIET, both.next()).await.is_err(),
        "beyond the channel's prefetch count"
    );
    ack(&held[0], false).await;
    both.next().await.unwrap().unwrap();
    assert!(
        tokio::time::timeout(QUIET, both.next()).await.is_err(),
        "beyond the channel's prefetch count again"
    );
    assert_eq!(depth(&shared, &queue).await, 16, "ready");
}

async fn get_some(channel: &Channel, queue: &str, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(
            crate::messages::get(channel, queue, false)
                .await
                .expect("a message")
                .delivery,
        );
    }
    taken
}

/// Bodies, with a + for what is redelivered.
fn marked(taken: &[Delivery]) -> String {
    let mark = |delivery: &Delivery| text(delivery) + if delivery.redelivered { "+" } else { "" };
    taken.iter().map(mark).collect::<Vec<_>>().join(" ")
}

pub async fn requeue(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queue = scope.declare(&channel, "queue", none()).await;
    send_texts(&channel, &queue, &NUMBERS[..6]).await;
    let first = get_some(&channel, &queue, 4).await;
    first[2]
        .nack(BasicNackOptions {
            requeue: true,
            multiple: true,
        })
        .await
        .unwrap();
    let second = get_some(&channel, &queue, 4).await; // 0, 1, 2 again, then 4: 3 is still out
    assert_eq!(marked(&second), "0+ 1+ 2+ 4");
    reject(&second[1], true).await;
    assert_eq!(marked(&get_some(&channel, &queue, 1).await), "1+");
    channel
        .basic_recover(BasicRecoverOptions { requeue: true })
        .await
        .unwrap();
    assert_eq!(marked(&get_some(&channel, &queue, 6).await), "0+ 1+ 2+ 3+ 4+ 5");
    channel
        .basic_nack(
            0,
            BasicNackOptions {
                requeue: false,
                multiple: true,
            },
        )
        .await
        .unwrap(); // all of them
    assert!(crate::messages::get(&channel, &queue, true).await.is_none());
}

pub async fn consumer_priority(scope: Arc<Scope>) {
    let (channel, high_channel, low_channel) = (
        scope.confirming().await,
        scope.channel().await,
        scope.channel().await,
    );
    let queue = scope.declare(&channel, "queue", none()).await;
    let mut low = consume(&low_channel, &queue, table([("x-priority", int(1))])).await;
    high_channel
        .basic_qos(2, BasicQosOptions::default())
        .await
        .unwrap();
    let mut high = consume(&high_channel, &queue, table([("x-priority", int(10))])).await;
    send_texts(&channel, &queue, &NUMBERS[..4]).await;
    let taken = take(&mut high, 2).await;
    assert_eq!(texts(&taken), NUMBERS[..2], "the higher priority's");
    assert_eq!(
        texts(&take(&mut low, 2).await),
        NUMBERS[2..4],
        "the lower priority's"
    );
    ack(&taken[1], true).await;
    depth(&high_channel, &queue).await; // answered after the acknowledgement is processed
    send_texts(&channel, &queue, &["4"]).await;
    assert_eq!(
        text(&next(&mut high).await),
        "4",
        "the higher priority's, with credit again"
    );
    quiet(&mut low).await;
}

pub async fn single_active(scope: Arc<Scope>) {
    let (channel, active_channel, waiting_channel) = (
        scope.confirming().await,
        scope.channel().await,
        scope.channel().await,
    );
    let arguments = table([("x-single-active-consumer", lapin::types::AMQPValue::Boolean(true))]);
    let queue = scope.declare(&channel, "queue", arguments).await;
    let mut active = consume(&active_channel, &queue, none()).await;
    let mut waiting = consume(&waiting_channel, &queue, none()).await;
    send_texts(&channel, &queue, &NUMBERS[..4]).await;
    let taken = take(&mut active, 4).await;
    assert_eq!(texts(&taken), NUMBERS[..4], "the active consumer's");
    quiet(&mut waiting).await;
    ack(&taken[3], true).await;
    cancel(&active_channel, &active).await;
    send_texts(&channel, &queue, &NUMBERS[4..6]).await;
    assert_eq!(
        texts(&take(&mut waiting, 2).await),
        NUMBERS[4..6],
        "the next consumer's"
    );
}

pub async fn exclusive(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let owned = scope.exclusive(&channel, "owned").await;
    let plain = BasicConsumeOptions::default();
    let alone = BasicConsumeOptions {
        exclusive: true,
        ..plain
    };
    let consumed = try_consume(&scope.stranger().await, &owned, plain).await;
    assert_eq!(code(consumed), 405, "consume from another's queue");
    let options = QueueDeclareOptions::exclusive();
    let declared = scope
        .stranger()
        .await
        .queue_declare(owned.as_str().into(), options, none())
        .await;
    assert_eq!(code(declared), 405, "declare another's queue");
    let deleted = scope
        .stranger()
        .await
        .queue_delete(owned.as_str().into(), Default::default())
        .await;
    assert_eq!(code(deleted), 405, "delete another's queue");

    let queue = scope.declare(&channel, "consumer", none()).await;
    let consumer = try_consume(&channel, &queue, alone).await.unwrap();
    let second = try_consume(&scope.channel().await, &queue, plain).await;
    assert_eq!(code(second), 403, "a second consumer beside an exclusive one");
    cancel(&channel, &consumer).await;
    let _first = try_consume(&channel, &queue, plain).await.unwrap();
    let second = try_consume(&scope.channel().await, &queue, alone).await;
    assert_eq!(code(second), 403, "an exclusive consumer beside another");

    let short_lived = scope.queue("autodelete").await;
    let options = QueueDeclareOptions::default().auto_delete();
    channel
        .queue_declare(short_lived.as_str().into(), options, none())
        .await
        .unwrap();
    let (one, two) = (
        consume(&channel, &short_lived, none()).await,
        consume(&channel, &short_lived, none()).await,
    );
    cancel(&channel, &one).await;
    passive(&channel, &short_lived).await.unwrap();
    cancel(&channel, &two).await;
    let found = passive(&scope.channel().await, &short_lived).await;
    assert_eq!(code(found), 404, "auto-delete queue after its last consumer");

    let gone = scope.queue("gone").await;
    let brief = scope.connect(Address::default(), Default::default()).await;
    let brief_channel = brief.create_channel().await.unwrap();
    let options = QueueDeclareOptions::exclusive();
    brief_channel
        .queue_declare(gone.as_str().into(), options, none())
        .await
        .unwrap();
    brief.close(200, "done".into()).await.unwrap();
    let found = passive(&scope.channel().await, &gone).await;
    assert_eq!(code(found), 404, "exclusive queue after its connection");
}

pub async fn cancel_notify(scope: Arc<Scope>) {
    let channel = scope.channel().await;
    let queue = scope.declare(&channel, "queue", none()).await;
    let mut consumer = consume(&channel, &queue, none()).await;
    scope
        .channel()
        .await
        .queue_delete(queue.as_str().into(), Default::default())
        .await
        .unwrap();
    assert!(
        consumer.next().await.is_none(),
        "the stream ends when the server cancels"
    );
    let options = QueueDeclareOptions::exclusive();
    channel.queue_declare("".into(), options, none()).await.unwrap(); // the channel lives on
}

pub async fn direct_reply_to(scope: Arc<Scope>) {
    let (server, client) = (scope.channel().await, scope.stranger().await);
    let queue = scope.declare(&server, "requests", none()).await;
    let no_ack = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let mut requests = try_consume(&server, &queue, no_ack).await.unwrap();
    let mut replies = try_consume(&client, REPLY_TO, no_ack).await.unwrap();
    let request = properties()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id("c-1".into());
    publish(&client, "", &queue, request.clone(), b"ping")
        .await
        .unwrap();

    let received = next(&mut requests).await;
    let reply_to = received.properties.reply_to().clone().expect("a reply-to");
    assert!(
        reply_to.as_str().starts_with(&format!("{REPLY_TO}.")),
        "rewritten reply-to {reply_to}"
    );
    // Tells a server whether its client is still there.
    passive(&scope.channel().await, reply_to.as_str()).await.unwrap();
    let answer = properties().with_correlation_id("c-1".into());
    publish(&server, "", reply_to.as_str(), answer.clone(), b"pong")
        .await
        .unwrap();
    let reply = next(&mut replies).await;
    assert_eq!(
        (text(&reply).as_str(), &reply.properties, reply.exchange.as_str()),
        ("pong", &answer, "")
    );
    client.close(200, "done".into()).await.unwrap();
    let found = passive(&scope.channel().await, reply_to.as_str()).await;
    assert_eq!(code(found), 404, "reply-to of a client that left");

    let careless = publish(&scope.confirming().await, "", &queue, request, b"").await;
    assert_eq!(
        code(careless),
        406,
        "request of a client that does not consume replies"
    );
    let consumed = try_consume(&scope.channel().await, REPLY_TO, BasicConsumeOptions::default()).await;
    assert_eq!(code(consumed), 406, "replies with acknowledgement");
}
