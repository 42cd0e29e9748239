//! What the broker does can be read from `/metrics`, in RabbitMQ's names, and adds up.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::http::{Answer, Http};
use support::{BrokerProcess, Client, declare, encode_publish, wait_for};
use wire::{FieldTable, Method};

const MANAGED: &[&str] = &["--management-listen=127.0.0.1:0", "--metrics-queues-max=2"];
const AMQP: &str = "{protocol=\"amqp091\"}";
const QUEUES: &str = "{protocol=\"amqp091\",queue_type=\"rabbit_classic_queue\"}";

/// The metrics once one of them has come to a value.
fn metrics_when(http: &Http, name: &str, value: f64) -> Answer {
    wait_for(&format!("{name} {value}"), || {
        let answer = http.get("/metrics");
        (answer.value(name) >= value).then_some(answer)
    })
}

#[test]
fn the_oldest_message_has_an_age_wherever_it_lies() {
    let flags = [MANAGED, &["--ring-messages=100"]].concat();
    let mut broker = BrokerProcess::start(&flags);
    let mut client = Client::connect(&broker);
    client.confirm_select(1);
    client.declare_durable(1, "deep", &FieldTable::new());
    (0..300).for_each(|_| client.publish_persistent(1, "", "deep", b"x"));
    client.await_confirms(300);
    metrics_when(
        &Http::anonymous(&broker),
        "rabbitmq_queue_messages_paged_out",
        1.0,
    );
    let age = |broker: &BrokerProcess, at_least: f64| {
        let http = Http::anonymous(broker);
        wait_for("the age", || {
            let queue = "broker_queue_oldest_message_age_seconds{vhost=\"/\",queue=\"deep\"}";
            let of_queue = http.get("/metrics/per-object").metric(queue).unwrap_or(0.0);
            let of_all = http.get("/metrics").value("broker_oldest_message_age_seconds");
            (of_queue > at_least && of_all >= of_queue).then_some(of_queue)
        })
    };
    let before = age(&broker, 0.0);
    broker.kill();
    // None of them is in memory now.
    broker.restart(&flags);
    age(&broker, before);
}

#[test]
fn messages_are_counted_from_the_publisher_to_the_acknowledgement() {
    let broker = BrokerProcess::start(MANAGED);
    let http = Http::anonymous(&broker);
    let mut client = Client::connect(&broker);
    client.open_channel(2);
    client.confirm_select(1);
    client.declare_durable(1, "q", &FieldTable::new());
    for _ in 0..5 {
        client.publish_persistent(1, "", "q", b"body");
    }
    client.await_confirms(5);
    let mut nowhere = Vec::new();
    encode_publish(&mut nowhere, 2, "", "nowhere", false, b"x", 131_072);
    encode_publish(&mut nowhere, 2, "", "nowhere", true, b"x", 131_072);
    client.write(&nowhere);
    client.message();

    client.qos(2, 2, false);
    client.consume(2, "q", "c", false);
    let tags: Vec<_> = client_tags(&mut client, 2);
    let held = metrics_when(&http, "rabbitmq_queue_messages_unacked", 2.0);
    assert_eq!(held.value("rabbitmq_queue_messages_ready"), 3.0);
    assert_eq!(held.value("rabbitmq_consumers"), 1.0);
    assert_eq!(held.value("rabbitmq_channels"), 2.0);
    assert_eq!(held.value("rabbitmq_connections"), 1.0);
    client.ack(2, tags[1], true);
    client_tags(&mut client, 2);
    client.send(2, Method::BasicRecover { requeue: true });
    client.expect(2, Method::BasicRecoverOk);
    client_tags(&mut client, 2);
    assert!(client.get(1, "q").is_some());

    let metrics = metrics_when(
        &http,
        &format!("rabbitmq_global_messages_redelivered_total{QUEUES}"),
        2.0,
    );
    for (name, labels, expected) in [
        ("rabbitmq_global_messages_received_total", AMQP, 7.0),
        ("rabbitmq_global_messages_received_confirm_total", AMQP, 5.0),
        ("rabbitmq_global_messages_confirmed_total", AMQP, 5.0),
        ("rabbitmq_global_messages_routed_total", AMQP, 5.0),
        ("rabbitmq_global_messages_unroutable_dropped_total", AMQP, 1.0),
        ("rabbitmq_global_messages_unroutable_returned_total", AMQP, 1.0),
        ("rabbitmq_global_messages_delivered_total", QUEUES, 7.0),
        (
            "rabbitmq_global_messages_delivered_consume_manual_ack_total",
            QUEUES,
            6.0,
        ),
        (
            "rabbitmq_global_messages_delivered_consume_auto_ack_total",
            QUEUES,
            0.0,
        ),
        (
            "rabbitmq_global_messages_delivered_get_manual_ack_total",
            QUEUES,
            1.0,
        ),
        ("rabbitmq_global_messages_redelivered_total", QUEUES, 2.0),
        ("rabbitmq_global_messages_acknowledged_total", QUEUES, 2.0),
        ("rabbitmq_queue_messages_published_total", "", 5.0),
        ("rabbitmq_queues_created_total", "", 1.0),
        ("rabbitmq_connections_opened_total", "", 1.0),
        ("rabbitmq_channels_opened_total", "", 2.0),
        ("rabbitmq_global_publishers", AMQP, 2.0),
    ] {
        assert_eq!(metrics.value(&format!("{name}{labels}")), expected, "{name}");
    }
    // The first message of a queue is a sample: it was written and synced before it was confirmed.
    for stage in [
        "route",
        "read_to_ring",
        "ring_to_kept",
        "ring_to_delivered",
        "delivered_to_settled",
    ] {
        let count = metrics.value(&format!("broker_stage_seconds_count{{stage=\"{stage}\"}}"));
        assert_eq!(count, 1.0, "{stage}");
    }
    assert!(metrics.value("broker_log_commit_bytes_count") >= 1.0);
    assert!(metrics.value("broker_log_sync_seconds_sum") > 0.0);
    assert!(metrics.value("rabbitmq_process_resident_memory_bytes") > 1e6);
    client.close();
    metrics_when(&http, "rabbitmq_channels_closed_total", 2.0);
    metrics_when(&http, "rabbitmq_connections_closed_total", 1.0);
}

fn client_tags(client: &mut Client, count: usize) -> Vec<u64> {
    (0..count).map(|_| client.message().tag().0).collect()
}

#[test]
fn each_queue_has_its_own_line_only_where_asked_and_as_far_as_allowed() {
    let broker = BrokerProcess::start(MANAGED);
    let http = Http::anonymous(&broker);
    let mut client = Client::connect(&broker);
    for queue in ["c", "a\"\\", "b"] {
        client.declare(1, queue);
    }
    for body in [&b"1"[..], b"2"] {
        client.publish(1, "b", body);
    }
    metrics_when(&http, "rabbitmq_queue_messages_ready", 2.0);
    let each = http.get("/metrics/per-object");
    assert_eq!(
        each.value("rabbitmq_queue_messages_ready{vhost=\"/\",queue=\"b\"}"),
        2.0
    );
    assert_eq!(
        each.value("rabbitmq_queue_messages_ready{vhost=\"/\",queue=\"a\\\"\\\\\"}"),
        0.0
    );
    assert_eq!(
        each.metric("rabbitmq_queue_messages_ready{vhost=\"/\",queue=\"c\"}"),
        None
    );
    assert_eq!(each.value("broker_metrics_queues_left_out"), 1.0);
    assert!(!http.get("/metrics").body.contains("queue=\"b\""));
    client.declare(1, "b");
}

#[test]
fn the_text_is_what_a_scraper_reads() {
    let broker = BrokerProcess::start(MANAGED);
    let http = Http::anonymous(&broker);
    Client::connect(&broker).declare(1, "q");
    for path in ["/metrics", "/metrics/per-object"] {
        let answer = http.get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        let mut known = std::collections::BTreeSet::new();
        let mut samples = std::collections::BTreeSet::new();
        for line in answer.body.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(known.insert(name), "{name} is there twice");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            } else if !line.starts_with('#') {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let suffixes = ["", "_bucket", "_sum", "_count"];
                let of_known = |suffix: &&str| {
                    name.strip_suffix(*suffix)
                        .is_some_and(|name| known.contains(name))
                };
                assert!(suffixes.iter().any(of_known), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(samples.insert(sample), "{line} is there twice");
            }
        }
    }
    assert_eq!(http.request("DELETE", "/metrics", &[], None).status, 405);
    assert_eq!(http.get("/nowhere").status, 404);
}

#[test]
fn a_dead_letter_is_counted_with_its_reason() {
    let broker = BrokerProcess::start(MANAGED);
    let http = Http::anonymous(&broker);
    let mut client = Client::connect(&broker);
    client.send(1, declare("dead"));
    client.frame();
    let mut arguments = FieldTable::new();
    arguments.insert("x-dead-letter-exchange", "");
    arguments.insert("x-dead-letter-routing-key", "dead");
    client.declare_durable(1, "q", &arguments);
    client.publish(1, "q", b"x");
    let (tag, _) = client.get(1, "q").unwrap().tag();
    let reject = Method::BasicReject {
        delivery_tag: tag,
        requeue: false,
    };
    client.send(1, reject);
    let labels = "{queue_type=\"rabbit_classic_queue\",dead_letter_strategy=\"at_least_once\"}";
    let metrics = metrics_when(
        &http,
        &format!("rabbitmq_global_messages_dead_lettered_rejected_total{labels}"),
        1.0,
    );
    let expired = format!("rabbitmq_global_messages_dead_lettered_expired_total{labels}");
    assert_eq!(metrics.value(&expired), 0.0);
}
