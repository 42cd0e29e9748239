//! What queues do by their arguments: expire, stay short, sort.

use std::sync::Arc;
use std::time::Duration;

use crate::errors::code;
use crate::messages::*;
use crate::scope::Scope;

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

pub async fn ttl(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queue = scope
        .declare(&channel, "queue", table([("x-message-ttl", int(500))]))
        .await;
    send_texts(&channel, &queue, &["old"]).await;
    assert_eq!(depth(&channel, &queue).await, 1, "before the queue's TTL");
    pause(900).await;
    assert_eq!(depth(&channel, &queue).await, 0, "after the queue's TTL");
    send_texts(&channel, &queue, &["young"]).await;
    assert_eq!(drain(&channel, &queue).await, ["young"]);
    assert!(send(&channel, "", &queue, expiring("50"), "sooner").await); // the lower of the two counts
    pause(250).await;
    assert!(
        drain(&channel, &queue).await.is_empty(),
        "after the message's TTL"
    );

    let single = scope.declare(&channel, "message", none()).await;
    for (body, properties) in [
        ("expired", expiring("50")),
        ("stays", properties()),
        ("expired behind", expiring("50")),
        ("stays too", expiring("60000")),
    ] {
        assert!(send(&channel, "", &single, properties, body).await);
    }
    pause(200).await;
    assert_eq!(drain(&channel, &single).await, ["stays", "stays too"]);
    assert!(send(&channel, "", &single, expiring("0"), "at once").await);
    assert!(drain(&channel, &single).await.is_empty(), "a TTL of 0");

    let unused = scope
        .declare(&channel, "unused", table([("x-expires", int(1200))]))
        .await;
    for _ in 0..2 {
        pause(700).await;
        assert!(get(&channel, &unused, true).await.is_none()); // each use starts the time again
    }
    pause(1900).await;
    assert_eq!(
        code(passive(&scope.channel().await, &unused).await),
        404,
        "queue after x-expires"
    );

    let invalid = scope.queue("invalid").await;
    let arguments = table([("x-message-ttl", int(-1))]);
    let declared = scope
        .channel()
        .await
        .queue_declare(invalid.as_str().into(), Default::default(), arguments)
        .await;
    assert_eq!(code(declared), 406, "negative TTL");
    assert_eq!(
        code(publish(&channel, "", &single, expiring("soon"), b"").await),
        406,
        "expiration that is no number"
    );
}

pub async fn max_length(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let head = scope
        .declare(&channel, "head", table([("x-max-length", int(3))]))
        .await;
    send_texts(&channel, &head, &["0", "1", "2", "3", "4"]).await;
    assert_eq!(drain(&channel, &head).await, ["2", "3", "4"]);

    let arguments = table([("x-max-length", int(2)), ("x-overflow", string("reject-publish"))]);
    let reject = scope.declare(&channel, "reject", arguments).await;
    send_texts(&channel, &reject, &["0", "1"]).await;
    assert!(
        !send(&channel, "", &reject, properties(), "2").await,
        "a message too many is confirmed"
    );
    assert_eq!(drain(&channel, &reject).await, ["0", "1"]);
    send_texts(&channel, &reject, &["3"]).await;

    let short = scope
        .declare(&channel, "bytes", table([("x-max-length-bytes", int(100))]))
        .await;
    let bodies = ["a", "b", "c", "d"].map(|letter| letter.repeat(40));
    for body in &bodies {
        send_texts(&channel, &short, &[body]).await;
    }
    assert_eq!(drain(&channel, &short).await, bodies[2..]);
}

pub async fn priority(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queue = scope
        .declare(&channel, "queue", table([("x-max-priority", int(5))]))
        .await;
    let level = |priority| properties().with_priority(priority);
    for (body, properties) in [
        ("low", level(1)),
        ("5a", level(5)),
        ("none", properties()),
        ("5b", level(200)),
        ("3", level(3)),
        ("5c", level(5)),
        ("low too", level(1)),
        ("0", level(0)),
    ] {
        assert!(send(&channel, "", &queue, properties, body).await);
    }
    assert_eq!(
        drain(&channel, &queue).await,
        ["5a", "5b", "5c", "3", "low", "low too", "none", "0"]
    );
}
