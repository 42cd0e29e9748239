//! Field tables as JSON: readable, in order, and the same table when read again, bit for bit.
//!
//! ```text
//! [ {"key": "x-max-length", "type": "i32", "value": 1000},
//!   {"key": "ratio", "type": "f64", "value": "0.1"} ]
//!
//! type              value                                 type              value
//! bool              true, false                           long-string       the text
//! i8 … i64, u8 …    the number                            long-string-hex   octets that are no UTF-8, in hex
//! f32, f64          the number as text, "inf", "-inf",    bytes             octets in hex
//!                   "NaN" and its bits in hex             array             [{"type": …, "value": …}, …]
//! decimal           {"scale": …, "value": …}              table             a list like this one
//! timestamp         seconds since the Unix epoch          void              none
//! ```
//! Floating-point numbers are text because JSON has no infinities, and because its readers round.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use wire::{FieldTable, FieldValue, TableRef};

use super::hex;

/// For `#[serde(with = …)]`.
pub(super) fn serialize<S: Serializer>(table: &FieldTable, serializer: S) -> Result<S::Ok, S::Error> {
    entries(table).serialize(serializer)
}

/// For `#[serde(with = …)]`.
///
/// # Errors
/// Also for tables that no client could have sent: nested too deeply.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FieldTable, D::Error> {
    let entries = Vec::<Entry>::deserialize(deserializer)?;
    let table = table(entries).map_err(de::Error::custom)?;
    TableRef::parse(&table.to_bytes()).map_err(de::Error::custom)?;
    Ok(table)
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: String,
    #[serde(flatten)]
    value: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "kebab-case")]
enum Value {
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(String),
    F64(String),
    Decimal { scale: u8, value: u32 },
    LongString(String),
    LongStringHex(String),
    Bytes(String),
    Array(Vec<Value>),
    Timestamp(u64),
    Table(Vec<Entry>),
    Void,
}

fn entries(table: &FieldTable) -> Vec<Entry> {
    table
        .iter()
        .map(|(key, field)| Entry {
            key: key.to_owned(),
            value: value(field),
        })
        .collect()
}

fn value(field: &FieldValue) -> Value {
    match field {
        FieldValue::Bool(value) => Value::Bool(*value),
        FieldValue::I8(value) => Value::I8(*value),
        FieldValue::U8(value) => Value::U8(*value),
        FieldValue::I16(value) => Value::I16(*value),
        FieldValue::U16(value) => Value::U16(*value),
        FieldValue::I32(value) => Value::I32(*value),
        FieldValue::U32(value) => Value::U32(*value),
        FieldValue::I64(value) => Value::I64(*value),
        FieldValue::F32(value) if value.is_nan() => Value::F32(format!("NaN {:08x}", value.to_bits())),
        FieldValue::F32(value) => Value::F32(value.to_string()),
        FieldValue::F64(value) if value.is_nan() => Value::F64(format!("NaN {:016x}", value.to_bits())),
        FieldValue::F64(value) => Value::F64(value.to_string()),
        &FieldValue::Decimal { scale, value } => Value::Decimal { scale, value },
        FieldValue::LongStr(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::LongString(text.to_owned()),
            Err(_) => Value::LongStringHex(hex::encode(bytes)),
        },
        FieldValue::Array(values) => Value::Array(values.iter().map(value).collect()),
        FieldValue::Timestamp(seconds) => Value::Timestamp(*seconds),
        FieldValue::Table(table) => Value::Table(entries(table)),
        FieldValue::Void => Value::Void,
        FieldValue::Bytes(bytes) => Value::Bytes(hex::encode(bytes)),
    }
}

fn table(entries: Vec<Entry>) -> Result<FieldTable, String> {
    entries
        .into_iter()
        .map(|entry| Ok((entry.key, field(entry.value)?)))
        .collect::<Result<Vec<_>, _>>()
        .map(FieldTable::from_iter)
}

fn field(value: Value) -> Result<FieldValue, String> {
    let octets = |text: &str| hex::decode(text).ok_or_else(|| format!("{text:?} are no octets in hex"));
    Ok(match value {
        Value::Bool(value) => FieldValue::Bool(value),
        Value::I8(value) => FieldValue::I8(value),
        Value::U8(value) => FieldValue::U8(value),
        Value::I16(value) => FieldValue::I16(value),
        Value::U16(value) => FieldValue::U16(value),
        Value::I32(value) => FieldValue::I32(value),
        Value::U32(value) => FieldValue::U32(value),
        Value::I64(value) => FieldValue::I64(value),
        Value::F32(text) => FieldValue::F32(match nan_bits(&text) {
            Some(bits) => f32::from_bits(u32::from_str_radix(bits, 16).map_err(|_| no_number(&text))?),
            None => text.parse().map_err(|_| no_number(&text))?,
        }),
        Value::F64(text) => FieldValue::F64(match nan_bits(&text) {
            Some(bits) => f64::from_bits(u64::from_str_radix(bits, 16).map_err(|_| no_number(&text))?),
            None => text.parse().map_err(|_| no_number(&text))?,
        }),
        Value::Decimal { scale, value } => FieldValue::Decimal { scale, value },
        Value::LongString(text) => FieldValue::LongStr(text.into_bytes()),
        Value::LongStringHex(text) => FieldValue::LongStr(octets(&text)?),
        Value::Bytes(text) => FieldValue::Bytes(octets(&text)?),
        Value::Array(values) => FieldValue::Array(values.into_iter().map(field).collect::<Result<_, _>>()?),
        Value::Timestamp(seconds) => FieldValue::Timestamp(seconds),
        Value::Table(entries) => FieldValue::Table(table(entries)?),
        Value::Void => FieldValue::Void,
    })
}

fn nan_bits(text: &str) -> Option<&str> {
    text.strip_prefix("NaN ")
}

fn no_number(text: &str) -> String {
    format!("{text:?} is no floating-point number")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_json(arguments: &FieldTable) -> String {
        serde_json::to_string(&entries(arguments)).unwrap()
    }

    fn from_json(text: &str) -> Result<FieldTable, serde_json::Error> {
        deserialize(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn the_form_is_as_documented() {
        let mut nested = FieldTable::new();
        nested.insert("x", vec![FieldValue::Void, FieldValue::Bool(true)]);
        let mut arguments = FieldTable::new();
        arguments.insert("x-max-length", 1000_i32);
        arguments.insert("policy", "drop \"head\"");
        arguments.insert("raw", FieldValue::LongStr(vec![0xff, 0]));
        arguments.insert("nested", nested);
        arguments.insert("price", FieldValue::Decimal { scale: 2, value: 314 });
        arguments.insert("ratio", 0.1_f64);
        arguments.insert("none", f32::NAN);
        arguments.insert("all", f64::NEG_INFINITY);
        let expected = concat!(
            r#"[{"key":"x-max-length","type":"i32","value":1000},"#,
            r#"{"key":"policy","type":"long-string","value":"drop \"head\""},"#,
            r#"{"key":"raw","type":"long-string-hex","value":"ff00"},"#,
            r#"{"key":"nested","type":"table","value":[{"key":"x","type":"array","value":"#,
            r#"[{"type":"void"},{"type":"bool","value":true}]}]},"#,
            r#"{"key":"price","type":"decimal","value":{"scale":2,"value":314}},"#,
            r#"{"key":"ratio","type":"f64","value":"0.1"},"#,
            r#"{"key":"none","type":"f32","value":"NaN 7fc00000"},"#,
            r#"{"key":"all","type":"f64","value":"-inf"}]"#
        );
        assert_eq!(to_json(&arguments), expected);
        assert_eq!(from_json(expected).unwrap().to_bytes(), arguments.to_bytes());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in [
            r#"[{"key":"a","type":"i8","value":128}]"#,
            r#"[{"key":"a","type":"i7","value":1}]"#,
            r#"[{"key":"a","type":"i8"}]"#,
            r#"[{"type":"i8","value":1}]"#,
            r#"[{"key":"a","type":"f64","value":"NaN 1x"}]"#,
            r#"[{"key":"a","type":"f32","value":"one"}]"#,
            r#"[{"key":"a","type":"bytes","value":"0"}]"#,
        ] {
            from_json(text).expect_err(text);
        }
        let deep = |levels| {
            let innermost = FieldValue::Table(FieldTable::new());
            let value = (2..levels).fold(innermost, |value, _| FieldValue::Array(vec![value]));
            FieldTable::from_iter([("a".to_owned(), value)])
        };
        let deepest = deep(wire::TABLE_DEPTH_MAX);
        assert_eq!(from_json(&to_json(&deepest)).unwrap(), deepest);
        from_json(&to_json(&deep(wire::TABLE_DEPTH_MAX + 1))).unwrap_err();
    }

    fn any_table() -> impl Strategy<Value = FieldTable> {
        let key = || ".{0,20}".prop_map(String::from);
        let leaf = prop_oneof![
            any::<bool>().prop_map(FieldValue::Bool),
            any::<i8>().prop_map(FieldValue::I8),
            any::<u8>().prop_map(FieldValue::U8),
            any::<i16>().prop_map(FieldValue::I16),
            any::<u16>().prop_map(FieldValue::U16),
            any::<i32>().prop_map(FieldValue::I32),
            any::<u32>().prop_map(FieldValue::U32),
            any::<i64>().prop_map(FieldValue::I64),
            any::<u32>().prop_map(|bits| FieldValue::F32(f32::from_bits(bits))),
            any::<u64>().prop_map(|bits| FieldValue::F64(f64::from_bits(bits))),
            any::<u32>().prop_map(|bits| FieldValue::F32(f32::from_bits(bits | 0x7f80_0000))),
            any::<u64>().prop_map(|bits| FieldValue::F64(f64::from_bits(bits | 0x7ff0_0000_0000_0000))),
            any::<(u8, u32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(FieldValue::LongStr),
            ".{0,12}".prop_map(|text| FieldValue::LongStr(text.into_bytes())),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(FieldValue::Bytes),
            any::<u64>().prop_map(FieldValue::Timestamp),
            Just(FieldValue::Void),
        ];
        let value = leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(FieldValue::Array),
                prop::collection::vec((key(), inner), 0..5)
                    .prop_map(|entries| FieldValue::Table(FieldTable::from_iter(entries))),
            ]
        });
        prop::collection::vec((key(), value), 0..8).prop_map(FieldTable::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn any_table_is_read_as_it_was_written(arguments in any_table()) {
            let text = to_json(&arguments);
            // As bytes: a NaN equals nothing.
            prop_assert_eq!(from_json(&text).unwrap().to_bytes(), arguments.to_bytes(), "{}", text);
        }
    }
}
