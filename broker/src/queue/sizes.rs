//! Body sizes of a queue's messages, kept only where a limit in bytes asks for them (`x-max-length-bytes`).

use std::collections::VecDeque;

use ring::Offset;

/// Sizes by offset, four bytes each from the oldest unsettled message on, and their sum over the ready ones.
#[derive(Debug)]
pub(super) struct Sizes {
    /// Offset of the first of `sizes`.
    first: Offset,
    sizes: VecDeque<u32>,
    ready: u64,
}

impl Sizes {
    /// Of a queue whose oldest message will be `first`.
    pub(super) fn new(first: Offset) -> Sizes {
        Sizes {
            first,
            sizes: VecDeque::new(),
            ready: 0,
        }
    }

    /// Bytes of the bodies of all ready messages.
    pub(super) fn ready_bytes(&self) -> u64 {
        self.ready
    }

    /// A message is ready for the first time. Offsets that were left out are those of settled messages.
    pub(super) fn push(&mut self, offset: Offset, bytes: usize) {
        let index = offset.distance_from(self.first) as usize;
        self.sizes.resize(index, 0);
        self.sizes.push_back(bytes as u32);
        self.ready += bytes as u64;
    }

    /// It is not ready any more.
    pub(super) fn take(&mut self, offset: Offset) {
        self.ready -= self.bytes_of(offset);
    }

    /// It is ready again.
    pub(super) fn give_back(&mut self, offset: Offset) {
        self.ready += self.bytes_of(offset);
    }

    /// Nothing is ready any more.
    pub(super) fn clear_ready(&mut self) {
        self.ready = 0;
    }

    /// Everything below is settled.
    pub(super) fn forget_below(&mut self, frontier: Offset) {
        if frontier > self.first {
            let gone = frontier.distance_from(self.first) as usize;
            self.sizes.drain(..gone.min(self.sizes.len()));
            self.first = frontier;
        }
    }

    fn bytes_of(&self, offset: Offset) -> u64 {
        self.sizes[offset.distance_from(self.first) as usize].into()
    }
}
