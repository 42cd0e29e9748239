//! Reading and writing of the primitive wire types, in network byte order.
//!
//! Consecutive bits share an octet, the first in the lowest position; any other value starts a new octet.
//! Both cursors keep that rule themselves, so that argument lists are plain sequences of values.

use crate::error::WireError;
use crate::table::TableRef;

/// Longest short string, in bytes.
pub(crate) const SHORT_STRING_BYTES_MAX: usize = 255;

/// Reads values from the front of a payload.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    bits: u8,
    bits_left: u8,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            bits: 0,
            bits_left: 0,
        }
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.bits_left = 0;
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(WireError::Truncated {
                needed: N,
                available: self.rest.len(),
            }),
        }
    }

    #[inline]
    pub(crate) fn slice(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        self.bits_left = 0;
        match self.rest.split_at_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(WireError::Truncated {
                needed: len,
                available: self.rest.len(),
            }),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn bit(&mut self) -> Result<bool, WireError> {
        if self.bits_left == 0 {
            self.bits = self.u8()?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 != 0;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }

    #[inline]
    pub(crate) fn short_string(&mut self) -> Result<&'a str, WireError> {
        let len = self.u8()?;
        let bytes = self.slice(usize::from(len))?;
        std::str::from_utf8(bytes).map_err(|error| WireError::InvalidUtf8 {
            valid_bytes: error.valid_up_to(),
        })
    }

    #[inline]
    pub(crate) fn long_string(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.u32()?;
        self.slice(len as usize)
    }

    #[inline]
    pub(crate) fn table(&mut self) -> Result<TableRef<'a>, WireError> {
        TableRef::parse(self.long_string()?)
    }
}

/// Appends values to a buffer.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Bits already in the last octet; 0 when the next bit opens a new one.
    bits_used: u8,
}

impl<'o> Writer<'o> {
    #[inline]
    pub(crate) const fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, bits_used: 0 }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bits_used = 0;
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.bits_used == 0 {
            self.out.push(0);
        }
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(bit) << self.bits_used;
        }
        self.bits_used = (self.bits_used + 1) % 8;
    }

    /// Writes at most 255 bytes: a longer string is cut at a character boundary.
    #[inline]
    pub(crate) fn short_string(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(SHORT_STRING_BYTES_MAX)];
        self.bytes(&[text.len() as u8]);
        self.bytes(text.as_bytes());
    }

    #[inline]
    pub(crate) fn long_string(&mut self, bytes: &[u8]) {
        self.bytes(&(bytes.len() as u32).to_be_bytes());
        self.bytes(bytes);
    }
}

/// A type that can stand in a method's argument list.
pub(crate) trait Argument<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Result<Self, WireError>;
    fn write(&self, writer: &mut Writer<'_>);
}

macro_rules! integer_arguments {
    ($($ty:ident),*) => {$(
        impl Argument<'_> for $ty {
            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                reader.$ty()
            }
            #[inline]
            fn write(&self, writer: &mut Writer<'_>) {
                writer.bytes(&self.to_be_bytes());
            }
        }
    )*};
}

integer_arguments!(u8, u16, u32, u64);

impl Argument<'_> for bool {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.bit()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

impl<'a> Argument<'a> for &'a str {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        reader.short_string()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.short_string(self);
    }
}

impl<'a> Argument<'a> for &'a [u8] {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        reader.long_string()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.long_string(self);
    }
}

impl<'a> Argument<'a> for TableRef<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        reader.table()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.long_string(self.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_share_octets_until_another_value() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        for bit in [true, false, true, false, false, false, false, true, true] {
            writer.bit(bit);
        }
        writer.bytes(&[7]);
        writer.bit(true);
        assert_eq!(out, [0b1000_0101, 1, 7, 1]);

        let mut reader = Reader::new(&out);
        let bits: Vec<bool> = (0..9).map(|_| reader.bit().unwrap()).collect();
        assert_eq!(bits, [true, false, true, false, false, false, false, true, true]);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.bit(), Ok(true));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_long_short_string_is_cut_at_a_character() {
        let text = "ä".repeat(200);
        let mut out = Vec::new();
        Writer::new(&mut out).short_string(&text);
        assert_eq!(out[0], 254);
        assert_eq!(Reader::new(&out).short_string(), Ok("ä".repeat(127).as_str()));
    }
}
