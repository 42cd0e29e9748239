//! Scans and templates against the general codec.

use super::*;
use crate::{
    BasicProperties, FRAME_MIN_SIZE, FRAME_OVERHEAD, Frame, FrameKind, Method, decode_frame,
    encode_body_frames, encode_content_header, encode_header_frame, encode_heartbeat,
};

const PROPERTIES: BasicProperties<'_> = BasicProperties {
    content_type: Some("text/plain"),
    content_encoding: None,
    headers: None,
    delivery_mode: Some(2),
    priority: None,
    correlation_id: None,
    reply_to: None,
    expiration: None,
    message_id: None,
    timestamp: None,
    kind: None,
    user_id: None,
    app_id: None,
    cluster_id: None,
};
const PART_LEN_MAX: usize = FRAME_MIN_SIZE - FRAME_OVERHEAD;

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Method, header and body frames, by the general encoder.
fn content(method: Method<'_>, channel: u16, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(channel, &mut out);
    encode_content_header(&mut out, channel, body.len() as u64, &PROPERTIES);
    encode_body_frames(&mut out, channel, body, FRAME_MIN_SIZE);
    out
}

const PUBLISH: Method<'_> = Method::BasicPublish {
    exchange: "orders",
    routing_key: "eu.de",
    mandatory: true,
    immediate: false,
};
const DELIVER: Method<'_> = Method::BasicDeliver {
    consumer_tag: "c-1",
    delivery_tag: 0x0102_0304_0506_0708,
    redelivered: true,
    exchange: "orders",
    routing_key: "eu.de",
};

fn frames(mut input: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some(frame) = decode_frame(input, FRAME_MIN_SIZE).unwrap() {
        input = &input[frame.encoded_len()..];
        frames.push(frame);
    }
    frames
}

#[test]
fn publish_is_found_whole_and_every_cut_is_incomplete() {
    for len in [0, 1, 16, 1024, PART_LEN_MAX] {
        let body = body(len);
        let mut input = content(PUBLISH, 5, &body);
        let whole = input.len();
        for cut in 0..whole {
            assert_eq!(
                scan_publish(&input[..cut], FRAME_MIN_SIZE),
                Scan::Incomplete,
                "{len} octets cut to {cut}"
            );
        }
        input.extend_from_slice(b"more");
        let Scan::Complete(publish) = scan_publish(&input, FRAME_MIN_SIZE) else {
            panic!("not found: {len}")
        };
        assert_eq!(
            (publish.channel, publish.body, publish.len),
            (5, &body[..], whole)
        );
        assert_eq!(Method::decode(publish.method), Ok(PUBLISH));
        let header = crate::ContentHeader::decode(publish.header).unwrap();
        assert_eq!(BasicProperties::decode(header.properties), Ok(PROPERTIES));
        assert!(publish.header.len() >= 14);
        let method_len = publish.method.len() + FRAME_OVERHEAD;
        assert_eq!(publish.frames, &input[method_len..whole]);
        assert_eq!(scan_deliver(&input, FRAME_MIN_SIZE), Scan::Other);
    }
}

#[test]
fn deliver_is_found_whole_and_every_cut_is_incomplete() {
    let body = body(64);
    let input = content(DELIVER, 5, &body);
    for cut in 0..input.len() {
        assert_eq!(
            scan_deliver(&input[..cut], FRAME_MIN_SIZE),
            Scan::Incomplete,
            "cut to {cut}"
        );
    }
    let wanted = DeliverScan {
        channel: 5,
        delivery_tag: 0x0102_0304_0506_0708,
        redelivered: true,
        consumer_tag: b"c-1",
        body: &body,
        len: input.len(),
    };
    assert_eq!(scan_deliver(&input, FRAME_MIN_SIZE), Scan::Complete(wanted));
    assert_eq!(scan_publish(&input, FRAME_MIN_SIZE), Scan::Other);
}

#[test]
fn other_shapes_are_left_to_the_general_decoder() {
    let split = content(PUBLISH, 5, &body(PART_LEN_MAX + 1));
    assert_eq!(
        scan_publish(&split, FRAME_MIN_SIZE),
        Scan::Other,
        "a body of two frames"
    );

    let whole = content(PUBLISH, 5, &body(16));
    let ends: Vec<usize> = frames(&whole)
        .iter()
        .scan(0, |end, frame| {
            *end += frame.encoded_len();
            Some(*end)
        })
        .collect();
    for end in &ends {
        let mut broken = whole.clone();
        broken[end - 1] = 0;
        assert_eq!(
            scan_publish(&broken, FRAME_MIN_SIZE),
            Scan::Other,
            "frame end at {end}"
        );
    }
    for start in &ends[..2] {
        let mut broken = whole.clone();
        broken[start + 2] = 6;
        assert_eq!(
            scan_publish(&broken, FRAME_MIN_SIZE),
            Scan::Other,
            "channel at {start}"
        );
        let mut interleaved = whole.clone();
        let mut heartbeat = Vec::new();
        encode_heartbeat(&mut heartbeat);
        interleaved.splice(start..start, heartbeat);
        assert_eq!(
            scan_publish(&interleaved, FRAME_MIN_SIZE),
            Scan::Other,
            "heartbeat at {start}"
        );
    }

    let mut short_body = Vec::new();
    PUBLISH.encode(5, &mut short_body);
    encode_content_header(&mut short_body, 5, 17, &PROPERTIES);
    encode_body_frames(&mut short_body, 5, &body(16), FRAME_MIN_SIZE);
    assert_eq!(
        scan_publish(&short_body, FRAME_MIN_SIZE),
        Scan::Other,
        "the first part of a longer body"
    );
}

#[test]
fn a_body_too_large_for_a_frame_is_recognised_by_its_header() {
    let mut input = Vec::new();
    PUBLISH.encode(5, &mut input);
    encode_content_header(&mut input, 5, u64::MAX, &PROPERTIES);
    assert_eq!(scan_publish(&input, FRAME_MIN_SIZE), Scan::Other);
}

#[test]
fn ack_is_the_general_encoding_and_is_found_again() {
    for (channel, delivery_tag, multiple) in [(1, 1, false), (65535, u64::MAX, true), (7, 0, true)] {
        let (mut fast, mut general) = (Vec::new(), Vec::new());
        encode_ack(&mut fast, channel, delivery_tag, multiple);
        Method::BasicAck {
            delivery_tag,
            multiple,
        }
        .encode(channel, &mut general);
        assert_eq!(fast, general);
        for cut in 0..fast.len() {
            assert_eq!(scan_ack(&fast[..cut]), Scan::Incomplete, "cut to {cut}");
        }
        assert_eq!(
            scan_ack(&fast),
            Scan::Complete(AckScan {
                channel,
                delivery_tag,
                multiple,
                len: fast.len()
            })
        );
        fast[20] = 0;
        assert_eq!(scan_ack(&fast), Scan::Other);
    }
}

#[test]
fn complete_frames_shorter_than_an_ack_are_other() {
    let mut heartbeat = Vec::new();
    encode_heartbeat(&mut heartbeat);
    assert_eq!(scan_ack(&heartbeat), Scan::Other);
    assert_eq!(scan_publish(&heartbeat, FRAME_MIN_SIZE), Scan::Other);
    for method in [
        Method::TxSelect,
        Method::ConnectionCloseOk,
        Method::ChannelFlow { active: true },
    ] {
        let mut out = Vec::new();
        method.encode(1, &mut out);
        assert_eq!(scan_ack(&out), Scan::Other, "{method:?}");
    }
}

#[test]
fn deliveries_equal_the_general_encoding_for_every_split() {
    let template = DeliverTemplate::new(5, "c-1");
    let mut header = Vec::new();
    for len in [
        0,
        1,
        16,
        PART_LEN_MAX - 1,
        PART_LEN_MAX,
        PART_LEN_MAX + 1,
        3 * PART_LEN_MAX,
        3 * PART_LEN_MAX + 1,
    ] {
        let body = body(len);
        let general = content(DELIVER, 5, &body);
        header.clear();
        header.extend_from_slice(frames(&general)[1].payload);
        let mut out = b"before".to_vec();
        template.encode(
            &mut out,
            0x0102_0304_0506_0708,
            true,
            b"orders",
            b"eu.de",
            &header,
            &body,
            FRAME_MIN_SIZE,
        );
        assert_eq!(out[6..], general, "{len} octets");

        let mut parts = Vec::new();
        template.encode_head(
            &mut parts,
            0x0102_0304_0506_0708,
            true,
            b"orders",
            b"eu.de",
            &header,
        );
        encode_body_frames(&mut parts, 5, &body, FRAME_MIN_SIZE);
        assert_eq!(parts, general, "{len} octets, head and body apart");
    }
    let mut frame = Vec::new();
    encode_header_frame(&mut frame, 5, &header);
    let decoded = decode_frame(&frame, FRAME_MIN_SIZE).unwrap().unwrap();
    assert_eq!((decoded.kind, decoded.payload), (FrameKind::Header, &header[..]));
}

#[test]
fn publish_template_equals_the_general_encoding_wherever_it_is_patched() {
    for len in [0, 16, PART_LEN_MAX, PART_LEN_MAX + 1, 2 * PART_LEN_MAX + 100] {
        let body = body(len);
        let mut template = PublishTemplate::new(5, "orders", "eu.de", true, &PROPERTIES, len, FRAME_MIN_SIZE);
        assert_eq!(template.body_is_contiguous(), len <= PART_LEN_MAX);
        let stamp = len.min(16);
        template.fill(stamp, &body[stamp..]);
        let mut out = b"before".to_vec();
        let body_start = template.append(&mut out);
        assert_eq!(out.len(), 6 + template.encoded_len());
        out[body_start..body_start + stamp].copy_from_slice(&body[..stamp]);
        assert_eq!(out[6..], content(PUBLISH, 5, &body), "{len} octets");

        if len > PART_LEN_MAX {
            // Across the boundary between two frames.
            template.patch(&mut out, body_start, PART_LEN_MAX - 1, &[0xAA, 0xBB]);
            let mut changed = body;
            changed[PART_LEN_MAX - 1..=PART_LEN_MAX].copy_from_slice(&[0xAA, 0xBB]);
            assert_eq!(out[6..], content(PUBLISH, 5, &changed), "{len} octets, patched");
        }
    }
}

#[test]
#[should_panic(expected = "do not fit a body of 16")]
fn filling_beyond_the_body_is_refused() {
    PublishTemplate::new(1, "", "q", false, &PROPERTIES, 16, FRAME_MIN_SIZE).fill(10, &[0; 7]);
}

#[test]
fn ready_frames_give_the_same_delivery_as_their_parts() {
    let template = DeliverTemplate::new(9, "c-1");
    for len in [0, 1, 16, 4000] {
        let body = body(len);
        let input = content(PUBLISH, 5, &body);
        let Scan::Complete(publish) = scan_publish(&input, FRAME_MIN_SIZE) else {
            panic!("not found: {len}")
        };
        let Method::BasicPublish {
            exchange,
            routing_key,
            ..
        } = PUBLISH
        else {
            unreachable!()
        };
        let names = [
            &[exchange.len() as u8],
            exchange.as_bytes(),
            &[routing_key.len() as u8],
            routing_key.as_bytes(),
        ];
        let mut ready = b"before".to_vec();
        template.encode_frames(
            &mut ready,
            77,
            true,
            &names.concat(),
            publish.frames,
            publish.header.len(),
        );
        let mut parts = b"before".to_vec();
        let (exchange, key) = (exchange.as_bytes(), routing_key.as_bytes());
        template.encode(
            &mut parts,
            77,
            true,
            exchange,
            key,
            publish.header,
            &body,
            FRAME_MIN_SIZE,
        );
        assert_eq!(ready, parts, "{len} octets");
    }
}
