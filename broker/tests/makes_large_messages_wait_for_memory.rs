//! Messages of many frames that come faster than they can be stored wait for memory: nobody is refused, and nobody waits for ever.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;

use support::http::Http;
use support::{BrokerProcess, Client, DEADLINE, OwnedFrame, encode_publish, wait_for};
use wire::Method;

/// Room for two of the largest messages under way beside a ring.
const FLAGS: [&str; 4] = [
    "--message-bytes-max=2MiB",
    "--ring-bytes=4MiB",
    "--outbox-bytes=128KiB",
    "--memory-budget=8MiB",
];
const FRAME_MAX: usize = 131_072;

fn publisher(broker: &BrokerProcess, queue: &str) -> Client {
    let mut client = Client::connect(broker);
    client.declare(1, queue);
    client.confirm_select(1);
    client
}

/// A publish, as frames.
fn publish(channel: u16, queue: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_publish(&mut bytes, channel, "", queue, false, body, FRAME_MAX);
    bytes
}

/// A client with so many channels that confirm.
fn with_channels(broker: &BrokerProcess, channels: u16) -> Client {
    let mut client = publisher(broker, "q");
    for channel in 2..=channels {
        client.open_channel(channel);
        client.confirm_select(channel);
    }
    client
}

/// A message on each channel, a frame of each in turn.
fn interleaved(channels: u16, body: &[u8]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = (1..=channels)
        .map(|channel| publish(channel, "q", body))
        .collect();
    let frames: Vec<Vec<&[u8]>> = all.iter().map(|bytes| frames_of(bytes)).collect();
    let turns = (0..frames[0].len()).flat_map(|turn| frames.iter().map(move |frames| frames[turn]));
    turns.collect::<Vec<_>>().concat()
}

/// Frames, each with its head and end.
fn frames_of(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let frame = wire::decode_frame(bytes, FRAME_MAX).unwrap().unwrap();
        let (frame, rest) = bytes.split_at(frame.payload.len() + wire::FRAME_OVERHEAD);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn body(publisher: usize, number: usize) -> Vec<u8> {
    let mut body = vec![publisher as u8; 1 << 20];
    body[..8].copy_from_slice(&number.to_be_bytes());
    body
}

#[test]
fn many_publishers_of_large_messages_get_all_of_them_confirmed() {
    const PUBLISHERS: usize = 8;
    const MESSAGES: usize = 4;
    let broker = BrokerProcess::start(&[&FLAGS[..], &["--handshake-timeout=10min"]].concat());
    std::thread::scope(|scope| {
        for number in 0..PUBLISHERS {
            let broker = &broker;
            scope.spawn(move || {
                let mut client = publisher(broker, &format!("q{number}"));
                let all: Vec<u8> = (0..MESSAGES)
                    .flat_map(|message| publish(1, &format!("q{number}"), &body(number, message)))
                    .collect();
                client.write(&all);
                client.await_confirms_patiently(MESSAGES as u64);
            });
        }
    });
    let mut reader = Client::connect(&broker);
    for number in 0..PUBLISHERS {
        reader.consume(1, &format!("q{number}"), &number.to_string(), true);
        for message in 0..MESSAGES {
            assert!(
                reader.message().body == body(number, message),
                "{number} {message}"
            );
        }
    }
}

/// Clients that each begin a body of the largest size and do not send all of it.
fn idle_clients(broker: &BrokerProcess, count: usize) -> Vec<Client> {
    let whole = publish(1, "q", &vec![7; 2 << 20]);
    let frames = frames_of(&whole);
    let begun = frames[..frames.len() - 1].concat();
    let idle = || {
        let mut client = Client::connect(broker);
        client.write(&begun);
        // All of it has come.
        client.open_channel(2);
        client
    };
    std::iter::repeat_with(idle).take(count).collect()
}

/// The next frame; on a slow machine the client may be told first that it waits for memory.
fn next(client: &mut Client) -> OwnedFrame {
    loop {
        let frame = client.frame();
        if !matches!(
            frame.method(),
            Method::ConnectionBlocked { .. } | Method::ConnectionUnblocked
        ) {
            return frame;
        }
    }
}

/// That the client was refused, and told why.
fn expect_refusal(client: &mut Client, text: &str) {
    let frame = next(client);
    match frame.method() {
        Method::ConnectionClose {
            reply_code,
            reply_text,
            ..
        } => assert!(
            reply_code == 506 && reply_text.contains(text),
            "{reply_code} {reply_text}"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_begins_a_body_and_does_not_send_the_rest_does_not_keep_memory_from_others() {
    let broker = BrokerProcess::start(&[&FLAGS[..], &["--handshake-timeout=2s"]].concat());
    let mut client = publisher(&broker, "q");
    // The third goes on although nothing is left, and nobody else may while it does.
    let mut idle = idle_clients(&broker, 3);
    client.publish(1, "q", &body(1, 1));
    // The first of them had its memory, and is idle like the others.
    expect_refusal(&mut idle[0], "the rest of a message has not come in time");
    client.await_confirms_patiently(1);
}

#[test]
fn what_follows_a_large_message_on_its_channel_waits_for_no_more_than_that() {
    let more = ["--handshake-timeout=10min", "--management-listen=127.0.0.1:0"];
    let broker = BrokerProcess::start(&[&FLAGS[..], &more].concat());
    let http = Http::guest(&broker);
    let mut client = publisher(&broker, "q");
    client.publish(1, "q", b"before");
    client.await_confirms(1);
    let before = client.get(1, "q").unwrap();
    let idle = idle_clients(&broker, 2);
    client.publish(1, "q", &body(1, 1));
    client.ack(1, before.tag().0, false);
    client.publish(1, "q", b"after");
    // There is nothing for these to wait for but the memory that the others hold.
    wait_for("the acknowledgement", || {
        let queue = http.json("/api/queues/%2F/q");
        (queue["messages_unacknowledged"] == 0).then_some(())
    });
    drop(idle);
    let mut reader = Client::connect(&broker);
    client.await_confirms_patiently(3);
    reader.consume(1, "q", "c", true);
    assert!(reader.message().body == body(1, 1));
    assert_eq!(reader.message().body, b"after");
}

#[test]
fn bodies_that_come_interleaved_do_not_wait_for_each_other() {
    const CHANNELS: u16 = 12;
    let broker = BrokerProcess::start(&[&FLAGS[..], &["--handshake-timeout=10min"]].concat());
    let mut client = with_channels(&broker, CHANNELS);
    // Two of four MiB are left, and three and a half are to come.
    let _idle = idle_clients(&broker, 1);
    client.write(&interleaved(CHANNELS, &vec![1; 300 << 10]));
    let mut confirmed: Vec<u16> = (0..CHANNELS)
        .map(|_| {
            let frame = next(&mut client);
            let is_first = matches!(frame.method(), Method::BasicAck { delivery_tag: 1, .. });
            assert!(is_first, "{frame:?}");
            frame.channel
        })
        .collect();
    confirmed.sort_unstable();
    assert_eq!(confirmed, (1..=CHANNELS).collect::<Vec<_>>());
    assert_eq!(client.ready(1, "q"), u32::from(CHANNELS));
}

#[test]
fn more_at_the_same_time_than_there_can_be_memory_for_is_refused() {
    const CHANNELS: u16 = 12;
    let broker = BrokerProcess::start(&[&FLAGS[..], &["--handshake-timeout=2s"]].concat());
    let mut client = with_channels(&broker, CHANNELS);
    let bytes = interleaved(CHANNELS, &vec![1; 1 << 20]);
    let mut stream = client.stream.try_clone().unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    std::thread::scope(|scope| {
        // Not all of it is read.
        scope.spawn(move || stream.write_all(&bytes).is_ok());
        expect_refusal(&mut client, "too many messages come at the same time");
        client.stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let mut other = publisher(&broker, "q");
    other.publish(1, "q", &body(1, 1));
    other.await_confirms(1);
}
