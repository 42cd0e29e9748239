//! The run's one time line: nanoseconds since the run's epoch.
//!
//! Every instant in the generator (schedules, stamps, phases, series) is a `u64` count of nanoseconds from
//! the same monotonic `Instant`, so that two instants can be subtracted whoever read them.

use std::time::{Duration, Instant};

/// A monotonic clock that counts nanoseconds from the run's epoch.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Starts the time line: the epoch is the moment of this call.
    #[must_use]
    pub fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        duration_ns(self.epoch.elapsed())
    }

    /// The `Instant` that lies `ns` nanoseconds after the epoch.
    #[must_use]
    pub fn instant_at(&self, ns: u64) -> Instant {
        self.epoch + Duration::from_nanos(ns)
    }
}

/// A duration in whole nanoseconds; durations beyond 584 years saturate.
#[must_use]
pub fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_from_the_epoch_and_back_to_instants() {
        let clock = Clock::start();
        let first = clock.now_ns();
        let second = clock.now_ns();
        assert!(second >= first);
        assert_eq!(
            clock.instant_at(1_000) - clock.instant_at(0),
            Duration::from_micros(1)
        );
        assert_eq!(duration_ns(Duration::MAX), u64::MAX);
    }
}
