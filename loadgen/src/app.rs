//! One invocation, from the command line to the exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{Changes, Cli, Command, Format, OutputArguments, RunArguments};
use crate::commands;
use crate::conductor::{Event, Events};
use crate::embedded;
use crate::failure::{EXIT_INVALID, EXIT_USAGE, Failure};
use crate::null_sink;
use crate::prometheus::{Board, MetricsServer};
use crate::repeat::Tally;
use crate::result::{RunResult, Summary};
use crate::runner::{Keep, Measured, Runner};
use crate::scenario::{self, Overridden, Overrides};
use crate::subject::Subject;
use crate::summary;
use crate::terminal::Display;
use crate::workers::Workers;

/// The interrupt that ends the process at once, when even giving up the drain did not help.
const INTERRUPTS_MAX: usize = 3;

/// Does what the command line says. `arguments` begin with the program's name.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = embedded::run_hidden(&arguments).or_else(|| null_sink::run_hidden(&arguments)) {
        return code;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too. A closed output is no reason for another exit code.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    match &cli.command {
        Some(command) => finish(run_command(command)),
        None if cli.run.list => list(),
        None if !cli.run.sweep.is_empty() => finish(commands::sweep::run(&cli.run)),
        None => run_scenario(&cli.run),
    }
}

/// A subcommand, which lives in a file of its own.
fn run_command(command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Chart(arguments) => commands::chart::run(arguments),
        Command::Report(arguments) => commands::report::run(arguments),
        Command::Matrix(arguments) => commands::matrix::run(arguments),
        Command::Search(arguments) => commands::search::run(arguments),
        Command::Duel(arguments) => commands::duel::run(arguments),
        Command::Compare(arguments) => commands::compare::run(arguments),
        Command::Gate(arguments) => commands::gate::run(arguments),
        Command::Calibrate(arguments) => commands::calibrate::run(arguments),
        Command::Export(arguments) => commands::export::export(arguments),
        Command::Schema(arguments) => commands::schema::schema(arguments),
        Command::Worker(arguments) => commands::worker::worker(arguments),
    }
}

/// The exit code of a subcommand; a failure is told first.
fn finish(outcome: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(outcome.unwrap_or_else(|failure| {
        eprintln!("loadgen: {:#}", failure.error);
        failure.exit_code
    }))
}

/// `loadgen --scenario NAME`.
fn run_scenario(arguments: &RunArguments) -> ExitCode {
    match measure(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("loadgen: {:#}", failure.error);
            if arguments.output.format == Format::Json && failure.exit_code != EXIT_USAGE {
                print_failure(arguments, &failure);
            }
            ExitCode::from(failure.exit_code)
        }
    }
}

/// How `runs` runs are shown, and the server of their metrics, which ends when it is dropped.
///
/// # Errors
/// When the metrics cannot be served.
pub(crate) fn display(
    output: &OutputArguments,
    runs: u32,
) -> Result<(Display, Option<MetricsServer>), Failure> {
    let board = output.metrics.map(|_| Board::default());
    let mut server = None;
    if let (Some(address), Some(board)) = (output.metrics, &board) {
        let started = MetricsServer::start(address, board.clone())
            .with_context(|| format!("cannot serve metrics on {address}"))
            .map_err(Failure::usage)?;
        eprintln!("metrics: http://{}/metrics", started.address());
        server = Some(started);
    }
    let display = Display {
        // Repeated runs have a line each, no more.
        quiet: output.quiet || runs > 1,
        live: output.format == Format::Human,
        color: output.color.is_on(),
        board,
    };
    Ok((display, server))
}

fn measure(arguments: &RunArguments) -> Result<u8, Failure> {
    let subject = arguments.subject.subject();
    let name = arguments.scenario.as_deref().unwrap_or_default();
    let overridden = effective_scenario(name, &arguments.changes)?;
    let (display, _metrics) = display(&arguments.output, arguments.repeat)?;
    let workers = (!arguments.workers.is_empty()).then(|| Workers {
        addresses: arguments.workers.clone(),
        token: arguments.token.clone(),
    });
    let events = listen_for_interrupts()?;
    let runner = Runner {
        results: &arguments.output.results,
        // A shared load is dealt out over queues that nobody shares: not quite the scenario's own.
        keep: if workers.is_some() {
            Keep::Files
        } else {
            Keep::History
        },
        workers: workers.as_ref(),
        display: &display,
        events: &events,
    };
    runner.prepare(&overridden, &subject)?;
    if arguments.repeat > 1 {
        return Ok(measure_repeatedly(arguments, &overridden, &subject, &runner));
    }
    let Measured { run, directory } = runner.measure(&overridden, arguments.seed, &subject)?;
    print(&match arguments.output.format {
        Format::Human => summary::table(&run, &directory),
        Format::Json => json_line(&run, &directory),
    });
    Ok(run.summary.verdict.exit_code())
}

/// One run after the other with ascending seeds, to the end or until interrupted; the worst exit code.
fn measure_repeatedly(
    arguments: &RunArguments,
    overridden: &Overridden,
    subject: &Subject,
    runner: &Runner<'_>,
) -> u8 {
    let mut tally = Tally::new(
        &overridden.scenario.name,
        &subject.name(),
        arguments.repeat,
        arguments.seed,
    );
    for index in 0..arguments.repeat {
        let seed = arguments.seed.wrapping_add(u64::from(index));
        match runner.measure(overridden, seed, subject) {
            Ok(Measured { run, directory }) => {
                let line = tally.add(&run);
                print(&match arguments.output.format {
                    Format::Human => line,
                    Format::Json => json_line(&run, &directory),
                });
            }
            Err(failure) => {
                let reason = format!("{:#}", failure.error);
                let line = tally.add_failure(seed, failure.outcome(), failure.exit_code, &reason);
                match arguments.output.format {
                    Format::Human => print(&line),
                    Format::Json => print_failure(arguments, &failure),
                }
            }
        }
        if runner.events.interrupted() {
            break;
        }
    }
    print(&match arguments.output.format {
        Format::Human => tally.table(),
        Format::Json => serde_json::to_string(&tally.summary()).expect("a summary is plain data") + "\n",
    });
    tally.exit_code()
}

fn list() -> ExitCode {
    let directory = std::env::current_dir().unwrap_or_default();
    let mut out = io::stdout().lock();
    for (name, scenario) in scenario::list(&directory) {
        let text = scenario.map_or_else(
            |error| format!("unusable: {error}"),
            |scenario| scenario.description,
        );
        if writeln!(out, "{name:<18}{text}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// The scenario `name`, or in the file of this name, with the command line's changes.
///
/// # Errors
/// When there is none, or a value is not allowed.
pub(crate) fn effective_scenario(name: &str, changes: &Changes) -> Result<Overridden, Failure> {
    scenario_with(name, &changes.overrides())
}

/// The same with changes that do not come of a run's own flags.
///
/// # Errors
/// As for [`effective_scenario`].
pub(crate) fn scenario_with(name: &str, changes: &Overrides) -> Result<Overridden, Failure> {
    let directory = std::env::current_dir()
        .context("there is no current directory")
        .map_err(Failure::usage)?;
    let (scenario, _) = scenario::find(name, &directory).map_err(Failure::usage)?;
    changes.apply(&scenario).map_err(Failure::usage)
}

/// From here on Ctrl-C ends the run in order.
///
/// # Errors
/// When the operating system refuses.
pub(crate) fn listen_for_interrupts() -> Result<Events, Failure> {
    let events = Events::default();
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .context("cannot listen for signals")
        .map_err(Failure::usage)?;
    let sender = events.sender();
    std::thread::spawn(move || {
        for (index, _) in signals.forever().enumerate() {
            if index + 1 >= INTERRUPTS_MAX || sender.send(Event::Interrupt).is_err() {
                // The embedded broker notices that its input ends.
                std::process::exit(i32::from(EXIT_INVALID));
            }
        }
    });
    Ok(events)
}

/// The JSON object that `--format json` prints.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    seed: u64,
    run: &'a str,
    directory: &'a Path,
}

fn json_line(run: &RunResult, directory: &Path) -> String {
    let output = Output {
        summary: &run.summary,
        seed: run.seed,
        run: &run.id,
        directory,
    };
    serde_json::to_string(&output).expect("a summary is plain data") + "\n"
}

/// A closed output must not change the verdict.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// The JSON object of a run that came to nothing: why, in the same place as in any other.
fn print_failure(arguments: &RunArguments, failure: &Failure) {
    let output = serde_json::json!({
        "scenario": arguments.scenario,
        "target": arguments.subject.subject().name(),
        "verdict": failure.outcome(),
        "reasons": [format!("{:#}", failure.error)],
    });
    let _ = writeln!(io::stdout(), "{output}");
}
