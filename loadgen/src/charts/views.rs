//! What the plots show: from a run to lines.

use hdrhistogram::Histogram;

use super::axis::Axis;
use super::marker::Marker;
use super::panel::{Line, Panel};
use super::theme::Hue;
use super::unit::Unit;
use crate::live::{Interval, Quantiles};
use crate::process_meter::ProcessSample;
use crate::result::{Histograms, RunResult};
use crate::sampler::Sample;

const Y_TICKS: usize = 5;
const Y_TICKS_LOW: usize = 3;
const TIME_TICKS: usize = 10;
/// Distance of two points of a percentile curve, in nines.
const NINES_STEP: f64 = 0.02;
/// Samples between which CPU is measured: one second, for the kernel counts in ticks of 10 ms.
const CPU_SAMPLES: usize = 4;
/// Shortest interval that makes a point of the rates.
const RATE_LENGTH_S_MIN: f64 = 0.5;
/// Room above the highest value.
const HEADROOM: f64 = 1.04;
const NS_PER_S: f64 = 1e9;

/// A run as the plots need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) run: &'a RunResult,
    pub(super) histograms: &'a Histograms,
}

impl View<'_> {
    /// Messages a second: sent, confirmed and received.
    pub(super) fn rates(&self) -> Panel {
        // What is left over at the end of the drain is too short for a rate.
        let rate = |count: u64, interval: &Interval| {
            (interval.length_s >= RATE_LENGTH_S_MIN).then(|| count as f64 / interval.length_s)
        };
        let published = self.series(|it| rate(it.published, it));
        let consumed = self.series(|it| rate(it.consumed, it));
        let mut lines = vec![line("published", Hue::Blue, 7, Marker::Circle, published)];
        if self.run.effective_scenario.confirm_window.is_some() {
            let confirmed = self.series(|it| rate(it.confirmed, it));
            lines.push(line("confirmed", Hue::Green, 4, Marker::Triangle, confirmed));
        }
        if self.run.effective_scenario.consumers > 0 {
            lines.push(line("consumed", Hue::Orange, 2, Marker::Square, consumed));
        }
        let y = zero_based(&lines, Y_TICKS, Unit::Rate.label());
        self.over_time("messages per second", y, lines)
    }

    /// Messages on their way.
    pub(super) fn backlog(&self) -> Panel {
        let label = if self.run.effective_scenario.consumers == 0 {
            "sent, in the queue"
        } else {
            "sent, not yet received"
        };
        let backlog = self.series(|it| Some(it.backlog as f64));
        let lines = vec![line(label, Hue::Purple, 2, Marker::Diamond, backlog)];
        let y = zero_based(&lines, Y_TICKS_LOW, Unit::Count.label());
        self.over_time("backlog", y, lines)
    }

    /// Response latency of each second.
    pub(super) fn latency(&self) -> Panel {
        let of = |quantile: fn(&Quantiles) -> u64| {
            self.series(|it| (it.response.count > 0).then(|| quantile(&it.response) as f64 / 1e3))
        };
        let lines = vec![
            line("p50", Hue::Sky, 2, Marker::Circle, of(|it| it.p50_ns)),
            line("p90", Hue::Blue, 2, Marker::Square, of(|it| it.p90_ns)),
            line("p99", Hue::Green, 2, Marker::Triangle, of(|it| it.p99_ns)),
            line("p99.9", Hue::Orange, 2, Marker::Diamond, of(|it| it.p99_9_ns)),
            line("max", Hue::Vermillion, 2, Marker::Cross, of(|it| it.max_ns)),
        ];
        let is_measured = values(&lines).next().is_some();
        self.over_time(
            &self.measured_title("response latency of each second", is_measured),
            latency_axis(values(&lines)),
            lines,
        )
    }

    /// Latency by percentile, of the measured window.
    pub(super) fn percentiles(&self) -> Panel {
        let histograms = self.histograms;
        let mut lines = vec![
            line(
                "response",
                Hue::Blue,
                5,
                Marker::Circle,
                curve(&histograms.response),
            ),
            line(
                "service",
                Hue::Orange,
                2,
                Marker::Square,
                curve(&histograms.service),
            ),
        ];
        if let Some(confirm) = &histograms.confirm {
            lines.push(line("confirm", Hue::Green, 2, Marker::Triangle, curve(confirm)));
        }
        if !histograms.schedule_lag.is_empty() {
            let lag = curve(&histograms.schedule_lag);
            lines.push(line("schedule lag", Hue::Purple, 2, Marker::Diamond, lag));
        }
        let is_measured = lines.iter().any(|line| !line.points.is_empty());
        Panel {
            lines: lines.clone(),
            ..Panel::new(
                self.measured_title("latency by percentile", is_measured),
                Axis::nines(histograms.response.len()),
                latency_axis(lines.iter().flat_map(upper_half)),
            )
        }
    }

    pub(super) fn measured_title(&self, title: &str, measured: bool) -> String {
        if measured {
            title.into()
        } else {
            format!("{title}: none was measured")
        }
    }

    /// The broker's memory; the generator's where the broker's is unknown.
    pub(super) fn memory(&self) -> Panel {
        let of = |bytes: fn(&ProcessSample) -> u64| self.sampled(|it| it.broker.map(|it| bytes(&it) as f64));
        let lines = vec![
            line(
                "anonymous",
                Hue::Blue,
                2,
                Marker::Circle,
                of(|it| it.rss_anon_bytes),
            ),
            line(
                "file and shared",
                Hue::Orange,
                2,
                Marker::Square,
                of(|it| it.rss_file_bytes),
            ),
        ];
        let title = self.broker_title("resident memory of the broker");
        self.over_time(&title, memory_axis(&lines), lines)
    }

    /// Cores that broker and generator keep busy, and what others take.
    pub(super) fn cpu(&self) -> Panel {
        let cores = |of: &dyn Fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
            let samples = &self.run.samples;
            let pairs = samples.iter().zip(samples.iter().skip(CPU_SAMPLES));
            let used = pairs.filter_map(|(before, after)| {
                let elapsed_s = (after.at_ns - before.at_ns) as f64 / NS_PER_S;
                Some((
                    self.time(after)?,
                    ((of(after)? - of(before)?) / elapsed_s).max(0.0),
                ))
            });
            used.collect()
        };
        let ours = |it: &Sample| it.broker.unwrap_or_default().cpu_s + it.generator.cpu_s;
        let mut lines = vec![
            line(
                "broker",
                Hue::Blue,
                2,
                Marker::Circle,
                cores(&|it| Some(it.broker?.cpu_s)),
            ),
            line(
                "generator",
                Hue::Orange,
                2,
                Marker::Square,
                cores(&|it| Some(it.generator.cpu_s)),
            ),
            line(
                "other processes",
                Hue::Purple,
                2,
                Marker::Triangle,
                cores(&|it| Some(it.machine.busy_s - ours(it))),
            ),
            line(
                "stolen",
                Hue::Vermillion,
                2,
                Marker::Cross,
                cores(&|it| Some(it.machine.steal_s)),
            ),
        ];
        lines.retain(|line| !line.points.is_empty());
        self.over_time(
            "busy cores",
            zero_based(&lines, Y_TICKS_LOW, Unit::Cores.label()),
            lines,
        )
    }

    fn broker_title(&self, title: &str) -> String {
        let known = self.run.samples.iter().any(|sample| sample.broker.is_some());
        if known {
            title.into()
        } else {
            format!("{title}: unknown, its process is not on this machine")
        }
    }

    pub(super) fn over_time(&self, title: &str, y: Axis, lines: Vec<Line>) -> Panel {
        let intervals_end = self.run.intervals.last().map_or(0.0, |interval| interval.t_s);
        let end_s = intervals_end.max(self.run.window_s.1).max(1.0);
        let x = Axis::span(end_s, TIME_TICKS, |value| format!("{value} s"));
        Panel {
            lines,
            window: Some(self.run.window_s),
            before: if self.run.effective_scenario.backlog_first {
                "fill"
            } else {
                "warm-up"
            },
            marks: self
                .run
                .summary
                .faults
                .iter()
                .map(|fault| (fault.at_s, fault.kind.name()))
                .collect(),
            ..Panel::new(title, x, y)
        }
    }

    fn series(&self, value: impl Fn(&Interval) -> Option<f64>) -> Vec<(f64, f64)> {
        let intervals = self.run.intervals.iter();
        intervals
            .filter_map(|interval| Some((interval.t_s, value(interval)?)))
            .collect()
    }

    fn sampled(&self, value: impl Fn(&Sample) -> Option<f64>) -> Vec<(f64, f64)> {
        let samples = self.run.samples.iter();
        samples
            .filter_map(|sample| Some((self.time(sample)?, value(sample)?)))
            .collect()
    }

    /// Seconds since the load began; `None` before.
    fn time(&self, sample: &Sample) -> Option<f64> {
        Some(sample.at_ns.checked_sub(self.run.started_ns)? as f64 / NS_PER_S)
    }
}

fn line(label: &str, hue: Hue, width: u32, marker: Marker, points: Vec<(f64, f64)>) -> Line {
    Line {
        label: label.into(),
        hue,
        width,
        marker: Some(marker),
        points,
        whiskers: Vec::new(),
    }
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| &line.points).map(|point| point.1)
}

pub(super) fn zero_based(lines: &[Line], ticks: usize, label: fn(f64) -> String) -> Axis {
    Axis::from_zero(values(lines).fold(0.0, f64::max) * HEADROOM, ticks, label)
}

/// From the smallest to the largest value in µs, and not too narrow, so that a flat line does not look wild.
pub(super) fn latency_axis(values_us: impl Iterator<Item = f64>) -> Axis {
    const FLOOR_US: f64 = 1.0;
    let (min, max) = values_us.fold((f64::INFINITY, 0.0), |(min, max), us| (us.min(min), us.max(max)));
    let min = if min.is_finite() {
        min.max(FLOOR_US)
    } else {
        FLOOR_US
    };
    Axis::log(min, max.max(min * 3.0), Unit::LatencyUs.label())
}

/// The part of a percentile curve that decides on the axis: the lowest latencies would stretch it for nothing.
fn upper_half(line: &Line) -> impl Iterator<Item = f64> {
    line.points
        .iter()
        .filter(|(percentile, _)| *percentile >= 0.25)
        .map(|point| point.1)
}

/// Ticks at round numbers of MiB.
pub(super) fn memory_axis(lines: &[Line]) -> Axis {
    const MIB: f64 = 1_048_576.0;
    let max_mib = values(lines).fold(0.0, f64::max) / MIB * HEADROOM;
    let mut axis = Axis::from_zero(max_mib, Y_TICKS_LOW, |mib| format!("{mib} MiB"));
    axis.range.1 *= MIB;
    axis.ticks.iter_mut().for_each(|(place, _)| *place *= MIB);
    axis
}

/// (percentile, µs), as far as the number of values can tell.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let nines_max = (histogram.len() as f64).log10();
    let steps = (nines_max / NINES_STEP) as usize;
    (0..=steps)
        .map(|step| 1.0 - 10_f64.powf(-(step as f64) * NINES_STEP))
        .map(|percentile| (percentile, histogram.value_at_quantile(percentile) as f64 / 1e3))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_the_values_do() {
        let mut histogram = crate::recorder::histogram();
        assert_eq!(curve(&histogram), []);
        for value in 1..=1_000_u64 {
            histogram.record(value * 1_000).unwrap();
        }
        let curve = curve(&histogram);
        assert!(curve.is_sorted_by_key(|point| point.1));
        let (percentile, us) = curve[curve.len() - 1];
        assert!(percentile > 0.998 && us > 995.0, "{percentile} {us}");
    }
}
