//! How far a queue's messages have come on their way to its log.
//!
//! ```text
//!   settled        in the log only         in the log and the ring   handed to the log    in the ring only
//!  ..........|..........................|............................|...................|..................|
//!         frontier                     gate                       written             staged             next
//! ```
//!
//! A durable queue hands over everything, in order, as fast as the log takes it. Any other queue hands over only
//! what has to leave memory: once the ring is fuller than `high`, its oldest part goes, until it is no fuller than
//! `low` (the distance between both is the hysteresis). Messages settled meanwhile are passed over: they need never
//! be written.
//!
//! Invariants, asserted: gate ≤ written ≤ staged ≤ next; kept ≤ staged. All of them only grow.

use ring::{Offset, Ring};

/// Publishers that found the ring full are called back once it is this empty again, while it spills: the gap keeps it from waking them for every
/// message that leaves.
const RETRY_FILL_RATIO: f64 = 0.75;

/// Evicted between two looks at how full the ring is.
const EVICT_MESSAGES: u64 = 1024;

/// When the ring's oldest part leaves memory: shares of the ring, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpillLimits {
    /// Fuller than this: spilling begins.
    pub high: f64,
    /// No fuller than this: it ends.
    pub low: f64,
}

impl SpillLimits {
    /// `high`, and three quarters of it as `low`.
    pub fn above(high: f64) -> SpillLimits {
        SpillLimits {
            high,
            low: high * 0.75,
        }
    }

    /// The same, or lower where a ring of `bytes_max` bytes would keep less than `bytes` free: who finds it full finds room once it has
    /// spilled, whether anybody consumes or not.
    pub fn leaving_room(self, bytes: usize, bytes_max: usize) -> SpillLimits {
        let high = 1.0 - bytes as f64 / bytes_max as f64;
        SpillLimits::above(self.high.min(high.max(0.0)))
    }
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Journal {
    durable: bool,
    limits: SpillLimits,
    staged: Offset,
    /// One past the last record that was really handed over; lower than `staged` when what followed was settled.
    pushed: Offset,
    written: Offset,
    /// Everything below is as safe as the queue's durability level asks for.
    kept: Offset,
    gate: Offset,
    spilling: bool,
}

impl Journal {
    /// Of a queue whose first message in memory will be `next`; everything before is in the log or settled.
    pub(super) fn new(durable: bool, limits: SpillLimits, next: Offset) -> Journal {
        Journal {
            durable,
            limits,
            staged: next,
            pushed: next,
            written: next,
            kept: next,
            gate: next,
            spilling: false,
        }
    }

    /// True when the ring has room for any message, and it is time to say so.
    pub(super) fn has_room(&self, ring: &Ring) -> bool {
        let retry = if self.spilling { RETRY_FILL_RATIO } else { 1.0 };
        ring.fill_ratio() <= self.limits.high.min(retry)
    }

    /// Below this offset nothing is in the ring.
    #[inline]
    pub(super) fn gate(&self) -> Offset {
        self.gate
    }

    /// Handed over below, written below and kept below.
    pub(super) fn marks(&self) -> (Offset, Offset, Offset) {
        (self.pushed, self.written, self.kept)
    }

    /// Every message below is kept or was settled before it had to be; `frontier` is the queue's.
    pub(super) fn kept_through(&self, frontier: Offset) -> Offset {
        let kept = if self.kept >= self.pushed {
            self.staged
        } else {
            self.kept
        };
        kept.max(frontier)
    }

    /// True when some record has been handed over and is not kept yet.
    pub(super) fn is_busy(&self) -> bool {
        self.kept < self.pushed || self.written < self.pushed
    }

    /// The log says that everything handed over below `written` can be read from it, and below `kept` is kept.
    pub(super) fn progress(&mut self, written: Offset, kept: Offset) {
        self.written = self.written.max(written.min(self.pushed));
        self.kept = self.kept.max(kept.min(self.pushed));
    }

    /// False when `stage` would find nothing to do for a queue that is not durable.
    pub(super) fn may_spill(&self, ring: &Ring, pressed: bool) -> bool {
        self.spilling || (pressed && !ring.is_empty()) || ring.fill_ratio() > self.limits.high
    }

    /// Hands records over, oldest first, until `push` says that there is no more room for now.
    pub(super) fn stage(&mut self, ring: &Ring, pressed: bool, mut push: impl FnMut(Offset, &[u8]) -> bool) {
        let fill = ring.fill_ratio();
        if (pressed && !ring.is_empty()) || fill > self.limits.high {
            self.spilling = true;
        } else if fill <= self.limits.low {
            self.spilling = false;
        }
        if !self.durable && !self.spilling || self.staged == ring.next_offset() {
            return;
        }
        for (offset, record) in ring.records_from(self.staged) {
            if !push(offset, record) {
                return;
            }
            self.staged = offset.next();
            self.pushed = self.staged;
        }
        self.staged = ring.next_offset();
    }

    /// Lets go of the ring's oldest part, as far as it has to leave and is written.
    pub(super) fn evict(&mut self, ring: &mut Ring) {
        let written = if self.written >= self.pushed {
            self.staged
        } else {
            self.written
        };
        while self.spilling && self.gate < written {
            let until = written.min(self.gate.advance(EVICT_MESSAGES).max(ring.head().next()));
            ring.release_range(self.gate, until.distance_from(self.gate));
            self.gate = until;
            if ring.fill_ratio() <= self.limits.low {
                self.spilling = false;
            }
        }
        assert!(self.gate <= self.staged && self.staged <= ring.next_offset() && self.kept <= self.staged);
    }
}

#[cfg(test)]
mod tests {
    use ring::{ChunkPool, PoolConfig, RingConfig};

    use super::*;

    fn ring() -> Ring {
        let pool = ChunkPool::new(PoolConfig {
            bytes_budget: 1 << 20,
            chunk_bytes: 4096,
        });
        let config = RingConfig {
            messages_max: 10_000,
            bytes_max: 1 << 20,
            chunk_bytes_first: 1024,
        };
        Ring::new(config, pool, Offset(0))
    }

    fn fill(ring: &mut Ring, count: usize) {
        for _ in 0..count {
            ring.try_append(&[b"record"]).unwrap();
        }
    }

    fn stage(journal: &mut Journal, ring: &Ring, max: usize) -> Vec<u64> {
        let mut taken = Vec::new();
        journal.stage(ring, false, |offset, _| {
            let room = taken.len() < max;
            if room {
                taken.push(offset.0);
            }
            room
        });
        taken
    }

    #[test]
    fn a_ring_that_large_messages_fill_spills_earlier() {
        let usual = SpillLimits::above(0.8);
        assert_eq!(usual.leaving_room(16 << 20, 128 << 20), usual);
        assert_eq!(usual.leaving_room(1 << 20, 2 << 20), SpillLimits::above(0.5));
        assert_eq!(usual.leaving_room(3 << 20, 2 << 20), SpillLimits::above(0.0));
    }

    #[test]
    fn a_durable_queue_hands_over_everything_that_is_not_settled() {
        let (mut ring, mut journal) = (ring(), Journal::new(true, SpillLimits::above(0.8), Offset(0)));
        fill(&mut ring, 5);
        ring.release(Offset(1));
        assert_eq!(stage(&mut journal, &ring, 2), [0, 2]);
        assert_eq!(journal.kept_through(Offset(0)), Offset(0));
        journal.progress(Offset(3), Offset(1));
        assert_eq!(journal.kept_through(Offset(0)), Offset(1));
        assert_eq!(
            journal.kept_through(Offset(2)),
            Offset(2),
            "settled is as good as kept"
        );
        ring.release(Offset(4));
        assert_eq!(stage(&mut journal, &ring, 9), [3]);
        journal.progress(Offset(4), Offset(4));
        assert_eq!(
            journal.kept_through(Offset(0)),
            Offset(5),
            "the last one was settled before it was written"
        );
        assert!(!journal.is_busy());
    }

    #[test]
    fn another_queue_spills_between_its_limits_and_only_what_is_written() {
        let (mut ring, mut journal) = (ring(), Journal::new(false, SpillLimits::above(0.8), Offset(0)));
        fill(&mut ring, 8000);
        assert_eq!(stage(&mut journal, &ring, usize::MAX), [] as [u64; 0]);
        fill(&mut ring, 1000);
        assert_eq!(stage(&mut journal, &ring, usize::MAX).len(), 9000);
        journal.evict(&mut ring);
        assert_eq!(journal.gate(), Offset(0), "nothing is written yet");
        journal.progress(Offset(2000), Offset(0));
        journal.evict(&mut ring);
        assert_eq!((journal.gate(), ring.len()), (Offset(2000), 7000));
        journal.progress(Offset(9000), Offset(0));
        journal.evict(&mut ring);
        assert_eq!((journal.gate(), ring.len()), (Offset(3024), 5976));
        fill(&mut ring, 1000);
        assert_eq!(
            stage(&mut journal, &ring, usize::MAX).len(),
            0,
            "6976 of 10000: between the limits"
        );
    }
}
