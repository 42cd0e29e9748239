//! Whatever a peer sends, it gets the specified answer or a closed socket, and the others notice nothing.

mod support;

use std::io::Write;

use support::{BrokerProcess, Client, wait_for};
use wire::{Method, PROTOCOL_HEADER};

/// xorshift64*: enough randomness for garbage, the same garbage every time.
fn garbage(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    })
    .take(len)
    .collect()
}

#[test]
fn another_protocol_is_told_ours() {
    let broker = BrokerProcess::start(&[]);
    for greeting in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x01\x01\x00\x0a",
    ] {
        let mut client = Client::raw(&broker);
        client.write(greeting);
        let mut answer = Vec::new();
        // A reset may follow at once, because the broker does not read the rest.
        let _ = std::io::Read::read_to_end(&mut client.stream, &mut answer);
        assert_eq!(answer, PROTOCOL_HEADER);
    }
}

#[test]
fn random_bytes_after_any_stage_harm_nobody_else() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = Client::connect(&broker);
    witness.declare(1, "witness");
    witness.consume(1, "witness", "c", true);
    for seed in 1..=60u64 {
        let mut hostile = match seed % 3 {
            0 => Client::connect(&broker),
            1 => {
                let mut client = Client::raw(&broker);
                client.write(&PROTOCOL_HEADER);
                client
            }
            _ => Client::raw(&broker),
        };
        let _ = hostile.stream.write_all(&garbage(seed, 2000));
        witness.publish(1, "witness", &seed.to_be_bytes());
        assert_eq!(witness.message().body, seed.to_be_bytes());
    }
}

#[test]
fn malformed_frames_get_501_and_a_closed_socket() {
    let broker = BrokerProcess::start(&[]);
    let cases: [(&str, Vec<u8>, u16); 5] = [
        ("wrong frame end", vec![8, 0, 0, 0, 0, 0, 0, 0xCD], 501),
        ("unknown frame type", vec![9, 0, 0, 0, 0, 0, 0, 0xCE], 501),
        (
            "frame larger than negotiated",
            vec![1, 0, 1, 0x7f, 0xff, 0xff, 0xff],
            501,
        ),
        (
            "unknown method",
            vec![1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 200, 0xCE],
            503,
        ),
        (
            "header without a publish",
            vec![
                2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xCE,
            ],
            505,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut client = Client::connect(&broker);
        client.write(&bytes);
        let frame = client.frame();
        let Method::ConnectionClose {
            reply_code,
            reply_text,
            ..
        } = frame.method()
        else {
            panic!("{what}: {frame:?}")
        };
        assert_eq!(reply_code, code, "{what}: {reply_text}");
    }
}

#[test]
fn a_body_longer_than_announced_is_a_frame_error() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::connect(&broker);
    let mut bytes = Vec::new();
    let publish = Method::BasicPublish {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        immediate: false,
    };
    publish.encode(1, &mut bytes);
    wire::encode_content_header(&mut bytes, 1, 3, &Default::default());
    wire::encode_body_frames(&mut bytes, 1, b"four", 131_072);
    client.write(&bytes);
    client.expect_close(0, 501);
}

#[test]
fn a_wrong_password_gets_403() {
    let broker = BrokerProcess::start(&[]);
    let mut client = Client::raw(&broker);
    client.start("guest", "wrong");
    let text = client.expect_close(0, 403);
    assert!(
        text.contains("Login was refused using authentication mechanism PLAIN"),
        "{text}"
    );
}

#[test]
fn a_handshake_that_never_goes_on_is_cut_off() {
    let broker = BrokerProcess::start(&["--handshake-timeout", "1s"]);
    let mut silent = Client::raw(&broker);
    let mut answer = Vec::new();
    assert_eq!(
        std::io::Read::read_to_end(&mut silent.stream, &mut answer).unwrap_or(0),
        0
    );
}

#[test]
fn a_thousand_idle_sockets_leave_room_for_work() {
    let broker = BrokerProcess::start(&[]);
    let idle: Vec<Client> = (0..1000).map(|_| Client::raw(&broker)).collect();
    let mut client = Client::connect(&broker);
    client.declare(1, "q");
    client.publish(1, "q", b"x");
    wait_for("the message", || (client.ready(1, "q") == 1).then_some(()));
    assert!(broker.resident_bytes() < 100 << 20);
    drop(idle);
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
