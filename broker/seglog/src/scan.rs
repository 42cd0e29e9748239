//! Walking a segment record by record, and judging the place where that ends.
//!
//! Pure functions of the file's bytes; nothing is allocated by what they say.

use crate::footer::{Footer, FooterBuilder};
use crate::header::{HEADER_BYTES, SegmentHeader};
use crate::record::{Head, Invalid, MARKER_BYTES, Marker, verify};

/// One valid step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Record(Head),
    Marker(Marker),
}

/// A walk over verified records and markers up to `limit`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    seed: u32,
    pub(crate) position: usize,
    limit: usize,
    /// The least offset that may follow.
    next: u64,
}

impl Walk {
    pub(crate) fn new(header: &SegmentHeader, limit: usize) -> Walk {
        Walk {
            seed: header.seed,
            position: HEADER_BYTES as usize,
            limit,
            next: header.first,
        }
    }

    /// The next step and its position; none at the limit. After an invalid one the walk stays where it is.
    pub(crate) fn step(&mut self, file: &[u8]) -> Option<Result<(u64, Step), Invalid>> {
        let bytes = file
            .get(self.position..self.limit)
            .filter(|bytes| !bytes.is_empty())?;
        let head = match verify(bytes, self.seed) {
            Err(invalid) => return Some(Err(invalid)),
            Ok(head) if head.offset < self.next => {
                return Some(Err(Invalid::Order {
                    offset: head.offset,
                    next: self.next,
                }));
            }
            Ok(head) => head,
        };
        let step = match Marker::parse(bytes, self.seed) {
            Some(marker) => Step::Marker(marker),
            None if head.is_marker() => return Some(Err(Invalid::Length(head.length))),
            None => Step::Record(head),
        };
        let position = self.position as u64;
        self.position += head.bytes();
        self.next = if matches!(step, Step::Record(_)) {
            head.offset.saturating_add(1)
        } else {
            head.offset
        };
        Some(Ok((position, step)))
    }
}

/// What was found in a segment without, or in spite of, its footer.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Of the valid records.
    pub(crate) footer: FooterBuilder,
    /// What ended the walk before the limit.
    pub(crate) stop: Option<Invalid>,
    /// A marker told of a sync after the header's: all segments before this one were durable by then.
    pub(crate) saw_sync: bool,
}

/// Walks a whole segment.
pub(crate) fn scan(file: &[u8], limit: usize, header: &SegmentHeader) -> Scan {
    let mut walk = Walk::new(header, limit);
    let mut footer = FooterBuilder::new(header.first, header.epoch);
    let mut saw_sync = false;
    let stop = loop {
        match walk.step(file) {
            None => break None,
            Some(Err(invalid)) => break Some(invalid),
            Some(Ok((_, Step::Marker(marker)))) => {
                saw_sync |= marker.durable > HEADER_BYTES;
                footer.push_marker(marker.epoch, MARKER_BYTES as u64);
            }
            Some(Ok((_, Step::Record(head)))) => {
                if footer.bytes_with(head.offset).is_none() {
                    break Some(Invalid::Order {
                        offset: head.offset,
                        next: footer.summary().next,
                    });
                }
                footer.push(&head);
            }
        }
    };
    Scan {
        footer,
        stop,
        saw_sync,
    }
}

/// Where the walk over a segment ended, and what the bytes behind tell of that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As a writer leaves it: nothing was ever written behind.
    Clean,
    /// A write that no sync covered was lost, whole or in part.
    Torn,
    /// A marker behind proves that the bytes here were durable once.
    Damaged {
        /// Position of that marker.
        witness: u64,
    },
}

/// Judges the bytes from `position` on, where no valid record is.
pub(crate) fn judge(file: &[u8], position: usize, limit: usize, seed: u32) -> End {
    let rest = &file[position.min(limit)..limit];
    let mut is_torn = rest
        .iter()
        .take(crate::active::TERMINATOR_BYTES as usize)
        .any(|byte| *byte != 0);
    for (at, marker) in markers_from(file, position, limit, seed) {
        if marker.durable > position as u64 {
            return End::Damaged { witness: at as u64 };
        }
        is_torn = true;
    }
    if is_torn { End::Torn } else { End::Clean }
}

/// Every valid marker at `from` or behind, whatever lies between.
pub(crate) fn markers_from(
    file: &[u8],
    from: usize,
    limit: usize,
    seed: u32,
) -> impl Iterator<Item = (usize, Marker)> {
    /// Of the length in a record's head.
    const LENGTH_AT: usize = 4;
    let bytes = &file[..limit];
    let mut at = from.saturating_add(LENGTH_AT);
    std::iter::from_fn(move || {
        loop {
            let length_at = position_of(bytes, at, MARKER_BYTES as u8)?;
            at = length_at + 1;
            let start = length_at - LENGTH_AT;
            if let Some(marker) = Marker::parse(&bytes[start..], seed) {
                return Some((start, marker));
            }
        }
    })
}

/// The first `wanted` (not 0) at `from` or behind. Passes quickly over zeros, which most of a young segment is.
fn position_of(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let mut at = from;
    for block in bytes.get(from..)?.chunks(64) {
        let is_zero = block.iter().fold(0, |all, byte| all | byte) == 0;
        if !is_zero && let Some(found) = block.iter().position(|byte| *byte == wanted) {
            return Some(at + found);
        }
        at += block.len();
    }
    None
}

/// Bytes from `position` to the last that is not zero: at most this much was lost.
pub(crate) fn bytes_lost(file: &[u8], position: usize, limit: usize) -> u64 {
    let rest = &file[position.min(limit)..limit];
    rest.iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last as u64 + 1)
}

/// Whether a valid footer says just what a scan of the body found.
pub(crate) fn agrees(footer: &Footer, scan: &Scan) -> bool {
    footer.summary == *scan.footer.summary()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_marker_at_every_place() {
        let marker = Marker {
            epoch: 3,
            durable: 70,
        };
        for place in 0..300 {
            let mut file = vec![0; 400];
            file[350] = MARKER_BYTES as u8;
            file[place..place + MARKER_BYTES].copy_from_slice(&marker.encode(1, 9));
            assert_eq!(
                markers_from(&file, 0, 400, 9).collect::<Vec<_>>(),
                [(place, marker)]
            );
            assert_eq!(markers_from(&file, place + 1, 400, 9).count(), 0);
            assert_eq!(markers_from(&file, 0, place + MARKER_BYTES - 1, 9).count(), 0);
            assert_eq!(markers_from(&file, 0, 400, 8).count(), 0);
        }
    }

    #[test]
    fn only_a_witness_makes_an_end_damage() {
        let mut file = vec![0; 400];
        assert_eq!(judge(&file, 64, 400, 9), End::Clean);
        file[66] = 1;
        assert_eq!(judge(&file, 64, 400, 9), End::Torn);
        file[66] = 0;
        file[200..234].copy_from_slice(
            &Marker {
                epoch: 3,
                durable: 64,
            }
            .encode(1, 9),
        );
        assert_eq!(judge(&file, 64, 400, 9), End::Torn);
        file[200..234].copy_from_slice(
            &Marker {
                epoch: 3,
                durable: 65,
            }
            .encode(1, 9),
        );
        assert_eq!(judge(&file, 64, 400, 9), End::Damaged { witness: 200 });
        assert_eq!(judge(&file, 65, 400, 9), End::Torn);
    }
}
