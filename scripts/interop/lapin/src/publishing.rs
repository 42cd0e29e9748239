//! Confirms, transactions, returns, properties, bodies of every size.

use std::sync::Arc;

use lapin::options::{
    BasicAckOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, DecimalValue, FieldTable};
use lapin::{BasicProperties, Confirmation, ExchangeKind};

use crate::errors::code;
use crate::harness::number;
use crate::messages::*;
use crate::scope::{Scope, user};

const FRAME_OVERHEAD: usize = 8;
const MESSAGE_BYTES_MAX: usize = 16 << 20;

pub async fn confirms(scope: Arc<Scope>) {
    let messages = number("INTEROP_MESSAGES", 10_000);
    let channel = scope.confirming().await;
    let queue = scope.queue("queue").await;
    channel
        .queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), none())
        .await
        .unwrap();
    let mut unconfirmed = Vec::new();
    for number in 0..messages {
        let body = number.to_string();
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(
            "".into(),
            queue.as_str().into(),
            options,
            body.as_bytes(),
            persistent(),
        );
        unconfirmed.push(sent.await.unwrap());
    }
    for confirm in unconfirmed {
        assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
    }
    channel.basic_qos(200, BasicQosOptions::default()).await.unwrap();
    let mut consumer = consume(&channel, &queue, none()).await;
    for number in 0..messages {
        let delivery = next(&mut consumer).await;
        assert_eq!(
            (text(&delivery), delivery.redelivered),
            (number.to_string(), false)
        );
        if number % 100 == 99 || number == messages - 1 {
            ack(&delivery, true).await;
        }
    }
    channel.close(200, "done".into()).await.unwrap(); // what was not acknowledged would be back now
    let deleted = scope
        .channel()
        .await
        .queue_delete(queue.as_str().into(), Default::default())
        .await;
    assert_eq!(deleted.unwrap(), 0, "messages left");
}

pub async fn transactions(scope: Arc<Scope>) {
    let (watching, channel) = (scope.channel().await, scope.channel().await);
    let queue = scope.declare(&watching, "queue", none()).await;
    channel.tx_select().await.unwrap();
    publish(&channel, "", &queue, properties(), b"a").await.unwrap();
    publish(&channel, "", &queue, properties(), b"b").await.unwrap();
    assert_eq!(depth(&watching, &queue).await, 0, "before the commit");
    channel.tx_commit().await.unwrap();
    assert_eq!(depth(&watching, &queue).await, 2, "after the commit");
    publish(&channel, "", &queue, properties(), b"never")
        .await
        .unwrap();
    channel.tx_rollback().await.unwrap();
    channel.tx_commit().await.unwrap();
    assert_eq!(depth(&watching, &queue).await, 2, "after a rollback");

    let tag = get(&channel, &queue, false).await.unwrap().delivery.delivery_tag;
    channel.basic_ack(tag, BasicAckOptions::default()).await.unwrap();
    channel.tx_rollback().await.unwrap();
    channel.basic_ack(tag, BasicAckOptions::default()).await.unwrap(); // the first one was rolled back
    channel.tx_commit().await.unwrap();
    let message = get(&channel, &queue, false).await.unwrap();
    ack(&message.delivery, false).await;
    channel.close(200, "done".into()).await.unwrap(); // without a commit
    assert_eq!(
        drain(&watching, &queue).await,
        ["b"],
        "messages whose acknowledgement was not committed"
    );

    assert_eq!(
        code(scope.channel().await.tx_commit().await),
        406,
        "commit without transactions"
    );
    assert_eq!(
        code(scope.confirming().await.tx_select().await),
        406,
        "transactions on a channel with confirms"
    );
    let channel = scope.channel().await;
    channel.tx_select().await.unwrap();
    let selected = channel.confirm_select(ConfirmSelectOptions::default()).await;
    assert_eq!(code(selected), 406, "confirms on a channel with transactions");
}

/// lapin hands out the returned message with its confirm, which it can only when the return comes first.
pub async fn returns(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let exchange = scope
        .declare_exchange(
            &channel,
            "exchange",
            ExchangeKind::Direct,
            Default::default(),
            none(),
        )
        .await;
    let sent = persistent()
        .with_message_id("m-1".into())
        .with_headers(table([("number", int(1))]));
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let confirm = channel
        .basic_publish(
            exchange.as_str().into(),
            "unbound".into(),
            options,
            b"back",
            sent.clone(),
        )
        .await
        .unwrap();
    let Confirmation::Ack(Some(returned)) = confirm.await.unwrap() else {
        panic!("not returned")
    };
    assert_eq!(
        (returned.reply_code, returned.reply_text.as_str()),
        (312, "NO_ROUTE")
    );
    assert_eq!(
        (returned.exchange.as_str(), returned.routing_key.as_str()),
        (exchange.as_str(), "unbound")
    );
    assert_eq!(
        (&returned.properties, text(&returned.delivery).as_str()),
        (&sent, "back")
    );
}

pub async fn cc_and_bcc(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let to = scope.declare(&channel, "to", none()).await;
    let cc = scope.declare(&channel, "cc", none()).await;
    let bcc = scope.declare(&channel, "bcc", none()).await;
    let copies = ("CC", strings(&[&cc, &to]));
    let sent = properties().with_headers(table([copies.clone(), ("BCC", strings(&[&bcc]))]));
    assert!(send(&channel, "", &to, sent, "all").await);
    for queue in [&to, &cc, &bcc] {
        let message = get(&channel, queue, true).await.unwrap();
        assert_eq!(headers(&message), table([copies.clone()]), "headers in {queue}");
        assert_eq!(message.routing_key.as_str(), to);
        assert!(get(&channel, queue, true).await.is_none(), "one copy in {queue}");
    }
    let invalid = properties().with_headers(table([("CC", string("text"))]));
    assert_eq!(
        code(publish(&channel, "", &to, invalid, b"").await),
        406,
        "CC that is no list"
    );
}

pub async fn user_id(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queue = scope.declare(&channel, "queue", none()).await;
    let mine = properties().with_user_id(user().into());
    assert!(send(&channel, "", &queue, mine.clone(), "mine").await);
    assert_eq!(get(&channel, &queue, true).await.unwrap().properties, mine);
    let theirs = properties().with_user_id("someone-else".into());
    assert_eq!(
        code(publish(&channel, "", &queue, theirs, b"theirs").await),
        406,
        "another's user id"
    );
    assert_eq!(depth(&scope.channel().await, &queue).await, 0);
}

pub async fn all_properties(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queue = scope.declare(&channel, "queue", none()).await;
    let headers = table([
        ("string", string("héllo")),
        ("empty", string("")),
        ("int8", AMQPValue::ShortShortInt(-8)),
        ("uint8", AMQPValue::ShortShortUInt(200)),
        ("int16", AMQPValue::ShortInt(-30000)),
        ("uint16", AMQPValue::ShortUInt(60000)),
        ("int32", AMQPValue::LongInt(i32::MIN)),
        ("uint32", AMQPValue::LongUInt(u32::MAX)),
        ("int64", AMQPValue::LongLongInt(i64::MIN)),
        ("float", AMQPValue::Float(0.5)),
        ("double", AMQPValue::Double(1.0 / 3.0)),
        (
            "decimal",
            AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 }),
        ),
        ("timestamp", AMQPValue::Timestamp(1_700_000_000)),
        ("yes", AMQPValue::Boolean(true)),
        ("no", AMQPValue::Boolean(false)),
        ("none", AMQPValue::Void),
        ("bytes", AMQPValue::ByteArray(vec![0, 1, 255].into())),
        (
            "list",
            AMQPValue::FieldArray(vec![int(1), string("two"), strings(&["three"])].into()),
        ),
        (
            "table",
            AMQPValue::FieldTable(table([(
                "deep",
                AMQPValue::FieldTable(table([("deeper", int(1))])),
            )])),
        ),
    ]);
    let sent = all_fourteen(headers);
    assert!(send(&channel, "", &queue, sent.clone(), "body").await);
    assert_eq!(get(&channel, &queue, true).await.unwrap().properties, sent);
}

fn all_fourteen(headers: FieldTable) -> BasicProperties {
    persistent()
        .with_content_type("application/x-test".into())
        .with_content_encoding("gzip".into())
        .with_headers(headers)
        .with_priority(9)
        .with_correlation_id("c-1".into())
        .with_reply_to("r".into())
        .with_expiration("600000".into())
        .with_message_id("m-1".into())
        .with_timestamp(1_700_000_000)
        .with_type("t".into())
        .with_user_id(user().into())
        .with_app_id("interop".into())
        .with_cluster_id("cluster".into())
}

pub async fn large(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queue = scope.declare(&channel, "queue", none()).await;
    let frame_max = scope.connection().configuration().frame_max() as usize;
    let frame = frame_max - FRAME_OVERHEAD;
    let sizes = [
        0,
        1,
        frame - 1,
        frame,
        frame + 1,
        frame_max - 1,
        frame_max + 1,
        1 << 20,
        MESSAGE_BYTES_MAX,
    ];
    for size in sizes {
        let body: Vec<u8> = (0..size).map(|index| (index * 31 + index / 251) as u8).collect();
        assert!(
            publish(&channel, "", &queue, properties(), &body)
                .await
                .unwrap()
                .is_ack()
        );
        assert!(
            get(&channel, &queue, true).await.unwrap().data == body,
            "{size} bytes"
        );
    }
    let body = vec![0; MESSAGE_BYTES_MAX + 1];
    assert_eq!(
        code(publish(&channel, "", &queue, properties(), &body).await),
        406,
        "above the limit"
    );
    assert_eq!(depth(&scope.channel().await, &queue).await, 0);
}
