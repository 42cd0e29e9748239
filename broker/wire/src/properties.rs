//! Content headers and the fourteen properties of class basic.
//!
//! ```text
//! content header payload: class u16 | weight u16 (0) | body size u64 | flags u16 | the properties whose flag is set
//! ```
//! A broker keeps the payload as it came; it decodes properties only where it must look at one.

use crate::cursor::{Argument, Reader, Writer};
use crate::error::WireError;
use crate::frame::{FrameKind, encode_frame_with};
use crate::method::CLASS_BASIC;
use crate::table::TableRef;

/// Class, weight and body size: what precedes the flags.
pub const CONTENT_PREFIX_SIZE: usize = 12;

/// A content header, with its properties still encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentHeader<'a> {
    /// The class of the method that it follows; always 60 (basic) in practice.
    pub class_id: u16,
    /// Octets of body to come, over all body frames.
    pub body_size: u64,
    /// Flags and property list as they came.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Decodes the payload of a header frame. The weight is ignored; the properties are not looked at.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the payload ends before the property flags do.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let class_id = reader.u16()?;
        reader.u16()?;
        let body_size = reader.u64()?;
        let properties = reader.rest();
        reader.u16()?;
        Ok(Self {
            class_id,
            body_size,
            properties,
        })
    }
}

macro_rules! properties {
    ($($(#[$doc:meta])* $field:ident: $ty:ty = $bit:literal;)*) => {
        /// The properties of class basic.
        #[derive(Clone, Copy, PartialEq, Debug, Default)]
        pub struct BasicProperties<'a> {
            $($(#[$doc])* pub $field: Option<$ty>,)*
        }

        impl<'a> BasicProperties<'a> {
            /// Every flag that has a property.
            const KNOWN_FLAGS: u16 = $(1 << $bit)|*;

            /// Decodes flags and property list, as in [`ContentHeader::properties`].
            ///
            /// # Errors
            /// A value that is cut short, not UTF-8 or not a valid table; a flag without a property (a
            /// second flags word included: the class has no use for one).
            pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
                Self::read(&mut Reader::new(bytes))
            }

            /// As `decode`, and nothing may follow.
            fn decode_all(bytes: &'a [u8]) -> Result<Self, WireError> {
                let mut reader = Reader::new(bytes);
                let properties = Self::read(&mut reader)?;
                match reader.rest().len() {
                    0 => Ok(properties),
                    octets => Err(WireError::TrailingOctets { octets }),
                }
            }

            fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
                let flags = reader.u16()?;
                if flags & !Self::KNOWN_FLAGS != 0 {
                    return Err(WireError::UnknownProperty { flags });
                }
                Ok(Self {$(
                    $field: if flags & (1 << $bit) != 0 { Some(Argument::read(reader)?) } else { None },
                )*})
            }

            /// Appends flags and property list.
            pub fn encode(&self, out: &mut Vec<u8>) {
                let flags: u16 = $((self.$field.is_some() as u16) << $bit)|*;
                let mut writer = Writer::new(out);
                flags.write(&mut writer);
                $(if let Some(value) = &self.$field {
                    value.write(&mut writer);
                })*
            }
        }
    };
}

// In wire order, from the highest flag down.
properties! {
    /// MIME type of the body.
    content_type: &'a str = 15;
    /// MIME encoding of the body.
    content_encoding: &'a str = 14;
    /// Headers, for applications and for headers exchanges.
    headers: TableRef<'a> = 13;
    /// 1 transient, 2 persistent.
    delivery_mode: u8 = 12;
    /// 0 to 9, or what the queue allows.
    priority: u8 = 11;
    /// Ties a reply to its request.
    correlation_id: &'a str = 10;
    /// Queue for replies.
    reply_to: &'a str = 9;
    /// Time to live in milliseconds, as decimal text.
    expiration: &'a str = 8;
    /// Identifier given by the application.
    message_id: &'a str = 7;
    /// Seconds since the Unix epoch.
    timestamp: u64 = 6;
    /// Name of the message type (`type` in the specification).
    kind: &'a str = 5;
    /// User that published; brokers check it against the connection's.
    user_id: &'a str = 4;
    /// Application that published.
    app_id: &'a str = 3;
    /// Deprecated; carried through.
    cluster_id: &'a str = 2;
}

/// Appends a whole content header frame.
pub fn encode_content_header(
    out: &mut Vec<u8>,
    channel: u16,
    body_size: u64,
    properties: &BasicProperties<'_>,
) {
    encode_frame_with(out, FrameKind::Header, channel, |out| {
        let mut writer = Writer::new(out);
        CLASS_BASIC.write(&mut writer);
        0u16.write(&mut writer);
        body_size.write(&mut writer);
        properties.encode(out);
    });
}

/// Properties of a fixed size, and that size: delivery mode, priority and timestamp.
const FIXED: [(u16, usize); 3] = [(1 << 12, 1), (1 << 11, 1), (1 << 6, 8)];
/// The flags of those.
const FIXED_FLAGS: u16 = 1 << 12 | 1 << 11 | 1 << 6;

/// Checks that the payload of a header frame is of class basic and can be decoded to its last octet, so that nobody downstream meets what cannot.
/// Cheap for messages with no other properties than those of a fixed size.
///
/// # Errors
/// Those of [`ContentHeader::decode`] and [`BasicProperties::decode`], and octets behind the last property.
#[inline]
pub fn check_content_header(header_payload: &[u8]) -> Result<(), WireError> {
    let ContentHeader {
        class_id, properties, ..
    } = ContentHeader::decode(header_payload)?;
    if class_id != CLASS_BASIC {
        return Err(WireError::ForeignContent { class_id });
    }
    if let Some((flags, values)) = properties.split_first_chunk::<2>() {
        let flags = u16::from_be_bytes(*flags);
        if flags & !FIXED_FLAGS == 0 {
            let sizes = FIXED
                .iter()
                .map(|&(flag, size)| if flags & flag != 0 { size } else { 0 });
            if values.len() == sizes.sum::<usize>() {
                return Ok(());
            }
        }
    }
    BasicProperties::decode_all(properties).map(|_| ())
}

/// Whether a content header has the same properties as one that [`check_content_header`] has found sound, the same delivery
/// mode, and nothing but properties of a fixed size: then it is sound as well, and asks for the same. The body sizes and
/// the values of the other properties may differ. A few comparisons, for the common case of a run of like messages.
#[inline]
pub fn is_like_sound_header(header_payload: &[u8], sound: &[u8]) -> bool {
    let (Some(theirs), Some(ours)) = (
        header_payload.first_chunk::<{ CONTENT_PREFIX_SIZE + 2 }>(),
        sound.first_chunk::<{ CONTENT_PREFIX_SIZE + 2 }>(),
    ) else {
        return false;
    };
    let flags = |header: &[u8; CONTENT_PREFIX_SIZE + 2]| u16::from_be_bytes([header[12], header[13]]);
    header_payload.len() == sound.len()
        && [theirs[0], theirs[1]] == [ours[0], ours[1]]
        && flags(theirs) == flags(ours)
        && flags(theirs) & !FIXED_FLAGS == 0
        && header_payload.get(CONTENT_PREFIX_SIZE + 2) == sound.get(CONTENT_PREFIX_SIZE + 2)
}

/// Flag of the property `headers` in [`property_flags`].
pub const FLAG_HEADERS: u16 = 1 << 13;
/// Flag of the property `reply_to`.
pub const FLAG_REPLY_TO: u16 = 1 << 9;
/// Flag of the property `expiration`.
pub const FLAG_EXPIRATION: u16 = 1 << 8;
/// Flag of the property `user_id`.
pub const FLAG_USER_ID: u16 = 1 << 4;

/// Which properties a header frame's payload says it has; none when it is cut short.
#[inline]
pub fn property_flags(header_payload: &[u8]) -> u16 {
    header_payload
        .get(CONTENT_PREFIX_SIZE..)
        .and_then(|properties| properties.first_chunk::<2>())
        .map_or(0, |flags| u16::from_be_bytes(*flags))
}

/// The delivery mode in a header frame's payload, read without decoding the rest; 1 (transient) when absent
/// or cut short.
#[inline]
pub fn delivery_mode(header_payload: &[u8]) -> u8 {
    let Some((flags, mut rest)) = header_payload
        .get(CONTENT_PREFIX_SIZE..)
        .and_then(|properties| properties.split_first_chunk::<2>())
    else {
        return 1;
    };
    let flags = u16::from_be_bytes(*flags);
    if flags & (1 << 12) == 0 {
        return 1;
    }
    for bit in [15, 14] {
        if flags & (1 << bit) != 0 {
            rest = rest
                .split_first()
                .and_then(|(&len, text)| text.get(usize::from(len)..))
                .unwrap_or_default();
        }
    }
    if flags & (1 << 13) != 0 {
        rest = rest
            .split_first_chunk::<4>()
            .and_then(|(len, table)| table.get(u32::from_be_bytes(*len) as usize..))
            .unwrap_or_default();
    }
    rest.first().copied().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FieldTable;

    fn header(properties: &[u8]) -> Vec<u8> {
        [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], properties].concat()
    }

    #[test]
    fn a_header_is_sound_to_its_last_octet_or_not_at_all() {
        let mut headers = FieldTable::new();
        headers.insert("k", "v");
        let headers = headers.to_bytes();
        let few = BasicProperties {
            delivery_mode: Some(2),
            priority: Some(1),
            timestamp: Some(7),
            ..BasicProperties::default()
        };
        let many = BasicProperties {
            headers: TableRef::parse(&headers).ok(),
            message_id: Some("m"),
            ..few
        };
        for properties in [BasicProperties::default(), few, many] {
            let mut encoded = Vec::new();
            properties.encode(&mut encoded);
            let payload = header(&encoded);
            assert_eq!(check_content_header(&payload), Ok(()));
            for len in 0..payload.len() {
                let cut = check_content_header(&payload[..len]);
                assert!(
                    matches!(cut, Err(WireError::Truncated { .. })),
                    "length {len}: {cut:?}"
                );
            }
            let longer = check_content_header(&[payload.as_slice(), b"x"].concat());
            assert_eq!(longer, Err(WireError::TrailingOctets { octets: 1 }));
        }
        let mut fixed = Vec::new();
        few.encode(&mut fixed);
        let sound = header(&fixed);
        let mut other = sound.clone();
        *other.last_mut().unwrap() = 9;
        other[11] = 200;
        assert!(
            is_like_sound_header(&other, &sound),
            "another size, another timestamp"
        );
        for index in [1, 12, 13, 14] {
            let mut other = sound.clone();
            other[index] ^= 1;
            assert!(!is_like_sound_header(&other, &sound), "octet {index}");
        }
        assert!(!is_like_sound_header(&sound[..sound.len() - 1], &sound));
        let mut with_headers = Vec::new();
        many.encode(&mut with_headers);
        let with_headers = header(&with_headers);
        assert!(
            !is_like_sound_header(&with_headers, &with_headers),
            "may differ in what it asks for"
        );
        let mut queue = header(&[0, 0]);
        queue[1] = 50;
        assert_eq!(
            check_content_header(&queue),
            Err(WireError::ForeignContent { class_id: 50 })
        );
        assert_eq!(
            check_content_header(&header(&[0, 2])),
            Err(WireError::UnknownProperty { flags: 2 })
        );
    }
}
