//! The history of a load over commits: every run a point, every commit its median with an interval.

use std::io;
use std::path::Path;

use super::axis::Axis;
use super::caption::{Caption, commit, server};
use super::marker::Marker;
use super::page::Page;
use super::panel::{Line as PlotLine, Panel};
use super::picture::write as write_page;
use super::theme::Hue;
use super::unit::Unit;
use super::views::{latency_axis, memory_axis, zero_based};
use crate::history::Line;
use crate::result::Summary;
use crate::statistics::{Interval, RUNS_MIN, median};
use crate::tls::TlsFigures;

/// Title of the first plot.
const THROUGHPUT: &str = "throughput";
const HEIGHT: u32 = 240;
const TICKS: usize = 5;
/// Share of intervals that contain the true median.
const CONFIDENCE: f64 = 0.95;
/// The same runs always give the same interval.
const SEED: u64 = 1;
/// Horizontal distance of the loads of one commit, as a share of a commit's width.
const SHIFT: f64 = 0.14;

/// Runs that may be compared: the same load, driver, broker and machine.
#[derive(Clone, Debug)]
struct Load<'a> {
    name: String,
    runs: Vec<&'a Line>,
}

/// Place of the hash among the parts of a load's name.
const HASH: usize = 3;

/// A figure of a run.
type Figure = fn(&Summary) -> Option<f64>;

/// Draws `<stem>.svg`, `<stem>-dark.svg` and `<stem>.png` of `runs`: throughput, latency and memory over commits, which stand in
/// the order of their first run. Runs of different loads, drivers, brokers or machines are lines of their own.
///
/// # Errors
/// When a file cannot be written.
pub fn write(stem: &Path, title: &str, runs: &[&Line], width: u32) -> io::Result<()> {
    write_page(stem, &page(title, runs), width)
}

fn page(title: &str, runs: &[&Line]) -> Page {
    let mut ordered = runs.to_vec();
    ordered.sort_by(|one, other| one.started.cmp(&other.started));
    let commits = commits(&ordered);
    let loads = loads(&ordered);
    let few = loads.iter().any(|load| {
        commits
            .iter()
            .any(|it| (1..RUNS_MIN).contains(&runs_of(load, it).count()))
    });
    let mut note = format!("bars: {:.0} % interval of the median", CONFIDENCE * 100.0);
    if few {
        note = format!("{note}; of fewer than {RUNS_MIN} runs: the range");
    }
    let rates: Figure = |summary| {
        // A fill has no consumers.
        Some(if summary.consumed > 0 {
            summary.consume_rate
        } else {
            summary.publish_rate
        })
    };
    let latency: Figure = |summary| Some(summary.latency_us?.p99);
    let memory: Figure = |summary| Some(summary.broker.rss_bytes_max? as f64);
    let panel = |title: &str, figure: Figure, axis: fn(&[PlotLine]) -> Axis| {
        let lines = lines(&loads, &commits, figure);
        let is_first = title == THROUGHPUT;
        let title = if lines.iter().all(|line| line.points.is_empty()) {
            format!("{title}: none was measured")
        } else {
            title.into()
        };
        Panel {
            lines: if is_first {
                lines.clone()
            } else {
                without_names(&lines)
            },
            ..Panel::new(title, Axis::categories(commits.iter().cloned()), axis(&lines))
        }
    };
    let panels = [
        panel(THROUGHPUT, rates, |lines| {
            zero_based(lines, TICKS, Unit::Rate.label())
        }),
        panel("response latency (p99)", latency, |lines| {
            latency_axis(lines.iter().flat_map(values))
        }),
        panel("peak memory of the broker", memory, memory_axis),
    ];
    Page::new(
        Caption::of_lines(title, &note, &ordered),
        panels.map(|panel| (panel, HEIGHT)),
    )
}

/// The first plot's legend serves all of them.
fn without_names(lines: &[PlotLine]) -> Vec<PlotLine> {
    let unnamed = lines.iter().cloned().map(|line| PlotLine {
        label: String::new(),
        ..line
    });
    unnamed.collect()
}

/// Commits in the order of their first run.
fn commits(runs: &[&Line]) -> Vec<String> {
    let mut commits = Vec::new();
    for run in runs {
        let commit = commit(run);
        if !commits.contains(&commit) {
            commits.push(commit);
        }
    }
    commits
}

/// Runs by what must be equal to compare them, named by what differs.
fn loads<'a>(runs: &[&'a Line]) -> Vec<Load<'a>> {
    let parts = |run: &Line| {
        let summary = &run.summary;
        let changes = if summary.overrides.is_empty() {
            "as in its file".to_string()
        } else {
            summary.overrides.join(", ")
        };
        [
            // The version of a broker is what changes from commit to commit, its name is not.
            server(summary)
                .split(' ')
                .take_while(|word| !word.starts_with(|first: char| first.is_ascii_digit()))
                .collect::<Vec<_>>()
                .join(" "),
            format!("{} driver", summary.driver.name()),
            changes,
            format!("load {}", summary.scenario_hash),
            run.environment.machine(),
            TlsFigures::describe_any(summary.tls.as_ref()),
        ]
    };
    let mut groups: Vec<([String; 6], Vec<&Line>)> = Vec::new();
    for &run in runs {
        let key = parts(run);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((key, vec![run])),
        }
    }
    let mut differs: Vec<bool> = (0..6)
        .map(|part| groups.iter().any(|(key, _)| key[part] != groups[0].0[part]))
        .collect();
    // A hash says something only where the words before it do not.
    differs[HASH] &= !differs[HASH - 1];
    let named = groups.into_iter().map(|(key, runs)| {
        let name = key.iter().zip(&differs).filter(|(_, differs)| **differs);
        Load {
            name: name.map(|(part, _)| part.as_str()).collect::<Vec<_>>().join(", "),
            runs,
        }
    });
    named.collect()
}

fn runs_of<'a>(load: &'a Load<'_>, wanted: &'a str) -> impl Iterator<Item = &'a Line> {
    load.runs.iter().copied().filter(move |run| commit(run) == wanted)
}

/// For each load the medians, and behind them its runs.
fn lines(loads: &[Load<'_>], commits: &[String], figure: Figure) -> Vec<PlotLine> {
    let mut lines = Vec::new();
    let middle = (loads.len() as f64 - 1.0) / 2.0;
    for (index, load) in loads.iter().enumerate() {
        let shift = ((index as f64 - middle) * SHIFT).clamp(-0.45, 0.45);
        let (mut runs, mut medians, mut whiskers) = (Vec::new(), Vec::new(), Vec::new());
        for (place, commit) in commits.iter().enumerate() {
            let x = place as f64 + shift;
            let values: Vec<f64> = runs_of(load, commit)
                .filter_map(|run| figure(&run.summary))
                .filter(|value| value.is_finite())
                .collect();
            if values.is_empty() {
                continue;
            }
            runs.extend(values.iter().map(|value| (x, *value)));
            let (low, point, high) = spread(&values);
            medians.push((x, point));
            whiskers.push((x, low, high));
        }
        let hue = Hue::SERIES[index % Hue::SERIES.len()];
        lines.push(PlotLine {
            label: String::new(),
            hue: Hue::Faint,
            width: 0,
            marker: Some(Marker::Dot),
            points: runs,
            whiskers: Vec::new(),
        });
        lines.push(PlotLine {
            label: load.name.clone(),
            hue,
            width: 2,
            marker: Some(Marker::of_series(index)),
            points: medians,
            whiskers,
        });
    }
    lines
}

/// Lower end, median, upper end: of the interval, or of the range when there are too few runs for one.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    match Interval::of_median(values, CONFIDENCE, SEED) {
        Ok(interval) => (interval.low, interval.point, interval.high),
        Err(_) => {
            let (low, high) = values
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                    (value.min(low), value.max(high))
                });
            (low, median(values), high)
        }
    }
}

fn values(line: &PlotLine) -> impl Iterator<Item = f64> {
    line.points.iter().map(|point| point.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    fn history(runs: &[(&str, f64)]) -> Vec<Line> {
        let lines = runs.iter().enumerate().map(|(index, (commit, rate))| {
            let mut line = Line::from(&run_result("20p20c"));
            line.id = format!("id-{index}");
            line.started = format!("2026-01-01T00:{index:02}:00Z");
            line.summary.broker_commit = Some((*commit).into());
            line.summary.consume_rate = *rate;
            line
        });
        lines.collect()
    }

    #[test]
    fn commits_stand_in_the_order_of_their_first_run_with_median_and_range() {
        let lines = history(&[("b", 5.0), ("a", 1.0), ("b", 7.0), ("b", 9.0)]);
        let mut runs: Vec<&Line> = lines.iter().collect();
        runs.reverse();
        let page = page("20p20c", &runs);
        let crate::charts::page::Plot::Panel(panel, _) = &page.plots[0] else {
            panic!("a panel");
        };
        assert_eq!(panel.x.ticks, [(0.0, "b".to_string()), (1.0, "a".into())]);
        assert_eq!(panel.lines[1].points, [(0.0, 7.0), (1.0, 1.0)]);
        assert_eq!(panel.lines[1].whiskers[0], (0.0, 5.0, 9.0));
        assert_eq!(panel.lines[0].points.len(), 4);
        assert!(page.caption.note.contains("fewer than 5 runs: the range"));
    }

    #[test]
    fn enough_runs_have_an_interval_within_their_range() {
        let rates = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 40.0];
        let (low, point, high) = spread(&rates);
        assert_eq!(point, 14.0);
        assert!(
            10.0 <= low && low < point && point < high && high < 40.0,
            "{low} {high}"
        );
    }

    #[test]
    fn different_loads_are_different_lines_named_by_what_differs() {
        let mut lines = history(&[("a", 5.0), ("a", 6.0), ("b", 7.0)]);
        lines[1].summary.scenario_hash = "other".into();
        lines[1].summary.overrides = vec!["size_bytes = 1024".into()];
        let loads = loads(&lines.iter().collect::<Vec<_>>());
        assert_eq!(loads.len(), 2);
        assert!(loads[1].name.contains("size_bytes = 1024"), "{}", loads[1].name);
        assert!(!loads[1].name.contains("driver"), "{}", loads[1].name);
    }

    #[test]
    fn a_picture_of_the_history_names_its_runs_and_has_no_nan() {
        let lines = history(&[("a", 5.0), ("b", f64::NAN), ("c", 6.0)]);
        let directory = tempfile::tempdir().unwrap();
        for runs in [lines.iter().collect::<Vec<_>>(), Vec::new()] {
            write(&directory.path().join("trend"), "20p20c", &runs, 1_000).unwrap();
            let svg = std::fs::read_to_string(directory.path().join("trend.svg")).unwrap();
            assert!(!svg.contains("NaN"));
            assert!(runs.iter().all(|run| svg.contains(&run.id)));
        }
    }
}
