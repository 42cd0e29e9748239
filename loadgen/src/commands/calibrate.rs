//! `loadgen calibrate`: the generator's own ceiling.

use anyhow::Context as _;
use clap::Args;

use crate::app;
use crate::calibration::{Calibrations, Entry, FILE, Machine, Shape};
use crate::cli::{Format, OutputArguments};
use crate::conductor::target_of;
use crate::environment::Environment;
use crate::failure::{EXIT_INVALID, Failure};
use crate::null_sink::NullSink;
use crate::reading::is_harm;
use crate::result::RunResult;
use crate::runner::Runner;
use crate::scenario::{Overridden, Overrides, Scenario};
use crate::statistics::{Interval, median};
use crate::subject::Subject;
use crate::units::{percent, rate};
use crate::utc::Utc;
use crate::verdict::Outcome;

const CONFIDENCE: f64 = 0.95;

/// Measures the generator's own ceiling: how much it consumes from a peer that does nothing but pass messages on.
///
/// Runs each scenario's shape of load (driver, producers, consumers, queues, sizes, confirms, acks; not its rate) several times,
/// as fast as it goes, against the null sink, a process of its own on this machine. The median becomes the ceiling in
/// RESULTS/calibration.json, for this shape and machine; later runs of the same shape say which share of it they reached, and
/// validity.ceiling_share_max limits that. Invalid runs are made again. Exit codes: 0 calibrated, 1 messages were harmed,
/// 2 wrong usage, 3 too many invalid runs or cut short, 4 the null sink failed.
#[derive(Clone, Debug, Args)]
pub struct CalibrateArguments {
    /// Names of scenarios or paths of scenario files.
    #[arg(value_name = "NAME|PATH", default_value = "20p20c")]
    scenarios: Vec<String>,

    /// Valid runs of each; five or more have an interval.
    #[arg(long, value_name = "RUNS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: u32,

    /// Length of the measured window in seconds [default: 5].
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::seconds)]
    duration: Option<f64>,

    /// Load before the window in seconds [default: 1].
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::seconds)]
    warmup: Option<f64>,

    /// The client that makes the load, native or lapin, instead of the scenario's own.
    #[arg(long, value_name = "DRIVER")]
    driver: Option<String>,

    /// Seed of the first run; each later one's is one higher.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,

    /// Where results go, and how they are shown.
    #[command(flatten)]
    output: OutputArguments,
}

/// A load to calibrate.
struct Load {
    shape: Shape,
    overridden: Overridden,
}

/// Calibrates.
///
/// # Errors
/// Wrong usage (in any scenario, before the first is run), the null sink failed, or the file cannot be written.
pub fn run(arguments: &CalibrateArguments) -> Result<u8, Failure> {
    let names = arguments.scenarios.iter();
    let loads = names
        .map(|name| load(arguments, name))
        .collect::<Result<Vec<_>, _>>()?;
    let results = &arguments.output.results;
    Calibrations::read(results).map_err(Failure::usage)?;
    std::fs::create_dir_all(results)
        .with_context(|| format!("cannot create the results directory {}", results.display()))
        .map_err(Failure::usage)?;
    let events = app::listen_for_interrupts()?;
    let (display, _metrics) = app::display(&arguments.output, u32::MAX)?;
    let runner = Runner::of_series(results, &display, &events);
    for load in &loads {
        let runs = match measure(arguments, &runner, load)? {
            Ok(runs) => runs,
            Err(exit_code) => return Ok(exit_code),
        };
        let entry = entry(load, &runs, arguments.seed);
        // Read anew: another calibration may have ended meanwhile.
        let mut calibrations = Calibrations::read(results).map_err(|error| Failure::results(error.into()))?;
        calibrations.record(entry.clone());
        calibrations
            .write(results)
            .with_context(|| format!("cannot write {}", results.join(FILE).display()))
            .map_err(Failure::results)?;
        app::print(&match arguments.output.format {
            Format::Human => format!(
                "{}  file        {}\n",
                table(&entry),
                results.join(FILE).display()
            ),
            Format::Json => serde_json::to_string(&entry).expect("an entry is plain data") + "\n",
        });
    }
    Ok(0)
}

/// The load of the scenario called `name`, checked like any other.
fn load(arguments: &CalibrateArguments, name: &str) -> Result<Load, Failure> {
    let changes = Overrides {
        driver: arguments.driver.clone(),
        ..Overrides::default()
    };
    let scenario = app::scenario_with(name, &changes)?.scenario;
    let shape = Shape::of(&scenario).map_err(Failure::usage)?;
    let calibrated = shape.calibrated(&scenario, arguments.duration, arguments.warmup);
    let text = serde_json::to_string(&calibrated).expect("a scenario is plain data");
    let scenario = Scenario::from_json("command line", &text).map_err(Failure::usage)?;
    let changes = Vec::new();
    Ok(Load {
        shape,
        overridden: Overridden { scenario, changes },
    })
}

/// The valid runs of a load, or the exit code when they were not to be had.
fn measure(
    arguments: &CalibrateArguments,
    runner: &Runner<'_>,
    load: &Load,
) -> Result<Result<Vec<RunResult>, u8>, Failure> {
    let shows_lines = arguments.output.format == Format::Human && !arguments.output.quiet;
    let wanted = arguments.repeat as usize;
    let mut runs = Vec::new();
    // As many may be invalid as are wanted.
    for attempt in 0..2 * arguments.repeat {
        let run = measure_once(runner, load, arguments.seed.wrapping_add(u64::from(attempt)))?;
        let summary = &run.summary;
        if shows_lines {
            let reached = rate(message_rate(&run));
            let reasons = summary.reasons.join("; ");
            let verdict = summary.verdict.name();
            app::print(&format!(
                "{}  {reached}  {verdict}  {reasons}\n",
                summary.scenario
            ));
        }
        if is_harm(&summary.ledger) {
            eprintln!(
                "loadgen: messages were harmed between generator and null sink: {}",
                summary.reasons.join("; ")
            );
            return Ok(Err(Outcome::Fail.exit_code()));
        }
        if summary.verdict != Outcome::Invalid {
            runs.push(run);
        }
        if runs.len() == wanted {
            return Ok(Ok(runs));
        }
        if runner.events.interrupted() {
            break;
        }
    }
    let name = &load.overridden.scenario.name;
    eprintln!(
        "loadgen: {name} is not calibrated: {} of {wanted} runs were valid",
        runs.len()
    );
    Ok(Err(EXIT_INVALID))
}

/// One run against a null sink of its own.
fn measure_once(runner: &Runner<'_>, load: &Load, seed: u64) -> Result<RunResult, Failure> {
    let sink = NullSink::start()
        .context("the null sink")
        .map_err(Failure::broker)?;
    let subject = Subject::External {
        target: target_of(sink.address()),
        pid: Some(sink.pid()),
    };
    let (run, ..) = runner.run(&load.overridden, seed, &subject)?;
    sink.stop().context("the null sink").map_err(Failure::broker)?;
    Ok(run)
}

/// What a ceiling is measured in: deliveries, or messages sent where nobody consumes.
fn message_rate(run: &RunResult) -> f64 {
    run.summary.message_rate(&run.effective_scenario)
}

fn entry(load: &Load, runs: &[RunResult], seed: u64) -> Entry {
    let rates: Vec<f64> = runs.iter().map(message_rate).collect();
    let median_of = |value: fn(&RunResult) -> Option<f64>| {
        let values: Vec<f64> = runs.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let environment = Environment::detect();
    Entry {
        shape: load.shape.hash(),
        scenario: load.overridden.scenario.name.clone(),
        load: load.shape.describe(),
        machine: Machine::from(&environment),
        commit: environment.commit_short(),
        measured: Utc::now().iso(),
        msgs_per_s: median(&rates),
        interval: Interval::of_median(&rates, CONFIDENCE, seed).ok(),
        runs: rates,
        generator_cpu_cores: median_of(|run| run.summary.generator.cpu_cores),
        generator_cpu_us_per_message: median_of(|run| run.summary.generator.cpu_us_per_message),
        sink_cpu_cores: median_of(|run| run.summary.broker.cpu_cores),
    }
}

fn table(entry: &Entry) -> String {
    let interval = entry.interval.map_or_else(
        || "no interval: fewer than five runs".to_owned(),
        |it| {
            format!(
                "{} interval {} to {}",
                percent(it.confidence),
                rate(it.low),
                rate(it.high)
            )
        },
    );
    let cores = |cores: Option<f64>| {
        cores.map_or_else(|| "not measured".to_owned(), |cores| format!("{cores:.2} cores"))
    };
    format!(
        "\n{}: {}\n  ceiling     {} ({interval}, {} runs)\n  generator   {} · null sink {}\n",
        entry.scenario,
        entry.load,
        rate(entry.msgs_per_s),
        entry.runs.len(),
        cores(entry.generator_cpu_cores),
        cores(entry.sink_cpu_cores),
    )
}
