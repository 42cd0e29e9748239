//! The run's totals and its per-second series, fed with the seconds of all workers.

use hdrhistogram::Histogram;

use super::buckets::LatencyBuckets;
use super::interval_histograms::IntervalHistograms;
use super::latency::{Second, histogram};
use super::recording::{Outcome, Recording};
use crate::control::Control;
use crate::live::{Interval, Live, Quantiles, Totals};

/// Length of an interval of the series.
const INTERVAL_NS: u64 = 1_000_000_000;

/// Merges the workers' seconds into totals and intervals.
#[derive(Debug)]
pub struct Series {
    open_loop: bool,
    total: Second,
    started_ns: u64,
    interval_start_ns: u64,
    before: Totals,
    /// This second's latencies, in and outside the window.
    response: Histogram<u64>,
    service: Histogram<u64>,
    /// This second's latencies of messages intended within the window.
    counted: IntervalHistograms,
}

impl Series {
    /// A series whose first interval starts at `started_ns`, when the load begins.
    #[must_use]
    pub fn new(open_loop: bool, started_ns: u64) -> Self {
        Self {
            open_loop,
            total: Second::default(),
            started_ns,
            interval_start_ns: started_ns,
            before: Totals::default(),
            response: histogram(),
            service: histogram(),
            counted: IntervalHistograms::default(),
        }
    }

    /// When the interval that is going on ends.
    #[must_use]
    pub fn interval_end_ns(&self) -> u64 {
        self.interval_start_ns + INTERVAL_NS
    }

    /// Adds what one worker recorded during the interval.
    pub fn add(&mut self, second: &Second) {
        let total = &mut self.total;
        add(&mut total.response, &second.response);
        add(&mut total.service, &second.service);
        add(&mut total.confirm, &second.confirm);
        add(&mut total.schedule_lag, &second.schedule_lag);
        for (of_all, of_window, outside) in [
            (&mut self.response, &second.response, &second.response_outside),
            (&mut self.service, &second.service, &second.service_outside),
        ] {
            add(of_all, of_window);
            add(of_all, outside);
        }
        self.counted.add(second);
        total.saturated += second.saturated;
        total.published_in_window += second.published_in_window;
        total.consumed_in_window += second.consumed_in_window;
        total.confirmed_in_window += second.confirmed_in_window;
    }

    /// Ends the interval at `now_ns` and publishes it with the new running totals.
    pub fn end_interval(&mut self, now_ns: u64, totals: Totals, backlog: u64, live: &Live) {
        let (response, latency) = quantiles(&self.response);
        let service = if self.open_loop {
            quantiles(&self.service).0
        } else {
            response
        };
        live.set_totals(totals);
        let interval = Interval {
            t_s: seconds(now_ns - self.started_ns),
            length_s: seconds(now_ns - self.interval_start_ns),
            published: totals.published - self.before.published,
            confirmed: totals.confirmed - self.before.confirmed,
            consumed: totals.consumed - self.before.consumed,
            response,
            service,
            confirm: quantiles(&self.counted.confirm).0,
            schedule_lag: quantiles(&self.counted.schedule_lag).0,
            latency,
            backlog,
        };
        // First the histograms: whoever sees the interval finds them.
        if !self.counted.is_empty() {
            self.counted.start_ns = self.interval_start_ns - self.started_ns;
            self.counted.length_ns = now_ns - self.interval_start_ns;
            live.push_histograms(std::mem::take(&mut self.counted));
        }
        live.push(interval);
        self.response.reset();
        self.service.reset();
        self.before = totals;
        self.interval_start_ns = now_ns;
    }

    /// Closes the series into the run's recording.
    #[must_use]
    pub fn into_recording(self, control: &Control, live: &Live, outcome: Outcome) -> Recording {
        let (start_ns, end_ns) = control.measure_window();
        let total = self.total;
        let service = if self.open_loop {
            total.service
        } else {
            total.response.clone()
        };
        Recording {
            response: total.response,
            service,
            confirm: outcome.with_confirms.then_some(total.confirm),
            schedule_lag: total.schedule_lag,
            saturated: total.saturated,
            ledger: outcome.ledger,
            published_in_window: total.published_in_window,
            consumed_in_window: total.consumed_in_window,
            confirmed_in_window: total.confirmed_in_window,
            window_s: seconds(end_ns - start_ns),
            unsent: outcome.unsent,
            held_back: outcome.held_back,
            reads: outcome.reads,
            writes: outcome.writes,
            blocked: outcome.blocked,
            intervals: live.intervals(),
            server: outcome.server,
            tls: outcome.tls,
            recoveries: outcome.recoveries,
            timeline: outcome.timeline,
            churn: Vec::new(),
            workers: Vec::new(),
            cut_short: control.interrupted(),
        }
    }
}

fn add(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    if !from.is_empty() {
        into.add(from).expect("all histograms have the same bounds");
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// All quantiles, and the spread in few buckets, in one pass: this runs between two socket reads.
pub(crate) fn quantiles(histogram: &Histogram<u64>) -> (Quantiles, LatencyBuckets) {
    let count = histogram.len();
    if count == 0 {
        return Default::default();
    }
    let rank = |per_mille: u64| (count * per_mille).div_ceil(1_000).max(1);
    let ranks = [rank(500), rank(900), rank(990), rank(999)];
    let mut values = [0; 4];
    let (mut next, mut seen) = (0, 0);
    let mut buckets = LatencyBuckets::default();
    for step in histogram.iter_recorded() {
        seen += step.count_at_value();
        buckets.add(
            LatencyBuckets::of(step.value_iterated_to()),
            step.count_at_value(),
        );
        while next < ranks.len() && seen >= ranks[next] {
            values[next] = step.value_iterated_to();
            next += 1;
        }
    }
    let [p50_ns, p90_ns, p99_ns, p99_9_ns] = values;
    let quantiles = Quantiles {
        count,
        p50_ns,
        p90_ns,
        p99_ns,
        p99_9_ns,
        max_ns: histogram.max(),
    };
    (quantiles, buckets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::LatencyRecorder;

    #[test]
    fn one_pass_quantiles_agree_with_the_histogram() {
        let mut recorded = histogram();
        let mut value = 7_u64;
        for _ in 0..10_000 {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            recorded.record((value >> 40) + 1_000).unwrap();
        }
        let (found, buckets) = quantiles(&recorded);
        assert_eq!(found.count, 10_000);
        assert_eq!(found.p50_ns, recorded.value_at_quantile(0.5));
        assert_eq!(found.p99_ns, recorded.value_at_quantile(0.99));
        assert_eq!(found.p99_9_ns, recorded.value_at_quantile(0.999));
        assert_eq!(found.max_ns, recorded.max());
        assert_eq!(buckets.counts().map(|(_, count)| count).sum::<u64>(), 10_000);
        assert_eq!(
            quantiles(&histogram()),
            (Quantiles::default(), LatencyBuckets::default())
        );
    }

    #[test]
    fn workers_are_merged_and_the_warm_up_stays_out_of_the_totals() {
        let mut series = Series::new(true, 0);
        let (live, mut second) = (Live::default(), Second::default());
        for worker in 0..2_u64 {
            let mut recorder = LatencyRecorder::new(true);
            recorder.set_window((1_000, 2_000));
            recorder.received(500, 500, 100_500); // Warm-up.
            recorder.received(1_500, 1_500, 1_500 + 1_000_000 * (worker + 1));
            recorder.take_second(&mut second);
            series.add(&second);
        }
        let totals = Totals {
            published: 5,
            consumed: 4,
            ..Totals::default()
        };
        series.end_interval(INTERVAL_NS, totals, 1, &live);
        let interval = live.last().unwrap();
        assert_eq!(
            (interval.published, interval.consumed, interval.backlog),
            (5, 4, 1)
        );
        assert_eq!(interval.response.count, 4);
        assert_eq!(series.total.response.len(), 2);
        assert!(series.total.response.max().abs_diff(2_000_000) < 2_000);
        assert_eq!(series.interval_end_ns(), 2 * INTERVAL_NS);
    }
}
