//! The segment that a log appends to.
//!
//! One writer (the log's, under its mutex), any number of readers. Readers see what lies before `readable`, which
//! moves on only after the bytes were written; nothing before it ever changes.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::damaged;
use crate::footer::FooterBuilder;
use crate::header::{HEADER_BYTES, SegmentHeader};
use crate::open_files::OpenFile;
use crate::record::{Head, Invalid, MARKER_BYTES, Marker, write_checksum};
use crate::request::{ReadHint, Request, Stop};
use crate::sealed::SealedSegment;
use crate::{Batch, LogStore, SeglogError, SyncPolicy};

/// Zeros behind each write, so that a recycled file's old bytes are not taken for a torn record.
pub(crate) const TERMINATOR_BYTES: u64 = 8;

/// The least and the most that one positional read asks for, unless a single record is longer.
const READ_BYTES_MIN: usize = 16 * 1024;
const READ_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct ActiveSegment {
    pub(crate) header: SegmentHeader,
    file: Arc<OpenFile>,
    written: RwLock<Written>,
    hint: ReadHint,
}

#[derive(Debug)]
struct Written {
    /// Ahead of `readable` while a write is under way.
    footer: FooterBuilder,
    /// Position behind the last byte that readers may ask for.
    readable: u64,
    /// One past the last offset before it.
    next: u64,
}

impl ActiveSegment {
    pub(crate) fn new(header: SegmentHeader, file: Arc<OpenFile>) -> ActiveSegment {
        let footer = FooterBuilder::new(header.first, header.epoch);
        let written = Written {
            footer,
            readable: HEADER_BYTES,
            next: header.first,
        };
        ActiveSegment {
            header,
            file,
            written: RwLock::new(written),
            hint: ReadHint::default(),
        }
    }

    /// One past the last offset that readers may ask for.
    pub(crate) fn next(&self) -> u64 {
        self.written.read().next
    }

    /// Position behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.written.read().readable
    }

    /// Writes a marker and as many of the batch's records from `position` on as fit; returns their bytes.
    pub(crate) fn append(
        &self,
        store: &LogStore,
        batch: &mut Batch,
        position: usize,
        marker: Marker,
        policy: SyncPolicy,
    ) -> Result<usize, SeglogError> {
        let start = self.end();
        let bytes = self.plan(batch, position, marker);
        if bytes == 0 {
            return Ok(0);
        }
        let end = position + bytes;
        let is_last = end == batch.buffer.len();
        if is_last {
            batch.buffer.extend_from_slice(&[0; TERMINATOR_BYTES as usize]);
        }
        // The marker goes where the record before lies, which was written already; it is put back afterwards.
        let marker_at = position - MARKER_BYTES;
        let mut room = [0; MARKER_BYTES];
        room.copy_from_slice(&batch.buffer[marker_at..position]);
        let first = Head::parse(&batch.buffer[position..]).map_or(0, |head| head.offset);
        batch.buffer[marker_at..position].copy_from_slice(&marker.encode(first, self.header.seed));
        let write_end = if is_last { batch.buffer.len() } else { end };
        let outcome = self
            .file
            .write(store, &batch.buffer[marker_at..write_end], start, policy);
        batch.buffer[marker_at..position].copy_from_slice(&room);
        if is_last {
            batch.buffer.truncate(end);
        }
        outcome?;
        let mut written = self.written.write();
        (written.readable, written.next) = (written.footer.summary().end, written.footer.summary().next);
        Ok(bytes)
    }

    /// Puts checksums into the records that still fit and counts them in the footer; returns their bytes.
    fn plan(&self, batch: &mut Batch, position: usize, marker: Marker) -> usize {
        let mut written = self.written.write();
        let footer = &mut written.footer;
        let mut at = position;
        while let Some(head) = Head::parse(&batch.buffer[at..]) {
            let marker_bytes = if at == position { MARKER_BYTES as u64 } else { 0 };
            let end = footer.summary().end + marker_bytes + u64::from(head.length) + TERMINATOR_BYTES;
            let fits = footer
                .bytes_with(head.offset)
                .is_some_and(|bytes| end + bytes <= self.header.capacity);
            if !fits {
                break;
            }
            if at == position {
                footer.push_marker(marker.epoch, marker_bytes);
            }
            write_checksum(&mut batch.buffer[at..at + head.bytes()], self.header.seed);
            footer.push(&head);
            at += head.bytes();
        }
        at - position
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&self, store: &LogStore) -> Result<(), SeglogError> {
        self.file.sync(store)
    }

    /// Writes the footer. Nothing is appended afterwards.
    pub(crate) fn seal(
        &self,
        store: &LogStore,
        policy: SyncPolicy,
    ) -> Result<Arc<SealedSegment>, SeglogError> {
        let written = self.written.read();
        let footer = written.footer.encode(self.header.seed, false);
        let position = self.header.capacity - footer.len() as u64;
        self.file.write(store, &footer, position, policy)?;
        let path = self.file.path().to_owned();
        Ok(Arc::new(SealedSegment::new(
            path,
            self.header,
            *written.footer.summary(),
            self.header.capacity,
            false,
        )))
    }

    /// Closes the file for good.
    pub(crate) fn finish(&self, store: &LogStore) {
        self.file.finish(store);
    }

    /// Takes records by positional reads. False when the segment was sealed meanwhile and is to be read as such.
    pub(crate) fn read(&self, store: &LogStore, request: &mut Request<'_>) -> Result<bool, SeglogError> {
        let (mut position, end) = {
            let written = self.written.read();
            let start = self.hint.position(request.next);
            (
                start.unwrap_or_else(|| written.footer.start(request.next)),
                written.readable,
            )
        };
        let Some(file) = self.file.handle(store)? else {
            return Ok(false);
        };
        request.kept_only = false;
        let mut chunk = Vec::new();
        let mut bytes_wanted = request.room().clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        while position < end {
            let left = usize::try_from(end - position).unwrap_or(usize::MAX);
            chunk.resize(bytes_wanted.min(left), 0);
            if let Err(error) = file.read_exact_at(&mut chunk, position) {
                let is_sealed = self.file.handle(store)?.is_none();
                return if is_sealed {
                    Ok(false)
                } else {
                    Err(self.unreadable(error))
                };
            }
            let walked = request.take(&chunk, self.header.seed);
            position += walked.bytes as u64;
            bytes_wanted = READ_BYTES_MIN.max(request.room()).min(READ_BYTES_MAX);
            match walked.stop {
                Stop::Exhausted => (),
                Stop::Full => break,
                // The record goes on behind this chunk: its length is bounded by what was written.
                Stop::Invalid(Invalid::Short { needed }) if needed <= left - walked.bytes => {
                    bytes_wanted = bytes_wanted.max(needed);
                }
                Stop::Invalid(_) if request.taken() > 0 => break,
                // A sealed segment's file may have been recycled under this read.
                Stop::Invalid(_) if self.file.handle(store)?.is_none() => return Ok(false),
                Stop::Invalid(invalid) => return Err(damaged(self.file.path(), position, invalid)),
            }
        }
        self.hint.set(request.next, position);
        Ok(true)
    }

    fn unreadable(&self, source: std::io::Error) -> SeglogError {
        SeglogError::Io {
            action: "read",
            path: self.file.path().to_owned(),
            source,
        }
    }
}
