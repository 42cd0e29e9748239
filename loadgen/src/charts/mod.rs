//! Charts of a run, in SVG. Text stays text: viewers bring the font.
//!
//! A page is a header (scenario, verdict, commit, machine, date) above one or more plots.

mod axis;
pub mod bars;
pub mod curve;
pub mod forest;
mod panel;
mod views;

use std::io;
use std::path::Path;

use plotters::prelude::*;

use crate::recorder::Recording;
use crate::result::RunResult;
use crate::verdict::Outcome;
use panel::{Area, DrawResult, FAINT, GREEN, INK, ORANGE, Panel, VERMILLION, bold, text, width_of};
use views::View;

const WIDTH: u32 = 1_000;
const HEADER_HEIGHT: u32 = 66;
const PANEL_HEIGHT: u32 = 300;
const PANEL_HEIGHT_LOW: u32 = 190;
/// Below the last plot.
const FOOT_HEIGHT: u32 = 10;

/// Writes `throughput.svg`, `latency.svg`, `percentiles.svg` and `memory.svg` into a run's directory.
///
/// # Errors
/// When a file cannot be written.
pub fn write_run(directory: &Path, run: &RunResult, recording: &Recording) -> io::Result<()> {
    let view = View { run, recording };
    let pages = [
        (
            "throughput.svg",
            vec![(view.rates(), PANEL_HEIGHT), (view.backlog(), PANEL_HEIGHT_LOW)],
        ),
        ("latency.svg", vec![(view.latency(), PANEL_HEIGHT + 100)]),
        ("percentiles.svg", vec![(view.percentiles(), PANEL_HEIGHT + 100)]),
        (
            "memory.svg",
            vec![
                (view.memory(), PANEL_HEIGHT_LOW + 40),
                (view.cpu(), PANEL_HEIGHT_LOW + 40),
            ],
        ),
    ];
    for (file, panels) in pages {
        write_page(&directory.join(file), run, &panels)?;
    }
    Ok(())
}

/// Writes the one picture that sums a scenario up: throughput, latency and memory.
///
/// # Errors
/// When the file cannot be written.
pub fn write_overview(file: &Path, run: &RunResult, recording: &Recording) -> io::Result<()> {
    let view = View { run, recording };
    let panels = [
        (view.rates(), PANEL_HEIGHT_LOW + 40),
        (view.latency(), PANEL_HEIGHT),
        (view.memory(), PANEL_HEIGHT_LOW),
    ];
    write_page(file, run, &panels)
}

fn write_page(file: &Path, run: &RunResult, panels: &[(Panel, u32)]) -> io::Result<()> {
    let height = HEADER_HEIGHT + panels.iter().map(|(_, height)| height).sum::<u32>() + FOOT_HEIGHT;
    let mut svg = String::new();
    draw_page(
        SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area(),
        run,
        panels,
    )
    .map_err(|error| io::Error::other(format!("cannot draw {}: {error}", file.display())))?;
    std::fs::write(file, svg)
}

fn draw_page(page: Area<'_>, run: &RunResult, panels: &[(Panel, u32)]) -> DrawResult {
    page.fill(&WHITE)?;
    let (header, mut rest) = page.split_vertically(HEADER_HEIGHT);
    draw_header(&header, run)?;
    for (index, (panel, height)) in panels.iter().enumerate() {
        let (area, below) = rest.split_vertically(*height);
        panel.draw(&area, index == 0)?;
        rest = below;
    }
    page.present()?;
    Ok(())
}

fn draw_header(header: &Area<'_>, run: &RunResult) -> DrawResult {
    const TITLE_SIZE: i32 = 22;
    const SUBTITLE_SIZE: i32 = 13;
    const LEFT: i32 = 12;
    let summary = &run.summary;
    let color = match summary.verdict {
        Outcome::Pass => GREEN,
        Outcome::Fail => VERMILLION,
        Outcome::Invalid => ORANGE,
    };
    let mut title = summary.scenario.clone();
    if !summary.overrides.is_empty() {
        title.push_str(" (overridden)");
    }
    header.draw_text(&title, &bold(TITLE_SIZE, INK), (LEFT, 10))?;
    let verdict_x = LEFT + width_of(&title, TITLE_SIZE) + 12;
    header.draw_text(summary.verdict.name(), &bold(TITLE_SIZE, color), (verdict_x, 10))?;
    let durability_x = verdict_x + width_of(summary.verdict.name(), TITLE_SIZE) + 24;
    let durability = summary.durability.describe();
    header.draw_text(&durability, &text(SUBTITLE_SIZE, FAINT), (durability_x, 18))?;
    let environment = &run.environment;
    let subtitle = format!(
        "{} · {} driver · commit {} · {} · {} · {}",
        if summary.server.is_empty() {
            &summary.target
        } else {
            &summary.server
        },
        summary.driver.name(),
        environment.commit_short(),
        environment.machine(),
        environment.kernel,
        run.started.replace('T', " "),
    );
    header.draw_text(&subtitle, &text(SUBTITLE_SIZE, FAINT), (LEFT, 42))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::result::tests::run_result;
    use crate::scenario::built_in;

    const FILES: [&str; 4] = ["throughput.svg", "latency.svg", "percentiles.svg", "memory.svg"];

    #[test]
    fn every_chart_names_its_scenario_and_verdict() {
        let directory = tempfile::tempdir().unwrap();
        let recording = fixtures::recording(&built_in("20p20c-latency").unwrap());
        write_run(directory.path(), &run_result("20p20c-latency"), &recording).unwrap();
        for file in FILES {
            let svg = std::fs::read_to_string(directory.path().join(file)).unwrap();
            assert!(
                svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
                "{file}"
            );
            assert!(svg.contains("20p20c-latency") && svg.contains("pass"), "{file}");
            assert!(svg.contains("<polyline") && !svg.contains("NaN"), "{file}");
        }
    }

    #[test]
    fn kills_are_marked_and_durability_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let recording = fixtures::recording(&built_in("crash").unwrap());
        write_run(directory.path(), &run_result("crash"), &recording).unwrap();
        let svg = std::fs::read_to_string(directory.path().join("throughput.svg")).unwrap();
        assert!(svg.contains("kill") && svg.contains("broker durability: sync"));
    }

    #[test]
    fn a_fill_and_a_drain_say_what_they_show() {
        let directory = tempfile::tempdir().unwrap();
        let page = |name: &str, file: &str| {
            let mut recording = fixtures::recording(&built_in(name).unwrap());
            recording.response.reset();
            recording.service.reset();
            write_run(directory.path(), &run_result(name), &recording).unwrap();
            std::fs::read_to_string(directory.path().join(file)).unwrap()
        };
        let fill = page("backlog-fill", "throughput.svg");
        assert!(fill.contains("sent, in the queue") && !fill.contains("consumed"));
        let drain = page("backlog-drain", "throughput.svg");
        assert!(drain.contains("fill") && !drain.contains("warm-up"));
        let percentiles = page("backlog-drain", "percentiles.svg");
        assert!(percentiles.contains("none was measured") && !percentiles.contains("NaN"));
    }

    #[test]
    fn a_run_without_any_measurement_still_has_charts() {
        let directory = tempfile::tempdir().unwrap();
        let mut recording = fixtures::recording(&built_in("20p20c").unwrap());
        let mut run = run_result("20p20c");
        recording.response.reset();
        recording.service.reset();
        run.intervals.clear();
        run.samples.clear();
        write_run(directory.path(), &run, &recording).unwrap();
        write_overview(&directory.path().join("overview.svg"), &run, &recording).unwrap();
        assert!(
            !std::fs::read_to_string(directory.path().join("overview.svg"))
                .unwrap()
                .contains("NaN")
        );
    }
}
