//! `loadgen --scenario NAME --sweep FIELD=A,B,C`: every combination, several times.

use std::path::Path;

use anyhow::Context as _;

use crate::app;
use crate::cli::{Format, RunArguments};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::reading::{self, Reading};
use crate::repeat::Tally;
use crate::runner::{Measured, Runner};
use crate::sweep::{GridPoint, PointReport, Report, draw, grid, schedule, table};

/// Sweeps.
///
/// # Errors
/// Wrong usage (in any point, before the first is run), or files cannot be written.
pub fn run(arguments: &RunArguments) -> Result<u8, Failure> {
    let subject = arguments.subject.subject();
    let name = arguments.scenario.as_deref().unwrap_or_default();
    let base = app::effective_scenario(name, &arguments.changes)?;
    let points = grid(&base, &arguments.sweep).map_err(Failure::usage)?;
    let events = app::listen_for_interrupts()?;
    let (display, _metrics) = app::display(&arguments.output, u32::MAX)?;
    let runner = Runner::of_series(&arguments.output.results, &display, &events);
    for point in &points {
        runner.prepare(&point.overridden, &subject)?;
    }
    let directory = reading::create_directory(&arguments.output.results, "sweeps", &base.scenario.name)
        .map_err(Failure::results)?;
    let mut report = Report {
        scenario: base.scenario.name.clone(),
        overrides: base.changes.clone(),
        target: subject.name(),
        environment: Environment::detect(),
        seed: arguments.seed,
        fields: arguments.sweep.iter().map(|axis| axis.field.clone()).collect(),
        points: points.iter().map(empty_point).collect(),
    };
    let order = schedule(points.len(), arguments.repeat, arguments.seed);
    let runs = u32::try_from(order.len()).unwrap_or(u32::MAX);
    let mut tally = Tally::new(&base.scenario.name, &subject.name(), runs, arguments.seed);
    let shows_lines = arguments.output.format == Format::Human && !arguments.output.quiet;
    for (point, repeat) in order {
        let seed = arguments.seed.wrapping_add(u64::from(repeat));
        let line = match runner.measure(&points[point].overridden, seed, &subject) {
            Ok(Measured { run, .. }) => {
                report.points[point].runs.push(Reading::of(&run));
                tally.add(&run)
            }
            Err(failure) => {
                let reason = format!("{:#}", failure.error);
                tally.add_failure(seed, failure.outcome(), failure.exit_code, &reason)
            }
        };
        if shows_lines {
            app::print(&format!("{}  {line}", report.label(point)));
        }
        if events.interrupted() {
            break;
        }
    }
    report.conclude();
    write_files(&directory, &report).map_err(Failure::results)?;
    app::print(&match arguments.output.format {
        Format::Human => format!("{}\n  files: {}\n", table(&report), directory.display()),
        Format::Json => serde_json::to_string(&report).expect("a report is plain data") + "\n",
    });
    Ok(tally.exit_code())
}

fn empty_point(point: &GridPoint) -> PointReport {
    PointReport {
        values: point.values.clone(),
        scenario_hash: point.overridden.scenario.hash(),
        runs: Vec::new(),
        consume_rate: None,
        latency_us_p99: None,
    }
}

fn write_files(directory: &Path, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(directory.join("sweep.json"), json)
        .and_then(|()| std::fs::write(directory.join("sweep.csv"), report.csv()))
        .and_then(|()| draw(&directory.join("curve"), report))
        .with_context(|| format!("cannot write to {}", directory.display()))
}
