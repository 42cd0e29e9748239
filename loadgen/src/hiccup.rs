//! Pauses of the machine, as any program on it meets them: the hiccup meter.
//!
//! A thread of its own, at normal priority, sleeps for a millisecond over and over and records how much later than intended
//! it woke, after Gil Tene's jHiccup. It does no work that could delay it, so whatever it waits for is the machine's: other
//! threads on every core, the hypervisor, an interrupt. The histogram is corrected for coordinated omission: a pause of
//! 100 ms counts as 100 ms, 99 ms, 98 ms …, for it would have met a sleeper at any of these instants.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::{Control, Phase};

/// The intended sleep.
const SLEEP_NS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// Longer pauses count as this long.
const PAUSE_NS_MAX: u64 = 60 * SECOND_NS;

/// How long the machine paused, in µs beyond an intended sleep of 1 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HiccupUs {
    /// Median: what the kernel's timer is late by on this machine, at rest.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p99_9: f64,
    /// Longest pause.
    pub max: f64,
}

impl HiccupUs {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max() as f64 / 1e3,
        })
    }
}

/// One second of the series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HiccupSecond {
    /// Its end, in ns since the run's epoch.
    pub at_ns: u64,
    /// Its pauses.
    pub hiccup_us: HiccupUs,
}

/// What the meter saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hiccups {
    /// Within the measured window; `None` when it was too short for a single sleep.
    pub window: Option<HiccupUs>,
    /// One entry a second, of the whole run.
    pub seconds: Vec<HiccupSecond>,
}

/// Sorts pauses into seconds and the window.
#[derive(Debug)]
struct Meter {
    window: Histogram<u64>,
    second: Histogram<u64>,
    second_end_ns: u64,
    seconds: Vec<HiccupSecond>,
}

impl Meter {
    fn new(now_ns: u64) -> Self {
        let histogram = || Histogram::new_with_bounds(1_000, PAUSE_NS_MAX, 2).expect("constant bounds");
        Self {
            window: histogram(),
            second: histogram(),
            second_end_ns: now_ns + SECOND_NS,
            seconds: Vec::new(),
        }
    }

    /// A sleep that began at `slept_ns` ended at `woke_ns`.
    fn woke(&mut self, slept_ns: u64, woke_ns: u64, measured: bool) {
        let pause_ns = (woke_ns - slept_ns).saturating_sub(SLEEP_NS).min(PAUSE_NS_MAX);
        let record = |histogram: &mut Histogram<u64>| {
            let recorded = histogram.record_correct(pause_ns, SLEEP_NS);
            recorded.expect("pauses are limited to the histogram's range");
        };
        record(&mut self.second);
        if measured {
            record(&mut self.window);
        }
        if woke_ns >= self.second_end_ns {
            self.end_second(woke_ns);
        }
    }

    fn end_second(&mut self, at_ns: u64) {
        let hiccup_us = HiccupUs::of(&self.second);
        self.seconds
            .extend(hiccup_us.map(|hiccup_us| HiccupSecond { at_ns, hiccup_us }));
        self.second.reset();
        self.second_end_ns = at_ns + SECOND_NS;
    }

    fn finish(mut self, now_ns: u64) -> Hiccups {
        self.end_second(now_ns);
        Hiccups {
            window: HiccupUs::of(&self.window),
            seconds: self.seconds,
        }
    }
}

/// Measures until `stop`, in the calling thread.
#[must_use]
pub fn measure(control: &Control, stop: &AtomicBool) -> Hiccups {
    let clock = control.clock();
    let mut meter = Meter::new(clock.now_ns());
    while !stop.load(Ordering::Relaxed) {
        let slept_ns = clock.now_ns();
        thread::sleep(Duration::from_nanos(SLEEP_NS));
        let woke_ns = clock.now_ns();
        meter.woke(slept_ns, woke_ns, control.phase_at(slept_ns) == Phase::Measure);
    }
    meter.finish(clock.now_ns())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_pause_counts_for_every_sleeper_that_it_would_have_met() {
        let mut meter = Meter::new(0);
        let mut now_ns = 0;
        // 900 good sleeps, each 50 µs late, and one pause of 100 ms.
        for _ in 0..900 {
            meter.woke(now_ns, now_ns + SLEEP_NS + 50_000, true);
            now_ns += SLEEP_NS + 50_000;
        }
        meter.woke(now_ns, now_ns + SLEEP_NS + 100 * MS, true);
        let hiccups = meter.finish(now_ns + 101 * MS);
        let window = hiccups.window.unwrap();
        assert!((49.0..=51.0).contains(&window.p50), "{window:?}");
        // The pause is one of 901 records but a tenth of the time: 100 of 1,000.
        assert!((88_000.0..=92_000.0).contains(&window.p99), "{window:?}");
        assert!((99_000.0..=102_000.0).contains(&window.max), "{window:?}");
    }

    #[test]
    fn only_the_window_counts_but_every_second_is_kept() {
        let mut meter = Meter::new(0);
        meter.woke(0, 500 * MS, false);
        meter.woke(500 * MS, 501 * MS, true);
        meter.woke(600 * MS, 1_100 * MS, false);
        let hiccups = meter.finish(1_200 * MS);
        assert!(hiccups.window.unwrap().max <= 1.1, "{hiccups:?}");
        assert_eq!(hiccups.seconds.len(), 1);
        assert_eq!(hiccups.seconds[0].at_ns, 1_100 * MS);
        assert!(hiccups.seconds[0].hiccup_us.max > 400_000.0);
    }

    #[test]
    fn nothing_seen_is_nothing_said() {
        assert_eq!(Meter::new(0).finish(1), Hiccups::default());
    }

    #[test]
    fn a_real_sleeper_is_never_early() {
        let control = Control::new();
        let stop = AtomicBool::new(false);
        let hiccups = thread::scope(|scope| {
            let meter = scope.spawn(|| measure(&control, &stop));
            while control.clock().now_ns() < 20 * MS {
                thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
            meter.join().unwrap()
        });
        assert_eq!(hiccups.window, None);
        assert_eq!(hiccups.seconds.len(), 1);
    }
}
