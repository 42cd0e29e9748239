//! The run's one time line: nanoseconds since the run's epoch.
//!
//! Every instant in the generator (schedules, stamps, phases, series) is a `u64` count of nanoseconds from
//! the same monotonic `Instant`, so that two instants can be subtracted whoever read them.

use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that counts nanoseconds from the run's epoch.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
    /// The epoch on CLOCK_MONOTONIC, in ns.
    epoch_monotonic_ns: u64,
    /// The epoch in Unix time, in ns.
    epoch_unix_ns: u64,
}

impl Clock {
    /// Starts the time line: the epoch is the moment of this call.
    #[must_use]
    pub fn start() -> Self {
        let epoch = Instant::now();
        let monotonic = clock_gettime(ClockId::Monotonic);
        let monotonic = Duration::new(
            u64::try_from(monotonic.tv_sec).unwrap_or(0),
            u32::try_from(monotonic.tv_nsec).unwrap_or(0),
        );
        let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            epoch,
            epoch_monotonic_ns: duration_ns(monotonic),
            epoch_unix_ns: duration_ns(unix),
        }
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        duration_ns(self.epoch.elapsed())
    }

    /// The instant `ns` after the epoch as other processes of this machine see it: on CLOCK_MONOTONIC, in ns.
    #[must_use]
    pub fn monotonic_ns(&self, ns: u64) -> u64 {
        self.epoch_monotonic_ns + ns
    }

    /// The instant `ns` after the epoch in Unix time, in ms; steps of the wall clock since the epoch are not followed.
    #[must_use]
    pub fn unix_ms(&self, ns: u64) -> u64 {
        (self.epoch_unix_ns + ns) / 1_000_000
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
