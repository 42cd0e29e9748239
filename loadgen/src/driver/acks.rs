//! A consumer's acknowledgements in batches, and the slowness of consumers that have work to do.
//!
//! A slow consumer works its deliveries off one after the other, each for its time, and acknowledges only what is
//! done. With a prefetch limit that is what slows the broker down, as with a consumer in real life.

use std::collections::VecDeque;

use crate::work::WorkTimes;

/// Acknowledges every `every` deliveries, or what there is when the oldest has waited for `flush_ns`.
#[derive(Debug)]
pub(super) struct AckBatch {
    mode: Mode,
    every: u32,
    flush_ns: u64,
    pending: u32,
    pending_since_ns: u64,
    last_tag: u64,
    work: Work,
}

/// What happens to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It is done at once.
    Instant,
    /// It takes its time.
    Slow,
    /// The broker expects no acks.
    Off,
}

/// Deliveries that are being worked off, by a consumer that does one after the other.
#[derive(Debug, Default)]
struct Work {
    times: Option<WorkTimes>,
    /// When the last delivery will be done. Fractions of a nanosecond add up over a run.
    free_ns: f64,
    /// Tag and instant at which it is done, in order; at most as many as the prefetch limit.
    undone: VecDeque<(u64, u64)>,
}

/// An acknowledgement to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    /// The delivery tag that it names.
    pub(super) tag: u64,
    /// Whether it settles all lower tags, too.
    pub(super) multiple: bool,
    /// Deliveries that it settles.
    pub(super) count: u64,
}

impl AckBatch {
    /// Batches of `every` deliveries (0: no acks) with a flush timer (0: after every read). `work`: how long the
    /// consumer works on each message.
    pub(super) fn new(every: u16, flush_ms: u32, work: Option<WorkTimes>) -> Self {
        Self {
            mode: match (every, &work) {
                (0, _) => Mode::Off,
                (_, None) => Mode::Instant,
                (_, Some(_)) => Mode::Slow,
            },
            every: u32::from(every),
            flush_ns: u64::from(flush_ms) * 1_000_000,
            pending: 0,
            pending_since_ns: 0,
            last_tag: 0,
            work: Work {
                times: work,
                ..Work::default()
            },
        }
    }

    /// Whether the broker settles on delivery.
    pub(super) fn is_off(&self) -> bool {
        self.mode == Mode::Off
    }

    /// Books a delivery; the ack that completes a batch.
    pub(super) fn delivered(&mut self, tag: u64, now_ns: u64) -> Option<Ack> {
        if self.mode != Mode::Instant {
            return self.set_to_work(tag, now_ns);
        }
        self.done(tag, now_ns)
    }

    #[cold]
    fn set_to_work(&mut self, tag: u64, now_ns: u64) -> Option<Ack> {
        if self.mode == Mode::Slow {
            let work = &mut self.work;
            let work_ns = work.times.as_mut().map_or(0.0, WorkTimes::next_ns);
            work.free_ns = work.free_ns.max(now_ns as f64) + work_ns;
            work.undone.push_back((tag, work.free_ns as u64));
        }
        None
    }

    #[inline]
    fn done(&mut self, tag: u64, now_ns: u64) -> Option<Ack> {
        if self.pending == 0 {
            self.pending_since_ns = now_ns;
        }
        self.last_tag = tag;
        self.pending += 1;
        if self.pending < self.every {
            None
        } else {
            self.flush()
        }
    }

    /// The load is over: whatever is still being worked on is done, and nothing takes time any more.
    pub(super) fn hurry(&mut self) {
        if self.mode != Mode::Slow {
            return;
        }
        self.mode = Mode::Instant;
        if let Some((tag, _)) = self.work.undone.back() {
            self.last_tag = *tag;
            self.pending += self.work.undone.len() as u32;
            self.work.undone.clear();
        }
    }

    /// Of what is due at `now_ns`: the next ack, until there is none. It settles at most one batch.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<Ack> {
        while let Some(&(tag, done_ns)) = self.work.undone.front().filter(|(_, done_ns)| *done_ns <= now_ns) {
            self.work.undone.pop_front();
            if let Some(ack) = self.done(tag, done_ns) {
                return Some(ack);
            }
        }
        let is_due = self.pending > 0 && self.pending_since_ns + self.flush_ns <= now_ns;
        if is_due { self.flush() } else { None }
    }

    /// The ack of everything done.
    pub(super) fn flush(&mut self) -> Option<Ack> {
        let count = u64::from(std::mem::take(&mut self.pending));
        (count > 0).then_some(Ack {
            tag: self.last_tag,
            multiple: count > 1,
            count,
        })
    }

    /// When [`AckBatch::due`] is to be asked at the latest; `None` when nothing waits for an ack.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let flush_ns = (self.pending > 0).then(|| self.pending_since_ns + self.flush_ns);
        if self.mode != Mode::Slow {
            return flush_ns;
        }
        // A batch is complete when its last delivery is done; with fewer, the timer of the first one that is done counts.
        let missing = (self.every - self.pending) as usize;
        let batch_ns = self.work.undone.get(missing - 1).map(|(_, done_ns)| *done_ns);
        let timer_ns = flush_ns.or_else(|| {
            let first = self.work.undone.front();
            first.map(|(_, done_ns)| done_ns + self.flush_ns)
        });
        match (batch_ns, timer_ns) {
            (Some(batch_ns), Some(timer_ns)) => Some(batch_ns.min(timer_ns)),
            (batch_ns, timer_ns) => batch_ns.or(timer_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn ack(tag: u64, count: u64) -> Option<Ack> {
        Some(Ack {
            tag,
            multiple: count > 1,
            count,
        })
    }

    #[test]
    fn acknowledges_each_batch_cumulatively_and_the_rest_by_timer() {
        let mut batch = AckBatch::new(3, 1, None);
        let acks: Vec<_> = (1..=7).map(|tag| batch.delivered(tag, tag * 10)).collect();
        assert_eq!(acks, [None, None, ack(3, 3), None, None, ack(6, 3), None]);
        assert_eq!(batch.due_ns(), Some(1_000_070));
        assert_eq!(batch.due(1_000_069), None);
        assert_eq!(batch.due(1_000_070), ack(7, 1));
        assert_eq!((batch.due_ns(), batch.flush()), (None, None));
    }

    #[test]
    fn single_acks_and_no_acks() {
        assert_eq!(AckBatch::new(1, 1, None).delivered(4, 0), ack(4, 1));
        let mut off = AckBatch::new(0, 1, None);
        assert_eq!((off.delivered(4, 0), off.due_ns()), (None, None));
        assert!(off.is_off());
    }

    #[test]
    fn a_slow_consumer_acknowledges_what_it_has_worked_off() {
        // 2 ms a message: five deliveries at 0 are done at 2, 4, 6, 8 and 10 ms.
        let mut batch = AckBatch::new(2, 3, Some(WorkTimes::constant(2.0 * MS as f64)));
        for tag in 1..=5 {
            assert_eq!(batch.delivered(tag, 0), None);
        }
        assert_eq!((batch.due_ns(), batch.due(4 * MS - 1)), (Some(4 * MS), None));
        assert_eq!(batch.due(8 * MS), ack(2, 2));
        assert_eq!((batch.due(8 * MS), batch.due(8 * MS)), (ack(4, 2), None));
        // The fifth makes no batch: its timer runs from when it is done.
        assert_eq!(batch.due_ns(), Some(13 * MS));
        assert_eq!((batch.due(12 * MS), batch.due(13 * MS)), (None, ack(5, 1)));
        // After a rest the next one takes its full time.
        batch.delivered(6, 50 * MS);
        batch.delivered(7, 50 * MS);
        assert_eq!(batch.due_ns(), Some(54 * MS));
    }

    #[test]
    fn in_a_hurry_nothing_takes_time() {
        let mut batch = AckBatch::new(2, 1, Some(WorkTimes::constant(1e12)));
        for tag in 1..=5 {
            batch.delivered(tag, 0);
        }
        batch.hurry();
        assert_eq!(batch.flush(), ack(5, 5));
        assert_eq!((batch.delivered(6, 0), batch.delivered(7, 0)), (None, ack(7, 2)));
        assert_eq!(batch.due_ns(), None);
    }

    #[test]
    fn a_rate_is_kept_however_the_timer_is_served() {
        // 333,333 ns a message, a prefetch limit of 10, and a timer that is served every 7 ms at best.
        let (prefetch, mut batch) = (10, AckBatch::new(4, 5, Some(WorkTimes::constant(1e9 / 3_000.0))));
        let (mut tag, mut settled, mut now_ns) = (0, 0, 0);
        while now_ns < 10_000 * MS {
            while tag < settled + prefetch {
                tag += 1;
                assert_eq!(batch.delivered(tag, now_ns), None);
            }
            now_ns += 1_300_000;
            while let Some(ack) = batch.due(now_ns) {
                settled += ack.count;
            }
        }
        // 30,000 in 10 s, less what it rests while everything done waits for its ack; never more.
        assert!((20_000..=30_000).contains(&settled), "{settled}");
    }
}
