//! One invocation, from the command line to the exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::charts;
use crate::cli::{Cli, Format};
use crate::conductor::{ConductError, Conducted, Event, Events, Peer, conduct, target_of};
use crate::driver::{Driver, DriverError, LapinDriver, NativeDriver};
use crate::embedded::{self, EmbeddedBroker};
use crate::environment::Environment;
use crate::history;
use crate::listener::listener_pid;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::repeat::Tally;
use crate::result::{Given, RunResult, Summary};
use crate::scenario::{self, DriverKind, Overridden};
use crate::storage;
use crate::summary;
use crate::target::Target;
use crate::utc::Utc;
use crate::verdict::Outcome;

/// What `target` is called when the broker is our own.
const EMBEDDED: &str = "embedded";
/// The interrupt that ends the process at once, when even giving up the drain did not help.
const INTERRUPTS_MAX: usize = 3;

const EXIT_USAGE: u8 = 2;
const EXIT_INVALID: u8 = 3;
const EXIT_BROKER: u8 = 4;

/// Why an invocation ended without a result.
#[derive(Debug)]
struct Failure {
    exit_code: u8,
    error: anyhow::Error,
}

impl Failure {
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: EXIT_USAGE,
            error: error.into(),
        }
    }

    fn broker(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit_code: EXIT_BROKER,
            error: error.into(),
        }
    }

    /// Writing results failed: the run is not one that others could check.
    fn results(error: anyhow::Error) -> Self {
        Self {
            exit_code: EXIT_INVALID,
            error,
        }
    }

    fn outcome(&self) -> Outcome {
        if self.exit_code == EXIT_INVALID {
            Outcome::Invalid
        } else {
            Outcome::Fail
        }
    }
}

impl From<ConductError> for Failure {
    fn from(error: ConductError) -> Self {
        let exit_code = match &error {
            ConductError::Driver(DriverError::Generator { .. } | DriverError::Interrupted)
            | ConductError::Panicked => EXIT_INVALID,
            ConductError::Driver(_) | ConductError::Broker(_) => EXIT_BROKER,
        };
        Self {
            exit_code,
            error: error.into(),
        }
    }
}

/// Does what the command line says. `arguments` begin with the program's name.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments
        .get(1)
        .is_some_and(|first| first == embedded::SUBCOMMAND)
    {
        return embedded::run(arguments.into_iter().skip(1));
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too. A closed output is no reason for another exit code.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    if cli.list {
        return list();
    }
    let prepared = prepare(&cli).and_then(|overridden| Ok((overridden, listen_for_interrupts()?)));
    let (overridden, events) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return report(&cli, &failure),
    };
    if cli.repeat > 1 {
        return ExitCode::from(measure_repeatedly(&cli, &overridden, &events));
    }
    match measure(&cli, &overridden, cli.seed, &events) {
        Ok((run, directory)) => {
            print(&match cli.format {
                Format::Human => summary::table(&run, &directory),
                Format::Json => json_line(&run, &directory),
            });
            ExitCode::from(run.summary.verdict.exit_code())
        }
        Err(failure) => report(&cli, &failure),
    }
}

/// Says why there is no result.
fn report(cli: &Cli, failure: &Failure) -> ExitCode {
    eprintln!("loadgen: {:#}", failure.error);
    if cli.format == Format::Json && failure.exit_code != EXIT_USAGE {
        print_failure(cli, failure);
    }
    ExitCode::from(failure.exit_code)
}

/// One run after the other with ascending seeds, to the end or until interrupted; the worst exit code.
fn measure_repeatedly(cli: &Cli, overridden: &Overridden, events: &Events) -> u8 {
    let mut tally = Tally::new(&overridden.scenario.name, &target_name(cli), cli.repeat, cli.seed);
    for index in 0..cli.repeat {
        let seed = cli.seed.wrapping_add(u64::from(index));
        match measure(cli, overridden, seed, events) {
            Ok((run, directory)) => {
                let line = tally.add(&run);
                print(&match cli.format {
                    Format::Human => line,
                    Format::Json => json_line(&run, &directory),
                });
            }
            Err(failure) => {
                let reason = format!("{:#}", failure.error);
                let line = tally.add_failure(seed, failure.outcome(), failure.exit_code, &reason);
                match cli.format {
                    Format::Human => print(&line),
                    Format::Json => print_failure(cli, &failure),
                }
            }
        }
        if events.interrupted() {
            break;
        }
    }
    print(&match cli.format {
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

/// Everything that can be refused before any work.
fn prepare(cli: &Cli) -> Result<Overridden, Failure> {
    let directory = std::env::current_dir()
        .context("there is no current directory")
        .map_err(Failure::usage)?;
    let name = cli.scenario.as_deref().unwrap_or_default();
    let (scenario, _) = scenario::find(name, &directory).map_err(Failure::usage)?;
    let overridden = cli.overrides().apply(&scenario).map_err(Failure::usage)?;
    match &cli.url {
        Some(url) if !overridden.scenario.faults.is_empty() => {
            return Err(Failure::usage(anyhow::anyhow!(
                "{name} kills and restarts the broker, which loadgen does only to its own: leave --url {url} out"
            )));
        }
        Some(_) => {}
        None => {
            storage::check(&overridden.scenario, cli.data_dir_parent.as_deref()).map_err(Failure::usage)?
        }
    }
    let runs = cli.results.join("runs");
    std::fs::create_dir_all(&runs)
        .with_context(|| format!("cannot create the results directory {}", runs.display()))
        .map_err(Failure::usage)?;
    Ok(overridden)
}

/// One run, from the broker's start to the files.
fn measure(
    cli: &Cli,
    overridden: &Overridden,
    seed: u64,
    events: &Events,
) -> Result<(RunResult, PathBuf), Failure> {
    let started = Utc::now();
    let environment = Environment::detect();
    // Repeated runs have a line each, no more.
    let mut progress = Progress::new(cli.quiet || cli.repeat > 1);
    if !environment.is_release() {
        progress.note("this is a debug build: its figures mean little and enter no history");
    }
    let (target, mut peer) = peer(cli)?;
    let tag = format!("{}.{}", started.compact(), std::process::id());
    let plan = Plan::new(&overridden.scenario, seed, &tag);
    let mut driver = driver(overridden.scenario.driver);
    let conducted = conduct(driver.as_mut(), &plan, &target, &mut peer, &mut progress, events)?;
    let stopped = match peer {
        Peer::Embedded(broker) => broker.stop(),
        Peer::External(_) => Ok(()),
    };
    let given = Given {
        overridden,
        seed,
        target: target_name(cli),
        broker_arguments: cli
            .broker_arg
            .iter()
            .map(|flag| flag.to_string_lossy().into_owned())
            .collect(),
        started,
        environment,
    };
    let run = RunResult::new(&given, &conducted);
    let (run, directory) = keep(cli, run, &conducted, stopped.is_ok()).map_err(Failure::results)?;
    stopped
        .map_err(|error| Failure::broker(anyhow::Error::new(error).context("the run is complete, but")))?;
    Ok((run, directory))
}

/// Starts the embedded broker, or finds the one behind the URL.
fn peer(cli: &Cli) -> Result<(Target, Peer), Failure> {
    match &cli.url {
        Some(target) => {
            let pid = cli.broker_pid.or_else(|| listener_pid(target));
            Ok((target.clone(), Peer::External(pid)))
        }
        None => {
            let parent = cli.data_dir_parent.as_deref();
            let broker = EmbeddedBroker::start(&cli.broker_arg, parent).map_err(Failure::broker)?;
            Ok((target_of(broker.address()), Peer::Embedded(broker)))
        }
    }
}

fn driver(kind: DriverKind) -> Box<dyn Driver + Send> {
    match kind {
        DriverKind::Native => Box::new(NativeDriver),
        DriverKind::Lapin => Box::new(LapinDriver),
    }
}

fn target_name(cli: &Cli) -> String {
    cli.url
        .as_ref()
        .map_or_else(|| EMBEDDED.into(), Target::to_string)
}

/// From here on Ctrl-C ends the run in order.
fn listen_for_interrupts() -> Result<Events, Failure> {
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

/// Writes the run's files; a valid one also enters the history, and unless overridden becomes its scenario's chart.
fn keep(
    cli: &Cli,
    mut run: RunResult,
    conducted: &Conducted,
    broker_stopped: bool,
) -> anyhow::Result<(RunResult, PathBuf)> {
    let (id, directory) = create_directory(&cli.results.join("runs"), &run.id)?;
    run.id = id;
    let writing = || format!("cannot write to {}", directory.display());
    run.write(&directory).with_context(writing)?;
    charts::write_run(&directory, &run, &conducted.recording).with_context(writing)?;
    if run.summary.verdict != Outcome::Invalid && run.environment.is_release() && broker_stopped {
        history::append(&cli.results, &run)
            .with_context(|| format!("cannot append to {}", cli.results.join(history::FILE).display()))?;
        if run.summary.overrides.is_empty() {
            let charts_directory = cli.results.join("charts");
            let file = charts_directory.join(format!("{}.svg", run.summary.scenario));
            std::fs::create_dir_all(&charts_directory)
                .and_then(|()| charts::write_overview(&file, &run, &conducted.recording))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok((run, directory))
}

/// A directory of its own for each run: those that begin within the same second are numbered.
fn create_directory(runs: &Path, id: &str) -> anyhow::Result<(String, PathBuf)> {
    const RUNS_A_SECOND_MAX: usize = 100;
    for number in 1..=RUNS_A_SECOND_MAX {
        let id = if number == 1 {
            id.to_string()
        } else {
            format!("{id}-{number}")
        };
        let directory = runs.join(&id);
        match std::fs::create_dir(&directory) {
            Ok(()) => return Ok((id, directory)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create {}", directory.display()));
            }
        }
    }
    anyhow::bail!(
        "{} runs named {id} exist in {}",
        RUNS_A_SECOND_MAX,
        runs.display()
    )
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
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// The JSON object of a run that came to nothing: why, in the same place as in any other.
fn print_failure(cli: &Cli, failure: &Failure) {
    let output = serde_json::json!({
        "scenario": cli.scenario,
        "target": target_name(cli),
        "verdict": failure.outcome(),
        "reasons": [format!("{:#}", failure.error)],
    });
    let _ = writeln!(io::stdout(), "{output}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_do_not_overwrite_each_other() {
        let runs = tempfile::tempdir().unwrap();
        let ids: Vec<_> = (0..3)
            .map(|_| create_directory(runs.path(), "x").unwrap().0)
            .collect();
        assert_eq!(ids, ["x", "x-2", "x-3"]);
        assert!(create_directory(&runs.path().join("missing"), "x").is_err());
    }

    #[test]
    fn failures_are_blamed_on_whoever_failed() {
        let code = |error: ConductError| Failure::from(error).exit_code;
        assert_eq!(code(ConductError::Driver(DriverError::Interrupted)), EXIT_INVALID);
        assert_eq!(code(ConductError::Panicked), EXIT_INVALID);
        let hung_up = DriverError::Disconnected {
            connection: "producer 1".into(),
        };
        assert_eq!(code(ConductError::Driver(hung_up)), EXIT_BROKER);
    }
}
