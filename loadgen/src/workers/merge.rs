//! What several workers measured, as one recording: histograms and counts are added, series second by second since each
//! worker's own begin.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::protocol::{EncodedInterval, Progress};
use crate::live::{Interval, Live, Quantiles, Totals};
use crate::recorder::{IntervalHistograms, Recording, decode, encode_compressed, quantiles};
use crate::tls::TlsFigures;

/// Examples of faults kept of each run, as in a ledger.
const EXAMPLES_MAX: usize = 8;

/// Adds up the workers' seconds and publishes each when all workers have reported it.
#[derive(Debug)]
pub(super) struct SeriesMerge {
    totals: Vec<(Totals, u64)>,
    /// Workers whose seconds have ended for good.
    ended: Vec<bool>,
    seconds: BTreeMap<u64, Merged>,
}

#[derive(Debug, Default)]
struct Merged {
    interval: Interval,
    histograms: IntervalHistograms,
    reported: Vec<usize>,
}

/// The second since the load began in which an interval lies. Its ends wander by the turns of a driver, its middle does not.
fn second_of(start_s: f64, length_s: f64) -> u64 {
    (start_s + length_s / 2.0).max(0.0) as u64
}

impl SeriesMerge {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            totals: vec![Default::default(); workers],
            ended: vec![false; workers],
            seconds: BTreeMap::new(),
        }
    }

    /// Takes in what `worker` reports. The error says what is wrong with it.
    pub(super) fn add(&mut self, worker: usize, progress: &Progress, live: &Live) -> Result<(), String> {
        for encoded in &progress.histograms {
            let (start_s, length_s) = (encoded.start_ns as f64 / 1e9, encoded.length_ns as f64 / 1e9);
            let merged = self.seconds.entry(second_of(start_s, length_s)).or_default();
            merged.add_histograms(encoded)?;
        }
        for interval in &progress.intervals {
            let second = second_of(interval.t_s - interval.length_s, interval.length_s);
            let merged = self.seconds.entry(second).or_default();
            merged.add_interval(interval);
            if !merged.reported.contains(&worker) {
                merged.reported.push(worker);
            }
        }
        self.totals[worker] = (progress.totals, progress.harm);
        let mut sum = Totals::default();
        for (totals, _) in &self.totals {
            sum.published += totals.published;
            sum.confirmed += totals.confirmed;
            sum.consumed += totals.consumed;
            sum.acked += totals.acked;
        }
        live.set_totals(sum);
        live.set_harm(self.totals.iter().map(|(_, harm)| harm).sum());
        self.publish(live);
        Ok(())
    }

    /// `worker` reports nothing any more.
    pub(super) fn end(&mut self, worker: usize, live: &Live) {
        self.ended[worker] = true;
        self.publish(live);
    }

    /// Publishes, in order, every second that all workers that still report have reported.
    fn publish(&mut self, live: &Live) {
        while let Some(entry) = self.seconds.first_entry() {
            let reported = &entry.get().reported;
            let missing = |worker: usize| !self.ended[worker] && !reported.contains(&worker);
            if (0..self.ended.len()).any(missing) {
                return;
            }
            entry.remove().publish(live);
        }
    }
}

impl Merged {
    fn add_histograms(&mut self, encoded: &EncodedInterval) -> Result<(), String> {
        let histograms = &mut self.histograms;
        if histograms.length_ns == 0 {
            histograms.start_ns = encoded.start_ns;
        }
        histograms.start_ns = histograms.start_ns.min(encoded.start_ns);
        histograms.length_ns = histograms.length_ns.max(encoded.length_ns);
        for (into, from) in [
            (&mut histograms.response, &encoded.response),
            (&mut histograms.service, &encoded.service),
            (&mut histograms.confirm, &encoded.confirm),
            (&mut histograms.schedule_lag, &encoded.schedule_lag),
        ] {
            if let Some(text) = from {
                let histogram = decode(text).map_err(|error| format!("sent a damaged histogram: {error}"))?;
                into.add(histogram)
                    .map_err(|_| "sent a histogram of another range".to_owned())?;
            }
        }
        Ok(())
    }

    fn add_interval(&mut self, from: &Interval) {
        let into = &mut self.interval;
        into.t_s = into.t_s.max(from.t_s);
        into.length_s = into.length_s.max(from.length_s);
        into.published += from.published;
        into.confirmed += from.confirmed;
        into.consumed += from.consumed;
        into.backlog += from.backlog;
    }

    /// Quantiles come from the added histograms; of a second outside the window there are none.
    fn publish(self, live: &Live) {
        let Self {
            mut interval,
            histograms,
            ..
        } = self;
        (interval.response, interval.latency) = quantiles(&histograms.response);
        interval.service = if histograms.service.is_empty() {
            interval.response
        } else {
            quantiles(&histograms.service).0
        };
        interval.confirm = quantiles(&histograms.confirm).0;
        interval.schedule_lag = quantiles(&histograms.schedule_lag).0;
        if interval.response != Quantiles::default() || interval.confirm != Quantiles::default() {
            live.push_histograms(histograms);
        }
        if interval.length_s > 0.0 {
            live.push(interval);
        }
    }
}

/// An interval as a worker sends it.
pub(super) fn encoded(histograms: &IntervalHistograms) -> EncodedInterval {
    let encode = |it: &Histogram<u64>| (!it.is_empty()).then(|| encode_compressed(it));
    EncodedInterval {
        start_ns: histograms.start_ns,
        length_ns: histograms.length_ns,
        response: encode(&histograms.response),
        service: encode(&histograms.service),
        confirm: encode(&histograms.confirm),
        schedule_lag: encode(&histograms.schedule_lag),
    }
}

/// Adds `from`, which worker `name` measured, to what the workers before it did. Everything but the intervals.
///
/// # Errors
/// Says what does not fit.
pub(super) fn add(into: &mut Recording, from: Recording, name: &str) -> Result<(), String> {
    let range = |_| "measured with another range".to_owned();
    into.response.add(&from.response).map_err(range)?;
    into.service.add(&from.service).map_err(range)?;
    into.schedule_lag.add(&from.schedule_lag).map_err(range)?;
    if let Some(confirm) = &from.confirm {
        let sum = into.confirm.get_or_insert_with(crate::recorder::histogram);
        sum.add(confirm).map_err(range)?;
    }
    into.saturated += from.saturated;
    into.published_in_window += from.published_in_window;
    into.consumed_in_window += from.consumed_in_window;
    into.confirmed_in_window += from.confirmed_in_window;
    into.window_s = into.window_s.max(from.window_s);
    into.unsent += from.unsent;
    into.held_back += from.held_back;
    into.reads += from.reads;
    into.writes += from.writes;
    into.blocked += from.blocked;
    into.cut_short |= from.cut_short;
    if into.server.product.is_empty() {
        into.server = from.server;
    }
    into.tls = TlsFigures::together([into.tls.take(), from.tls]);
    let (sum, part) = (&mut into.ledger, from.ledger);
    sum.published += part.published;
    sum.expected += part.expected;
    sum.received += part.received;
    sum.lost += part.lost;
    sum.duplicated += part.duplicated;
    sum.redelivered += part.redelivered;
    sum.redelivered_flags += part.redelivered_flags;
    sum.reordered += part.reordered;
    sum.corrupt += part.corrupt;
    sum.confirmed += part.confirmed;
    sum.nacked += part.nacked;
    let room = EXAMPLES_MAX.saturating_sub(sum.first_examples.len());
    let examples = part.first_examples.into_iter().take(room);
    sum.first_examples
        .extend(examples.map(|example| format!("{name}: {example}")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::scenario::built_in;

    fn progress(second: u64, latency_ns: u64, published: u64) -> Progress {
        let mut histograms = IntervalHistograms {
            start_ns: second * 1_000_000_000 + 2_000_000,
            length_ns: 1_000_000_000,
            ..IntervalHistograms::default()
        };
        histograms.response.record_n(latency_ns, 100).unwrap();
        let interval = Interval {
            t_s: second as f64 + 1.002,
            length_s: 1.0,
            published,
            backlog: 7,
            ..Interval::default()
        };
        Progress {
            totals: Totals {
                published,
                ..Totals::default()
            },
            harm: 1,
            intervals: vec![interval],
            histograms: vec![encoded(&histograms)],
        }
    }

    #[test]
    fn a_second_is_published_when_all_workers_have_reported_it() {
        let (live, mut merge) = (Live::default(), SeriesMerge::new(2));
        let (sender, stream) = std::sync::mpsc::channel();
        live.stream_histograms(sender);
        merge.add(0, &progress(4, 1_000_000, 10), &live).unwrap();
        merge.add(0, &progress(5, 1_000_000, 10), &live).unwrap();
        assert!(live.intervals().is_empty());
        merge.add(1, &progress(4, 9_000_000, 32), &live).unwrap();
        let last = live.last().unwrap();
        assert_eq!((last.published, last.backlog, last.response.count), (42, 14, 200));
        // Merged, not averaged: the slower half decides.
        assert!(last.response.p99_ns.abs_diff(9_000_000) < 10_000, "{last:?}");
        assert!(last.response.p50_ns.abs_diff(1_000_000) < 1_000, "{last:?}");
        assert_eq!(stream.try_recv().unwrap().response.len(), 200);
        assert_eq!((live.totals().published, live.harm()), (42, 2));
        // The second worker has nothing more to say: the rest is published as it is.
        merge.end(1, &live);
        assert_eq!(live.intervals().len(), 2);
    }

    #[test]
    fn a_damaged_histogram_is_the_workers_fault() {
        let mut progress = progress(1, 1_000_000, 1);
        progress.histograms[0].response = Some("AAAA".into());
        let error = SeriesMerge::new(1)
            .add(0, &progress, &Live::default())
            .unwrap_err();
        assert!(error.starts_with("sent a damaged histogram"), "{error}");
    }

    #[test]
    fn recordings_are_added_and_faults_keep_their_worker() {
        let mut scenario = built_in("20p20c-latency").unwrap();
        scenario.confirm_window = Some(100);
        let part = || fixtures::recording(&scenario);
        let mut sum = part();
        let mut other = part();
        other.ledger.lost = 3;
        other.ledger.first_examples = vec!["lost: 3".into()];
        add(&mut sum, other, "h:1").unwrap();
        assert_eq!(sum.response.len(), 2 * part().response.len());
        assert_eq!(sum.confirm.unwrap().len(), 2 * part().response.len());
        assert_eq!(sum.published_in_window, 2 * part().published_in_window);
        assert_eq!((sum.ledger.lost, sum.window_s), (3, part().window_s));
        assert_eq!(sum.ledger.first_examples, ["h:1: lost: 3"]);
    }
}
