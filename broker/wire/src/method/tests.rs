//! Round trips of every method of the table, with generated arguments.

use super::*;
use crate::frame::{FRAME_OVERHEAD, decode_frame};
use crate::table::FieldTable;
use proptest::{prelude::*, test_runner::RngSeed};

/// A stream of test values drawn from bytes; zeros when they run out.
pub(super) struct Source {
    bytes: Vec<u8>,
    at: usize,
}

impl Source {
    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes.get(self.at - 1).copied().unwrap_or(0)
    }

    fn text(&mut self) -> String {
        let chars = usize::from(self.byte() % 64);
        (0..chars)
            .map(|_| char::from_u32(u32::from(self.byte()) * 17).unwrap_or('x'))
            .collect()
    }
}

/// Writes an arbitrary value of an argument type.
pub(super) trait Generate {
    fn generate(source: &mut Source, writer: &mut Writer<'_>);
}

macro_rules! generate_integers {
    ($($ty:ident),*) => {$(
        impl Generate for $ty {
            fn generate(source: &mut Source, writer: &mut Writer<'_>) {
                $ty::from_be_bytes(std::array::from_fn(|_| source.byte())).write(writer);
            }
        }
    )*};
}

generate_integers!(u8, u16, u32, u64);

impl Generate for bool {
    fn generate(source: &mut Source, writer: &mut Writer<'_>) {
        writer.bit(source.byte() & 1 == 1);
    }
}

impl Generate for &str {
    fn generate(source: &mut Source, writer: &mut Writer<'_>) {
        writer.short_string(&source.text());
    }
}

impl Generate for &[u8] {
    fn generate(source: &mut Source, writer: &mut Writer<'_>) {
        let len = source.byte();
        let bytes: Vec<u8> = (0..len).map(|_| source.byte()).collect();
        writer.long_string(&bytes);
    }
}

impl Generate for TableRef<'_> {
    fn generate(source: &mut Source, writer: &mut Writer<'_>) {
        let mut table = FieldTable::new();
        for _ in 0..source.byte() % 4 {
            table.insert(source.text(), i64::from(source.byte()));
            table.insert(source.text(), source.text());
        }
        writer.long_string(&table.to_bytes());
    }
}

/// The payload of this method with generated arguments.
fn payload(class_id: u16, method_id: u16, bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    class_id.write(&mut writer);
    method_id.write(&mut writer);
    generate_arguments(class_id, method_id, &mut Source { bytes, at: 0 }, &mut writer);
    out
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4096, rng_seed: RngSeed::Fixed(0x0A09_0100), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_method_survives_decode_and_encode(
        index in 0..Method::ALL.len(), channel: u16, bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (class_id, method_id, name) = Method::ALL[index];
        let payload = payload(class_id, method_id, bytes);
        let method = Method::decode(&payload).unwrap();
        prop_assert_eq!((method.class_id(), method.method_id(), method.name()), (class_id, method_id, name));

        let mut out = Vec::new();
        method.encode(channel, &mut out);
        let frame = decode_frame(&out, usize::MAX).unwrap().unwrap();
        prop_assert_eq!((frame.kind, frame.channel, frame.payload), (FrameKind::Method, channel, &payload[..]));
        prop_assert_eq!(Method::decode(frame.payload).unwrap(), method);
        prop_assert_eq!(out.len(), payload.len() + FRAME_OVERHEAD);
    }
}

#[test]
fn the_table_is_complete_and_free_of_duplicates() {
    assert_eq!(Method::ALL.len(), 66);
    let mut ids: Vec<_> = Method::ALL
        .iter()
        .map(|&(class, method, _)| (class, method))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 66);
    assert!(ids.is_sorted());
}

#[test]
fn every_cut_inside_the_arguments_is_an_error_and_trailing_octets_are_ignored() {
    for &(class_id, method_id, name) in Method::ALL {
        let full = payload(class_id, method_id, (1..=255).cycle().take(500).collect());
        let method = Method::decode(&full).unwrap();
        for len in 0..full.len() {
            match Method::decode(&full[..len]) {
                Err(WireError::Truncated { .. }) => {}
                // Trailing reserved arguments may be missing: nobody reads them.
                Ok(cut) => assert_eq!(cut, method, "{name} cut to {len}"),
                Err(error) => panic!("{name} cut to {len}: {error}"),
            }
        }
        let mut longer = full.clone();
        longer.extend_from_slice(b"more");
        assert_eq!(Method::decode(&longer).unwrap(), method);
    }
}

#[test]
fn unknown_ids_are_frame_errors() {
    for (class_id, method_id) in [(0, 0), (10, 12), (30, 12), (60, 41), (65535, 1)] {
        let mut bytes = [0; 4];
        bytes[..2].copy_from_slice(&u16::to_be_bytes(class_id));
        bytes[2..].copy_from_slice(&u16::to_be_bytes(method_id));
        let error = Method::decode(&bytes).unwrap_err();
        assert_eq!(error, WireError::UnknownMethod { class_id, method_id });
        assert_eq!(error.reply_code().code(), 501);
    }
}
