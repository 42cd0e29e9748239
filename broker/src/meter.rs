//! What is published per second, held against a rate: a token bucket for messages and one for bytes.
//!
//! A bucket holds a second's worth at most, so that a short burst passes and the mean over any longer time keeps to the rate. What is
//! taken may be more than there is: the rest is owed, and nothing more passes until it is paid.

use std::time::{Duration, Instant};

/// What may be published in a second; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishRate {
    /// Messages.
    pub messages: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

impl PublishRate {
    /// No limit at all.
    pub fn is_unlimited(self) -> bool {
        self == PublishRate::default()
    }

    /// What may be published in a hundredth of a second, at least one message and one byte, and at most so much.
    pub fn quantum(self, messages_max: u64, bytes_max: u64) -> PublishRate {
        let share = |rate: u64, max: u64| if rate == 0 { 0 } else { (rate / 100).clamp(1, max) };
        PublishRate {
            messages: share(self.messages, messages_max),
            bytes: share(self.bytes, bytes_max),
        }
    }

    /// The stricter of both.
    pub fn min(self, other: PublishRate) -> PublishRate {
        let stricter = |one: u64, other: u64| match (one, other) {
            (0, rate) | (rate, 0) => rate,
            _ => one.min(other),
        };
        PublishRate {
            messages: stricter(self.messages, other.messages),
            bytes: stricter(self.bytes, other.bytes),
        }
    }
}

/// The smallest publish: a method frame with two empty names, and a content header frame without properties or body.
const PUBLISH_BYTES_MIN: u64 = 39;

/// See the module documentation.
#[derive(Debug)]
pub struct Meter {
    rate: PublishRate,
    messages: Bucket,
    bytes: Bucket,
}

impl Meter {
    /// One that nothing has passed yet.
    pub fn new(rate: PublishRate, now: Instant) -> Meter {
        Meter {
            rate,
            messages: Bucket::new(rate.messages, now),
            bytes: Bucket::new(rate.bytes, now),
        }
    }

    /// What may pass in a second.
    pub fn rate(&self) -> PublishRate {
        self.rate
    }

    /// Whatever is in so many bytes of frames may pass at once.
    pub fn covers(&mut self, bytes: u64, now: Instant) -> bool {
        self.messages.holds(bytes / PUBLISH_BYTES_MIN, now) && self.bytes.holds(bytes, now)
    }

    /// True when so much may pass now.
    pub fn holds(&mut self, messages: u64, bytes: u64, now: Instant) -> bool {
        self.messages.holds(messages, now) && self.bytes.holds(bytes, now)
    }

    /// Time until nothing is owed.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.messages.wait(now).max(self.bytes.wait(now))
    }

    /// So much was taken and has not passed.
    pub fn give_back(&mut self, messages: u64, bytes: u64) {
        self.messages.tokens += messages as f64;
        self.bytes.tokens += bytes as f64;
    }

    /// So much passes.
    pub fn take(&mut self, messages: u64, bytes: u64, now: Instant) {
        self.messages.take(messages, now);
        self.bytes.take(bytes, now);
    }
}

/// Tokens that come at a rate.
#[derive(Debug)]
struct Bucket {
    /// A second; 0: without end.
    rate: u64,
    /// Negative: owed.
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: u64, now: Instant) -> Bucket {
        Bucket {
            rate,
            tokens: rate as f64,
            at: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let rate = self.rate as f64;
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(rate);
        self.at = self.at.max(now);
    }

    fn holds(&mut self, count: u64, now: Instant) -> bool {
        self.fill(now);
        self.rate == 0 || self.tokens >= count as f64
    }

    fn wait(&mut self, now: Instant) -> Duration {
        match self.holds(0, now) {
            true => Duration::ZERO,
            false => Duration::from_secs_f64(-self.tokens / self.rate as f64),
        }
    }

    fn take(&mut self, count: u64, now: Instant) {
        self.fill(now);
        self.tokens -= count as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn meter(messages: u64, bytes: u64) -> (Meter, Instant) {
        let now = Instant::now();
        (Meter::new(PublishRate { messages, bytes }, now), now)
    }

    #[test]
    fn a_second_s_worth_passes_at_once_and_then_as_much_as_the_rate_says() {
        let (mut meter, start) = meter(10, 0);
        for _ in 0..10 {
            assert!(meter.holds(1, 1_000_000, start));
            meter.take(1, 1_000_000, start);
        }
        assert!(!meter.holds(1, 0, start));
        // Looked at every 10 ms for ten seconds.
        let mut passed = 0;
        for step in 1..=1000 {
            let now = start + SECOND / 100 * step;
            while meter.holds(1, 0, now) {
                meter.take(1, 0, now);
                passed += 1;
            }
        }
        assert!((99..=100).contains(&passed), "{passed}");
        // An hour without a message is worth a second.
        let later = start + 3600 * SECOND;
        assert!(meter.covers(10 * PUBLISH_BYTES_MIN, later) && !meter.covers(11 * PUBLISH_BYTES_MIN, later));
    }

    #[test]
    fn what_is_taken_beyond_the_rate_is_owed() {
        let (mut meter, start) = meter(0, 1000);
        meter.take(1, 5000, start);
        assert_eq!(meter.wait(start), 4 * SECOND);
        assert_eq!(meter.wait(start + 3 * SECOND), SECOND);
        assert_eq!(meter.wait(start + 4 * SECOND), Duration::ZERO);
    }

    #[test]
    fn what_did_not_pass_can_be_given_back() {
        let (mut meter, start) = meter(10, 1000);
        meter.take(20, 2000, start);
        meter.give_back(10, 1000);
        assert_eq!(meter.wait(start), Duration::ZERO);
        meter.give_back(100, 10_000);
        // Never more than a second's worth.
        assert!(meter.holds(10, 1000, start) && !meter.holds(11, 0, start) && !meter.holds(0, 1001, start));
    }

    #[test]
    fn the_slower_of_both_decides_and_no_rate_is_no_limit() {
        let (mut both, start) = meter(1, 1_000_000);
        both.take(3, 10, start);
        assert_eq!(both.wait(start), 2 * SECOND);
        let (mut none, start) = meter(0, 0);
        none.take(u64::MAX, u64::MAX, start);
        assert!(none.covers(u64::MAX, start) && none.wait(start) == Duration::ZERO);
        assert!(none.rate().is_unlimited());
    }

    #[test]
    fn a_quantum_is_a_hundredth_of_what_is_limited() {
        let rate = |messages, bytes| PublishRate { messages, bytes };
        assert_eq!(rate(5000, 0).quantum(64, 64), rate(50, 0));
        assert_eq!(rate(5000, 99).quantum(32, 64), rate(32, 1));
        assert_eq!(rate(5, 0).min(rate(7, 9)), rate(5, 9));
        assert_eq!(rate(0, 8).min(rate(0, 0)), rate(0, 8));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_twice() {
        let (mut meter, start) = meter(10, 0);
        meter.take(11, 0, start + SECOND);
        assert_ne!(meter.wait(start), Duration::ZERO);
        assert_ne!(meter.wait(start + SECOND), Duration::ZERO);
    }
}
