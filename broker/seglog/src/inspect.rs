//! Walks a segment file for people: what is in it, and where it is damaged.

use std::path::Path;
use std::sync::Arc;

use crate::SeglogError;
use crate::error::failed;
use crate::footer::Footer;
use crate::header::SegmentHeader;
use crate::scan::{End, Step, Walk, judge, markers_from};
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
    /// Bytes that were durable and are no longer what was written. The walk goes on at the next marker.
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
        Ok(Inspection {
            file,
            state: State::Header,
        })
    }

    fn header(&mut self) -> Found {
        let header = match SegmentHeader::parse(&self.file) {
            Err(what) if self.file.iter().skip(64).all(|byte| *byte == 0) => {
                return Found::Torn { position: 0, what };
            }
            Err(what) => return Found::Damaged { position: 0, what },
            Ok(header) => header,
        };
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
                let next = markers_from(file, position + 1, limit, header.seed).next();
                walk.position = next.map_or(limit, |(marker, _)| marker);
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
        std::fs::write(path, &bytes[..63]).unwrap();
        assert!(matches!(inspect(path)[..], [Found::Torn { position: 0, .. }]));
    }
}
