//! One record: a head that this crate owns, then bytes that it never looks into.
//!
//! ```text
//! 0 crc32 u32 | 4 length u32, head included | 8 offset u64 | 16 flags u16 | 18 opaque
//! ```
//! The checksum covers everything behind itself and starts from the segment's seed, so that no record of a file's
//! earlier life passes for one of this segment. A length of 0 says that nothing was ever written here.

/// Bytes of a record's head.
pub const HEAD_BYTES: usize = 18;

/// The record survives a restart; without this flag it was only spilled, and recovery drops it.
pub const FLAG_KEEP: u16 = 1;

/// The record is a commit marker of this crate; never set by a user, never returned by a read.
pub const FLAG_MARKER: u16 = 1 << 15;

/// Bytes of a marker: a head, the epoch and the durable position.
pub(crate) const MARKER_BYTES: usize = HEAD_BYTES + 16;

const LENGTH_AT: usize = 4;
const OFFSET_AT: usize = 8;
const FLAGS_AT: usize = 16;

/// A record's head, not yet verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) crc: u32,
    pub(crate) length: u32,
    pub(crate) offset: u64,
    pub(crate) flags: u16,
}

/// Why bytes are not a record. Whether that is the end of a log, a torn write or damage is for the caller to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// The length is 0: nothing was written here.
    Empty,
    /// The bytes end before the record does.
    Short {
        needed: usize,
    },
    /// No record is this short.
    Length(u32),
    Checksum {
        expected: u32,
        found: u32,
    },
    /// Valid, but not an offset that can follow the one before.
    Order {
        offset: u64,
        next: u64,
    },
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Invalid::Empty => write!(
                formatter,
                "a record was expected and nothing was ever written here"
            ),
            Invalid::Short { needed } => write!(formatter, "a record of {needed} bytes runs past the end"),
            Invalid::Length(length) => write!(formatter, "a record's length of {length} bytes is impossible"),
            Invalid::Checksum { expected, found } => {
                write!(
                    formatter,
                    "a record's checksum should be {expected:08x} and is {found:08x}"
                )
            }
            Invalid::Order { offset, next } => {
                write!(
                    formatter,
                    "offset {offset} follows although {next} is the least that may"
                )
            }
        }
    }
}

impl Head {
    /// The head at the start of `bytes`, if they are long enough for one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Head> {
        let (head, _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        Some(Head {
            crc: u32_at(head, 0),
            length: u32_at(head, LENGTH_AT),
            offset: u64_at(head, OFFSET_AT),
            flags: u16::from_le_bytes([head[FLAGS_AT], head[FLAGS_AT + 1]]),
        })
    }

    pub(crate) fn is_marker(&self) -> bool {
        self.flags & FLAG_MARKER != 0
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.flags & FLAG_KEEP != 0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.length as usize
    }
}

/// What a commit marker says of the bytes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Counts the syncs of the log.
    pub(crate) epoch: u64,
    /// All bytes of this segment before this position were durable before the marker was written.
    pub(crate) durable: u64,
}

impl Marker {
    /// A whole marker, sealed with `seed`; `offset` is the next record's.
    pub(crate) fn encode(&self, offset: u64, seed: u32) -> [u8; MARKER_BYTES] {
        let mut bytes = [0; MARKER_BYTES];
        bytes[LENGTH_AT..OFFSET_AT].copy_from_slice(&(MARKER_BYTES as u32).to_le_bytes());
        bytes[OFFSET_AT..FLAGS_AT].copy_from_slice(&offset.to_le_bytes());
        bytes[FLAGS_AT..HEAD_BYTES].copy_from_slice(&FLAG_MARKER.to_le_bytes());
        bytes[HEAD_BYTES..HEAD_BYTES + 8].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[HEAD_BYTES + 8..].copy_from_slice(&self.durable.to_le_bytes());
        write_checksum(&mut bytes, seed);
        bytes
    }

    /// The marker that starts at `bytes`, when a valid one does.
    pub(crate) fn parse(bytes: &[u8], seed: u32) -> Option<Marker> {
        let head = Head::parse(bytes)?;
        if head.bytes() != MARKER_BYTES || head.flags != FLAG_MARKER || verify(bytes, seed) != Ok(head) {
            return None;
        }
        Some(Marker {
            epoch: u64_at(bytes, HEAD_BYTES),
            durable: u64_at(bytes, HEAD_BYTES + 8),
        })
    }
}

/// The head of the record that starts at `bytes`, once its checksum has been found right.
pub(crate) fn verify(bytes: &[u8], seed: u32) -> Result<Head, Invalid> {
    let Some(head) = Head::parse(bytes) else {
        let is_empty = bytes.iter().all(|byte| *byte == 0);
        return Err(if is_empty {
            Invalid::Empty
        } else {
            Invalid::Short { needed: HEAD_BYTES }
        });
    };
    match head.bytes() {
        0 => return Err(Invalid::Empty),
        1..HEAD_BYTES => return Err(Invalid::Length(head.length)),
        length if length > bytes.len() => return Err(Invalid::Short { needed: length }),
        _ => (),
    }
    let expected = checksum(&bytes[LENGTH_AT..head.bytes()], seed);
    match expected == head.crc {
        true => Ok(head),
        false => Err(Invalid::Checksum {
            expected,
            found: head.crc,
        }),
    }
}

/// Puts the checksum of a whole record into its head.
pub(crate) fn write_checksum(record: &mut [u8], seed: u32) {
    let crc = checksum(&record[LENGTH_AT..], seed);
    record[..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
}

/// Puts the offset of a whole record into its head.
pub(crate) fn write_offset(record: &mut [u8], offset: u64) {
    record[OFFSET_AT..FLAGS_AT].copy_from_slice(&offset.to_le_bytes());
}

/// CRC-32 (ISO-HDLC, as in zlib) of `bytes`, continued from `seed`.
pub(crate) fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// The little-endian integer at `position`. Panics outside of `bytes`: callers hold a structure of fixed size.
pub(crate) fn u32_at(bytes: &[u8], position: usize) -> u32 {
    let mut integer = [0; 4];
    integer.copy_from_slice(&bytes[position..position + 4]);
    u32::from_le_bytes(integer)
}

/// As [`u32_at`].
pub(crate) fn u64_at(bytes: &[u8], position: usize) -> u64 {
    let mut integer = [0; 8];
    integer.copy_from_slice(&bytes[position..position + 8]);
    u64::from_le_bytes(integer)
}

/// Walks records that [`Log::read`](crate::Log::read) returned: each offset with the whole record, head included.
///
/// The checksums were verified by the read and are not looked at again.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Walks `bytes`; a rest that is no whole record ends the walk.
    pub fn new(bytes: &'a [u8]) -> Records<'a> {
        Records { rest: bytes }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<(u64, &'a [u8])> {
        let head = Head::parse(self.rest).filter(|head| head.bytes() >= HEAD_BYTES)?;
        let (record, rest) = self.rest.split_at_checked(head.bytes())?;
        self.rest = rest;
        Some((head.offset, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_markers_bytes_are_laid_down() {
        let bytes = Marker {
            epoch: 0x0102,
            durable: 0x0304,
        }
        .encode(0x0506, 7);
        let golden = [
            [34, 0, 0, 0].as_slice(),
            &[6, 5, 0, 0, 0, 0, 0, 0],
            &[0, 0x80],
            &[2, 1, 0, 0, 0, 0, 0, 0],
            &[4, 3, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(bytes[4..], golden.concat());
        assert_eq!(bytes[..4], checksum(&golden.concat(), 7).to_le_bytes());
        assert_eq!(
            Marker::parse(&bytes, 7),
            Some(Marker {
                epoch: 0x0102,
                durable: 0x0304
            })
        );
        assert_eq!(Marker::parse(&bytes, 8), None);
    }

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(checksum(b"123456789", 0), 0xcbf4_3926);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut bytes = Marker {
            epoch: 1,
            durable: 64,
        }
        .encode(9, 3)
        .to_vec();
        for length in 0..bytes.len() {
            assert!(verify(&bytes[..length], 3).is_err(), "cut to {length}");
        }
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bytes, 3).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(verify(&bytes, 3).is_ok());
    }
}
