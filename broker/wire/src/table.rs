//! Field tables: the typed key-value lists in arguments, headers and peer properties.
//!
//! ```text
//! table: (key short string, tag octet, value)*        array: (tag octet, value)*
//!
//! t bool   b i8   B u8   s i16   u u16   I i32   i u32   l L i64   f f32   d f64   D decimal (u8 scale, u32)
//! S long string   x bytes   T timestamp (u64 s)   A array   F table   V void
//! ```
//! These are the tags RabbitMQ and its clients use; they differ from the specification's own list (`s`, `l`,
//! `u`, `x`). Both `l` and `L` are signed on reading, as RabbitMQ has it; `l` is written.
//!
//! [`TableRef`] borrows bytes that [`TableRef::parse`] has checked from end to end; reading it cannot fail
//! afterwards. [`FieldTable`] is the owned twin, for building.

mod owned;
#[cfg(test)]
mod tests;

pub use owned::{FieldTable, FieldValue};

use crate::cursor::Reader;
use crate::error::WireError;

/// Deepest nesting of tables and arrays that is accepted, the outermost table included.
pub const TABLE_DEPTH_MAX: usize = 32;

/// A checked, encoded table without its length prefix.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TableRef<'a> {
    bytes: &'a [u8],
}

/// A checked, encoded array without its length prefix.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ArrayRef<'a> {
    bytes: &'a [u8],
}

/// One value of a table or an array, borrowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ValueRef<'a> {
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
    /// `l`, and `L` when read.
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
    LongStr(&'a [u8]),
    /// `A`
    Array(ArrayRef<'a>),
    /// `T`: seconds since the Unix epoch.
    Timestamp(u64),
    /// `F`
    Table(TableRef<'a>),
    /// `V`
    Void,
    /// `x`
    Bytes(&'a [u8]),
}

impl<'a> TableRef<'a> {
    /// The table without entries.
    pub const EMPTY: TableRef<'static> = TableRef { bytes: &[] };

    /// Checks an encoded table (without its length prefix) from end to end.
    ///
    /// # Errors
    /// Lengths that overrun, unknown tags, keys that are not UTF-8, nesting beyond [`TABLE_DEPTH_MAX`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        if !bytes.is_empty() {
            check_table(bytes, 1)?;
        }
        Ok(Self { bytes })
    }

    /// The entries in wire order.
    #[inline]
    pub fn iter(self) -> TableIter<'a> {
        TableIter {
            reader: Reader::new(self.bytes),
        }
    }

    /// The value of the first entry with this key.
    pub fn get(self, key: &str) -> Option<ValueRef<'a>> {
        self.iter()
            .find_map(|(entry, value)| (entry == key).then_some(value))
    }

    /// The encoded entries, without the length prefix.
    #[inline]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are no entries.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// An owned copy.
    pub fn to_table(self) -> FieldTable {
        self.iter()
            .map(|(key, value)| (key.to_owned(), value.to_value()))
            .collect()
    }
}

impl<'a> ArrayRef<'a> {
    /// The elements in order.
    #[inline]
    pub fn iter(self) -> ArrayIter<'a> {
        ArrayIter {
            reader: Reader::new(self.bytes),
        }
    }

    /// The encoded elements, without the length prefix.
    #[inline]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are no elements.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a> ValueRef<'a> {
    /// Any integer; timestamps, decimals and floats are not integers.
    pub fn as_i64(self) -> Option<i64> {
        match self {
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
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::LongStr(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// A boolean.
    pub const fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A nested table.
    pub const fn as_table(self) -> Option<TableRef<'a>> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// A nested array.
    pub const fn as_array(self) -> Option<ArrayRef<'a>> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// An owned copy.
    pub fn to_value(self) -> FieldValue {
        match self {
            Self::Bool(value) => FieldValue::Bool(value),
            Self::I8(value) => FieldValue::I8(value),
            Self::U8(value) => FieldValue::U8(value),
            Self::I16(value) => FieldValue::I16(value),
            Self::U16(value) => FieldValue::U16(value),
            Self::I32(value) => FieldValue::I32(value),
            Self::U32(value) => FieldValue::U32(value),
            Self::I64(value) => FieldValue::I64(value),
            Self::F32(value) => FieldValue::F32(value),
            Self::F64(value) => FieldValue::F64(value),
            Self::Decimal { scale, value } => FieldValue::Decimal { scale, value },
            Self::LongStr(bytes) => FieldValue::LongStr(bytes.to_vec()),
            Self::Array(array) => FieldValue::Array(array.iter().map(Self::to_value).collect()),
            Self::Timestamp(seconds) => FieldValue::Timestamp(seconds),
            Self::Table(table) => FieldValue::Table(table.to_table()),
            Self::Void => FieldValue::Void,
            Self::Bytes(bytes) => FieldValue::Bytes(bytes.to_vec()),
        }
    }
}

/// Iterator over the entries of a [`TableRef`].
#[derive(Clone)]
pub struct TableIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for TableIter<'a> {
    type Item = (&'a str, ValueRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        Some(read_entry(&mut self.reader).expect("TableRef::parse checked every entry"))
    }
}

/// Iterator over the elements of an [`ArrayRef`].
#[derive(Clone)]
pub struct ArrayIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = ValueRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        Some(read_value(&mut self.reader).expect("TableRef::parse checked every element"))
    }
}

impl<'a> IntoIterator for TableRef<'a> {
    type Item = (&'a str, ValueRef<'a>);
    type IntoIter = TableIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for ArrayRef<'a> {
    type Item = ValueRef<'a>;
    type IntoIter = ArrayIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Debug for TableRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl std::fmt::Debug for ArrayRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Walks a table and everything nested in it; `depth` counts this table.
fn check_table(bytes: &[u8], depth: usize) -> Result<(), WireError> {
    check_depth(depth)?;
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        check_nested(read_entry(&mut reader)?.1, depth)?;
    }
    Ok(())
}

fn check_array(bytes: &[u8], depth: usize) -> Result<(), WireError> {
    check_depth(depth)?;
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        check_nested(read_value(&mut reader)?, depth)?;
    }
    Ok(())
}

fn check_nested(value: ValueRef<'_>, depth: usize) -> Result<(), WireError> {
    match value {
        ValueRef::Table(table) => check_table(table.bytes, depth + 1),
        ValueRef::Array(array) => check_array(array.bytes, depth + 1),
        _ => Ok(()),
    }
}

fn check_depth(depth: usize) -> Result<(), WireError> {
    if depth > TABLE_DEPTH_MAX {
        return Err(WireError::TableTooDeep {
            depth_max: TABLE_DEPTH_MAX,
        });
    }
    Ok(())
}

fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, ValueRef<'a>), WireError> {
    Ok((reader.short_string()?, read_value(reader)?))
}

/// Reads one tagged value; nested tables and arrays are only delimited here, not checked.
fn read_value<'a>(reader: &mut Reader<'a>) -> Result<ValueRef<'a>, WireError> {
    Ok(match reader.u8()? {
        b't' => ValueRef::Bool(reader.u8()? != 0),
        b'b' => ValueRef::I8(i8::from_be_bytes(reader.array()?)),
        b'B' => ValueRef::U8(reader.u8()?),
        b's' => ValueRef::I16(i16::from_be_bytes(reader.array()?)),
        b'u' => ValueRef::U16(reader.u16()?),
        b'I' => ValueRef::I32(i32::from_be_bytes(reader.array()?)),
        b'i' => ValueRef::U32(reader.u32()?),
        b'l' | b'L' => ValueRef::I64(i64::from_be_bytes(reader.array()?)),
        b'f' => ValueRef::F32(f32::from_be_bytes(reader.array()?)),
        b'd' => ValueRef::F64(f64::from_be_bytes(reader.array()?)),
        b'D' => ValueRef::Decimal {
            scale: reader.u8()?,
            value: reader.u32()?,
        },
        b'S' => ValueRef::LongStr(reader.long_string()?),
        b'A' => ValueRef::Array(ArrayRef {
            bytes: reader.long_string()?,
        }),
        b'T' => ValueRef::Timestamp(reader.u64()?),
        b'F' => ValueRef::Table(TableRef {
            bytes: reader.long_string()?,
        }),
        b'V' => ValueRef::Void,
        b'x' => ValueRef::Bytes(reader.long_string()?),
        tag => return Err(WireError::UnknownFieldTag { tag }),
    })
}
