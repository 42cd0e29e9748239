//! The run's phases, shared by the conductor (which starts and interrupts them) and the driver (which obeys).
//!
//! A phase is a pure function of the clock and of four instants fixed when the load begins. So nothing depends on
//! when the conductor's thread happens to be scheduled, and a driver finds the phase of any instant, not only of now.
//! Afterwards the instants only ever move earlier: by an interrupt, or because a counted run has done its work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, duration_ns};
use crate::outages::Outages;

/// An instant that has not been set yet.
const UNSET: u64 = u64::MAX;

/// The part of the run that an instant belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections and topology are being made; no message is sent.
    Connect,
    /// Load runs but is not measured.
    WarmUp,
    /// Load runs and is measured.
    Measure,
    /// No new message becomes due; what is on its way is awaited.
    Drain,
    /// The drain's deadline has passed: what has not arrived is lost.
    Done,
}

/// The shared controls of one run.
///
/// All instants are published by the release store of `start_ns` in [`Control::begin`] and read after the acquire
/// load of it in [`Control::phase_at`].
#[derive(Debug)]
pub struct Control {
    clock: Clock,
    connected: AtomicBool,
    interrupted: AtomicBool,
    start_ns: AtomicU64,
    measure_start_ns: AtomicU64,
    measure_end_ns: AtomicU64,
    measure_ns: AtomicU64,
    drain_ns: AtomicU64,
    deadline_ns: AtomicU64,
    outages: Outages,
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

impl Control {
    /// Starts the run's clock, in [`Phase::Connect`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Clock::start(),
            connected: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            start_ns: AtomicU64::new(UNSET),
            measure_start_ns: AtomicU64::new(UNSET),
            measure_end_ns: AtomicU64::new(UNSET),
            measure_ns: AtomicU64::new(0),
            drain_ns: AtomicU64::new(0),
            deadline_ns: AtomicU64::new(UNSET),
            outages: Outages::default(),
        }
    }

    /// What conductor and driver tell each other of the broker's kills.
    #[must_use]
    pub fn outages(&self) -> &Outages {
        &self.outages
    }

    /// The run's time line.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The driver reports that every connection is open and the topology stands.
    pub fn connected(&self) {
        self.connected.store(true, Ordering::Release);
    }

    /// Whether the driver has reported that it is ready for load.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// The conductor starts the load now: warm-up, then measure, then a drain of at most `drain`.
    pub fn begin(&self, warmup: Duration, measure: Duration, drain: Duration) {
        let start_ns = self.clock.now_ns();
        let measure_start_ns = start_ns + duration_ns(warmup);
        let measure_end_ns = measure_start_ns + duration_ns(measure);
        self.measure_start_ns.store(measure_start_ns, Ordering::Relaxed);
        self.measure_end_ns.store(measure_end_ns, Ordering::Relaxed);
        self.measure_ns.store(duration_ns(measure), Ordering::Relaxed);
        self.drain_ns.store(duration_ns(drain), Ordering::Relaxed);
        self.deadline_ns
            .store(measure_end_ns + duration_ns(drain), Ordering::Relaxed);
        self.start_ns.store(start_ns, Ordering::Release);
    }

    /// The driver has filled the backlog before the warm-up's limit: the window opens now.
    pub fn open_window(&self) {
        let now_ns = self.clock.now_ns();
        self.measure_start_ns.fetch_min(now_ns, Ordering::Relaxed);
        self.end_load(now_ns + self.measure_ns.load(Ordering::Relaxed));
    }

    /// The driver has done its counted work before the window's limit: the window closes now.
    pub fn close_window(&self) {
        self.end_load(self.clock.now_ns());
    }

    fn end_load(&self, end_ns: u64) {
        self.measure_end_ns.fetch_min(end_ns, Ordering::Relaxed);
        self.deadline_ns
            .fetch_min(end_ns + self.drain_ns.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The first call ends the load now and drains; a second one gives up the drain as well.
    pub fn interrupt(&self) {
        let now_ns = self.clock.now_ns();
        if self.interrupted.swap(true, Ordering::AcqRel) {
            self.deadline_ns.fetch_min(now_ns, Ordering::Relaxed);
        } else if self.start_ns() != UNSET && now_ns < self.measure_end_ns.load(Ordering::Relaxed) {
            self.measure_start_ns.fetch_min(now_ns, Ordering::Relaxed);
            self.end_load(now_ns);
        }
    }

    /// Whether the run was cut short by hand.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// The instant at which the load began, or `None` while connecting.
    #[must_use]
    pub fn started_ns(&self) -> Option<u64> {
        Some(self.start_ns()).filter(|&start| start != UNSET)
    }

    /// The measured window, `[start, end)`. Before the load begins both are at the end of time.
    #[must_use]
    pub fn measure_window(&self) -> (u64, u64) {
        self.start_ns();
        (
            self.measure_start_ns.load(Ordering::Relaxed),
            self.measure_end_ns.load(Ordering::Relaxed),
        )
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase_at(self.clock.now_ns())
    }

    /// The phase at an instant.
    #[must_use]
    pub fn phase_at(&self, now_ns: u64) -> Phase {
        if self.start_ns() == UNSET {
            return Phase::Connect;
        }
        let (start, end) = self.measure_window();
        if now_ns < start {
            Phase::WarmUp
        } else if now_ns < end {
            Phase::Measure
        } else if now_ns < self.deadline_ns.load(Ordering::Relaxed) {
            Phase::Drain
        } else {
            Phase::Done
        }
    }

    fn start_ns(&self) -> u64 {
        self.start_ns.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn phases_follow_the_instants_fixed_at_the_beginning() {
        let control = Control::new();
        assert_eq!(control.phase_at(u64::MAX - 1), Phase::Connect);
        assert_eq!(control.started_ns(), None);
        control.begin(
            Duration::from_secs(10),
            Duration::from_secs(60),
            Duration::from_secs(5),
        );
        let start = control.started_ns().unwrap();
        assert_eq!(control.phase_at(start), Phase::WarmUp);
        assert_eq!(control.phase_at(start + 10 * SECOND_NS), Phase::Measure);
        assert_eq!(control.phase_at(start + 70 * SECOND_NS - 1), Phase::Measure);
        assert_eq!(control.phase_at(start + 70 * SECOND_NS), Phase::Drain);
        assert_eq!(control.phase_at(start + 75 * SECOND_NS), Phase::Done);
        assert_eq!(
            control.measure_window(),
            (start + 10 * SECOND_NS, start + 70 * SECOND_NS)
        );
    }

    #[test]
    fn counted_work_ends_fill_and_window_early() {
        let control = Control::new();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        control.begin(minutes(1), minutes(2), minutes(3));
        let limits = control.measure_window();
        assert_eq!(control.phase(), Phase::WarmUp);
        control.open_window();
        let (start, end) = control.measure_window();
        assert!(start < limits.0);
        assert!((end - start).abs_diff(120 * SECOND_NS) < SECOND_NS);
        assert_eq!(control.phase(), Phase::Measure);
        control.close_window();
        let (_, end) = control.measure_window();
        assert_eq!(control.phase(), Phase::Drain);
        assert_eq!(control.phase_at(end + 180 * SECOND_NS - 1), Phase::Drain);
        assert_eq!(control.phase_at(end + 180 * SECOND_NS), Phase::Done);
        // Too late to change anything.
        control.open_window();
        assert_eq!(control.measure_window(), (start, end));
        assert!(!control.interrupted());
    }

    #[test]
    fn an_interrupt_ends_the_load_and_a_second_one_the_drain() {
        let control = Control::new();
        control.begin(Duration::ZERO, Duration::from_secs(600), Duration::from_secs(600));
        assert_eq!(control.phase(), Phase::Measure);
        control.interrupt();
        assert!(control.interrupted());
        assert_eq!(control.phase(), Phase::Drain);
        control.interrupt();
        assert_eq!(control.phase(), Phase::Done);
    }

    #[test]
    fn an_interrupt_in_the_warm_up_leaves_an_empty_window() {
        let control = Control::new();
        control.begin(
            Duration::from_secs(600),
            Duration::from_secs(600),
            Duration::from_secs(600),
        );
        control.interrupt();
        let (start, end) = control.measure_window();
        assert_eq!(start, end);
        assert_eq!(control.phase(), Phase::Drain);
    }
}
