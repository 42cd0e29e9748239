//! Dead-lettering: why, where from, how often.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lapin::message::Delivery;
use lapin::options::{BasicNackOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use crate::harness::on_rabbitmq_3;
use crate::messages::*;
use crate::scope::Scope;

/// What an entry of `x-death` must hold, apart from its time.
struct Death<'a> {
    reason: &'a str,
    queue: &'a str,
    exchange: &'a str,
    keys: &'a [&'a str],
    expiration: Option<&'a str>,
}

fn deaths(delivery: &Delivery) -> Vec<FieldTable> {
    match headers(delivery).inner().get("x-death") {
        None => Vec::new(),
        Some(AMQPValue::FieldArray(entries)) => {
            let table = |entry: &AMQPValue| entry.as_field_table().expect("a table").clone();
            entries.as_slice().iter().map(table).collect()
        }
        Some(other) => panic!("x-death is {other:?}"),
    }
}

fn check_death(delivery: &Delivery, expected: &Death<'_>) {
    let Death {
        reason,
        queue,
        exchange,
        keys,
        expiration,
    } = *expected;
    let death = deaths(delivery).swap_remove(0);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let Some(&AMQPValue::Timestamp(time)) = death.inner().get("time") else {
        panic!("no time in {death:?}")
    };
    assert!(time.abs_diff(now) < 60, "x-death time {time} is now, {now}");
    let mut wanted = table([
        ("count", AMQPValue::LongLongInt(1)),
        ("reason", string(reason)),
        ("queue", string(queue)),
        ("exchange", string(exchange)),
        ("routing-keys", strings(keys)),
        ("time", AMQPValue::Timestamp(time)),
    ]);
    if let Some(expiration) = expiration {
        wanted.insert("original-expiration".into(), string(expiration));
    }
    assert_eq!(death, wanted);
    for which in ["first", "last"] {
        if which == "last" && on_rabbitmq_3("x-last-death-* came with RabbitMQ 3.13") {
            continue;
        }
        for (field, value) in [("reason", reason), ("queue", queue), ("exchange", exchange)] {
            let name = format!("x-{which}-death-{field}");
            assert_eq!(
                headers(delivery).inner().get(name.as_str()),
                Some(&string(value)),
                "{name}"
            );
        }
    }
}

struct Work<'a> {
    scope: &'a Scope,
    channel: &'a Channel,
    exchange: String,
}

impl Work<'_> {
    /// Declares a queue that the exchange reaches by the queue's short name.
    async fn queue(&self, name: &str, arguments: FieldTable) -> String {
        let queue = self.scope.declare(self.channel, name, arguments).await;
        bind(self.channel, &queue, &self.exchange, name).await;
        queue
    }

    fn death<'b>(&'b self, queue: &'b str, reason: &'b str, keys: &'b [&'b str]) -> Death<'b> {
        Death {
            reason,
            queue,
            exchange: &self.exchange,
            keys,
            expiration: None,
        }
    }
}

pub async fn dead_letter(scope: Arc<Scope>) {
    let channel = &scope.confirming().await;
    let plain = ExchangeDeclareOptions::default();
    let exchange = scope
        .declare_exchange(channel, "exchange", ExchangeKind::Direct, plain, none())
        .await;
    let dlx = scope
        .declare_exchange(channel, "dlx", ExchangeKind::Topic, plain, none())
        .await;
    let dead = scope.declare(channel, "dead", none()).await;
    bind(channel, &dead, &dlx, "#").await;
    let work = Work {
        scope: &scope,
        channel,
        exchange: exchange.clone(),
    };
    let to_dlx = ("x-dead-letter-exchange", string(&dlx));

    let rejected = work.queue("rejected", table([to_dlx.clone()])).await;
    let sent = table([("kept", int(1)), ("CC", strings(&["copy"]))]);
    let sent = properties().with_headers(sent).with_message_id("m-1".into());
    assert!(send(channel, &exchange, "rejected", sent, "no").await);
    reject(&get(channel, &rejected, false).await.unwrap(), false).await;
    let letter = await_message(channel, &dead).await;
    check_death(&letter, &work.death(&rejected, "rejected", &["rejected", "copy"]));
    assert_eq!(
        (letter.exchange.as_str(), letter.routing_key.as_str()),
        (dlx.as_str(), "rejected")
    );
    assert_eq!(
        (text(&letter).as_str(), headers(&letter).inner().get("kept")),
        ("no", Some(&int(1)))
    );
    assert_eq!(letter.properties.message_id(), &Some("m-1".into()));

    let arguments = table([to_dlx.clone(), ("x-dead-letter-routing-key", string("other.key"))]);
    let expired = work.queue("expired", arguments).await;
    assert!(send(channel, &exchange, "expired", expiring("50"), "late").await);
    let letter = await_message(channel, &dead).await;
    let death = work.death(&expired, "expired", &["expired"]);
    check_death(
        &letter,
        &Death {
            expiration: Some("50"),
            ..death
        },
    );
    assert_eq!(
        (letter.routing_key.as_str(), letter.properties.expiration()),
        ("other.key", &None)
    );

    let short = work
        .queue("short", table([to_dlx.clone(), ("x-max-length", int(1))]))
        .await;
    assert!(send(channel, &exchange, "short", properties(), "first").await);
    assert!(send(channel, &exchange, "short", properties(), "second").await);
    let letter = await_message(channel, &dead).await;
    assert_eq!(text(&letter), "first", "dropped head");
    check_death(&letter, &work.death(&short, "maxlen", &["short"]));

    let overflow = ("x-overflow", string("reject-publish-dlx"));
    let full = work
        .queue("full", table([to_dlx, ("x-max-length", int(1)), overflow]))
        .await;
    assert!(send(channel, &exchange, "full", properties(), "first").await);
    assert!(
        !send(channel, &exchange, "full", properties(), "second").await,
        "a message too many is confirmed"
    );
    let letter = await_message(channel, &dead).await;
    assert_eq!(text(&letter), "second", "rejected publish");
    check_death(&letter, &work.death(&full, "maxlen", &["full"]));
    retries(&scope, channel).await;
    cycle(&scope, channel).await;
}

fn to_queue(queue: &str) -> FieldTable {
    table([
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(queue)),
    ])
}

fn to_queue_after_30_ms(queue: &str) -> FieldTable {
    let mut arguments = to_queue(queue);
    arguments.insert("x-message-ttl".into(), int(30));
    arguments
}

/// A message that is rejected, waits in a queue with a TTL and comes back: counts rise, newest entry first.
async fn retries(scope: &Scope, channel: &Channel) {
    let wait = scope.queue("wait").await;
    let work = scope.declare(channel, "retried", to_queue(&wait)).await;
    let options = QueueDeclareOptions::default();
    channel
        .queue_declare(wait.as_str().into(), options, to_queue_after_30_ms(&work))
        .await
        .unwrap();
    send_texts(channel, &work, &["again"]).await;
    let mut consumer = consume(channel, &work, none()).await;
    for round in 0..3 {
        let delivery = next(&mut consumer).await;
        let found: Vec<_> = deaths(&delivery)
            .iter()
            .map(|death| ["queue", "reason", "count"].map(|field| death.inner().get(field).cloned()))
            .collect();
        let entry =
            |queue: &str, reason| [string(queue), string(reason), AMQPValue::LongLongInt(round)].map(Some);
        if round == 0 {
            assert!(found.is_empty());
        } else {
            assert_eq!(found, [entry(&wait, "expired"), entry(&work, "rejected")]);
            assert_eq!(
                headers(&delivery).inner().get("x-first-death-queue"),
                Some(&string(&work))
            );
        }
        if round < 2 {
            delivery
                .nack(BasicNackOptions {
                    requeue: false,
                    multiple: false,
                })
                .await
                .unwrap();
        } else {
            ack(&delivery, false).await;
        }
    }
}

/// A cycle without a rejection ends: the message is dropped when it would enter the queue again.
async fn cycle(scope: &Scope, channel: &Channel) {
    let queue = scope.queue("cycle").await;
    let options = QueueDeclareOptions::default();
    channel
        .queue_declare(queue.as_str().into(), options, to_queue_after_30_ms(&queue))
        .await
        .unwrap();
    send_texts(channel, &queue, &["round"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(depth(channel, &queue).await, 0, "messages in a cycle");
}

pub async fn delivery_limit(scope: Arc<Scope>) {
    let channel = &scope.confirming().await;
    let (queue, dead) = (scope.queue("queue").await, scope.queue("dead").await);
    channel
        .queue_declare(dead.as_str().into(), QueueDeclareOptions::durable(), none())
        .await
        .unwrap();
    let mut arguments = to_queue(&dead);
    arguments
        .insert("x-queue-type".into(), string("quorum"))
        .insert("x-delivery-limit".into(), int(2));
    channel
        .queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments)
        .await
        .unwrap();
    assert!(send(channel, "", &queue, persistent(), "poison").await);
    let mut consumer = consume(channel, &queue, none()).await;
    for count in [
        None,
        Some(AMQPValue::LongLongInt(1)),
        Some(AMQPValue::LongLongInt(2)),
    ] {
        let delivery = next(&mut consumer).await;
        assert_eq!(headers(&delivery).inner().get("x-delivery-count"), count.as_ref());
        assert_eq!(delivery.redelivered, count.is_some());
        reject(&delivery, true).await; // since 4.3 nack with requeue does not count
    }
    let letter = await_message(channel, &dead).await;
    assert_eq!(text(&letter), "poison");
    let keys = [queue.as_str()];
    let death = Death {
        reason: "delivery_limit",
        queue: &queue,
        exchange: "",
        keys: &keys,
        expiration: None,
    };
    check_death(&letter, &death);
    quiet(&mut consumer).await;
}
