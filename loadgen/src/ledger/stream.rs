//! What has become of each producer's messages on each of its queues, and what each consumer has seen.

use super::survival::Survival;
use crate::sequence_bits::SequenceBits;
use crate::sequence_set::SequenceSet;

/// The deliveries between one producer and one queue.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) queue: usize,
    pub(super) received: SequenceSet,
    /// Sequences whose first copy to arrive carried the redelivered flag. With competing consumers that copy may
    /// overtake the unflagged one, which is then no unannounced duplicate.
    pub(super) flagged: SequenceBits,
    /// Messages that were on their way when the connections ended and have not arrived since: they take no room in
    /// the window any more.
    pub(super) written_off: u64,
    /// Below it no order is promised any more: connections were cut, and what was on them comes again, or later.
    pub(super) unordered_below: u64,
}

impl Stream {
    /// Books a first copy in a run whose connections end. Kept out of the way of all other runs.
    #[cold]
    pub(super) fn survived(&mut self, survival: &mut Survival, producer: u16, sequence: u32) {
        if survival.receive(usize::from(producer), sequence) {
            self.written_off -= 1;
        }
    }
}

/// A producer's side of the ledger.
#[derive(Debug)]
pub(super) struct ProducerLedger {
    pub(super) published: u64,
    /// One per queue that must get a copy, by ascending queue index; one for all of them when keys decide which one does.
    pub(super) streams: Vec<Stream>,
}

impl ProducerLedger {
    pub(super) fn stream_mut(&mut self, queue: usize) -> Option<&mut Stream> {
        match self.streams.as_mut_slice() {
            [only] => Some(only).filter(|only| only.queue == queue),
            streams => {
                let index = streams.binary_search_by_key(&queue, |stream| stream.queue).ok()?;
                Some(&mut streams[index])
            }
        }
    }
}

/// A consumer's side: what it has already seen.
#[derive(Debug)]
pub(super) struct ConsumerLedger {
    pub(super) queue: usize,
    /// By producer: one more than the highest sequence received.
    pub(super) next_sequence: Vec<u32>,
}
