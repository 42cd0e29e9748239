//! The pages of one run.

use std::io;
use std::path::Path;

use super::caption::Caption;
use super::page::Page;
use super::picture::{WIDTH, write};
use super::views::View;
use crate::result::RunResult;

const HEIGHT_HIGH: u32 = 370;
const HEIGHT: u32 = 270;
const HEIGHT_MIDDLE: u32 = 200;
const HEIGHT_LOW: u32 = 160;

/// Draws a run's pages into its directory.
///
/// # Errors
/// When a histogram is damaged or a file cannot be written.
pub fn write_run(directory: &Path, run: &RunResult) -> io::Result<()> {
    write_run_to(directory, run, WIDTH)
}

/// Draws `throughput`, `latency`, `heat`, `percentiles` and `memory`, as wide as `width` pixels.
///
/// # Errors
/// When a histogram is damaged or a file cannot be written.
pub fn write_run_to(directory: &Path, run: &RunResult, width: u32) -> io::Result<()> {
    let histograms = run.histograms.decode()?;
    let view = View {
        run,
        histograms: &histograms,
    };
    let pages = [
        (
            "throughput",
            vec![(view.rates(), HEIGHT), (view.backlog(), HEIGHT_LOW)],
        ),
        ("latency", vec![(view.latency(), HEIGHT_HIGH)]),
        ("heat", vec![(view.heat(), HEIGHT_HIGH)]),
        ("percentiles", vec![(view.percentiles(), HEIGHT_HIGH)]),
        (
            "memory",
            vec![(view.memory(), HEIGHT_MIDDLE), (view.cpu(), HEIGHT_MIDDLE)],
        ),
    ];
    for (name, panels) in pages {
        let page = Page::new(Caption::of_run(run), panels);
        write(&directory.join(name), &page, width)?;
    }
    Ok(())
}

/// Draws the one page that sums a scenario up: throughput, latency and memory.
///
/// # Errors
/// When a histogram is damaged or a file cannot be written.
pub fn write_overview(stem: &Path, run: &RunResult, width: u32) -> io::Result<()> {
    let histograms = run.histograms.decode()?;
    let view = View {
        run,
        histograms: &histograms,
    };
    let panels = [
        (view.rates(), HEIGHT_MIDDLE),
        (view.latency(), HEIGHT),
        (view.memory(), HEIGHT_LOW),
    ];
    write(stem, &Page::new(Caption::of_run(run), panels), width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::histogram;
    use crate::result::tests::run_result;

    const NAMES: [&str; 5] = ["throughput", "latency", "heat", "percentiles", "memory"];

    /// Draws `run` and reads one of its pages.
    fn page(run: &RunResult, name: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        write_run(directory.path(), run).unwrap();
        std::fs::read_to_string(directory.path().join(name)).unwrap()
    }

    /// As if no latency had been measured.
    fn without_latency(run: &mut RunResult) {
        run.histograms.response = crate::recorder::encode(&histogram());
        run.histograms.service = crate::recorder::encode(&histogram());
    }

    #[test]
    fn every_chart_is_drawn_light_dark_and_in_pixels_and_names_its_run() {
        let directory = tempfile::tempdir().unwrap();
        let run = run_result("20p20c-latency");
        write_run(directory.path(), &run).unwrap();
        for name in NAMES {
            for ending in [".svg", "-dark.svg"] {
                let file = directory.path().join(format!("{name}{ending}"));
                let svg = std::fs::read_to_string(file).unwrap();
                assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
                for part in [
                    "20p20c-latency",
                    "pass",
                    &run.id,
                    &run.environment.commit_short(),
                    &run.environment.kernel,
                    "$ loadgen --scenario 20p20c-latency",
                ] {
                    assert!(svg.contains(part), "{part} is not in {name}{ending}");
                }
                assert!(svg.contains("<poly") || name == "heat", "{name}");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
            }
            let png = std::fs::read(directory.path().join(format!("{name}.png"))).unwrap();
            assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{name}");
        }
    }

    #[test]
    fn kills_are_marked_and_durability_is_named() {
        let svg = page(&run_result("crash"), "throughput.svg");
        assert!(svg.contains("kill") && svg.contains("broker durability: sync"));
        assert!(svg.contains("confirmed") && svg.contains("backlog"));
    }

    #[test]
    fn a_fill_and_a_drain_say_what_they_show() {
        let fill = page(&run_result("backlog-fill"), "throughput.svg");
        assert!(fill.contains("sent, in the queue") && !fill.contains("consumed"));
        let mut run = run_result("backlog-drain");
        without_latency(&mut run);
        let drain = page(&run, "throughput.svg");
        assert!(drain.contains("fill") && !drain.contains("warm-up"));
        let percentiles = page(&run, "percentiles.svg");
        assert!(percentiles.contains("none was measured") && !percentiles.contains("NaN"));
    }

    #[test]
    fn a_run_without_any_measurement_still_has_charts() {
        let mut run = run_result("20p20c");
        without_latency(&mut run);
        run.intervals.clear();
        run.samples.clear();
        let directory = tempfile::tempdir().unwrap();
        write_run(directory.path(), &run).unwrap();
        for name in NAMES {
            let svg = std::fs::read_to_string(directory.path().join(format!("{name}.svg"))).unwrap();
            assert!(!svg.contains("NaN"), "{name}");
        }
    }

    #[test]
    fn a_damaged_histogram_is_an_error_and_no_picture() {
        let directory = tempfile::tempdir().unwrap();
        let mut run = run_result("20p20c");
        run.histograms.response = "?".into();
        let message = write_run(directory.path(), &run).unwrap_err().to_string();
        assert!(message.contains("the response histogram is damaged"), "{message}");
    }
}
