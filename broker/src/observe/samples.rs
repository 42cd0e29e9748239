//! The messages of one queue whose way is timed: every 1024th offset, a few at a time.
//!
//! No message carries a time stamp for this, and none is looked at: a batch of publishes compares its first and last offset, and
//! a dispatch and a settlement ask whether any sample is under way. Only what is sampled reads a clock or writes a histogram.
//! Queues that do not deliver in the order of offsets (priorities, delays) are not sampled.

use ring::{Offset, SettledSet};

use super::stages::{Stage, Stages};

/// One message in so many is timed.
pub const SAMPLE_EVERY: u64 = 1024;
/// Samples of one queue that are under way at a time; further ones are let go.
const UNDER_WAY_MAX: usize = 16;

/// See the module documentation. All times are Unix times in microseconds.
#[derive(Debug, Default)]
pub struct Samples {
    under_way: Vec<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    offset: Offset,
    placed_us: u64,
    written: bool,
    kept: bool,
    delivered_us: Option<u64>,
}

/// How far a queue has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Handed to the log at all: what was settled before is never written.
    pub staged: Offset,
    /// In the log below.
    pub written: Offset,
    /// Kept below.
    pub kept: Offset,
    /// Delivered below.
    pub cursor: Offset,
}

impl Samples {
    /// True when nothing is timed now.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// The offset among those from `first` to before `next` that is to be timed, if there is one.
    #[inline]
    pub fn chosen(first: Offset, next: Offset) -> Option<Offset> {
        let chosen = first.0.next_multiple_of(SAMPLE_EVERY);
        (chosen < next.0).then_some(Offset(chosen))
    }

    /// Begins to time a message that came with the read at `read_us`, unless the broker itself has sent it.
    #[cold]
    pub fn begin(&mut self, offset: Offset, read_us: Option<u64>, now_us: u64, stages: &Stages) {
        if let Some(read_us) = read_us {
            stages.record(Stage::ReadToRing, now_us.saturating_sub(read_us));
        }
        if self.under_way.len() < UNDER_WAY_MAX {
            self.under_way.push(Sample {
                offset,
                placed_us: now_us,
                written: false,
                kept: false,
                delivered_us: None,
            });
        }
    }

    /// The queue has come so far.
    #[cold]
    pub fn progress(&mut self, progress: Progress, settled: &SettledSet, now_us: u64, stages: &Stages) {
        for sample in &mut self.under_way {
            let since_placed = now_us.saturating_sub(sample.placed_us);
            if !sample.written && sample.offset < progress.written.min(progress.staged) {
                sample.written = true;
                stages.record(Stage::RingToWritten, since_placed);
            }
            if !sample.kept && sample.offset < progress.kept.min(progress.staged) {
                sample.kept = true;
                stages.record(Stage::RingToKept, since_placed);
            }
            if sample.delivered_us.is_none() && sample.offset < progress.cursor {
                sample.delivered_us = Some(now_us);
                stages.record(Stage::RingToDelivered, since_placed);
            }
        }
        self.settle(settled, || now_us, stages);
    }

    /// Something was settled. The clock is read only when it was a sample.
    #[cold]
    pub fn settle(&mut self, settled: &SettledSet, now_us: impl Fn() -> u64, stages: &Stages) {
        self.under_way.retain(|sample| {
            let is_settled = settled.is_settled(sample.offset);
            if let Some(delivered_us) = sample.delivered_us.filter(|_| is_settled) {
                stages.record(Stage::DeliveredToSettled, now_us().saturating_sub(delivered_us));
            }
            !is_settled
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the stages that a message passes, from its read on.
    fn counts(stages: &Stages) -> [(u64, u64); 5] {
        std::array::from_fn(|index| {
            let view = stages.histogram(Stage::ALL[1 + index]).view();
            (view.count(), view.sum)
        })
    }

    #[test]
    fn one_offset_in_1024_is_chosen() {
        assert_eq!(Samples::chosen(Offset(0), Offset(1)), Some(Offset(0)));
        assert_eq!(Samples::chosen(Offset(1), Offset(1024)), None);
        assert_eq!(Samples::chosen(Offset(1000), Offset(1030)), Some(Offset(1024)));
        assert_eq!(
            Samples::chosen(Offset(1024), Offset(1024)),
            None,
            "an empty batch"
        );
    }

    #[test]
    fn each_stage_is_counted_once() {
        let (stages, mut samples) = (Stages::default(), Samples::default());
        let mut settled = SettledSet::new(Offset(0));
        samples.begin(Offset(0), Some(100), 103, &stages);
        assert_eq!(counts(&stages)[0], (1, 3));
        let nowhere = Progress {
            staged: Offset(0),
            written: Offset(0),
            kept: Offset(0),
            cursor: Offset(0),
        };
        samples.progress(nowhere, &settled, 110, &stages);
        assert_eq!(counts(&stages)[1..], [(0, 0); 4]);
        let written = Progress {
            staged: Offset(1),
            written: Offset(1),
            ..nowhere
        };
        samples.progress(written, &settled, 113, &stages);
        samples.progress(written, &settled, 120, &stages);
        let all = Progress {
            kept: Offset(1),
            cursor: Offset(1),
            ..written
        };
        samples.progress(all, &settled, 123, &stages);
        assert!(!samples.is_idle());
        settled.settle(Offset(0));
        samples.settle(&settled, || 150, &stages);
        assert!(samples.is_idle());
        assert_eq!(counts(&stages), [(1, 3), (1, 10), (1, 20), (1, 20), (1, 27)]);
    }

    #[test]
    fn what_goes_without_a_delivery_ends_its_sample() {
        let (stages, mut samples) = (Stages::default(), Samples::default());
        let mut settled = SettledSet::new(Offset(0));
        for index in 0..2 * UNDER_WAY_MAX as u64 {
            samples.begin(Offset(index * SAMPLE_EVERY), None, 1, &stages);
        }
        assert_eq!(samples.under_way.len(), UNDER_WAY_MAX);
        settled.settle_range(Offset(0), 64 * SAMPLE_EVERY);
        samples.settle(&settled, || 5, &stages);
        assert!(samples.is_idle());
        assert_eq!(counts(&stages)[4], (0, 0));
    }
}
