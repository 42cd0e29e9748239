//! What the fuzz targets do with their input. A plain test includes this file, too, so that it cannot rot.

use wire::fast::{self, AckScan, DeliverScan, PublishScan, Scan};
use wire::{
    BasicProperties, ContentHeader, FRAME_MIN_SIZE, Frame, FrameKind, Method, TableRef, WireError,
    decode_frame,
};

/// Decodes whatever the input holds, as raw bytes and as well-formed frames with arbitrary payloads.
/// Whatever decodes must encode to something that decodes to the same.
pub(crate) fn decode_frames(input: &[u8]) {
    let _ = TableRef::parse(input).map(assert_table_round_trip);
    for stream in [input, &reframed(input)] {
        let mut rest = stream;
        while let Ok(Some(frame)) = decode_frame(rest, FRAME_MIN_SIZE) {
            assert!(frame.encoded_len() <= FRAME_MIN_SIZE);
            rest = &rest[frame.encoded_len()..];
            let _ = decode_payload(frame);
        }
    }
}

/// Compares the fast scans with the general decoder, at every position where a frame starts.
pub(crate) fn scans_agree(input: &[u8]) {
    for stream in [input, &reframed(input)] {
        let mut rest = stream;
        loop {
            assert_publish_agrees(rest);
            assert_deliver_agrees(rest);
            assert_ack_agrees(rest);
            match decode_frame(rest, FRAME_MIN_SIZE) {
                Ok(Some(frame)) => rest = &rest[frame.encoded_len()..],
                Ok(None) | Err(_) => break,
            }
        }
    }
}

/// Reads the input as (kind, channel, length, payload)* and frames it properly, so that payloads are reached
/// often.
fn reframed(mut input: &[u8]) -> Vec<u8> {
    const STARTS: [&[u8]; 5] = [
        &[],
        &[0, 60, 0, 40],
        &[0, 60, 0, 60],
        &[0, 60, 0, 80],
        &[0, 50, 0, 10],
    ];
    let mut stream = Vec::new();
    while let [kind, channel, len, rest @ ..] = input {
        let (payload, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        input = rest;
        let start = if kind % 4 == 0 {
            STARTS[usize::from(kind / 4) % STARTS.len()]
        } else {
            &[]
        };
        stream.extend_from_slice(&[[1, 2, 3, 8][usize::from(kind % 4)], 0, channel & 1]);
        stream.extend_from_slice(&((start.len() + payload.len()) as u32).to_be_bytes());
        stream.extend_from_slice(start);
        stream.extend_from_slice(payload);
        stream.push(if channel & 0xF0 == 0xF0 {
            0
        } else {
            wire::FRAME_END
        });
    }
    stream
}

fn decode_payload(frame: Frame<'_>) -> Result<(), WireError> {
    let mut out = Vec::new();
    match frame.kind {
        FrameKind::Method => {
            let method = Method::decode(frame.payload)?;
            method.encode(frame.channel, &mut out);
            let again = decode_frame(&out, usize::MAX)?.expect("an encoded frame is complete");
            assert_eq!(Method::decode(again.payload)?, method);
        }
        FrameKind::Header => {
            let header = ContentHeader::decode(frame.payload)?;
            let mode = wire::delivery_mode(frame.payload);
            let properties = BasicProperties::decode(header.properties)?;
            assert_eq!(mode, properties.delivery_mode.unwrap_or(1));
            properties.headers.map(assert_table_round_trip);
            properties.encode(&mut out);
            assert_eq!(BasicProperties::decode(&out)?, properties);
        }
        FrameKind::Body | FrameKind::Heartbeat => {}
    }
    Ok(())
}

fn assert_table_round_trip(table: TableRef<'_>) {
    let bytes = table.to_table().to_bytes();
    assert_eq!(bytes.len(), table.as_bytes().len());
    let again = TableRef::parse(&bytes).expect("an encoded table is valid");
    assert_eq!(again.to_table().to_bytes(), bytes);
}

/// The complete frames at the start of the input, three at most, and whether the next one is merely
/// incomplete.
fn frames(input: &[u8]) -> (Vec<Frame<'_>>, bool) {
    let (mut rest, mut frames) = (input, Vec::new());
    while frames.len() < 3 {
        match decode_frame(rest, FRAME_MIN_SIZE) {
            Ok(Some(frame)) => {
                rest = &rest[frame.encoded_len()..];
                frames.push(frame);
            }
            Ok(None) => return (frames, true),
            Err(_) => return (frames, false),
        }
    }
    (frames, false)
}

/// What a scan for a method with content must say, from the general decoder's frames.
fn expected<'a>(input: &'a [u8], method: &[u8]) -> Scan<(Vec<Frame<'a>>, usize)> {
    let (mut frames, incomplete) = frames(input);
    let kinds = [FrameKind::Method, FrameKind::Header, FrameKind::Body];
    let mut body_size = None;
    for (index, frame) in frames.iter().enumerate() {
        let in_place = frame.kind == kinds[index] && frame.channel == frames[0].channel;
        let fits = match index {
            0 => frame.payload.starts_with(method),
            1 => ContentHeader::decode(frame.payload).is_ok_and(|header| header.class_id == 60),
            _ => Some(frame.payload.len() as u64) == body_size,
        };
        if !in_place || !fits {
            return Scan::Other;
        }
        if index == 1 {
            body_size = ContentHeader::decode(frame.payload)
                .ok()
                .map(|header| header.body_size);
            if body_size == Some(0) {
                frames.truncate(2);
                break;
            }
            if body_size > Some((FRAME_MIN_SIZE - wire::FRAME_OVERHEAD) as u64) {
                return Scan::Other;
            }
        }
    }
    if frames.len() == 3 || body_size == Some(0) {
        let len = frames.iter().map(Frame::encoded_len).sum();
        return Scan::Complete((frames, len));
    }
    if incomplete { Scan::Incomplete } else { Scan::Other }
}

fn assert_publish_agrees(input: &[u8]) {
    let expected = match expected(input, &[0, 60, 0, 40]) {
        Scan::Complete((frames, len)) => Scan::Complete(PublishScan {
            channel: frames[0].channel,
            method: frames[0].payload,
            header: frames[1].payload,
            body: frames.get(2).map_or(&[], |frame| frame.payload),
            frames: &input[frames[0].encoded_len()..len],
            len,
        }),
        Scan::Incomplete => Scan::Incomplete,
        Scan::Other => Scan::Other,
    };
    assert_eq!(fast::scan_publish(input, FRAME_MIN_SIZE), expected);
}

fn assert_deliver_agrees(input: &[u8]) {
    match (
        fast::scan_deliver(input, FRAME_MIN_SIZE),
        expected(input, &[0, 60, 0, 60]),
    ) {
        (Scan::Complete(found), Scan::Complete((frames, len))) => {
            let DeliverScan {
                channel,
                delivery_tag,
                redelivered,
                consumer_tag,
                body,
                len: found_len,
            } = found;
            let wanted_body = frames.get(2).map_or(&[][..], |frame| frame.payload);
            assert_eq!((channel, body, found_len), (frames[0].channel, wanted_body, len));
            // The scan does not judge what follows the flag; the arguments agree wherever both accept.
            if let Ok(method) = Method::decode(frames[0].payload) {
                let Method::BasicDeliver {
                    consumer_tag: tag,
                    delivery_tag: number,
                    redelivered: flag,
                    ..
                } = method
                else {
                    panic!("not a delivery: {method:?}");
                };
                assert_eq!(
                    (consumer_tag, delivery_tag, redelivered),
                    (tag.as_bytes(), number, flag)
                );
            }
        }
        (Scan::Other, Scan::Complete((frames, _))) => assert!(Method::decode(frames[0].payload).is_err()),
        (found, expected) => assert_eq!(
            std::mem::discriminant(&as_unit(found)),
            std::mem::discriminant(&as_unit(expected))
        ),
    }
}

fn as_unit<T>(scan: Scan<T>) -> Scan<()> {
    match scan {
        Scan::Complete(_) => Scan::Complete(()),
        Scan::Incomplete => Scan::Incomplete,
        Scan::Other => Scan::Other,
    }
}

fn assert_ack_agrees(input: &[u8]) {
    let general = decode_frame(input, FRAME_MIN_SIZE);
    match fast::scan_ack(input) {
        Scan::Complete(AckScan {
            channel,
            delivery_tag,
            multiple,
            len,
        }) => {
            let frame = general
                .expect("an ack is a valid frame")
                .expect("an ack is complete");
            assert_eq!((frame.channel, frame.encoded_len()), (channel, len));
            assert_eq!(
                Method::decode(frame.payload),
                Ok(Method::BasicAck {
                    delivery_tag,
                    multiple
                })
            );
        }
        Scan::Incomplete => assert_eq!(general, Ok(None)),
        Scan::Other => {
            if let Ok(Some(Frame {
                kind: FrameKind::Method,
                payload,
                ..
            })) = general
                && let Ok(Method::BasicAck { .. }) = Method::decode(payload)
            {
                assert_ne!(payload.len(), 13, "an ack of the usual length was not recognised");
            }
        }
    }
}
