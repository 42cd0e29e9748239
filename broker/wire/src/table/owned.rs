//! Owned tables, for building arguments and properties.

use super::{TableRef, ValueRef};
use crate::cursor::Writer;

/// An owned table. Entries keep their order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FieldTable {
    entries: Vec<(String, FieldValue)>,
}

/// An owned value; the variants are those of [`ValueRef`].
#[derive(Clone, PartialEq, Debug)]
pub enum FieldValue {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`.
    Decimal {
        /// Decimal places.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// `S`: octets, by convention UTF-8.
    LongStr(Vec<u8>),
    /// `A`
    Array(Vec<FieldValue>),
    /// `T`: seconds since the Unix epoch.
    Timestamp(u64),
    /// `F`
    Table(FieldTable),
    /// `V`
    Void,
    /// `x`
    Bytes(Vec<u8>),
}

impl FieldTable {
    /// The table without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Sets the value of a key: in place when the key exists, else at the end. Keys longer than 255 bytes
    /// are cut at a character boundary when encoded.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<FieldValue>) {
        let (key, value) = (key.into(), value.into());
        match self.entries.iter_mut().find(|(entry, _)| *entry == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Removes every entry with this key.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|(entry, _)| entry != key);
    }

    /// The value of the first entry with this key.
    pub fn get(&self, key: &str) -> Option<&FieldValue> {
        self.entries
            .iter()
            .find_map(|(entry, value)| (entry == key).then_some(value))
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Number of entries.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Encodes the entries, without the length prefix: what [`TableRef::parse`] takes, provided that the
    /// nesting stays within [`TABLE_DEPTH_MAX`](super::TABLE_DEPTH_MAX).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.entries {
            Writer::new(out).short_string(key);
            value.encode(out);
        }
    }
}

impl FieldValue {
    /// Any integer; timestamps, decimals and floats are not integers.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) => Some(value),
            _ => None,
        }
    }

    /// A long string that is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::LongStr(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// A boolean.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A nested table.
    pub const fn as_table(&self) -> Option<&FieldTable> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Appends tag and value.
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => tagged(out, b't', &[u8::from(*value)]),
            Self::I8(value) => tagged(out, b'b', &value.to_be_bytes()),
            Self::U8(value) => tagged(out, b'B', &[*value]),
            Self::I16(value) => tagged(out, b's', &value.to_be_bytes()),
            Self::U16(value) => tagged(out, b'u', &value.to_be_bytes()),
            Self::I32(value) => tagged(out, b'I', &value.to_be_bytes()),
            Self::U32(value) => tagged(out, b'i', &value.to_be_bytes()),
            Self::I64(value) => tagged(out, b'l', &value.to_be_bytes()),
            Self::F32(value) => tagged(out, b'f', &value.to_be_bytes()),
            Self::F64(value) => tagged(out, b'd', &value.to_be_bytes()),
            Self::Decimal { scale, value } => {
                tagged(out, b'D', &[*scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::LongStr(bytes) => sized(out, b'S', |out| out.extend_from_slice(bytes)),
            Self::Array(values) => sized(out, b'A', |out| values.iter().for_each(|value| value.encode(out))),
            Self::Timestamp(seconds) => tagged(out, b'T', &seconds.to_be_bytes()),
            Self::Table(table) => sized(out, b'F', |out| table.encode(out)),
            Self::Void => tagged(out, b'V', &[]),
            Self::Bytes(bytes) => sized(out, b'x', |out| out.extend_from_slice(bytes)),
        }
    }
}

fn tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

/// Appends a tag, a u32 length and what `content` writes.
fn sized(out: &mut Vec<u8>, tag: u8, content: impl FnOnce(&mut Vec<u8>)) {
    tagged(out, tag, &[0; 4]);
    let start = out.len();
    content(out);
    let len = (out.len() - start) as u32;
    out[start - 4..start].copy_from_slice(&len.to_be_bytes());
}

/// Keeps entries as they come, repeated keys included.
impl FromIterator<(String, FieldValue)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (String, FieldValue)>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }
}

impl From<TableRef<'_>> for FieldTable {
    fn from(table: TableRef<'_>) -> Self {
        table.to_table()
    }
}

impl From<ValueRef<'_>> for FieldValue {
    fn from(value: ValueRef<'_>) -> Self {
        value.to_value()
    }
}

macro_rules! conversions {
    ($($from:ty => |$value:ident| $into:expr;)*) => {$(
        impl From<$from> for FieldValue {
            fn from($value: $from) -> Self {
                $into
            }
        }
    )*};
}

conversions! {
    bool => |value| Self::Bool(value);
    i8 => |value| Self::I8(value);
    u8 => |value| Self::U8(value);
    i16 => |value| Self::I16(value);
    u16 => |value| Self::U16(value);
    i32 => |value| Self::I32(value);
    u32 => |value| Self::U32(value);
    i64 => |value| Self::I64(value);
    f32 => |value| Self::F32(value);
    f64 => |value| Self::F64(value);
    &str => |text| Self::LongStr(text.as_bytes().to_vec());
    String => |text| Self::LongStr(text.into_bytes());
    FieldTable => |table| Self::Table(table);
    Vec<FieldValue> => |values| Self::Array(values);
}
