//! What a run tells while it goes on: counters for the progress line and one [`Interval`] a second.
//!
//! Written by the driver with relaxed stores; a reader may see one counter a little ahead of another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recorder::IntervalHistograms;
use crate::recorder::LatencyBuckets;

/// Quantiles of one latency over one second, in ns. All zero when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Values recorded.
    pub count: u64,
    /// Median, in ns.
    pub p50_ns: u64,
    /// 90th percentile, in ns.
    pub p90_ns: u64,
    /// 99th percentile, in ns.
    pub p99_ns: u64,
    /// 99.9th percentile, in ns.
    pub p99_9_ns: u64,
    /// Largest value, in ns.
    pub max_ns: u64,
}

/// One second of the run's series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// End of the interval, in seconds since the load began (warm-up included).
    pub t_s: f64,
    /// Length of the interval, in seconds; close to 1 except for the last.
    pub length_s: f64,
    /// Messages sent in it.
    pub published: u64,
    /// Messages confirmed by the broker in it.
    pub confirmed: u64,
    /// Messages received in it.
    pub consumed: u64,
    /// Latency from the intended send instant.
    pub response: Quantiles,
    /// Latency from the actual send instant.
    pub service: Quantiles,
    /// From send to confirm, of messages intended within the measured window.
    #[serde(default)]
    pub confirm: Quantiles,
    /// Actual − intended send instant, of messages intended within the measured window.
    #[serde(default)]
    pub schedule_lag: Quantiles,
    /// How the latency from the intended send instant was spread; empty in files older than it.
    #[serde(default)]
    pub latency: LatencyBuckets,
    /// Deliveries still owed at its end: copies of messages sent and not yet received.
    pub backlog: u64,
}

/// Counters and series of a run, shared with the thread that draws the progress line.
#[derive(Debug, Default)]
pub struct Live {
    published: AtomicU64,
    confirmed: AtomicU64,
    consumed: AtomicU64,
    acked: AtomicU64,
    harm: AtomicU64,
    intervals: Mutex<Vec<Interval>>,
    /// Where the histograms of each interval go, if anybody keeps them.
    histograms: Mutex<Option<Sender<IntervalHistograms>>>,
}

/// Running totals since the load began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Messages sent.
    pub published: u64,
    /// Messages confirmed by the broker.
    pub confirmed: u64,
    /// Messages received.
    pub consumed: u64,
    /// Messages acknowledged; 0 when the broker settles on delivery.
    pub acked: u64,
}

impl Live {
    /// The driver's new running totals.
    pub fn set_totals(&self, totals: Totals) {
        self.published.store(totals.published, Ordering::Relaxed);
        self.confirmed.store(totals.confirmed, Ordering::Relaxed);
        self.consumed.store(totals.consumed, Ordering::Relaxed);
        self.acked.store(totals.acked, Ordering::Relaxed);
    }

    /// The ledger's faults so far: see [`crate::ledger::Ledger::harm`].
    pub fn set_harm(&self, harm: u64) {
        self.harm.store(harm, Ordering::Relaxed);
    }

    /// The last of these.
    #[must_use]
    pub fn harm(&self) -> u64 {
        self.harm.load(Ordering::Relaxed)
    }

    /// The last running totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            published: self.published.load(Ordering::Relaxed),
            confirmed: self.confirmed.load(Ordering::Relaxed),
            consumed: self.consumed.load(Ordering::Relaxed),
            acked: self.acked.load(Ordering::Relaxed),
        }
    }

    /// The driver adds one second to the series.
    pub fn push(&self, interval: Interval) {
        self.intervals.lock().push(interval);
    }

    /// The most recent interval, if one has ended.
    #[must_use]
    pub fn last(&self) -> Option<Interval> {
        self.intervals.lock().last().cloned()
    }

    /// From now on the histograms of each interval go to `sender`.
    pub fn stream_histograms(&self, sender: Sender<IntervalHistograms>) {
        *self.histograms.lock() = Some(sender);
    }

    /// Ends that stream.
    pub fn end_histograms(&self) {
        self.histograms.lock().take();
    }

    /// The driver hands over what it counted in an interval.
    pub fn push_histograms(&self, histograms: IntervalHistograms) {
        if let Some(sender) = &*self.histograms.lock() {
            // Whoever does not listen any more has what it wanted.
            let _ = sender.send(histograms);
        }
    }

    /// The series from interval `index` on.
    #[must_use]
    pub fn intervals_from(&self, index: usize) -> Vec<Interval> {
        self.intervals.lock().get(index..).unwrap_or_default().to_vec()
    }

    /// The series so far.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        self.intervals.lock().clone()
    }
}
