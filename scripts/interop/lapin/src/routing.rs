//! Exchanges, queues and bindings.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapin::options::{
    BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, ExchangeKind};

use crate::errors::code;
use crate::messages::*;
use crate::scope::Scope;

type Queues = BTreeMap<&'static str, String>;

/// Publishes and names, sorted, the queues that have the message; takes it from them.
async fn routed(
    channel: &Channel,
    queues: &Queues,
    exchange: &str,
    key: &str,
    headers: &FieldTable,
) -> String {
    assert!(
        send(
            channel,
            exchange,
            key,
            properties().with_headers(headers.clone()),
            key
        )
        .await
    );
    let mut reached = Vec::new();
    for (name, queue) in queues {
        reached.extend(drain(channel, queue).await.iter().map(|_| *name));
    }
    reached.join(" ")
}

async fn exclusive_queues(scope: &Scope, channel: &Channel, names: &[&'static str]) -> Queues {
    let mut queues = Queues::new();
    for name in names {
        queues.insert(name, scope.exclusive(channel, name).await);
    }
    queues
}

async fn exchange(scope: &Scope, channel: &Channel, name: &str, kind: ExchangeKind) -> String {
    scope
        .declare_exchange(channel, name, kind, ExchangeDeclareOptions::default(), none())
        .await
}

async fn find_exchange(channel: &Channel, exchange: &str) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(exchange.into(), ExchangeKind::Direct, options, none())
        .await
}

pub async fn topology(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let queues = exclusive_queues(&scope, &channel, &["first", "second"]).await;
    let (first, second) = (&queues["first"], &queues["second"]);
    for (name, kind) in [
        ("direct", ExchangeKind::Direct),
        ("fanout", ExchangeKind::Fanout),
        ("topic", ExchangeKind::Topic),
        ("headers", ExchangeKind::Headers),
    ] {
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let exchange = scope
            .declare_exchange(&channel, name, kind, durable, none())
            .await;
        find_exchange(&channel, &exchange).await.unwrap();
        let headers = table([("number", int(1))]);
        bind_by(&channel, first, &exchange, "key", headers.clone()).await;
        assert_eq!(
            routed(&channel, &queues, &exchange, "key", &headers).await,
            "first",
            "{name}"
        );
        unbind(&channel, first, &exchange, "key", headers.clone()).await;
        assert_eq!(
            routed(&channel, &queues, &exchange, "key", &headers).await,
            "",
            "{name} unbound"
        );
    }

    let source = exchange(&scope, &channel, "source", ExchangeKind::Topic).await;
    let sink = exchange(&scope, &channel, "sink", ExchangeKind::Fanout).await;
    let (from, to) = (source.as_str(), sink.as_str());
    channel
        .exchange_bind(to.into(), from.into(), "a.*".into(), Default::default(), none())
        .await
        .unwrap();
    bind(&channel, first, &sink, "").await;
    bind(&channel, second, &source, "a.b").await;
    assert_eq!(
        routed(&channel, &queues, &source, "a.b", &none()).await,
        "first second"
    );
    channel
        .exchange_unbind(to.into(), from.into(), "a.*".into(), Default::default(), none())
        .await
        .unwrap();
    assert_eq!(routed(&channel, &queues, &source, "a.b", &none()).await, "second");

    let options = ExchangeDeclareOptions {
        internal: true,
        ..ExchangeDeclareOptions::default()
    };
    let internal = scope
        .declare_exchange(&channel, "internal", ExchangeKind::Fanout, options, none())
        .await;
    let published = publish(&scope.confirming().await, &internal, "", properties(), b"no").await;
    assert_eq!(code(published), 403, "publish to an internal exchange");
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..ExchangeDeclareOptions::default()
    };
    let short_lived = scope
        .declare_exchange(&channel, "autodelete", ExchangeKind::Fanout, options, none())
        .await;
    bind(&channel, first, &short_lived, "").await;
    unbind(&channel, first, &short_lived, "", none()).await;
    let found = find_exchange(&scope.channel().await, &short_lived).await;
    assert_eq!(code(found), 404, "auto-delete exchange without bindings");
    deletes(&scope, &channel, &source, first, second).await;
}

async fn deletes(scope: &Scope, channel: &Channel, source: &str, first: &str, second: &str) {
    let if_unused = ExchangeDeleteOptions {
        if_unused: true,
        nowait: false,
    };
    let deleted = scope
        .channel()
        .await
        .exchange_delete(source.into(), if_unused)
        .await;
    assert_eq!(code(deleted), 406, "exchange in use");
    send_texts(channel, second, &["kept"]).await;
    let if_empty = QueueDeleteOptions {
        if_empty: true,
        ..QueueDeleteOptions::default()
    };
    let deleted = scope.channel().await.queue_delete(second.into(), if_empty).await;
    assert_eq!(code(deleted), 406, "queue with a message");
    let consumer = consume(channel, first, none()).await;
    let unused = QueueDeleteOptions {
        if_unused: true,
        ..QueueDeleteOptions::default()
    };
    let deleted = scope.channel().await.queue_delete(first.into(), unused).await;
    assert_eq!(code(deleted), 406, "queue with a consumer");
    cancel(channel, &consumer).await;
    let neither = QueueDeleteOptions {
        if_empty: true,
        ..unused
    };
    assert_eq!(
        channel.queue_delete(first.into(), neither).await.unwrap(),
        0,
        "messages deleted"
    );
    assert_eq!(
        channel
            .queue_delete(second.into(), QueueDeleteOptions::default())
            .await
            .unwrap(),
        1,
        "messages deleted"
    );
    channel.exchange_delete(source.into(), if_unused).await.unwrap(); // its last binding went with the queue
}

const PATTERNS: [(&str, &str); 5] = [
    ("star", "*.orange.*"),
    ("tail", "*.*.rabbit"),
    ("lazy", "lazy.#"),
    ("every", "#"),
    ("middle", "a.#.z"),
];

const KEYS: [(&str, &str); 11] = [
    ("quick.orange.rabbit", "every star tail"),
    ("lazy.orange.elephant", "every lazy star"),
    ("lazy.pink.rabbit", "every lazy tail"),
    ("lazy", "every lazy"),
    ("lazy.a.b.c", "every lazy"),
    ("orange", "every"),
    ("", "every"),
    ("quick.orange.male.rabbit", "every"),
    ("a.z", "every middle"),
    ("a.b.c.z", "every middle"),
    ("a..z", "every middle"),
];

pub async fn topic_and_headers(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let topic = exchange(&scope, &channel, "topic", ExchangeKind::Topic).await;
    let queues = exclusive_queues(&scope, &channel, &PATTERNS.map(|(name, _)| name)).await;
    for (name, pattern) in PATTERNS {
        bind(&channel, &queues[name], &topic, pattern).await;
    }
    for (key, expected) in KEYS {
        assert_eq!(
            routed(&channel, &queues, &topic, key, &none()).await,
            expected,
            "topic key '{key}'"
        );
    }

    let headers = exchange(&scope, &channel, "headers", ExchangeKind::Headers).await;
    let matches = [
        ("all", "all"),
        ("any", "any"),
        ("allx", "all-with-x"),
        ("anyx", "any-with-x"),
    ];
    let matching = exclusive_queues(&scope, &channel, &matches.map(|(name, _)| name)).await;
    for (name, kind) in matches {
        let arguments = table([
            ("x-match", string(kind)),
            ("format", string("pdf")),
            ("x-pages", int(4)),
        ]);
        bind_by(&channel, &matching[name], &headers, "", arguments).await;
    }
    let pdf = ("format", string("pdf"));
    for (sent, expected) in [
        (table([pdf.clone(), ("x-pages", int(4))]), "all allx any anyx"),
        (table([pdf.clone()]), "all any anyx"),
        (table([("x-pages", int(4))]), "anyx"),
        (table([("format", string("doc"))]), ""),
        (
            table([pdf, ("x-pages", int(5)), ("more", int(1))]),
            "all any anyx",
        ),
        (none(), ""),
    ] {
        assert_eq!(
            routed(&channel, &matching, &headers, "", &sent).await,
            expected,
            "{sent:?}"
        );
    }
}

async fn mandatory(channel: &Channel, exchange: &str, key: &str) -> Confirmation {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let sent = channel
        .basic_publish(exchange.into(), key.into(), options, key.as_bytes(), properties())
        .await;
    sent.unwrap().await.unwrap()
}

pub async fn alternate_exchange(scope: Arc<Scope>) {
    let channel = scope.confirming().await;
    let alternate = exchange(&scope, &channel, "alternate", ExchangeKind::Fanout).await;
    let arguments = table([("alternate-exchange", string(&alternate))]);
    let options = ExchangeDeclareOptions::default();
    let main = scope
        .declare_exchange(&channel, "main", ExchangeKind::Direct, options, arguments)
        .await;
    let (known, unknown) = (
        scope.exclusive(&channel, "known").await,
        scope.exclusive(&channel, "unknown").await,
    );
    bind(&channel, &known, &main, "known").await;
    bind(&channel, &unknown, &alternate, "").await;
    assert_eq!(mandatory(&channel, &main, "known").await, Confirmation::Ack(None));
    assert_eq!(mandatory(&channel, &main, "else").await, Confirmation::Ack(None));
    assert_eq!(drain(&channel, &known).await, ["known"]);
    assert_eq!(drain(&channel, &unknown).await, ["else"]);
    unbind(&channel, &unknown, &alternate, "", none()).await;
    let returned = mandatory(&channel, &main, "nowhere")
        .await
        .take_message()
        .expect("returned");
    assert_eq!(text(&returned.delivery), "nowhere");
}
