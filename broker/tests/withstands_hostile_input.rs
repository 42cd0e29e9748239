//! Whatever bytes a peer sends, it gets the specified answer or a closed socket; the others are served, and memory stays
//! bounded.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use support::{BrokerProcess, Client, Witness, declare, encode_publish};
use wire::{FieldTable, FieldValue, Method, PROTOCOL_HEADER, TableRef};

/// What a broker under attack may take in memory beyond what it took before.
const GROWTH_BYTES_MAX: u64 = 48 << 20;

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

/// Everything that the broker still says before it closes the socket. The reading fails when it does not.
fn last_words(client: &mut Client) -> Vec<u8> {
    let mut words = Vec::new();
    match client.stream.read_to_end(&mut words) {
        // A reset follows at once when the broker has not read everything.
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("still open: {error}"),
        _ => words,
    }
}

/// What a well behaved client sends on channel 1 of an open connection: a bit of everything.
fn conversation() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut arguments = FieldTable::new();
    arguments.insert(
        "k",
        vec![FieldValue::from("v"), FieldValue::I32(1), FieldValue::Void],
    );
    let arguments = arguments.to_bytes();
    let declare_exchange = Method::ExchangeDeclare {
        exchange: "hostile",
        kind: "topic",
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: TableRef::parse(&arguments).unwrap(),
    };
    declare_exchange.encode(1, &mut bytes);
    declare("hostile").encode(1, &mut bytes);
    let bind = Method::QueueBind {
        queue: "hostile",
        exchange: "hostile",
        routing_key: "*.k",
        no_wait: false,
        arguments: TableRef::EMPTY,
    };
    bind.encode(1, &mut bytes);
    support::consume("hostile", "c", false).encode(1, &mut bytes);
    encode_publish(&mut bytes, 1, "hostile", "a.k", true, b"body", 131_072);
    let ack = Method::BasicAck {
        delivery_tag: 1,
        multiple: true,
    };
    ack.encode(1, &mut bytes);
    wire::encode_heartbeat(&mut bytes);
    bytes
}

#[test]
fn another_protocol_is_told_ours() {
    let broker = BrokerProcess::start(&[]);
    let mut frame_first = Vec::new();
    Method::ChannelOpen.encode(1, &mut frame_first);
    let garbage = garbage(7, 64);
    let greetings: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x01\x01\x00\x0a",
        b"AMQP\x00\x00\x09\x00",
        &frame_first,
        &garbage,
    ];
    for greeting in greetings {
        let mut client = Client::raw(&broker);
        client.write(greeting);
        assert_eq!(last_words(&mut client), PROTOCOL_HEADER, "{greeting:?}");
    }
    Witness::of(&broker).works();
}

#[test]
fn random_bytes_after_any_stage_harm_nobody_else() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = Witness::of(&broker);
    let before = broker.resident_bytes();
    for seed in 1..=200u64 {
        let mut hostile = match seed % 4 {
            0 => Client::connect(&broker),
            1 => {
                let mut client = Client::raw(&broker);
                client.write(&PROTOCOL_HEADER);
                client
            }
            2 => {
                let mut client = Client::raw(&broker);
                client.start("guest", "guest");
                client
            }
            _ => Client::raw(&broker),
        };
        let _ = hostile.stream.write_all(&garbage(seed, 2000));
        let _ = hostile.stream.shutdown(Shutdown::Write);
        last_words(&mut hostile);
        witness.works();
    }
    assert!(broker.resident_bytes() < before + GROWTH_BYTES_MAX);
}

#[test]
fn a_conversation_cut_off_anywhere_ends_the_connection_only() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = Witness::of(&broker);
    let conversation = conversation();
    for len in 0..conversation.len() {
        let mut client = Client::connect(&broker);
        client.write(&conversation[..len]);
        client.stream.shutdown(Shutdown::Write).unwrap();
        last_words(&mut client);
        if len % 16 == 0 {
            witness.works();
        }
    }
    witness.works();
}

#[test]
fn a_conversation_with_any_octet_changed_is_answered_or_closed() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = Witness::of(&broker);
    let before = broker.resident_bytes();
    let conversation = conversation();
    for at in 0..conversation.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = conversation.clone();
            changed[at] ^= change;
            let mut client = Client::connect(&broker);
            let _ = client.stream.write_all(&changed);
            let _ = client.stream.shutdown(Shutdown::Write);
            last_words(&mut client);
        }
        if at % 16 == 0 {
            witness.works();
        }
    }
    witness.works();
    assert!(broker.resident_bytes() < before + GROWTH_BYTES_MAX);
}

/// A table in a table in a table.
fn deep_table(depth: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..depth {
        let mut outer = vec![1, b'k', b'F'];
        outer.extend_from_slice(&(table.len() as u32).to_be_bytes());
        outer.extend_from_slice(&table);
        table = outer;
    }
    table
}

fn frame_around(kind: u8, channel: u16, parts: &[&[u8]]) -> Vec<u8> {
    support::frame(kind, channel, &parts.concat())
}

#[test]
fn deep_tables_are_refused_wherever_they_come() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = Witness::of(&broker);
    // As deep as a frame allows.
    let deep = deep_table(18_000);
    let sized = [&(deep.len() as u32).to_be_bytes()[..], &deep].concat();
    let declare = frame_around(1, 1, &[&[0, 50, 0, 10, 0, 0, 1, b'q', 0], &sized]);
    let header = frame_around(2, 1, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0], &sized]);
    let mut publish = Vec::new();
    encode_publish(&mut publish, 1, "", "q", false, b"", 131_072);
    // Its method frame: the header frame that follows takes 22 octets.
    publish.truncate(publish.len() - 22);
    for bytes in [declare, [publish, header].concat()] {
        assert!(bytes.len() < 131_072);
        let mut client = Client::connect(&broker);
        client.write(&bytes);
        let text = client.expect_close(0, 502);
        assert!(text.contains("deeper"), "{text}");
        witness.works();
    }
}

#[test]
fn a_peer_without_a_name_gets_small_frames_only() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = Witness::of(&broker);
    let before = broker.resident_bytes();
    // Announced, it is refused at once; as large as allowed, its parts are kept, for hundreds of peers.
    let mut greedy = Client::raw(&broker);
    greedy.write(&PROTOCOL_HEADER);
    greedy.frame();
    greedy.write(&[1, 0, 0, 0, 1, 0, 0]);
    greedy.expect_close(0, 501);
    let mut peers = Vec::new();
    for _ in 0..500 {
        let mut client = Client::raw(&broker);
        client.write(&PROTOCOL_HEADER);
        client.frame();
        let payload = vec![0; 8000];
        let part = support::frame(1, 0, &payload);
        client.write(&part[..7900]);
        peers.push(client);
    }
    witness.works();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes for 500 peers");
}

#[test]
fn lies_before_the_login_close_the_socket() {
    let broker = BrokerProcess::start(&[]);
    let mut witness = Witness::of(&broker);
    let deep = deep_table(1000);
    let sized = |len: u32, table: &[u8]| [&len.to_be_bytes()[..], table].concat();
    let tables = [
        sized(u32::MAX, b""),
        sized(8, &[1, b'k', b'A', 0xff, 0xff, 0xff, 0xff, b't']),
        sized(3, &[255, b'k', b'V']),
        sized(deep.len() as u32, &deep),
    ];
    for table in tables {
        let mut client = Client::raw(&broker);
        client.write(&PROTOCOL_HEADER);
        client.frame();
        client.write(&frame_around(1, 0, &[&[0, 10, 0, 11], &table]));
        let close = client.try_frame();
        let closes = close.is_none_or(|frame| matches!(frame.method(), Method::ConnectionClose { .. }));
        assert!(closes);
        witness.works();
    }
    // Methods that come too early, and content.
    let early = [
        frame_around(1, 0, &[&[0, 10, 0, 40, 1, b'/', 0, 0]]),
        frame_around(1, 1, &[&[0, 20, 0, 10, 0]]),
        frame_around(2, 0, &[&[0; 14]]),
        frame_around(3, 1, &[b"x"]),
    ];
    for bytes in early {
        let mut client = Client::raw(&broker);
        client.write(&PROTOCOL_HEADER);
        client.frame();
        client.write(&bytes);
        let frame = client.frame();
        assert!(
            matches!(
                frame.method(),
                Method::ConnectionClose {
                    reply_code: 504 | 505,
                    ..
                }
            ),
            "{frame:?}"
        );
        witness.works();
    }
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
