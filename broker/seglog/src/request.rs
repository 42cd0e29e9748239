//! One read under way: where it is, what it may take, and where it puts the records.

use crate::record::{Invalid, verify};

/// Takes verified records with ascending offsets until enough bytes are there.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The least offset that is still wanted.
    pub(crate) next: u64,
    bytes_max: usize,
    /// Leave out records that were only spilled: those of an earlier run are nobody's.
    pub(crate) kept_only: bool,
    out: &'a mut Vec<u8>,
    out_bytes_before: usize,
}

/// Why a walk over bytes stopped, and how far it came.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) bytes: usize,
    pub(crate) stop: Stop,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No bytes are left.
    Exhausted,
    /// The request has what it may take.
    Full,
    Invalid(Invalid),
}

impl<'a> Request<'a> {
    pub(crate) fn new(from: u64, bytes_max: usize, out: &'a mut Vec<u8>) -> Request<'a> {
        let out_bytes_before = out.len();
        Request {
            next: from,
            bytes_max,
            kept_only: false,
            out,
            out_bytes_before,
        }
    }

    /// Bytes taken so far.
    pub(crate) fn taken(&self) -> usize {
        self.out.len() - self.out_bytes_before
    }

    /// Bytes that may still be taken.
    pub(crate) fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.taken())
    }

    /// Copies what is wanted out of `bytes`, which start with a record. Also what is passed over is verified: a
    /// damaged length or offset must not hide a record.
    pub(crate) fn take(&mut self, bytes: &[u8], seed: u32) -> Walked {
        let mut at = 0;
        while at < bytes.len() {
            let head = match verify(&bytes[at..], seed) {
                Ok(head) => head,
                Err(invalid) => {
                    return Walked {
                        bytes: at,
                        stop: Stop::Invalid(invalid),
                    };
                }
            };
            let end = at + head.bytes();
            let is_wanted =
                head.offset >= self.next && !head.is_marker() && (head.is_kept() || !self.kept_only);
            if is_wanted {
                if self.taken() > 0 && head.bytes() > self.room() {
                    return Walked {
                        bytes: at,
                        stop: Stop::Full,
                    };
                }
                self.out.extend_from_slice(&bytes[at..end]);
                self.next = head.offset + 1;
            }
            at = end;
            if self.taken() > 0 && self.room() == 0 {
                return Walked {
                    bytes: at,
                    stop: Stop::Full,
                };
            }
        }
        Walked {
            bytes: at,
            stop: Stop::Exhausted,
        }
    }
}

/// Where the last read of a segment stopped: the next one of the same reader need not search.
#[derive(Debug, Default)]
pub(crate) struct ReadHint(parking_lot::Mutex<Option<(u64, u64)>>);

impl ReadHint {
    /// Position of the first record at or above `offset`, if the last read stopped just there.
    pub(crate) fn position(&self, offset: u64) -> Option<u64> {
        self.0.lock().filter(|hint| hint.0 == offset).map(|hint| hint.1)
    }

    pub(crate) fn set(&self, offset: u64, position: u64) {
        *self.0.lock() = Some((offset, position));
    }
}
