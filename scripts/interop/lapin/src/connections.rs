//! Handshake, many channels, heartbeats and a restart of the broker.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::{ConnectionProperties, Event, ExchangeKind};

use crate::errors::code;
use crate::harness::number;
use crate::messages::*;
use crate::scope::{Address, Scope, connect};

const CHANNELS: usize = 500;

/// lapin does not show the server's properties.
pub async fn handshake(scope: Arc<Scope>) {
    let wrong = Address {
        password: "wrong".to_owned(),
        ..Address::default()
    };
    assert_eq!(
        code(connect(wrong, ConnectionProperties::default()).await),
        403,
        "wrong password"
    );
    assert!(scope.connection().status().connected());
    assert_eq!(
        scope.connection().configuration().heartbeat(),
        20,
        "negotiated heartbeat"
    );
    scope
        .connection()
        .update_secret(Address::default().password.into(), "renewed".into())
        .await
        .unwrap();
}

pub async fn channels_500(scope: Arc<Scope>) {
    let mut channels = Vec::new();
    for _ in 0..CHANNELS {
        channels.push(scope.confirming().await);
    }
    let mut users = tokio::task::JoinSet::new();
    for (number, channel) in channels.into_iter().enumerate() {
        users.spawn(async move {
            let options = QueueDeclareOptions::exclusive();
            let queue = channel.queue_declare("".into(), options, none()).await.unwrap();
            let mut consumer = consume(&channel, queue.name().as_str(), none()).await;
            send_texts(&channel, queue.name().as_str(), &[&number.to_string()]).await;
            let delivery = next(&mut consumer).await;
            assert_eq!(text(&delivery), number.to_string());
            ack(&delivery, false).await;
            channel.close(200, "done".into()).await.unwrap();
        });
    }
    users.join_all().await;
}

pub async fn heartbeat(scope: Arc<Scope>) {
    let address = Address {
        heartbeat: 1,
        ..Address::default()
    };
    let connection = scope.connect(address, ConnectionProperties::default()).await;
    tokio::time::sleep(Duration::from_secs(number("INTEROP_IDLE_S", 5))).await;
    connection
        .create_channel()
        .await
        .unwrap()
        .close(200, "done".into())
        .await
        .unwrap();
}

pub async fn restart(scope: Arc<Scope>) {
    let setup = scope.confirming().await;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let exchange = scope
        .declare_exchange(&setup, "exchange", ExchangeKind::Topic, durable, none())
        .await;
    let (queue, consumed) = (scope.queue("queue").await, scope.queue("consumed").await);
    for name in [&queue, &consumed] {
        setup
            .queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), none())
            .await
            .unwrap();
    }
    let transient = scope.declare(&setup, "transient", none()).await;
    bind(&setup, &queue, &exchange, "stock.#").await;
    assert!(send(&setup, &exchange, "stock.a", persistent(), "persistent").await);
    assert!(send(&setup, &exchange, "stock.b", properties(), "transient").await);

    let recovering = ConnectionProperties::default()
        .enable_auto_recover()
        .configure_backoff(|backoff| {
            backoff
                .with_min_delay(Duration::from_millis(100))
                .with_max_delay(Duration::from_millis(500))
                .with_max_times(100)
        });
    let connection = scope.connect(Address::default(), recovering).await;
    let mut events = connection.events_listener();
    let channel = connection.create_channel().await.unwrap();
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let mut consumer = consume(&channel, &consumed, none()).await;
    let command = std::env::var("INTEROP_RESTART").unwrap();
    let mut restarting = tokio::process::Command::new("bash");
    restarting
        .args(["-c", &command])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(restarting.status().await.unwrap().success(), "INTEROP_RESTART");

    while !matches!(events.next().await, Some(Event::Connected)) {}
    while let Err(error) = passive(&channel, &queue).await {
        channel.wait_for_recovery(error).await.unwrap();
    }
    assert_eq!(drain(&channel, &queue).await, ["persistent"]);
    assert!(send(&channel, &exchange, "stock.c", persistent(), "bound still").await);
    assert_eq!(drain(&channel, &queue).await, ["bound still"]);
    assert!(send(&channel, "", &consumed, persistent(), "by the recovered consumer").await);
    let delivery = loop {
        // A consumer that is recovered may hand out the error of the old connection first.
        if let Ok(delivery) = consumer.next().await.expect("not cancelled") {
            break delivery;
        }
    };
    assert_eq!(text(&delivery), "by the recovered consumer");
    let after = scope.stranger().await;
    assert_eq!(code(passive(&after, &transient).await), 404, "transient queue");
}
