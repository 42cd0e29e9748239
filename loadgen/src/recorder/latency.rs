//! One worker's histograms of the second that is going on.

use hdrhistogram::Histogram;

/// The shortest latency told apart, in ns.
const LATENCY_NS_MIN: u64 = 1_000;
/// The longest latency told apart, in ns; longer ones are recorded as this and counted as saturated.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// An empty histogram of nanoseconds: 1 µs to 60 s at three significant digits.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, SIGNIFICANT_DIGITS)
        .expect("the bounds are valid")
}

/// What one worker recorded during (part of) a second.
#[derive(Clone, Debug)]
pub struct Second {
    /// Response latency of messages intended within the measured window.
    pub response: Histogram<u64>,
    /// Service latency of the same messages; empty when the run sends everything as intended.
    pub service: Histogram<u64>,
    /// Response latency of all other messages (warm-up, late in the drain): series only.
    pub response_outside: Histogram<u64>,
    /// Service latency of all other messages.
    pub service_outside: Histogram<u64>,
    /// Confirm latency of messages intended within the window.
    pub confirm: Histogram<u64>,
    /// Actual − intended send instant of messages intended within the window.
    pub schedule_lag: Histogram<u64>,
    /// Values above the histograms' range.
    pub saturated: u64,
    /// Messages sent while the window was open.
    pub published_in_window: u64,
    /// Messages received while the window was open.
    pub consumed_in_window: u64,
    /// Messages confirmed while the window was open.
    pub confirmed_in_window: u64,
}

impl Default for Second {
    fn default() -> Self {
        Self {
            response: histogram(),
            service: histogram(),
            response_outside: histogram(),
            service_outside: histogram(),
            confirm: histogram(),
            schedule_lag: histogram(),
            saturated: 0,
            published_in_window: 0,
            consumed_in_window: 0,
            confirmed_in_window: 0,
        }
    }
}

impl Second {
    /// Forgets everything, keeping the allocations.
    pub fn clear(&mut self) {
        let Self {
            response,
            service,
            response_outside,
            service_outside,
            confirm,
            schedule_lag,
            ..
        } = self;
        for histogram in [
            response,
            service,
            response_outside,
            service_outside,
            confirm,
            schedule_lag,
        ] {
            histogram.reset();
        }
        (self.saturated, self.published_in_window) = (0, 0);
        (self.consumed_in_window, self.confirmed_in_window) = (0, 0);
    }
}

/// Records one worker's latencies, in and outside the measured window.
#[derive(Debug)]
pub struct LatencyRecorder {
    /// `[start, end)` of the window, in ns since the run's epoch.
    window_ns: (u64, u64),
    /// Whether sends can lag behind their schedule, so that service latency differs from response latency.
    open_loop: bool,
    second: Second,
}

impl LatencyRecorder {
    /// A recorder for a run whose sends follow a schedule (`open_loop`) or the broker (saturating).
    #[must_use]
    pub fn new(open_loop: bool) -> Self {
        Self {
            window_ns: (u64::MAX, u64::MAX),
            open_loop,
            second: Second::default(),
        }
    }

    /// Sets the measured window; called when the load begins, and again when an interrupt shortens it.
    pub fn set_window(&mut self, window_ns: (u64, u64)) {
        self.window_ns = window_ns;
    }

    /// Whether an instant lies within the measured window.
    #[must_use]
    pub fn in_window(&self, instant_ns: u64) -> bool {
        (self.window_ns.0..self.window_ns.1).contains(&instant_ns)
    }

    /// Records the receipt of a message at `now_ns`.
    pub fn received(&mut self, intended_ns: u64, sent_ns: u64, now_ns: u64) {
        let measured = self.in_window(intended_ns);
        let second = &mut self.second;
        let (response, service) = if measured {
            (&mut second.response, &mut second.service)
        } else {
            (&mut second.response_outside, &mut second.service_outside)
        };
        second.saturated += record(response, now_ns.saturating_sub(intended_ns), 1);
        if self.open_loop {
            second.saturated += record(service, now_ns.saturating_sub(sent_ns), 1);
        }
    }

    /// Counts `count` deliveries that arrived at `now_ns`.
    pub fn consumed(&mut self, count: u64, now_ns: u64) {
        if self.in_window(now_ns) {
            self.second.consumed_in_window += count;
        }
    }

    /// Records a message that was due at `intended_ns` and sent at `sent_ns`.
    pub fn sent(&mut self, intended_ns: u64, sent_ns: u64) {
        if self.open_loop && self.in_window(intended_ns) {
            record(
                &mut self.second.schedule_lag,
                sent_ns.saturating_sub(intended_ns),
                1,
            );
        }
    }

    /// Counts `count` messages sent at `now_ns`.
    pub fn published(&mut self, count: u64, now_ns: u64) {
        if self.in_window(now_ns) {
            self.second.published_in_window += count;
        }
    }

    /// Records `count` confirms that arrived at `now_ns` for messages sent at `sent_ns`; `measured` says whether they
    /// were intended within the window.
    pub fn confirmed(&mut self, count: u64, sent_ns: u64, measured: bool, now_ns: u64) {
        if measured {
            self.second.saturated += record(&mut self.second.confirm, now_ns.saturating_sub(sent_ns), count);
        }
        if self.in_window(now_ns) {
            self.second.confirmed_in_window += count;
        }
    }

    /// Hands over what was recorded since the last call, and starts anew in `empty` (which is cleared first).
    pub fn take_second(&mut self, empty: &mut Second) {
        empty.clear();
        std::mem::swap(&mut self.second, empty);
    }
}

/// Records a latency `count` times; returns how many of them were above the range.
fn record(histogram: &mut Histogram<u64>, latency_ns: u64, count: u64) -> u64 {
    histogram.saturating_record_n(latency_ns, count);
    if latency_ns > LATENCY_NS_MAX { count } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(recorder: &mut LatencyRecorder) -> Second {
        let mut second = Second::default();
        recorder.take_second(&mut second);
        second
    }

    #[test]
    fn the_intended_instant_decides_what_is_measured() {
        let mut recorder = LatencyRecorder::new(true);
        recorder.set_window((1_000_000, 2_000_000));
        recorder.received(999_999, 1_500_000, 1_600_000); // Intended before the window, handled within it.
        recorder.received(1_000_000, 1_500_000, 3_000_000); // Intended within, received after.
        recorder.received(2_000_000, 2_000_000, 2_100_000); // The end is exclusive.
        let second = taken(&mut recorder);
        assert_eq!((second.response.len(), second.response_outside.len()), (1, 2));
        assert!(second.response.max().abs_diff(2_000_000) <= 2_000);
        assert!(second.service.max().abs_diff(1_500_000) <= 2_000);
    }

    #[test]
    fn counts_follow_the_instant_of_the_event() {
        let mut recorder = LatencyRecorder::new(true);
        recorder.set_window((10, 20));
        for now in [9, 10, 19, 20] {
            recorder.consumed(3, now);
            recorder.published(5, now);
            recorder.confirmed(7, 0, false, now);
        }
        let second = taken(&mut recorder);
        assert_eq!((second.consumed_in_window, second.published_in_window), (6, 10));
        assert_eq!((second.confirmed_in_window, second.confirm.len()), (14, 0));
    }

    #[test]
    fn a_second_is_taken_once() {
        let mut recorder = LatencyRecorder::new(false);
        recorder.set_window((0, 100));
        recorder.received(1, 1, 5_000);
        assert_eq!(taken(&mut recorder).response.len(), 1);
        assert_eq!(taken(&mut recorder).response.len(), 0);
    }

    #[test]
    fn too_long_latencies_saturate_and_are_counted() {
        let mut recorder = LatencyRecorder::new(true);
        recorder.set_window((0, 100));
        recorder.received(0, 0, 100 * LATENCY_NS_MAX);
        recorder.confirmed(4, 0, true, 100 * LATENCY_NS_MAX);
        let second = taken(&mut recorder);
        assert_eq!(second.saturated, 6);
        assert_eq!(second.confirm.len(), 4);
    }
}
