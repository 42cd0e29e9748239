//! Consumers and readers that take nothing: what they hold is bounded, others go on, and in the end they are given up.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::os::unix::net::UnixStream;

use support::http::Http;
use support::{Client, Watched, Witness, consume, narrow_stream, passive, tune_ok, wait_for};
use wire::{Method, PROTOCOL_HEADER, TableRef};

/// Little memory for each connection, so that a test soon meets its limits; all outboxes together fit into half of the budget.
const SMALL: [&str; 4] = [
    "--message-bytes-max=64KiB",
    "--ring-bytes=1MiB",
    "--outbox-bytes=128KiB",
    "--memory-budget=32MiB",
];
/// What a broker with these flags may take, besides pages of segments that it reads back.
const ANONYMOUS_BYTES_MAX: u64 = 80 << 20;

/// Consumers that never read, beside one that does.
const DEAF: usize = 100;
/// Messages for all of them, of `SLOW_BYTES` each: much more than outboxes and sockets hold.
const SLOW_MESSAGES: usize = 6000;
const SLOW_BYTES: usize = 16 << 10;

/// A broker that listens on a Unix-domain socket too, which takes little of what nobody reads.
struct Deafening {
    broker: Watched,
    directory: tempfile::TempDir,
}

impl Deafening {
    fn start(write_timeout: &str) -> Deafening {
        let directory = tempfile::tempdir().unwrap();
        let listen = format!("--listen-unix={}", directory.path().join("socket").display());
        let flags = [&SMALL[..], &[write_timeout, &listen]].concat();
        Deafening {
            broker: Watched::start(&flags, &[("RUST_LOG", "error")], 2),
            directory,
        }
    }

    /// A consumer that has said all it ever will, and has not read a word.
    fn deaf(&self, prefetch_count: u16, no_ack: bool) -> UnixStream {
        let mut bytes = PROTOCOL_HEADER.to_vec();
        let start_ok = Method::ConnectionStartOk {
            client_properties: TableRef::EMPTY,
            mechanism: "PLAIN",
            response: b"\0guest\0guest",
            locale: "en_US",
        };
        let qos = Method::BasicQos {
            prefetch_size: 0,
            prefetch_count,
            global: false,
        };
        for method in [start_ok, tune_ok(0), Method::ConnectionOpen { virtual_host: "/" }] {
            method.encode(0, &mut bytes);
        }
        for method in [Method::ChannelOpen, qos, consume("q", "deaf", no_ack)] {
            method.encode(1, &mut bytes);
        }
        let mut stream = UnixStream::connect(self.directory.path().join("socket")).unwrap();
        stream.write_all(&bytes).unwrap();
        stream
    }

    /// Publishes to a queue with deaf consumers and one that listens, who gets `expected` messages at least, each of them once unless it
    /// is redelivered.
    fn listens_among_the_deaf(&self, prefetch: u16, no_ack: bool, expected: usize) {
        let broker = &self.broker;
        let mut witness = Witness::of(broker);
        let mut publisher = Client::connect(broker);
        publisher.declare(1, "q");
        let _deaf: Vec<UnixStream> = (0..DEAF).map(|_| self.deaf(prefetch, no_ack)).collect();
        let consumers = |publisher: &mut Client| match publisher.call(1, passive("q")).method() {
            Method::QueueDeclareOk { consumer_count, .. } => consumer_count as usize,
            other => panic!("{other:?}"),
        };
        wait_for("the deaf", || (consumers(&mut publisher) == DEAF).then_some(()));
        let mut listener = Client::connect(broker);
        listener.qos(1, prefetch, false);
        listener.consume(1, "q", "listener", no_ack);
        let listening = std::thread::spawn(move || {
            let mut seen = std::collections::HashSet::new();
            while seen.len() < expected {
                let message = listener.message();
                let (tag, redelivered) = message.tag();
                if !no_ack {
                    listener.ack(1, tag, false);
                }
                let number = u64::from_be_bytes(message.body[..8].try_into().unwrap());
                assert!(seen.insert(number) || redelivered, "message {number} twice");
            }
        });
        publisher.confirm_select(1);
        let mut body = vec![0; SLOW_BYTES];
        for number in 1..=SLOW_MESSAGES as u64 {
            body[..8].copy_from_slice(&number.to_be_bytes());
            publisher.publish(1, "q", &body);
            if number.is_multiple_of(1000) {
                publisher.await_confirms(number);
                witness.works();
            }
        }
        listening.join().unwrap();
        let bytes = broker.anonymous_bytes();
        assert!(bytes < ANONYMOUS_BYTES_MAX, "{bytes}");
    }
}

#[test]
fn deaf_consumers_with_a_prefetch_hold_that_and_nobody_up() {
    let held = 2 * DEAF;
    Deafening::start("--write-timeout=0").listens_among_the_deaf(2, false, SLOW_MESSAGES - held);
}

#[test]
fn deaf_consumers_without_a_prefetch_are_cut_off_and_what_they_held_goes_to_others() {
    // It applies to the one that listens too, which a busy machine may keep waiting.
    Deafening::start("--write-timeout=5s").listens_among_the_deaf(0, false, SLOW_MESSAGES);
}

#[test]
fn deaf_consumers_that_need_not_acknowledge_lose_their_share_only() {
    // Two outboxes each, and what a socket takes.
    let lost = DEAF * ((512 << 10) / SLOW_BYTES);
    Deafening::start("--write-timeout=0").listens_among_the_deaf(0, true, SLOW_MESSAGES - lost);
}

#[test]
fn a_peer_that_takes_nothing_is_named_closed_and_counted() {
    let flags = [
        &SMALL[..],
        &["--write-timeout=1s", "--management-listen=127.0.0.1:0"],
    ]
    .concat();
    let broker = Watched::start(&flags, &[("RUST_LOG", "warn")], 1);
    let mut publisher = Client::connect(&broker);
    publisher.declare(1, "q");
    publisher.confirm_select(1);
    let mut deaf = Client::connect_narrowly(&broker);
    let port = deaf.stream.local_addr().unwrap().port().to_string();
    deaf.consume(1, "q", "deaf", false);
    let body = vec![1; 60_000];
    for number in 1..=200 {
        publisher.publish(1, "q", &body);
        publisher.await_confirms(number);
    }
    broker.expect_log(&["write timeout", &port, "guest", "taken nothing for 1s"]);
    wait_for("all to come back", || {
        (publisher.ready(1, "q") == 200).then_some(())
    });
    let metrics = Http::anonymous(&broker).get("/metrics");
    assert_eq!(metrics.value("broker_write_timeouts_total"), 1.0);
    // One that has nothing to take is left alone, however long it says nothing.
    publisher.declare(1, "q");
}

#[test]
fn a_reader_of_http_that_does_not_take_its_answer_is_closed() {
    let flags = ["--management-listen=127.0.0.1:0", "--write-timeout=1s"];
    let broker = Watched::start(&flags, &[("RUST_LOG", "warn")], 1);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.confirm_select(1);
    client.publish(1, "q", &vec![b'x'; 8 << 20]);
    client.await_confirms(1);
    let mut stream = narrow_stream(broker.management.unwrap());
    let question = r#"{"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}"#;
    // guest:guest
    let request = format!(
        "POST /api/queues/%2F/q/get HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Length: {}\r\n\r\n{question}",
        question.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let port = stream.local_addr().unwrap().port().to_string();
    broker.expect_log(&["management connection closed", &port, "does not take the answer"]);
    // Whoever takes it gets all of it.
    let answer =
        Http::guest(&broker).request("POST", "/api/queues/%2F/q/get", &[], Some(question.as_bytes()));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()[0]["payload_bytes"], 8 << 20);
}
