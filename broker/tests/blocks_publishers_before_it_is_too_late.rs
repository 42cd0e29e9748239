//! Alarms: while memory or disk is nearly used up publishers are told and wait, consumers go on, and when there is room everything
//! continues.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use support::configured::Configured;
use support::http::Http;
use support::{BrokerProcess, Client, DEADLINE, free_bytes, wait_for};
use wire::Method;

const MANAGED: &str = "--management-listen=127.0.0.1:0";
/// How far the limit lies below what is free, and what a file takes to cross it.
const MARGIN_BYTES: u64 = 512 << 20;
/// Held by whoever fills the disk by hundreds of megabytes, or counts on nobody doing that.
static DISK: Mutex<()> = Mutex::new(());

/// Publishes until a publish has to wait: how many there were, and the reason that the client was told.
fn publish_until_blocked(client: &mut Client, queue: &str, body: &[u8]) -> (u64, String) {
    let mut published = 0;
    loop {
        client.publish(1, queue, body);
        published += 1;
        match client.frame().method() {
            Method::BasicAck { .. } => std::thread::yield_now(),
            Method::ConnectionBlocked { reason } => return (published, reason.to_owned()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn publishers_wait_and_consumers_go_on_while_the_disk_is_nearly_full() {
    let _disk = DISK.lock().unwrap_or_else(PoisonError::into_inner);
    let free = free_bytes(&std::env::temp_dir());
    let limit = format!("--disk-free-min={}B", free.saturating_sub(MARGIN_BYTES));
    let broker = BrokerProcess::start(&[&limit]);
    let mut client = Client::connect(&broker);
    client.declare(1, "orders");
    client.confirm_select(1);
    client.publish(1, "orders", b"before");
    client.await_confirms(1);
    let hog = broker.data_dir().join("hog");
    let taken = Command::new("fallocate")
        .arg("--length")
        .arg((2 * MARGIN_BYTES).to_string())
        .arg(&hog)
        .status()
        .unwrap();
    assert!(
        taken.success(),
        "the test needs {} bytes of free disk",
        2 * MARGIN_BYTES
    );
    let (during, reason) = publish_until_blocked(&mut client, "orders", b"during");
    assert_eq!(reason, "low on disk");
    // On the same connection and channel: what is there can be had and acknowledged.
    let message = client.get(1, "orders").unwrap();
    assert_eq!(message.body, b"before");
    client.ack(1, message.tag().0, false);
    let mut other = Client::connect(&broker);
    other.consume(1, "orders", "c", true);
    let bodies = other.bodies(during as usize - 1);
    assert!(bodies.iter().all(|body| body == b"during"));
    std::fs::remove_file(&hog).unwrap();
    client.expect(0, Method::ConnectionUnblocked);
    let confirm = client.frame();
    assert!(
        matches!(confirm.method(), Method::BasicAck { delivery_tag, .. } if delivery_tag == during + 1),
        "{confirm:?}"
    );
    assert_eq!(other.message().body, b"during");
    wait_for("the queue to be empty", || {
        (other.ready(1, "orders") == 0).then_some(())
    });
}

/// Waits until the connection whose client's end is this has a state.
fn wait_for_state(http: &Http, client: &Client, state: &str) {
    let port = client.stream.local_addr().unwrap().port();
    wait_for("the connection's state", || {
        let list = http.json("/api/connections");
        let mut all = list.as_array().unwrap().iter();
        all.any(|connection| connection["peer_port"] == port && connection["state"] == state)
            .then_some(())
    });
}

#[test]
fn a_process_that_cannot_get_below_its_mark_still_consumes_gets_acknowledges_and_deletes() {
    // More than that the process has from the start: nothing that anybody does clears the alarm.
    let configured = Configured::start("memory_high_watermark = '200MiB'\n", &[MANAGED]);
    let broker = &configured.broker;
    let http = Http::guest(broker);
    let mut client = Client::connect(broker);
    client.declare(1, "q");
    client.confirm_select(1);
    (0..4).for_each(|_| client.publish(1, "q", b"before"));
    client.await_confirms(4);
    let mut idle = Client::connect(broker);
    wait_for_state(&http, &idle, "running");

    configured.reload("memory_high_watermark = '1MiB'\n");
    broker.expect_log(&[
        "WARN",
        "memory_budget is not below memory_high_watermark",
        "limit=1048576",
    ]);
    let raised = broker.expect_log(&["ERROR", "memory is nearly used up", "watermark=1MiB"]);
    assert!(raised.contains("limit=1048576"), "{raised}");
    // A connection that both consumes and publishes goes on consuming, and so does everybody else.
    let (during, reason) = publish_until_blocked(&mut client, "q", b"during");
    assert_eq!(reason, "low on memory");
    client.qos(1, 2, false);
    client.consume(1, "q", "c", false);
    for _ in 0..2 {
        let message = client.message();
        assert_eq!(message.body, b"before");
        client.ack(1, message.tag().0, false);
    }
    let cancel = Method::BasicCancel {
        consumer_tag: "c",
        no_wait: false,
    };
    let passed: Vec<_> = (0..2).map(|_| client.message().tag().0).collect();
    client.send(1, cancel);
    client.expect(1, Method::BasicCancelOk { consumer_tag: "c" });
    let requeue = Method::BasicNack {
        delivery_tag: *passed.last().unwrap(),
        multiple: true,
        requeue: true,
    };
    client.send(1, requeue);
    assert_eq!(idle.get(1, "q").unwrap().body, b"before");
    idle.declare(1, "another");
    let delete = Method::QueueDelete {
        queue: "another",
        if_unused: false,
        if_empty: false,
        no_wait: false,
    };
    idle.send(1, delete);
    idle.expect(1, Method::QueueDeleteOk { message_count: 0 });

    // Whoever looks finds it.
    wait_for_state(&http, &client, "blocked");
    wait_for_state(&http, &idle, "blocking");
    let ready = http.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0]["check"], "memory", "{ready:?}");
    assert_eq!(http.get("/healthz").status, 200);
    assert_eq!(http.get("/api/health/checks/alarms").status, 503);
    let metrics = http.get("/metrics");
    assert_eq!(metrics.value("rabbitmq_alarms_memory_used_watermark"), 1.0);
    assert_eq!(metrics.value("rabbitmq_alarms_free_disk_space_watermark"), 0.0);
    assert_eq!(
        metrics.value("rabbitmq_resident_memory_limit_bytes"),
        f64::from(1 << 20)
    );
    let node = &http.json("/api/nodes")[0];
    assert_eq!(
        (&node["mem_alarm"], &node["mem_limit"]),
        (&Value::Bool(true), &Value::from(1 << 20))
    );
    let refused = http.post(
        "/api/exchanges/%2F/amq.default/publish",
        &serde_json::json!({"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"}),
    );
    assert_eq!(refused.status, 503, "{refused:?}");

    configured.reload("memory_high_watermark = '200MiB'\n");
    client.expect(0, Method::ConnectionUnblocked);
    client.await_confirms(4 + during);
    wait_for("readiness", || (http.get("/readyz").status == 200).then_some(()));
    wait_for_state(&http, &idle, "running");
    assert_eq!(http.json("/api/nodes")[0]["mem_alarm"], false);
}

#[test]
fn what_a_connection_that_consumes_goes_on_publishing_has_an_end() {
    let configured = Configured::start("memory_high_watermark = '200MiB'\n", &[MANAGED]);
    let broker = &configured.broker;
    let http = Http::guest(broker);
    let mut client = Client::connect(broker);
    client.declare(1, "q");
    client.publish(1, "q", b"before");
    client.consume(1, "q", "c", false);
    let first = client.message();
    configured.reload("memory_high_watermark = '1MiB'\n");
    broker.expect_log(&["ERROR", "memory is nearly used up"]);
    // It could free memory by an acknowledgement, and is read for that. The budget has room for all of this.
    let mut bytes = Vec::new();
    let body = [7; 10_000];
    for _ in 0..3000 {
        support::encode_publish(&mut bytes, 1, "", "q", false, &body, client.frame_bytes_max);
    }
    let parked = || http.get("/metrics").value("broker_parked_bytes");
    // What any connection may park, and the read that passed it.
    let (enough, most) = (f64::from(256 << 10), f64::from(576 << 10));
    let mut stream = client.stream.try_clone().unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    std::thread::scope(|scope| {
        let written = scope.spawn(move || stream.write_all(&bytes).unwrap());
        wait_for("enough to be parked", || (parked() >= enough).then_some(()));
        for _ in 0..50 {
            assert!(parked() < most, "{}", parked());
        }
        configured.reload("memory_high_watermark = '0B'\n");
        client.expect(
            0,
            Method::ConnectionBlocked {
                reason: "low on memory",
            },
        );
        client.expect(0, Method::ConnectionUnblocked);
        for _ in 0..3000 {
            assert_eq!(client.message().body, body);
        }
        written.join().unwrap();
    });
    client.ack(1, first.tag().0, false);
    assert_eq!(parked(), 0.0);
}

#[test]
fn memory_and_disk_are_told_together() {
    let all = free_bytes(&std::env::temp_dir()) * 2;
    let configured = Configured::start(
        &format!("memory_high_watermark = '1MiB'\ndisk_free_min = '{all}B'\n"),
        &[MANAGED],
    );
    let http = Http::guest(&configured.broker);
    wait_for("the alarms", || {
        let checks = http.get("/readyz").body;
        (checks.contains("\"disk\"") && checks.contains("\"memory\"")).then_some(())
    });
    let mut client = Client::connect(&configured.broker);
    client.declare(1, "q");
    client.publish(1, "q", b"x");
    client.expect(
        0,
        Method::ConnectionBlocked {
            reason: "low on memory & disk",
        },
    );
    // One of the two is not enough to go on, and not told again.
    configured.reload("memory_high_watermark = '1MiB'\ndisk_free_min = '1B'\n");
    configured.broker.expect_log(&["the disk has room again"]);
    client.open_channel(2);
    assert_eq!(client.ready(2, "q"), 0);
}

#[test]
fn what_a_backlog_has_taken_is_given_back_to_the_machine() {
    let _disk = DISK.lock().unwrap_or_else(PoisonError::into_inner);
    // Rings that would hold all of it: without the alarm nothing would be spilled.
    let flags = [
        "--memory-high-watermark=100MiB",
        "--memory-budget=1GiB",
        "--ring-bytes=512MiB",
        "--ring-messages=1000000",
    ];
    let broker = BrokerProcess::start(&flags);
    let mut client = Client::connect(&broker);
    client.declare(1, "backlog");
    client.confirm_select(1);
    let body = vec![7; 60_000];
    // Twice the mark, and on until the broker looks.
    let mut published = 3500;
    (0..published).for_each(|_| client.publish(1, "backlog", &body));
    let mut confirmed = 0;
    let mut told = false;
    while !told || confirmed < published {
        if confirmed == published {
            client.publish(1, "backlog", &body);
            published += 1;
        }
        match client.frame().method() {
            Method::BasicAck { delivery_tag, .. } => confirmed = delivery_tag,
            Method::ConnectionBlocked { reason } => {
                assert_eq!(reason, "low on memory");
            }
            // Nobody consumes: queues have spilled, and what they had in memory went back.
            Method::ConnectionUnblocked => told = true,
            other => panic!("{other:?}"),
        }
    }
    let bytes = broker.anonymous_bytes();
    assert!(bytes < 150 << 20, "{bytes}");
    assert_eq!(u64::from(client.ready(1, "backlog")), published);
    client.consume(1, "backlog", "c", true);
    for _ in 0..published {
        assert_eq!(client.message().body.len(), body.len());
    }
}

/// A broker in whose memory two messages may be under way, beside a ring.
const SMALL_BUDGET: [&str; 6] = [
    MANAGED,
    "--handshake-timeout=10min",
    "--message-bytes-max=1MiB",
    "--ring-bytes=2MiB",
    "--outbox-bytes=128KiB",
    "--memory-budget=4MiB",
];

/// Publishes messages that do not come to their end: two hold all but some kilobytes of what messages under way may hold, and the third
/// goes on although there is no room for it, which only one may.
fn spend_budget(broker: &BrokerProcess) -> [Client; 2] {
    let (mut hog, mut last) = (Client::connect(broker), Client::connect(broker));
    hog.open_channel(2);
    for (number, channel) in [(1, 1), (2, 2), (3, 1)] {
        let client = if number < 3 { &mut hog } else { &mut last };
        let mut bytes = Vec::new();
        let publish = Method::BasicPublish {
            exchange: "",
            routing_key: "q",
            mandatory: false,
            immediate: false,
        };
        publish.encode(channel, &mut bytes);
        wire::encode_content_header(&mut bytes, channel, 1_040_000, &wire::BasicProperties::default());
        wire::encode_body_frames(&mut bytes, channel, &vec![0; 1_037_000], 131_072);
        client.write(&bytes);
        // All of it has come.
        client.open_channel(number + 10);
    }
    [hog, last]
}

#[test]
fn the_memory_budget_is_no_alarm_once_who_waited_for_it_has_gone() {
    let broker = BrokerProcess::start(&SMALL_BUDGET);
    let http = Http::guest(&broker);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.publish(1, "q", b"small");
    let _hogs = spend_budget(&broker);
    client.publish(1, "q", &vec![1; 800_000]);
    let reason = "low on memory";
    client.expect(0, Method::ConnectionBlocked { reason });
    assert_eq!(http.get("/readyz").status, 503);
    // It is not read, so nobody would see that it has gone; an operator can close it.
    let port = client.stream.local_addr().unwrap().port();
    let list = http.json("/api/connections");
    let mut all = list.as_array().unwrap().iter();
    let found = all.find(|connection| connection["peer_port"] == port).unwrap();
    let name = found["name"]
        .as_str()
        .unwrap()
        .replace(' ', "%20")
        .replace('>', "%3E");
    assert_eq!(http.delete(&format!("/api/connections/{name}")).status, 204);
    drop(client);
    wait_for("readiness", || (http.get("/readyz").status == 200).then_some(()));
}

#[test]
fn a_publisher_that_waits_for_the_memory_budget_for_seconds_is_told() {
    let broker = BrokerProcess::start(&SMALL_BUDGET);
    let http = Http::guest(&broker);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.confirm_select(1);
    client.publish(1, "q", b"small");
    client.await_confirms(1);
    let hogs = spend_budget(&broker);
    client.publish(1, "q", &vec![1; 800_000]);
    let told = client.frame();
    assert!(
        matches!(
            told.method(),
            Method::ConnectionBlocked {
                reason: "low on memory"
            }
        ),
        "{told:?}"
    );
    assert_eq!(http.get("/readyz").json()["reasons"][0]["check"], "memory");
    assert_eq!(http.json("/api/nodes")[0]["mem_alarm"], true);
    wait_for_state(&http, &client, "blocked");
    // Nobody else is held up by it: what finds room is taken.
    let mut other = Client::connect(&broker);
    other.confirm_select(1);
    other.publish(1, "q", b"small too");
    other.await_confirms(1);
    drop(hogs);
    let mut frames = [client.frame(), client.frame()];
    frames.sort_by_key(|frame| frame.channel);
    assert_eq!(frames[0].method(), Method::ConnectionUnblocked);
    assert!(
        matches!(frames[1].method(), Method::BasicAck { delivery_tag: 2, .. }),
        "{frames:?}"
    );
    wait_for("readiness", || (http.get("/readyz").status == 200).then_some(()));
}

#[test]
fn a_publish_that_has_come_in_part_is_completed_when_publishers_go_on() {
    const BODY_BYTES: usize = 100_000;
    let configured = Configured::start("memory_high_watermark = '1B'\n", &[MANAGED]);
    let broker = &configured.broker;
    let mut client = Client::connect(broker);
    client.declare(1, "orders");
    let mut publish = Vec::new();
    support::encode_publish(
        &mut publish,
        1,
        "",
        "orders",
        false,
        &[7; BODY_BYTES],
        client.frame_bytes_max,
    );
    // Method, header and most of the body: more than is left lying for the rest to come.
    let (begin, rest) = publish.split_at(BODY_BYTES - 1_000);
    client.confirm_select(1);
    let (before, _) = publish_until_blocked(&mut client, "orders", b"before");
    client.write(begin);
    configured.reload("memory_high_watermark = '0B'\n");
    client.expect(0, Method::ConnectionUnblocked);
    client.write(rest);
    let mut other = Client::connect(broker);
    other.consume(1, "orders", "c", true);
    let bodies = other.bodies(before as usize + 1);
    assert_eq!(bodies.last().unwrap(), &[7; BODY_BYTES]);
}
