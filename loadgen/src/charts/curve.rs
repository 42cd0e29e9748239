//! Throughput against latency: what a sweep or a search measured at each rate.

use std::io;
use std::path::Path;

use super::axis::Axis;
use super::caption::Caption;
use super::marker::Marker;
use super::page::Page;
use super::panel::{Line, Panel};
use super::picture::{WIDTH, write as write_page};
use super::theme::Hue;
use super::unit::Unit;
use super::views::latency_axis;

const HEIGHT: u32 = 400;
const RATE_TICKS: usize = 8;

/// One rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Messages a second that were due.
    pub offered_rate: f64,
    /// Messages a second that were consumed.
    pub achieved_rate: f64,
    /// Median of the response latency, in µs.
    pub p50_us: f64,
    /// 99th percentile, in µs.
    pub p99_us: f64,
    /// 99.9th percentile, in µs.
    pub p99_9_us: f64,
    /// Whether the objective was held at this rate.
    pub held: bool,
}

/// All rates that were tried with one broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Whose they are.
    pub name: String,
    /// In any order.
    pub points: Vec<Point>,
}

/// Draws `<stem>.svg`, `<stem>-dark.svg` and `<stem>.png`: of one series its three percentiles, of several the 99th of each.
///
/// # Errors
/// When a file cannot be written.
pub fn write(stem: &Path, caption: Caption, series: &[Series]) -> io::Result<()> {
    write_page(stem, &page(caption, series), WIDTH)
}

fn page(caption: Caption, series: &[Series]) -> Page {
    Page::new(caption, [(panel(series), HEIGHT)])
}

fn panel(series: &[Series]) -> Panel {
    let mut lines: Vec<Line> = match series {
        [only] => vec![
            line("p50", 0, only, |point| point.p50_us),
            line("p99", 1, only, |point| point.p99_us),
            line("p99.9", 2, only, |point| point.p99_9_us),
        ],
        several => (0..)
            .zip(several)
            .map(|(index, series)| line(&series.name, index, series, |point| point.p99_us))
            .collect(),
    };
    let missed: Vec<(f64, f64)> = series
        .iter()
        .flat_map(|series| &series.points)
        .filter(|point| !point.held && is_drawable(point))
        .map(|point| (point.achieved_rate, point.p99_us))
        .collect();
    if !missed.is_empty() {
        lines.push(Line {
            label: "objective missed".into(),
            hue: Hue::Ink,
            width: 0,
            marker: Some(Marker::Cross),
            points: missed,
            whiskers: Vec::new(),
        });
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    let rate_max = points().map(|point| point.0).fold(0.0, f64::max);
    let x = Axis::from_zero(rate_max, RATE_TICKS, Unit::Rate.label());
    let y = latency_axis(points().map(|point| point.1));
    let what = match series {
        [_] => "response latency by throughput",
        _ => "response latency (p99) by throughput",
    };
    let title = if rate_max > 0.0 {
        what.to_string()
    } else {
        format!("{what}: none was measured")
    };
    Panel {
        note: "each point is one rate that was tried; x: messages a second that were consumed".into(),
        lines,
        ..Panel::new(title, x, y)
    }
}

/// A run without latencies has no place on a logarithmic axis.
fn is_drawable(point: &Point) -> bool {
    [point.achieved_rate, point.p50_us, point.p99_us, point.p99_9_us]
        .iter()
        .all(|value| value.is_finite() && *value > 0.0)
}

fn line(label: &str, index: usize, series: &Series, latency_us: impl Fn(&Point) -> f64) -> Line {
    // In the order in which the rates were offered: beyond saturation the curve turns back.
    let mut points: Vec<&Point> = series.points.iter().filter(|point| is_drawable(point)).collect();
    points.sort_by(|one, other| one.offered_rate.total_cmp(&other.offered_rate));
    Line {
        label: label.into(),
        hue: Hue::SERIES[index % Hue::SERIES.len()],
        width: 2,
        marker: Some(Marker::of_series(index)),
        points: points
            .into_iter()
            .map(|point| (point.achieved_rate, latency_us(point)))
            .collect(),
        whiskers: Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn series(name: &str) -> Series {
        let point = |offered_rate: f64| Point {
            offered_rate,
            achieved_rate: offered_rate.min(500_000.0),
            p50_us: 200.0 + offered_rate / 2_000.0,
            p99_us: 400.0 + (offered_rate / 50_000.0).exp(),
            p99_9_us: 900.0 + 2.0 * (offered_rate / 50_000.0).exp(),
            held: offered_rate <= 400_000.0,
        };
        Series {
            name: name.into(),
            points: [500e3, 100e3, 200e3, 300e3, 400e3, 600e3].map(point).into(),
        }
    }

    #[test]
    fn a_curve_follows_the_offered_rate_and_marks_what_missed() {
        let panel = panel(&[series("x")]);
        let labels: Vec<&str> = panel.lines.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["p50", "p99", "p99.9", "objective missed"]);
        assert!(panel.lines[1].points.is_sorted_by_key(|point| point.1));
        assert_eq!(panel.lines[3].points.len(), 2);
    }

    #[test]
    fn several_brokers_are_named_and_nothing_measured_is_no_nan() {
        let directory = tempfile::tempdir().unwrap();
        let stem = directory.path().join("curve");
        let mut empty = series("nothing");
        empty.points.iter_mut().for_each(|point| point.p99_us = f64::NAN);
        for all in [vec![series("one"), series("other"), empty.clone()], vec![empty]] {
            write(&stem, Caption::default(), &all).unwrap();
            let svg = std::fs::read_to_string(directory.path().join("curve.svg")).unwrap();
            assert!(!svg.contains("NaN"));
            assert!(all.len() == 1 || ["one", "other"].iter().all(|name| svg.contains(name)));
        }
    }
}
