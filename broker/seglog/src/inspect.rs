//! Walks a segment file for people: what is in it, and where it is damaged.

use std::path::Path;
use std::sync::Arc;

use crate::SeglogError;
use crate::create::segment_first;
use crate::error::failed;
use crate::footer::{Footer, TRAILER_BYTES};
use crate::header::{HEADER_BYTES, SegmentHeader};
use crate::record::{HEAD_BYTES, Head, u32_at};
use crate::scan::{End, Step, Walk, judge};
use crate::storage::{Mapping, OpenMode, Storage};

/// One thing in a segment file, in the order in which they lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The header.
    Header {
        /// First offset.
        first: u64,
        /// What the checksums start from.
        seed: u32,
        /// Bytes that were allocated.
        capacity: u64,
        /// Of the log when the segment was created.
        epoch: u64,
        /// Segments that start below were durable before this one was created.
        durable_before: u64,
    },
    /// A commit marker, in front of each batch.
    Marker {
        /// Where it lies.
        position: u64,
        /// Syncs of the log before it was written, counted from 1.
        epoch: u64,
        /// Bytes before this position were durable when it was written.
        durable: u64,
    },
    /// A valid record.
    Record {
        /// Its offset in the log.
        offset: u64,
        /// Where it lies.
        position: u64,
        /// Bytes, head included.
        length: u32,
        /// As they were written.
        flags: u16,
    },
    /// The footer of a sealed segment.
    Footer {
        /// Where it lies.
        position: u64,
        /// One past the last offset.
        next: u64,
        /// Records in the segment.
        records: u32,
        /// Those that survive a restart.
        kept: u32,
        /// Where the records end.
        end: u64,
        /// Whether the records were durable before the footer was written.
        is_body_durable: bool,
    },
    /// A write that no sync covered; recovery cuts it.
    Torn {
        /// Where.
        position: u64,
        /// What was found.
        what: String,
    },
    /// Bytes that were durable and are no longer what was written. The walk goes on at the next valid record or marker,
    /// whatever lies between; behind a damaged header too, when the checksums' seed is still to be found.
    Damaged {
        /// Where.
        position: u64,
        /// What was found.
        what: String,
    },
}

/// A walk over one segment file. It ends behind the footer, or where nothing more was written.
#[derive(Debug)]
pub struct Inspection {
    file: Arc<dyn Mapping>,
    /// The first offset in the file's name.
    first: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Header,
    Body {
        walk: Walk,
        header: SegmentHeader,
        footer: Option<Footer>,
    },
    Done,
}

impl Inspection {
    /// Opens a file that nobody writes to meanwhile.
    pub fn open(storage: &dyn Storage, path: &Path) -> Result<Inspection, SeglogError> {
        let file = storage.open(path, OpenMode::Read).map_err(failed("open", path))?;
        let file = file.map().map_err(failed("map", path))?;
        let name = path.file_name().and_then(|name| name.to_str());
        Ok(Inspection {
            file,
            first: name.and_then(segment_first).unwrap_or(0),
            state: State::Header,
        })
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.file
    }

    fn header(&mut self) -> Found {
        match SegmentHeader::parse(&self.file) {
            Ok(header) => self.enter(header),
            Err(what) if self.file.iter().skip(64).all(|byte| *byte == 0) => {
                Found::Torn { position: 0, what }
            }
            Err(what) => {
                if let Some(header) = self.guess_header() {
                    self.enter(header);
                }
                Found::Damaged { position: 0, what }
            }
        }
    }

    /// A header with the seed that some record agrees with, out of a damaged one or the footer.
    fn guess_header(&self) -> Option<SegmentHeader> {
        /// Of the seed, from the start of the header and of the footer's trailer.
        const SEED_AT: (usize, usize) = (24, 12);
        let file: &[u8] = &self.file;
        let trailer_at = file.len().checked_sub((HEADER_BYTES + TRAILER_BYTES) as usize)?;
        let trailer_at = trailer_at + HEADER_BYTES as usize;
        let headers = [SEED_AT.0, trailer_at + SEED_AT.1].map(|seed_at| SegmentHeader {
            first: self.first,
            seed: u32_at(file, seed_at),
            capacity: file.len() as u64,
            epoch: 0,
            durable_before: 0,
        });
        headers.into_iter().find(|header| {
            let walk = Walk::new(header, file.len());
            resume(walk, file, file.len(), header).is_some()
        })
    }

    fn enter(&mut self, header: SegmentHeader) -> Found {
        let footer = Footer::parse(&self.file, header.first, header.seed);
        let limit = footer
            .as_ref()
            .map_or(self.file.len(), |footer| footer.summary.end as usize);
        self.state = State::Body {
            walk: Walk::new(&header, limit),
            header,
            footer,
        };
        Found::Header {
            first: header.first,
            seed: header.seed,
            capacity: header.capacity,
            epoch: header.epoch,
            durable_before: header.durable_before,
        }
    }

    fn body(&mut self, mut walk: Walk, header: SegmentHeader, footer: Option<Footer>) -> Option<Found> {
        let file: &[u8] = &self.file;
        let limit = footer
            .as_ref()
            .map_or(file.len(), |footer| footer.summary.end as usize);
        let found = match walk.step(file) {
            Some(Ok((position, Step::Marker(marker)))) => Found::Marker {
                position,
                epoch: marker.epoch,
                durable: marker.durable,
            },
            Some(Ok((position, Step::Record(head)))) => Found::Record {
                offset: head.offset,
                position,
                length: head.length,
                flags: head.flags,
            },
            None => return footer.map(|footer| describe(&footer)),
            Some(Err(invalid)) => {
                let position = walk.position;
                let what = invalid.to_string();
                let end = judge(file, position, limit, header.seed);
                walk.position += 1;
                walk.position = resume(walk, file, limit, &header).unwrap_or(limit);
                let position = position as u64;
                match end {
                    End::Clean if footer.is_none() => return None,
                    End::Torn if footer.is_none() => Found::Torn { position, what },
                    _ => Found::Damaged { position, what },
                }
            }
        };
        self.state = State::Body { walk, header, footer };
        Some(found)
    }
}

impl Iterator for Inspection {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Done => None,
            State::Header => Some(self.header()),
            State::Body { walk, header, footer } => self.body(walk, header, footer),
        }
    }
}

/// Where the walk can go on: the first valid record or marker that may follow, at its position or behind.
fn resume(mut walk: Walk, file: &[u8], limit: usize, header: &SegmentHeader) -> Option<usize> {
    let from = walk.position;
    (from..(limit + 1).saturating_sub(HEAD_BYTES)).find(|at| {
        // Few places get past this, so that not each byte costs a checksum.
        let is_likely = Head::parse(&file[*at..]).is_some_and(|head| {
            let delta = head.offset.checked_sub(header.first);
            head.bytes() >= HEAD_BYTES && delta.is_some_and(|delta| delta <= u64::from(u32::MAX))
        });
        walk.position = *at;
        is_likely && matches!(walk.step(file), Some(Ok(_)))
    })
}

fn describe(footer: &Footer) -> Found {
    let summary = &footer.summary;
    Found::Footer {
        position: footer.position(),
        next: summary.next,
        records: summary.records,
        kept: summary.kept,
        end: summary.end,
        is_body_durable: footer.is_body_durable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Directory, append, small};
    use crate::{FsStorage, Log, SyncPolicy};

    fn inspect(path: &Path) -> Vec<Found> {
        Inspection::open(&FsStorage, path).unwrap().collect()
    }

    #[test]
    fn goes_on_at_the_next_record_of_the_same_batch() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        append(&log, 0..9, 40, SyncPolicy::Sync);
        drop(log);
        Log::recover(&directory.open(), "q").unwrap();
        let path = &directory.files("q")[0];
        let whole = inspect(path);
        let bytes = std::fs::read(path).unwrap();
        // Header, marker, four records; each byte of the fifth, and of its length too, which no longer leads to the sixth.
        let start = 64 + 34 + 4 * 58;
        for at in start..start + 58 {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(path, &changed).unwrap();
            let found = inspect(path);
            assert!(
                matches!(found[6], Found::Damaged { position, .. } if position == start as u64),
                "{found:?}"
            );
            assert_eq!(
                (&found[..6], &found[7..]),
                (&whole[..6], &whole[7..]),
                "byte {at}"
            );
        }
    }

    #[test]
    fn tells_torn_from_damaged_and_goes_on_behind() {
        let directory = Directory::new(small());
        let log = Log::create(&directory.open(), "q").unwrap();
        for offset in 0..3 {
            append(&log, [offset], 40, SyncPolicy::Sync);
            log.sync().unwrap();
        }
        let path = &directory.files("q")[0];
        let whole = inspect(path);
        assert_eq!(whole.len(), 7, "{whole:?}");
        assert!(matches!(
            whole[6],
            Found::Record {
                offset: 2,
                position: 282,
                length: 58,
                flags: 1
            }
        ));

        let bytes = std::fs::read(path).unwrap();
        for (position, is_torn) in [(70, false), (200, false), (300, true)] {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            std::fs::write(path, &changed).unwrap();
            let found = inspect(path);
            let torn = found
                .iter()
                .filter(|found| matches!(found, Found::Torn { .. }))
                .count();
            let damaged = found
                .iter()
                .filter(|found| matches!(found, Found::Damaged { .. }))
                .count();
            assert_eq!(
                (torn, damaged),
                if is_torn { (1, 0) } else { (0, 1) },
                "{found:?}"
            );
            assert_eq!(found.contains(&whole[6]), !is_torn);
        }
        std::fs::write(path, &bytes[1..]).unwrap();
        assert!(matches!(inspect(path)[..], [Found::Damaged { position: 0, .. }]));
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        std::fs::write(path, &changed).unwrap();
        assert!(matches!(inspect(path)[0], Found::Damaged { position: 0, .. }));
        assert_eq!(inspect(path)[1..], whole[1..]);
        std::fs::write(path, &bytes[..63]).unwrap();
        assert!(matches!(inspect(path)[..], [Found::Torn { position: 0, .. }]));
    }
}
