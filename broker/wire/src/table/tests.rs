//! Tables: every kind of value, hostile input, bounds.

use super::*;
use crate::error::ReplyCode;

/// A table with a value of every kind.
fn every_kind() -> FieldTable {
    let mut nested = FieldTable::new();
    nested.insert("inner", "value");
    let mut table = FieldTable::new();
    table.insert("bool", true);
    table.insert("i8", -8i8);
    table.insert("u8", 200u8);
    table.insert("i16", -300i16);
    table.insert("u16", 40_000u16);
    table.insert("i32", -70_000);
    table.insert("u32", 3_000_000_000u32);
    table.insert("i64", i64::MIN);
    table.insert("f32", 1.5f32);
    table.insert("f64", 2.25);
    table.insert(
        "decimal",
        FieldValue::Decimal {
            scale: 2,
            value: 1250,
        },
    );
    table.insert("text", String::from("grüße"));
    table.insert(
        "array",
        vec![
            FieldValue::from(1),
            FieldValue::from("two"),
            FieldValue::Array(Vec::new()),
        ],
    );
    table.insert("time", FieldValue::Timestamp(1_767_312_000));
    table.insert("table", nested);
    table.insert("void", FieldValue::Void);
    table.insert("bytes", FieldValue::Bytes(vec![0, 255]));
    table
}

/// The table `{"": [[[…]]]}` or `{"": {"": …}}` with this depth, the outermost table included.
fn nested(tag: u8, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 1..depth {
        let key: &[u8] = if tag == b'F' { &[0] } else { &[] };
        bytes = [key, &[tag], &(bytes.len() as u32).to_be_bytes(), &bytes].concat();
    }
    if tag == b'A' && depth > 1 {
        bytes.insert(0, 0);
    }
    bytes
}

#[test]
fn every_kind_survives_and_reads_as_itself() {
    let table = every_kind();
    let bytes = table.to_bytes();
    let parsed = TableRef::parse(&bytes).unwrap();
    assert_eq!(parsed.as_bytes(), bytes);
    assert_eq!(parsed.to_table(), table);
    assert_eq!(parsed.iter().count(), table.len());

    let integers =
        ["i8", "u8", "i16", "u16", "i32", "u32", "i64"].map(|key| parsed.get(key).unwrap().as_i64());
    let wanted = [-8, 200, -300, 40_000, -70_000, 3_000_000_000, i64::MIN].map(Some);
    assert_eq!(integers, wanted);
    assert_eq!(table.get("i64").unwrap().as_i64(), Some(i64::MIN));
    assert_eq!(parsed.get("text").unwrap().as_str(), Some("grüße"));
    assert_eq!(parsed.get("bool").unwrap().as_bool(), Some(true));
    assert_eq!(parsed.get("time").unwrap().as_i64(), None);
    assert_eq!(parsed.get("bytes").unwrap().as_str(), None);
    assert_eq!(
        parsed.get("table").unwrap().as_table().unwrap().get("inner"),
        Some(ValueRef::LongStr(b"value"))
    );
    assert_eq!(parsed.get("array").unwrap().as_array().unwrap().iter().count(), 3);
    assert_eq!(parsed.get("absent"), None);
}

#[test]
fn every_truncation_is_an_error_or_ends_between_entries() {
    let bytes = every_kind().to_bytes();
    let mut whole = 0;
    for len in 0..bytes.len() {
        match TableRef::parse(&bytes[..len]) {
            Ok(cut) => {
                assert_eq!(cut.iter().count(), whole, "length {len}");
                whole += 1;
            }
            Err(error) => assert!(
                matches!(error, WireError::Truncated { .. }),
                "length {len}: {error}"
            ),
        }
    }
    assert_eq!(whole, every_kind().len());
}

#[test]
fn nesting_is_bounded_for_tables_and_arrays() {
    for tag in [b'F', b'A'] {
        let deepest = nested(tag, TABLE_DEPTH_MAX);
        assert_eq!(TableRef::parse(&deepest).unwrap().to_table().to_bytes(), deepest);
        let error = TableRef::parse(&nested(tag, TABLE_DEPTH_MAX + 1)).unwrap_err();
        assert_eq!(
            error,
            WireError::TableTooDeep {
                depth_max: TABLE_DEPTH_MAX
            }
        );
        assert_eq!(error.reply_code(), ReplyCode::SyntaxError);
        assert!(TableRef::parse(&nested(tag, 10_000)).is_err());
    }
}

#[test]
fn malformed_values_are_frame_or_syntax_errors() {
    let cases: [(&[u8], WireError); 5] = [
        (b"\x01kZ", WireError::UnknownFieldTag { tag: b'Z' }),
        (
            b"\x05k",
            WireError::Truncated {
                needed: 5,
                available: 1,
            },
        ),
        (
            b"\x01kS\xFF\xFF\xFF\xFFabc",
            WireError::Truncated {
                needed: 0xFFFF_FFFF,
                available: 3,
            },
        ),
        (b"\x02\xC3\x28t\x01", WireError::InvalidUtf8 { valid_bytes: 0 }),
        (
            b"\x01kF\0\0\0\x02\x01a",
            WireError::Truncated {
                needed: 1,
                available: 0,
            },
        ),
    ];
    for (bytes, wanted) in cases {
        let error = TableRef::parse(bytes).unwrap_err();
        let code = if matches!(error, WireError::Truncated { .. }) {
            501
        } else {
            502
        };
        assert_eq!(error.reply_code().code(), code);
        assert_eq!(error, wanted);
    }
}

#[test]
fn insert_replaces_in_place_and_repeated_keys_are_kept_from_the_wire() {
    let mut table = FieldTable::new();
    table.insert("a", 1);
    table.insert("b", 2);
    table.insert("a", 3);
    assert_eq!(
        table
            .iter()
            .map(|(key, value)| (key, value.as_i64()))
            .collect::<Vec<_>>(),
        [("a", Some(3)), ("b", Some(2))]
    );

    let wire = b"\x01at\x01\x01at\0";
    let repeated = TableRef::parse(wire).unwrap();
    assert_eq!(repeated.get("a"), Some(ValueRef::Bool(true)));
    assert_eq!(repeated.to_table().to_bytes(), wire);
}

#[test]
fn both_long_long_tags_are_signed() {
    for tag in [b'l', b'L'] {
        let bytes = [&[1, b'k', tag][..], &(-5i64).to_be_bytes()].concat();
        assert_eq!(TableRef::parse(&bytes).unwrap().get("k"), Some(ValueRef::I64(-5)));
    }
}

#[test]
fn the_empty_table_is_empty() {
    assert_eq!(TableRef::parse(&[]), Ok(TableRef::EMPTY));
    assert!(
        TableRef::EMPTY.is_empty() && FieldTable::new().is_empty() && FieldTable::new().to_bytes().is_empty()
    );
}
