//! The end of a sealed segment: what is in it, so that neither recovery nor a reader has to walk it.
//!
//! ```text
//! runs   n x (offset delta u32, count u32)      records to keep, as ranges of offsets
//! index  m x (offset delta u32, position u32)   one record for each 16 KiB
//! trailer, the last 64 bytes of the file:
//! 0 magic "SEGFOOT1" | 8 crc32 u32 of runs, index, 12..56 | 12 seed u32 | 16 next offset u64 | 24 end of records u64
//! 32 epoch u64 | 40 records u32 | 44 kept u32 | 48 n u32 | 52 m u32 | 56 body durable u32 | 60 zero u32
//! ```
//! *body durable* is either `BODY_DURABLE` or anything else, and no checksum covers it: so it can be set in place, and
//! however that write tears, the footer stays valid.

use std::ops::Range;

use crate::header::HEADER_BYTES;
use crate::record::{Head, checksum, u32_at, u64_at};

/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: u64 = 64;

/// All records are durable: the footer may be believed without reading them.
pub(crate) const BODY_DURABLE: u32 = u32::from_le_bytes(*b"SAFE");

/// Where that is said, counted from the end of the file.
pub(crate) const BODY_DURABLE_FROM_END: u64 = TRAILER_BYTES - BODY_DURABLE_AT as u64;

const BODY_DURABLE_AT: usize = 56;

const MAGIC: &[u8; 8] = b"SEGFOOT1";
const ENTRY_BYTES: u64 = 8;
const INDEX_SPACING_BYTES: u64 = 16 * 1024;

/// What a footer says of its segment as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The header's first offset, which the deltas count from.
    pub(crate) first: u64,
    /// One past the last offset; the first offset when there was no record.
    pub(crate) next: u64,
    pub(crate) records: u32,
    /// Records with `FLAG_KEEP`.
    pub(crate) kept: u32,
    /// Position behind the last record or marker.
    pub(crate) end: u64,
    /// Of the last marker; the header's when there was none.
    pub(crate) epoch: u64,
}

/// A footer that grows with its segment.
#[derive(Clone, Debug)]
pub(crate) struct FooterBuilder {
    summary: Summary,
    runs: Vec<(u32, u32)>,
    index: Vec<(u32, u32)>,
}

impl FooterBuilder {
    pub(crate) fn new(first: u64, epoch: u64) -> FooterBuilder {
        let summary = Summary {
            first,
            next: first,
            records: 0,
            kept: 0,
            end: HEADER_BYTES,
            epoch,
        };
        FooterBuilder {
            summary,
            runs: Vec::new(),
            index: Vec::new(),
        }
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Size once encoded.
    pub(crate) fn bytes(&self) -> u64 {
        TRAILER_BYTES + ENTRY_BYTES * (self.runs.len() + self.index.len()) as u64
    }

    /// An upper bound of the size with one more record; none when its offset is too far from the first.
    pub(crate) fn bytes_with(&self, offset: u64) -> Option<u64> {
        let is_near = offset - self.summary.first < u64::from(u32::MAX);
        is_near.then(|| self.bytes() + 2 * ENTRY_BYTES)
    }

    /// The record that follows, which lies at the end so far.
    pub(crate) fn push(&mut self, head: &Head) {
        let summary = &mut self.summary;
        let delta = (head.offset - summary.first) as u32;
        if head.is_kept() {
            match self.runs.last_mut() {
                Some((start, count)) if *start + *count == delta => *count += 1,
                _ => self.runs.push((delta, 1)),
            }
            summary.kept += 1;
        }
        let position = summary.end;
        let is_due = self
            .index
            .last()
            .is_none_or(|entry| u64::from(entry.1) + INDEX_SPACING_BYTES <= position);
        if is_due {
            self.index.push((delta, position as u32));
        }
        summary.records += 1;
        summary.next = head.offset + 1;
        summary.end += u64::from(head.length);
    }

    /// The marker that follows.
    pub(crate) fn push_marker(&mut self, epoch: u64, length: u64) {
        self.summary.epoch = epoch;
        self.summary.end += length;
    }

    /// For a rewritten segment, whose last records may be gone: offsets go on from where they were.
    pub(crate) fn set_next(&mut self, next: u64) {
        self.summary.next = self.summary.next.max(next);
    }

    /// A position from which the record at or above `offset` is found within the index's spacing.
    pub(crate) fn start(&self, offset: u64) -> u64 {
        let delta = offset.saturating_sub(self.summary.first);
        let above = self.index.partition_point(|entry| u64::from(entry.0) <= delta);
        above
            .checked_sub(1)
            .map_or(HEADER_BYTES, |entry| u64::from(self.index[entry].1))
    }

    /// Offsets to keep.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Range<u64>> {
        self.runs.iter().map(|run| run_offsets(self.summary.first, *run))
    }

    pub(crate) fn encode(&self, seed: u32, is_body_durable: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes() as usize);
        for (delta, value) in self.runs.iter().chain(&self.index) {
            bytes.extend_from_slice(&delta.to_le_bytes());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let summary = &self.summary;
        let trailer = bytes.len();
        let body_durable = if is_body_durable { BODY_DURABLE } else { 0 };
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&seed.to_le_bytes());
        for integer in [summary.next, summary.end, summary.epoch] {
            bytes.extend_from_slice(&integer.to_le_bytes());
        }
        for integer in [
            summary.records,
            summary.kept,
            self.runs.len() as u32,
            self.index.len() as u32,
            body_durable,
            0,
        ] {
            bytes.extend_from_slice(&integer.to_le_bytes());
        }
        let crc = footer_checksum(&bytes, trailer, seed);
        bytes[trailer + 8..trailer + 12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// Where the parts of a valid footer lie in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) summary: Summary,
    pub(crate) is_body_durable: bool,
    runs: Range<usize>,
    index: Range<usize>,
}

impl Footer {
    /// The footer at the end of a whole file, when a valid one is there.
    pub(crate) fn parse(file: &[u8], first: u64, seed: u32) -> Option<Footer> {
        let trailer_at = file.len().checked_sub(TRAILER_BYTES as usize)?;
        let trailer = &file[trailer_at..];
        if &trailer[..8] != MAGIC || u32_at(trailer, 12) != seed {
            return None;
        }
        let entry_bytes = ENTRY_BYTES as usize;
        let index_bytes = (u32_at(trailer, 52) as usize).checked_mul(entry_bytes)?;
        let index_at = trailer_at.checked_sub(index_bytes)?;
        let runs_at = index_at.checked_sub((u32_at(trailer, 48) as usize).checked_mul(entry_bytes)?)?;
        if footer_checksum(&file[runs_at..], trailer_at - runs_at, seed) != u32_at(trailer, 8) {
            return None;
        }
        let summary = Summary {
            first,
            next: u64_at(trailer, 16),
            end: u64_at(trailer, 24),
            epoch: u64_at(trailer, 32),
            records: u32_at(trailer, 40),
            kept: u32_at(trailer, 44),
        };
        let is_sound = (HEADER_BYTES..=runs_at as u64).contains(&summary.end) && summary.next >= first;
        let footer = Footer {
            summary,
            is_body_durable: u32_at(trailer, BODY_DURABLE_AT) == BODY_DURABLE,
            runs: runs_at..index_at,
            index: index_at..trailer_at,
        };
        is_sound.then_some(footer)
    }

    /// Position of its first byte.
    pub(crate) fn position(&self) -> u64 {
        self.runs.start as u64
    }

    /// As [`FooterBuilder::start`], out of the same file.
    pub(crate) fn start(&self, file: &[u8], offset: u64) -> u64 {
        let delta = offset.saturating_sub(self.summary.first);
        let (index, _) = file[self.index.clone()].as_chunks::<{ ENTRY_BYTES as usize }>();
        let above = index.partition_point(|entry| u64::from(u32_at(entry, 0)) <= delta);
        above
            .checked_sub(1)
            .map_or(HEADER_BYTES, |entry| u64::from(u32_at(&index[entry], 4)))
    }

    /// Offsets to keep, out of the same file.
    pub(crate) fn kept(&self, file: &[u8]) -> impl Iterator<Item = Range<u64>> {
        let (runs, _) = file[self.runs.clone()].as_chunks::<{ ENTRY_BYTES as usize }>();
        let first = self.summary.first;
        runs.iter()
            .map(move |run| run_offsets(first, (u32_at(run, 0), u32_at(run, 4))))
    }
}

fn run_offsets(first: u64, (delta, count): (u32, u32)) -> Range<u64> {
    let start = first.saturating_add(u64::from(delta));
    start..start.saturating_add(u64::from(count))
}

/// Of everything but the magic, the checksum itself and what may be set later.
fn footer_checksum(footer: &[u8], trailer: usize, seed: u32) -> u32 {
    checksum(
        &footer[trailer + 12..trailer + BODY_DURABLE_AT],
        checksum(&footer[..trailer], seed),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FLAG_KEEP;

    fn head(offset: u64, flags: u16, length: u32) -> Head {
        Head {
            crc: 0,
            length,
            offset,
            flags,
        }
    }

    fn footer() -> FooterBuilder {
        let mut footer = FooterBuilder::new(100, 3);
        footer.push_marker(5, 34);
        footer.push(&head(100, FLAG_KEEP, 20_000));
        footer.push(&head(101, FLAG_KEEP, 20));
        footer.push(&head(105, 0, 20));
        footer.push(&head(107, FLAG_KEEP, 40));
        footer
    }

    #[test]
    fn its_bytes_are_laid_down() {
        let golden: Vec<u32> = vec![
            0,
            2,
            7,
            1, // runs: 100..102, 107..108
            0,
            98,
            1,
            20_098, // index
            0x4647_4553,
            0x3154_4f4f,
            0,
            9, // magic, checksum, seed
            108,
            0,
            20_178,
            0,
            5,
            0, // next, end, epoch
            4,
            3,
            2,
            2,
            BODY_DURABLE,
            0, // records, kept, n, m, flags
        ];
        let mut golden: Vec<u8> = golden.iter().flat_map(|integer| integer.to_le_bytes()).collect();
        let covered = [&golden[..32], &golden[44..88]].concat();
        golden[40..44].copy_from_slice(&checksum(&covered, 9).to_le_bytes());
        assert_eq!(footer().encode(9, true), golden);
        assert_eq!(footer().bytes(), golden.len() as u64);
    }

    #[test]
    fn what_was_built_is_parsed() {
        let built = footer();
        let mut file = vec![0; 30_000];
        file.extend(built.encode(9, false));
        let parsed = Footer::parse(&file, 100, 9).unwrap();
        assert_eq!(parsed.summary, *built.summary());
        assert_eq!(parsed.position(), 30_000);
        assert_eq!(parsed.kept(&file).collect::<Vec<_>>(), [100..102, 107..108]);
        assert_eq!(built.kept().collect::<Vec<_>>(), [100..102, 107..108]);
        for (offset, start) in [(0, 64), (100, 98), (101, 20_098), (1000, 20_098)] {
            assert_eq!(
                parsed.start(&file, offset),
                if offset < 100 { 98 } else { start },
                "{offset}"
            );
            assert_eq!(
                built.start(offset),
                if offset < 100 { 98 } else { start },
                "{offset}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut file = vec![0; 20_178];
        let start = file.len();
        file.extend(footer().encode(9, false));
        assert!(Footer::parse(&file, 100, 9).is_some());
        assert!(Footer::parse(&file, 100, 8).is_none());
        for length in 0..file.len() {
            assert!(Footer::parse(&file[..length], 100, 9).is_none());
        }
        let covered = file.len() - BODY_DURABLE_FROM_END as usize;
        for bit in start * 8..file.len() * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            let parsed = Footer::parse(&file, 100, 9);
            assert_eq!(parsed.is_some(), bit >= covered * 8, "bit {bit}");
            assert!(parsed.is_none_or(|footer| !footer.is_body_durable), "bit {bit}");
            file[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
