//! Hostile bytes: never a panic, and never an answer that only careful peers would get.
//!
//! The bytes are mutations of what real clients sent and seeded random input, fed to the fuzz targets' own
//! entries.

#[path = "../fuzz/entries.rs"]
mod entries;

use wire::{
    BasicProperties, ContentHeader, FRAME_MIN_SIZE, Frame, FrameKind, Method, PROTOCOL_HEADER, decode_frame,
};

const CAPTURES: [&[u8]; 4] = [
    include_bytes!("fixtures/pika-1.4.4.bin"),
    include_bytes!("fixtures/amqplib-2.3.1.bin"),
    include_bytes!("fixtures/amqp091-go-1.16.0.bin"),
    include_bytes!("fixtures/java-5.25.0.bin"),
];

/// The frames of all captures, with their bytes; the long body frames are left out.
fn frames() -> Vec<(&'static [u8], Frame<'static>)> {
    let mut frames = Vec::new();
    for capture in CAPTURES {
        let mut rest = &capture[PROTOCOL_HEADER.len()..];
        while let Some(frame) = decode_frame(rest, FRAME_MIN_SIZE).expect("a capture holds valid frames") {
            let (bytes, later) = rest.split_at(frame.encoded_len());
            rest = later;
            if bytes.len() < 1000 {
                frames.push((bytes, frame));
            }
        }
    }
    frames
}

/// xorshift64*: enough randomness for byte soup, the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn bytes(&mut self, len_max: u64) -> Vec<u8> {
        let len = self.next() % len_max;
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

#[test]
fn every_truncation_of_a_frame_is_incomplete() {
    for (bytes, _) in frames() {
        for len in 0..bytes.len() {
            assert_eq!(decode_frame(&bytes[..len], FRAME_MIN_SIZE), Ok(None));
        }
    }
}

#[test]
fn every_truncation_of_properties_is_an_error() {
    for (_, frame) in frames()
        .iter()
        .filter(|(_, frame)| frame.kind == FrameKind::Header)
    {
        for len in 0..frame.payload.len() {
            let decoded = ContentHeader::decode(&frame.payload[..len])
                .and_then(|header| BasicProperties::decode(header.properties).map(drop));
            assert_eq!(
                decoded.unwrap_err().reply_code().code(),
                501,
                "cut to {len} of {frame:?}"
            );
            wire::delivery_mode(&frame.payload[..len]);
        }
    }
}

#[test]
fn no_changed_byte_makes_the_decoder_panic() {
    for (bytes, _) in frames() {
        let mut changed = bytes.to_vec();
        for at in 0..bytes.len() {
            for flip in (0..8).map(|bit| 1 << bit).chain([0xFF]) {
                changed[at] = bytes[at] ^ flip;
                entries::decode_frames(&changed);
            }
            changed[at] = bytes[at];
        }
    }
}

#[test]
fn scans_and_the_general_decoder_agree_on_changed_captures() {
    let mut random = Random(0x5EED_0001);
    for capture in CAPTURES {
        let stream = &capture[PROTOCOL_HEADER.len()..];
        entries::scans_agree(stream);
        for _ in 0..200 {
            let mut changed = stream.to_vec();
            let at = random.next() as usize % changed.len();
            changed[at] ^= (random.next() >> 40) as u8;
            let cut = random.next() as usize % changed.len();
            entries::scans_agree(&changed[..cut]);
            entries::scans_agree(&changed);
        }
    }
}

#[test]
fn seeded_random_input_passes_the_fuzz_entries() {
    let mut random = Random(0x5EED_0002);
    for _ in 0..20_000 {
        let input = random.bytes(160);
        entries::decode_frames(&input);
        entries::scans_agree(&input);
    }
}

#[test]
fn random_arguments_never_panic_for_any_method() {
    let mut random = Random(0x5EED_0003);
    for &(class_id, method_id, _) in Method::ALL {
        for _ in 0..2_000 {
            let mut payload = [class_id.to_be_bytes(), method_id.to_be_bytes()].concat();
            // Small values make plausible lengths.
            payload.extend(
                random
                    .bytes(64)
                    .iter()
                    .map(|byte| if byte & 1 == 0 { byte >> 5 } else { *byte }),
            );
            if let Ok(method) = Method::decode(&payload) {
                assert_eq!((method.class_id(), method.method_id()), (class_id, method_id));
            }
        }
    }
}
