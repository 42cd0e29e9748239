//! The counted latencies of one interval of the series: what leaves the driver for the interval log.

use hdrhistogram::Histogram;

use super::latency::{Second, histogram};

/// Latencies of messages intended within the measured window, by the interval in which they were recorded. The
/// histograms of all intervals add up to the run's own.
#[derive(Clone, Debug)]
pub struct IntervalHistograms {
    /// When the interval began, in ns since the load began.
    pub start_ns: u64,
    /// Its length, in ns.
    pub length_ns: u64,
    /// Response latency, in ns.
    pub response: Histogram<u64>,
    /// Service latency, in ns; empty when everything is sent as intended.
    pub service: Histogram<u64>,
    /// Confirm latency, in ns.
    pub confirm: Histogram<u64>,
    /// Actual − intended send instant, in ns; empty when everything is sent as intended.
    pub schedule_lag: Histogram<u64>,
}

impl Default for IntervalHistograms {
    fn default() -> Self {
        Self {
            start_ns: 0,
            length_ns: 0,
            response: histogram(),
            service: histogram(),
            confirm: histogram(),
            schedule_lag: histogram(),
        }
    }
}

impl IntervalHistograms {
    /// Adds what one worker counted.
    pub(super) fn add(&mut self, second: &Second) {
        for (into, from) in [
            (&mut self.response, &second.response),
            (&mut self.service, &second.service),
            (&mut self.confirm, &second.confirm),
            (&mut self.schedule_lag, &second.schedule_lag),
        ] {
            if !from.is_empty() {
                into.add(from).expect("all histograms have the same bounds");
            }
        }
    }

    /// Whether nothing was counted, as in the warm-up.
    pub(super) fn is_empty(&self) -> bool {
        self.response.is_empty() && self.service.is_empty() && self.confirm.is_empty()
    }
}
