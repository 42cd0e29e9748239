//! The sequential walk over a ring.

use std::collections::vec_deque;

use crate::{
    Offset,
    chunk::{Chunk, ChunkRecords},
};

/// Records of a [`Ring`](crate::Ring) in offset order; see [`Ring::records_from`](crate::Ring::records_from).
#[derive(Clone, Debug)]
pub struct Records<'a> {
    current: ChunkRecords<'a>,
    sealed: vec_deque::Iter<'a, Chunk>,
    /// The open chunk, until the walk reaches it.
    open: Option<&'a Chunk>,
    from: Offset,
}

impl<'a> Records<'a> {
    pub(crate) fn new(sealed: vec_deque::Iter<'a, Chunk>, open: &'a Chunk, from: Offset) -> Records<'a> {
        let mut sealed = sealed;
        let (first, open) = match sealed.next() {
            Some(chunk) => (chunk, Some(open)),
            None => (open, None),
        };
        Records {
            current: first.records(from),
            sealed,
            open,
            from,
        }
    }

    fn enter_next_chunk(&mut self) -> bool {
        let Some(chunk) = self.sealed.next().or_else(|| self.open.take()) else {
            return false;
        };
        self.current = chunk.records(self.from);
        true
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (Offset, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.current.next() {
                return Some(record);
            }
            if !self.enter_next_chunk() {
                return None;
            }
        }
    }
}
