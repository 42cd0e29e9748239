//! Peers that come and say nothing, that never read, or that vanish: they cost little, and nobody waits for them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use support::{BrokerProcess, Client, Witness, consume, encode_publish, passive, tune_ok, wait_for};
use wire::{BasicProperties, FieldTable, Method, PROTOCOL_HEADER, TableRef};

/// Little memory for each connection, so that a test soon meets its limits.
const SMALL: [&str; 4] = [
    "--message-bytes-max=64KiB",
    "--ring-bytes=1MiB",
    "--outbox-bytes=128KiB",
    "--memory-budget=16MiB",
];
/// What a broker with these flags may take.
const RESIDENT_BYTES_MAX: u64 = 80 << 20;

/// How long a write must be stuck to say that the broker does not read.
const STUCK: Duration = Duration::from_millis(500);

/// A client that writes and never reads is stopped before long; others are served, and the broker's memory stays small.
fn is_stopped(broker: &BrokerProcess, witness: &mut Witness, client: &mut Client, bytes: &[u8]) {
    let most = 256 << 20;
    let written = write_until_stuck(client, bytes, most);
    assert!(written < most, "it was never stopped");
    witness.works();
    assert!(
        broker.resident_bytes() < RESIDENT_BYTES_MAX,
        "{}",
        broker.resident_bytes()
    );
}

/// Writes `bytes` again and again until the broker reads no more; at most `most` octets. Returns how many it took.
fn write_until_stuck(client: &mut Client, bytes: &[u8], most: usize) -> usize {
    client.stream.set_write_timeout(Some(STUCK)).unwrap();
    let mut written = 0;
    while written < most {
        match client.stream.write(&bytes[written % bytes.len()..]) {
            Ok(count) => written += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("writing: {error}"),
        }
    }
    written
}

#[test]
fn a_handshake_that_does_not_go_on_is_cut_off_at_any_stage() {
    // Longer than the witness takes to log in on a busy machine.
    let broker = BrokerProcess::start(&["--handshake-timeout", "4s"]);
    let mut witness = Witness::of(&broker);
    let stages: [fn(&mut Client); 5] = [
        |_| {},
        |client| client.write(&PROTOCOL_HEADER[..7]),
        |client| client.write(&PROTOCOL_HEADER),
        |client| client.start("guest", "guest"),
        |client| {
            client.start("guest", "guest");
            client.frame();
            client.send(0, tune_ok(0));
        },
    ];
    let mut peers: Vec<Client> = stages
        .iter()
        .map(|stage| {
            let mut client = Client::raw(&broker);
            stage(&mut client);
            client
        })
        .collect();
    witness.works();
    for client in &mut peers {
        // To the end, or the reading fails.
        let mut words = Vec::new();
        client.stream.read_to_end(&mut words).unwrap();
    }
    witness.works();
}

#[test]
fn a_thousand_idle_sockets_leave_room_for_work() {
    let broker = BrokerProcess::start(&[]);
    let idle: Vec<Client> = (0..1000).map(|_| Client::raw(&broker)).collect();
    Witness::of(&broker).works();
    assert!(broker.resident_bytes() < 100 << 20);
    drop(idle);
    Witness::of(&broker).works();
}

#[test]
fn connections_beyond_the_limit_are_refused_until_one_leaves() {
    let broker = BrokerProcess::start(&["--connections-max", "2"]);
    let first = Client::connect(&broker);
    let _second = Client::connect(&broker);
    let mut third = Client::raw(&broker);
    let _ = third.stream.write_all(&PROTOCOL_HEADER);
    assert_eq!(third.try_frame(), None);
    drop(first);
    wait_for("room for another", || {
        let mut client = Client::raw(&broker);
        client.stream.write_all(&PROTOCOL_HEADER).ok()?;
        client.try_frame()
    });
}

#[test]
fn a_consumer_that_never_reads_holds_little_and_loses_nothing() {
    let broker = BrokerProcess::start(&SMALL);
    let mut witness = Witness::of(&broker);
    let mut publisher = Client::connect(&broker);
    publisher.declare(1, "q");
    let mut deaf = Client::connect(&broker);
    deaf.send(1, consume("q", "deaf", false));
    publisher.confirm_select(1);
    let body = vec![1; 32 << 10];
    // 64 MiB for a budget of 16.
    let total = 2048;
    for number in 1..=total {
        publisher.publish(1, "q", &body);
        if number % 64 == 0 {
            publisher.await_confirms(number);
            witness.works();
        }
    }
    assert!(
        broker.resident_bytes() < RESIDENT_BYTES_MAX,
        "{}",
        broker.resident_bytes()
    );
    let undelivered = publisher.ready(1, "q");
    assert!(
        undelivered > 1024,
        "{undelivered} of {total} are still in the queue"
    );
    drop(deaf);
    wait_for("all to come back", || {
        (publisher.ready(1, "q") == total as u32).then_some(())
    });
}

#[test]
fn a_client_that_asks_and_never_reads_is_read_no_more() {
    let broker = BrokerProcess::start(&SMALL);
    let mut witness = Witness::of(&broker);
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    let mut question = Vec::new();
    (0..1000).for_each(|_| passive("q").encode(1, &mut question));
    is_stopped(&broker, &mut witness, &mut client, &question);
}

#[test]
fn returns_that_nobody_reads_stop_their_publisher() {
    let broker = BrokerProcess::start(&SMALL);
    let mut witness = Witness::of(&broker);
    let mut client = Client::connect(&broker);
    let mut publish = Vec::new();
    encode_publish(
        &mut publish,
        1,
        "",
        "nowhere",
        true,
        &[0; 60_000],
        client.frame_bytes_max,
    );
    is_stopped(&broker, &mut witness, &mut client, &publish);
}

#[test]
fn confirms_that_are_read_late_are_all_there() {
    let broker = BrokerProcess::start(&SMALL);
    let mut witness = Witness::of(&broker);
    let mut publisher = Client::connect(&broker);
    publisher.declare(1, "q");
    publisher.confirm_select(1);
    let total = 200_000;
    let mut bytes = Vec::new();
    (0..1000).for_each(|_| encode_publish(&mut bytes, 1, "", "q", false, b"x", 131_072));
    for _ in 0..total / 1000 {
        publisher.write(&bytes);
    }
    witness.works();
    publisher.await_confirms(total);
    assert_eq!(publisher.ready(1, "q"), total as u32);
    assert!(
        broker.resident_bytes() < RESIDENT_BYTES_MAX,
        "{}",
        broker.resident_bytes()
    );
}

/// Opens every channel there is.
fn open_all_channels(client: &mut Client) {
    let mut bytes = Vec::new();
    (2..=2047).for_each(|channel| Method::ChannelOpen.encode(channel, &mut bytes));
    client.write(&bytes);
    (2..=2047).for_each(|channel| client.expect(channel, Method::ChannelOpenOk));
}

#[test]
fn headers_that_no_body_follows_are_charged() {
    let broker = BrokerProcess::start(&SMALL);
    let mut witness = Witness::of(&broker);
    let mut client = Client::connect(&broker);
    open_all_channels(&mut client);
    let mut headers = FieldTable::new();
    headers.insert("k", "v".repeat(100_000));
    let headers = headers.to_bytes();
    let properties = BasicProperties {
        headers: TableRef::parse(&headers).ok(),
        ..BasicProperties::default()
    };
    // 200 MB, if all were kept.
    for channel in 1..=2047 {
        let mut bytes = Vec::new();
        let publish = Method::BasicPublish {
            exchange: "",
            routing_key: "nowhere",
            mandatory: false,
            immediate: false,
        };
        publish.encode(channel, &mut bytes);
        wire::encode_content_header(&mut bytes, channel, 1, &properties);
        if client.stream.write_all(&bytes).is_err() {
            break;
        }
    }
    assert!(
        broker.resident_bytes() < RESIDENT_BYTES_MAX,
        "{}",
        broker.resident_bytes()
    );
    witness.works();
}

#[test]
fn publish_methods_with_endless_variations_are_not_all_remembered() {
    let broker = BrokerProcess::start(&SMALL);
    let mut witness = Witness::of(&broker);
    let mut client = Client::connect(&broker);
    client.open_channel(2);
    // 216 MB, if all were kept.
    let each = 900;
    for channel in [1, 2] {
        client.confirm_select(channel);
        for number in 0..each as u32 {
            // A routing key of its own, and garbage behind the arguments.
            let key = format!("{number:0>250}");
            let arguments = [&[0, 60, 0, 40, 0, 0, 0, 250], key.as_bytes(), &[0]].concat();
            let method = [arguments, vec![7; 120_000]].concat();
            let mut bytes = support::frame(1, channel, &method);
            wire::encode_content_header(&mut bytes, channel, 0, &BasicProperties::default());
            client.write(&bytes);
        }
        client.await_confirms(each);
    }
    assert!(
        broker.resident_bytes() < RESIDENT_BYTES_MAX,
        "{}",
        broker.resident_bytes()
    );
    witness.works();
}

#[test]
fn a_peer_that_closes_and_does_not_read_is_not_waited_for() {
    let flags = [&SMALL[..], &["--connections-max=2"]].concat();
    let broker = BrokerProcess::start(&flags);
    let mut observer = Client::connect(&broker);
    observer.declare(1, "q");
    observer.confirm_select(1);
    let body = vec![1; 60_000];
    (0..400).for_each(|_| observer.publish(1, "q", &body));
    observer.await_confirms(400);
    let mut deaf = Client::connect(&broker);
    deaf.send(1, consume("q", "deaf", false));
    wait_for("the first deliveries", || {
        (observer.ready(1, "q") < 400).then_some(())
    });
    let close = Method::ConnectionClose {
        reply_code: 200,
        reply_text: "",
        class_id: 0,
        method_id: 0,
    };
    deaf.send(0, close);
    wait_for("its messages", || (observer.ready(1, "q") == 400).then_some(()));
    // Its end frees the only place there is, although its socket is still open.
    wait_for("room for another", || {
        let mut client = Client::raw(&broker);
        client.stream.write_all(&PROTOCOL_HEADER).ok()?;
        client.try_frame()
    });
    assert!(deaf.stream.peer_addr().is_ok());
}

#[test]
fn a_peer_that_vanishes_is_missed_by_its_heartbeats() {
    let broker = BrokerProcess::start(&["--connections-max", "2"]);
    let mut observer = Client::connect(&broker);
    observer.declare(1, "q");
    observer.publish(1, "q", b"x");
    let mut silent = Client::with_heartbeats(&broker);
    silent.consume(1, "q", "c", false);
    silent.message();
    // It keeps its socket and says nothing more.
    wait_for("its message", || (observer.ready(1, "q") == 1).then_some(()));
    let mut heartbeats = Vec::new();
    silent.stream.read_to_end(&mut heartbeats).unwrap();
    assert!(heartbeats.starts_with(&[8, 0, 0]), "{heartbeats:?}");
}

#[test]
fn a_half_closed_peer_is_gone() {
    let broker = BrokerProcess::start(&[]);
    let mut observer = Client::connect(&broker);
    observer.declare(1, "q");
    observer.publish(1, "q", b"x");
    let mut half = Client::connect(&broker);
    half.consume(1, "q", "c", false);
    half.message();
    half.stream.shutdown(std::net::Shutdown::Write).unwrap();
    wait_for("its message", || (observer.ready(1, "q") == 1).then_some(()));
    assert_eq!(half.try_frame(), None);
}
