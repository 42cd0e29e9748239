//! How fast a queue moves, and how many messages one consumer may therefore get at a time.
//!
//! Dealing one message to each consumer in turn is fair and costs a system call a message; dealing long runs is
//! cheap, and a message at the end of a run waits for all before it while other consumers may be idle. How
//! long that wait is follows from what the consumers show: together they settle at the queue's pace, so each
//! needs at most consumers / pace for a message. A run is as long as fits into [`WAIT_US_MAX`] at that speed: one
//! message when the work takes milliseconds, hundreds when it takes microseconds.

/// A message waits behind the others of its run for about this long at most.
const WAIT_US_MAX: u64 = 1_000;
/// The pace is taken over windows of at least this length; after an idle time it is low again.
const WINDOW_US: u64 = 10_000;

/// Messages dealt over time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window_us: u64,
    dealt: u64,
    /// Messages per second in the last full window.
    per_second: u64,
}

impl Pace {
    /// Ends the window when it is due.
    pub(super) fn advance(&mut self, now_us: u64) {
        let elapsed_us = now_us.saturating_sub(self.window_us);
        if elapsed_us >= WINDOW_US {
            self.per_second = self.dealt * 1_000_000 / elapsed_us;
            self.dealt = 0;
            self.window_us = now_us;
        }
    }

    /// Counts messages dealt.
    pub(super) fn add(&mut self, dealt: usize) {
        self.dealt += dealt as u64;
    }

    /// Length of a run for one of `consumers`; at least one message.
    pub(super) fn run_len(&self, consumers: usize) -> usize {
        let run = self.per_second * WAIT_US_MAX / 1_000_000 / consumers.max(1) as u64;
        run.max(1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_ms: usize) -> Pace {
        let mut pace = Pace::default();
        for now_ms in 100..=120 {
            pace.advance(now_ms * 1000);
            pace.add(per_ms);
        }
        pace
    }

    #[test]
    fn runs_grow_with_the_speed_of_each_consumer() {
        assert_eq!(pace(1).run_len(20), 1, "1,000 a second: 20 ms of work a message");
        assert_eq!(pace(250).run_len(20), 12);
        assert_eq!(pace(250).run_len(1), 250);
        assert_eq!(pace(5000).run_len(20), 250);
    }

    #[test]
    fn a_queue_that_was_idle_starts_with_single_messages() {
        let mut pace = pace(5000);
        pace.advance(10_000_000);
        assert_eq!(pace.run_len(20), 1);
        assert_eq!(Pace::default().run_len(0), 1);
    }
}
