//! The first 64 bytes of a segment.
//!
//! ```text
//! 0 magic "SEGLOG\r\n" | 8 version u32 | 12 crc32 u32 of 16..64 | 16 first offset u64 | 24 seed u32 | 28 zero u32
//! 32 capacity u64 | 40 epoch u64 | 48 durable before u64 | 56 zero u64
//! ```

use std::hash::BuildHasher as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::record::{checksum, u32_at, u64_at};

/// Bytes of the header; the first record starts here.
pub(crate) const HEADER_BYTES: u64 = 64;

const MAGIC: &[u8; 8] = b"SEGLOG\r\n";
const VERSION: u32 = 1;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// No record has a lower offset; also the file's name.
    pub(crate) first: u64,
    /// Where the checksums of this file's records and footer start from.
    pub(crate) seed: u32,
    /// Bytes that were allocated for the file.
    pub(crate) capacity: u64,
    /// The log's epoch when the segment was created.
    pub(crate) epoch: u64,
    /// Every segment of the log whose first offset is below was durable, in whole, before this one was created.
    pub(crate) durable_before: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.seed.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.durable_before.to_le_bytes());
        let crc = checksum(&bytes[16..], 0);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of a file, or in words why there is none.
    pub(crate) fn parse(bytes: &[u8]) -> Result<SegmentHeader, String> {
        let Some(bytes) = bytes.get(..HEADER_BYTES as usize) else {
            return Err(format!(
                "a header has {HEADER_BYTES} bytes and the file {}",
                bytes.len()
            ));
        };
        if &bytes[..8] != MAGIC {
            return Err("this is no segment: its first bytes are not SEGLOG".to_owned());
        }
        let (expected, found) = (checksum(&bytes[16..], 0), u32_at(bytes, 12));
        if expected != found {
            return Err(format!(
                "the header's checksum should be {expected:08x} and is {found:08x}"
            ));
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(format!(
                "format version {version} was found, and only {VERSION} can be read"
            ));
        }
        Ok(SegmentHeader {
            first: u64_at(bytes, 16),
            seed: u32_at(bytes, 24),
            capacity: u64_at(bytes, 32),
            epoch: u64_at(bytes, 40),
            durable_before: u64_at(bytes, 48),
        })
    }
}

/// A seed that no other segment of this process has, starting where no other process is likely to have started.
pub(crate) fn seed_next() -> u32 {
    static START: OnceLock<u32> = OnceLock::new();
    static DRAWN: AtomicU32 = AtomicU32::new(0);
    /// Odd, so that 2^32 draws differ (the golden ratio, as in Fibonacci hashing).
    const STEP: u32 = 0x9e37_79b9;
    let start = START.get_or_init(|| std::collections::hash_map::RandomState::new().hash_one(VERSION) as u32);
    // Relaxed: only that each draw is another number matters.
    start.wrapping_add(DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(STEP))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        first: 0x0102,
        seed: 0x0304,
        capacity: 0x0506,
        epoch: 0x0708,
        durable_before: 0x090a,
    };

    #[test]
    fn its_bytes_are_laid_down() {
        let bytes = HEADER.encode();
        assert_eq!(&bytes[..12], b"SEGLOG\r\n\x01\0\0\0");
        let golden = [
            [2, 1, 0, 0, 0, 0, 0, 0],
            [4, 3, 0, 0, 0, 0, 0, 0],
            [6, 5, 0, 0, 0, 0, 0, 0],
            [8, 7, 0, 0, 0, 0, 0, 0],
            [10, 9, 0, 0, 0, 0, 0, 0],
            [0; 8],
        ];
        assert_eq!(bytes[16..], *golden.as_flattened());
        assert_eq!(
            bytes[12..16],
            crc32fast::hash(golden.as_flattened()).to_le_bytes()
        );
        assert_eq!(SegmentHeader::parse(&bytes), Ok(HEADER));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut bytes = HEADER.encode();
        for length in 0..bytes.len() {
            assert!(SegmentHeader::parse(&bytes[..length]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::parse(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn seeds_differ() {
        let seeds: std::collections::HashSet<_> = (0..1000).map(|_| seed_next()).collect();
        assert_eq!(seeds.len(), 1000);
    }
}
