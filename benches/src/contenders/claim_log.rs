//! The lock-free candidate: claim by atomic add, copy, commit by length store, as Aeron's log buffers do.
//!
//! ```text
//!   consumed                        claimed
//!     v                               v
//!   0 | 17 payload | 0 payload.. | 17 payload | 0 0 0 0 ..      words, a power of two of them
//!                    ^ claimed, not yet committed: the consumer stops here
//! ```
//!
//! A record is a header word (its bytes + 1, or 0 while it is not committed) and its payload in whole words. A producer
//! looks at the limit, claims its span by one add and commits record by record. As the add cannot be refused, the
//! limit leaves half of the buffer for what producers that looked at the same time claim beyond it. The consumer clears
//! every word it leaves behind, so that a later lap finds no stale header; then it moves `consumed`.
//!
//! The words are atomics, which costs no `unsafe` but keeps the compiler from copying more than 8 bytes at a time: with
//! large records this is slower than it need be. On the other side it keeps no index: nothing here finds a
//! record by offset, releases out of order or grows, all of which the ring does in its figures.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::contest::{Arrivals, CAPACITY, Publish, Records, Take};

const WORD_BYTES: usize = 8;

/// A counter alone on its cache lines.
#[repr(align(128))]
struct Cursor(AtomicU64);

/// Positions count words and never wrap; the mask finds their place.
struct Log {
    words: Box<[AtomicU64]>,
    /// Up to here producers have claimed.
    claimed: Cursor,
    /// Up to here the consumer has read and cleared.
    consumed: Cursor,
}

impl Log {
    /// The words of `count` positions from `position` on, in two parts where they wrap.
    #[inline]
    fn span(&self, position: u64, count: usize) -> (&[AtomicU64], &[AtomicU64]) {
        let at = position as usize & (self.words.len() - 1);
        let here = count.min(self.words.len() - at);
        (&self.words[at..at + here], &self.words[..count - here])
    }

    #[inline]
    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[position as usize & (self.words.len() - 1)]
    }
}

/// A log for records of `record_bytes`, whole words.
pub fn open(record_bytes: usize) -> (impl Publish + Clone + Send, impl Take) {
    assert_eq!(record_bytes % WORD_BYTES, 0);
    let words = (2 * CAPACITY * (1 + record_bytes / WORD_BYTES)).next_power_of_two();
    let log = Arc::new(Log {
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        claimed: Cursor(AtomicU64::new(0)),
        consumed: Cursor(AtomicU64::new(0)),
    });
    (Sender(Arc::clone(&log)), Receiver { log, next: 0 })
}

#[derive(Clone)]
struct Sender(Arc<Log>);

impl Publish for Sender {
    fn try_publish(&mut self, records: Records<'_>) -> usize {
        let log = &*self.0;
        let record_words = 1 + records.record_bytes() / WORD_BYTES;
        let claim = (records.count() * record_words) as u64;
        // Acquire, partner: the Release store in `take`. The words below `consumed` are cleared. Loaded first, so that
        // `claimed` is never below it.
        let consumed = log.consumed.0.load(Ordering::Acquire);
        if log.claimed.0.load(Ordering::Relaxed) + claim - consumed > log.words.len() as u64 / 2 {
            return 0;
        }
        // Relaxed: the claim carries no data; each record travels by its header.
        let mut position = log.claimed.0.fetch_add(claim, Ordering::Relaxed);
        for record in records.iter() {
            let (here, wrapped) = log.span(position + 1, record_words - 1);
            for (word, bytes) in here.iter().chain(wrapped).zip(record.chunks_exact(WORD_BYTES)) {
                let bytes = bytes.try_into().expect("a word is eight bytes");
                word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
            }
            // Release, partner: the Acquire load in `take`.
            log.word(position)
                .store(record.len() as u64 + 1, Ordering::Release);
            position += record_words as u64;
        }
        records.count()
    }
}

struct Receiver {
    log: Arc<Log>,
    next: u64,
}

impl Take for Receiver {
    fn take(&mut self, max: usize, sink: &mut Arrivals) -> usize {
        let log = &*self.log;
        let mut count = 0;
        while count < max {
            // Acquire, partner: the Release store in `try_publish`.
            let header = log.word(self.next).load(Ordering::Acquire);
            if header == 0 {
                break;
            }
            let record_words = 1 + (header - 1) as usize / WORD_BYTES;
            let first = log.word(self.next + 1).load(Ordering::Relaxed);
            let last = log
                .word(self.next + record_words as u64 - 1)
                .load(Ordering::Relaxed);
            sink.arrived(first, last);
            let (here, wrapped) = log.span(self.next, record_words);
            here.iter()
                .chain(wrapped)
                .for_each(|word| word.store(0, Ordering::Relaxed));
            self.next += record_words as u64;
            count += 1;
        }
        if count > 0 {
            // Release, partner: the Acquire load in `try_publish`.
            log.consumed.0.store(self.next, Ordering::Release);
        }
        count
    }
}
