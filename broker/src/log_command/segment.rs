//! One segment file as it lies there: every record read, every place noted that no checksum vouches for.

use std::ops::Range;
use std::path::{Path, PathBuf};

use seglog::inspect::{Found, Inspection};
use seglog::{FLAG_KEEP, SeglogError, Storage};

/// See the module.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// The first offset in its name.
    pub(crate) first: u64,
    pub(crate) bytes: u64,
    /// None when the header is damaged.
    pub(crate) header: Option<Header>,
    pub(crate) footer: Option<Footer>,
    /// Ascending.
    pub(crate) gaps: Vec<Gap>,
    /// Offsets to keep before the first gap, and behind it: ascending, disjoint, adjacent ones merged.
    pub(crate) kept: Vec<Range<u64>>,
    pub(crate) kept_behind: Vec<Range<u64>>,
    /// Position behind the last record or marker before the first gap.
    pub(crate) end: u64,
    /// One past the last offset that was seen.
    pub(crate) next: u64,
    /// A marker before the first gap tells that all earlier segments were durable.
    pub(crate) saw_sync: bool,
    /// There are only zeros where records would be.
    pub(crate) is_blank: bool,
}

/// What counts of a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) first: u64,
    pub(crate) durable_before: u64,
}

/// What counts of a footer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footer {
    pub(crate) is_body_durable: bool,
}

/// Bytes between what can be verified.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) position: u64,
    /// Up to what follows, or the last byte that is not zero.
    pub(crate) bytes: u64,
    /// Offsets that may have been there; without an end when nothing follows.
    pub(crate) lost: (u64, Option<u64>),
    /// A marker behind tells that this was durable.
    pub(crate) is_witnessed: bool,
    pub(crate) what: String,
}

/// Bytes of a segment's header: a marker that says more than this was durable speaks of earlier segments too.
const HEADER_BYTES: u64 = 64;
/// Bytes of a marker.
const MARKER_BYTES: u64 = 34;

impl Segment {
    /// Reads the whole file, which is named for the offset `first`.
    pub(crate) fn read(storage: &dyn Storage, path: &Path, first: u64) -> Result<Segment, SeglogError> {
        let mut inspection = Inspection::open(storage, path)?;
        let mut segment = Segment {
            path: path.to_owned(),
            first,
            bytes: inspection.bytes().len() as u64,
            header: None,
            footer: None,
            gaps: Vec::new(),
            kept: Vec::new(),
            kept_behind: Vec::new(),
            end: 0,
            next: first,
            saw_sync: false,
            is_blank: false,
        };
        let mut is_open = false;
        for found in inspection.by_ref() {
            is_open = segment.note(found, is_open);
        }
        if is_open {
            let written = inspection.bytes().iter().rposition(|byte| *byte != 0);
            let written = written.map_or(0, |last| last as u64 + 1);
            segment.close(written);
            segment.is_blank = written <= HEADER_BYTES;
        }
        Ok(segment)
    }

    /// Takes one thing in; `is_open` says, and returns, whether the last gap still waits for its end.
    fn note(&mut self, found: Found, is_open: bool) -> bool {
        match found {
            Found::Header {
                first,
                durable_before,
                ..
            } => {
                self.end = HEADER_BYTES;
                self.header = Some(Header {
                    first,
                    durable_before,
                });
            }
            Found::Marker {
                position, durable, ..
            } => {
                if is_open {
                    self.close(position);
                }
                for gap in self.gaps.iter_mut().filter(|gap| durable > gap.position) {
                    gap.is_witnessed = true;
                }
                if self.gaps.is_empty() {
                    self.saw_sync |= durable > HEADER_BYTES;
                    self.end = position + MARKER_BYTES;
                }
            }
            Found::Record {
                offset,
                position,
                length,
                flags,
            } => {
                if is_open {
                    self.close(position);
                }
                if self.gaps.is_empty() {
                    self.end = position + u64::from(length);
                }
                self.bound_losses(offset);
                self.next = self.next.max(offset + 1);
                if flags & FLAG_KEEP != 0 {
                    let kept = if self.gaps.is_empty() {
                        &mut self.kept
                    } else {
                        &mut self.kept_behind
                    };
                    push(kept, offset);
                }
            }
            Found::Footer {
                next,
                end,
                is_body_durable,
                ..
            } => {
                if is_open {
                    self.close(end);
                }
                self.bound_losses(next);
                self.next = self.next.max(next);
                self.footer = Some(Footer { is_body_durable });
            }
            Found::Torn { position, what } | Found::Damaged { position, what } => {
                self.gaps.push(Gap {
                    position,
                    bytes: 0,
                    lost: (self.next, None),
                    is_witnessed: false,
                    what,
                });
                return true;
            }
        }
        false
    }

    /// The last gap ends at this position.
    fn close(&mut self, end: u64) {
        if let Some(gap) = self.gaps.last_mut() {
            gap.bytes = end.saturating_sub(gap.position);
        }
    }

    /// No gap so far held `next` or an offset above.
    fn bound_losses(&mut self, next: u64) {
        let open = self.gaps.iter_mut().rev().take_while(|gap| gap.lost.1.is_none());
        open.for_each(|gap| gap.lost.1 = Some(next));
    }
}

impl Gap {
    /// Where it is, in words.
    pub(crate) fn place(&self) -> String {
        format!(
            "at byte {}, {} bytes, {}",
            self.position,
            self.bytes,
            self.offsets()
        )
    }

    /// Whose offsets it may have held, in words.
    pub(crate) fn offsets(&self) -> String {
        match self.lost {
            (first, Some(next)) if first >= next => "of no message".to_owned(),
            (first, Some(next)) if first + 1 == next => format!("offset {first}"),
            (first, Some(next)) => format!("offsets {first} to {}", next - 1),
            (first, None) => format!("offsets from {first} on"),
        }
    }
}

/// Adds an offset above all that are there.
pub(crate) fn push(ranges: &mut Vec<Range<u64>>, offset: u64) {
    match ranges.last_mut() {
        Some(last) if last.end == offset => last.end = offset + 1,
        _ => ranges.push(offset..offset + 1),
    }
}
