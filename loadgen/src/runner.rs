//! The runner: one run, from the broker's start to the files. What every command that measures is made of.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::calibration::{Calibrations, Ceiling};
use crate::charts;
use crate::conditions::Conditions;
use crate::conductor::{Events, Peer, conduct};
use crate::driver::{Driver, LapinDriver, NativeDriver};
use crate::embedded::BrokerError;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::formats::{self, IntervalLog};
use crate::history;
use crate::invocation;
use crate::plan::Plan;
use crate::result::{Given, RunResult};
use crate::scenario::{DriverKind, FaultKind, Overridden, Scenario};
use crate::storage;
use crate::subject::Subject;
use crate::target::Target;
use crate::terminal::{Display, Progress};
use crate::utc::Utc;
use crate::verdict::Outcome;
use crate::workers::{Workers, WorkersDriver};

/// What becomes of a run beside its own directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A valid run of a release build enters the history. With the broker in this executable and nothing overridden, it also
    /// becomes its scenario's chart.
    History,
    /// It is one of several that only mean something together: files of its own, nothing else.
    Files,
}

/// Makes runs.
#[derive(Debug)]
pub struct Runner<'a> {
    /// Where runs, history and charts are kept.
    pub results: &'a Path,
    /// What becomes of them.
    pub keep: Keep,
    /// The generators that share each run; `None` = this one does everything.
    pub workers: Option<&'a Workers>,
    /// How runs are shown.
    pub display: &'a Display,
    /// Where interrupts arrive.
    pub events: &'a Events,
}

/// A run and where its files are.
#[derive(Debug)]
pub struct Measured {
    /// Everything about it.
    pub run: RunResult,
    /// Its directory.
    pub directory: PathBuf,
}

impl<'a> Runner<'a> {
    /// Makes runs that mean something only together: for a search, a sweep, a duel or a calibration.
    #[must_use]
    pub fn of_series(results: &'a Path, display: &'a Display, events: &'a Events) -> Self {
        Self {
            results,
            keep: Keep::Files,
            workers: None,
            display,
            events,
        }
    }

    /// Refuses what cannot be measured, before any work, and makes the directory for the results.
    ///
    /// # Errors
    /// When `subject` cannot be treated as `overridden` asks, the calibrations are damaged, or files cannot be written.
    pub fn prepare(&self, overridden: &Overridden, subject: &Subject) -> Result<(), Failure> {
        let scenario = &overridden.scenario;
        match subject {
            Subject::External { target, .. } if scenario.has_fault(FaultKind::strikes_the_broker) => {
                return Err(Failure::usage(anyhow::anyhow!(
                    "{} kills, restarts or pauses the broker, which loadgen does only to its own: leave --url {target} out",
                    scenario.name
                )));
            }
            Subject::Started { .. } if scenario.producers == 0 => {
                return Err(Failure::usage(anyhow::anyhow!(
                    "{} takes messages from queues that stand already, and a new broker has none: name the broker with --url",
                    scenario.name
                )));
            }
            Subject::External { target, .. } => check_nodes(scenario, target).map_err(Failure::usage)?,
            Subject::Started { data_dir_parent, .. } => {
                storage::check(scenario, data_dir_parent.as_deref()).map_err(Failure::usage)?;
            }
        }
        if let Some(workers) = self.workers {
            workers
                .check(scenario, subject.is_started())
                .map_err(Failure::usage)?;
        }
        Calibrations::read(self.results).map_err(Failure::usage)?;
        let runs = self.runs();
        std::fs::create_dir_all(&runs)
            .with_context(|| format!("cannot create the results directory {}", runs.display()))
            .map_err(Failure::usage)
    }

    /// One run, with its files.
    ///
    /// # Errors
    /// When the broker fails, the driver gives up, or the files cannot be written.
    pub fn measure(
        &self,
        overridden: &Overridden,
        seed: u64,
        subject: &Subject,
    ) -> Result<Measured, Failure> {
        let (run, interval_log, stopped) = self.run(overridden, seed, subject)?;
        let measured = self
            .keep(run, &interval_log, subject, stopped.is_ok())
            .map_err(Failure::results)?;
        stopped.map_err(|error| {
            Failure::broker(anyhow::Error::new(error).context("the run is complete, but"))
        })?;
        Ok(measured)
    }

    /// One run, of which nothing is kept: what was measured, and whether the broker then stopped in order.
    ///
    /// # Errors
    /// When the broker fails, the driver gives up, or the calibrations cannot be read.
    pub(crate) fn run(
        &self,
        overridden: &Overridden,
        seed: u64,
        subject: &Subject,
    ) -> Result<(RunResult, IntervalLog, Result<(), BrokerError>), Failure> {
        let started = Utc::now();
        let environment = Environment::detect();
        let ceiling = self.ceiling(&overridden.scenario, &environment)?;
        let mut conditions = Conditions::at_start();
        let mut progress = Progress::new(self.display);
        if let Some(board) = &self.display.board {
            board.announce(&overridden.scenario.name);
        }
        if !environment.is_release() {
            progress.note("this is a debug build: its figures mean little and enter no history");
        }
        let (target, mut peer) = subject.start().map_err(Failure::broker)?;
        let tag = format!("{}.{}", started.compact(), std::process::id());
        let plan = Plan::new(&overridden.scenario, seed, &tag);
        let mut driver: Box<dyn Driver + Send> = match self.workers {
            Some(workers) => Box::new(WorkersDriver::new(workers.clone(), &tag)),
            None => driver(overridden.scenario.driver),
        };
        let conducted = conduct(
            driver.as_mut(),
            &plan,
            &target,
            &mut peer,
            &mut progress,
            self.events,
        )?;
        let stopped = match peer {
            Peer::Embedded(broker) => broker.stop(),
            Peer::External(_) => Ok(()),
        };
        conditions.look_again();
        let given = Given {
            overridden,
            seed,
            command: invocation::command(),
            subject,
            started,
            environment,
            conditions,
            ceiling,
        };
        let run = RunResult::new(&given, &conducted);
        Ok((run, conducted.interval_log, stopped))
    }

    /// What this generator alone can do with such a load. Of several together nothing is known.
    fn ceiling(&self, scenario: &Scenario, environment: &Environment) -> Result<Option<Ceiling>, Failure> {
        if self.workers.is_some() {
            return Ok(None);
        }
        let calibrations =
            Calibrations::read(self.results).map_err(|error| Failure::results(error.into()))?;
        Ok(calibrations.ceiling(scenario, environment))
    }

    fn runs(&self) -> PathBuf {
        self.results.join("runs")
    }

    /// Writes the run's files, and what else [`Keep`] asks for.
    fn keep(
        &self,
        mut run: RunResult,
        interval_log: &IntervalLog,
        subject: &Subject,
        broker_stopped: bool,
    ) -> anyhow::Result<Measured> {
        let (id, directory) = create_directory(&self.runs(), &run.id)?;
        run.id = id;
        let writing = || format!("cannot write to {}", directory.display());
        run.write(&directory).with_context(writing)?;
        formats::write_run(&directory, &run, interval_log).with_context(writing)?;
        charts::write_run(&directory, &run).with_context(writing)?;
        if self.keep == Keep::History && enters_history(&run, broker_stopped) {
            history::append(self.results, &run).with_context(|| {
                format!("cannot append to {}", self.results.join(history::FILE).display())
            })?;
            if run.summary.overrides.is_empty() && *subject == Subject::embedded() {
                let charts_directory = self.results.join("charts");
                let stem = charts_directory.join(&run.summary.scenario);
                std::fs::create_dir_all(&charts_directory)
                    .and_then(|()| charts::write_overview(&stem, &run, charts::WIDTH))
                    .with_context(|| format!("cannot draw {}", stem.display()))?;
            }
        }
        Ok(Measured { run, directory })
    }
}

/// Whether a run is comparable with others: one that was ended early was measured for another length of time.
fn enters_history(run: &RunResult, broker_stopped: bool) -> bool {
    let summary = &run.summary;
    summary.verdict != Outcome::Invalid
        && summary.hopeless.is_none()
        && run.environment.is_release()
        && broker_stopped
}

/// A node that nobody connects to would be named in the result all the same.
fn check_nodes(scenario: &Scenario, target: &Target) -> anyhow::Result<()> {
    let connections = scenario.producers.max(scenario.consumers);
    anyhow::ensure!(
        target.node_count() <= usize::from(connections),
        "--url names {} nodes; allowed: at most {connections}, the larger one of producers and consumers, so that each node gets a connection",
        target.node_count()
    );
    Ok(())
}

fn driver(kind: DriverKind) -> Box<dyn Driver + Send> {
    match kind {
        DriverKind::Native => Box::new(NativeDriver),
        DriverKind::Lapin => Box::new(LapinDriver),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn only_complete_valid_runs_of_a_release_enter_the_history() {
        let mut run = run_result("20p20c");
        run.environment.profile = "release".into();
        assert!(enters_history(&run, true) && !enters_history(&run, false));
        let with = |change: fn(&mut RunResult)| {
            let mut run = run.clone();
            change(&mut run);
            enters_history(&run, true)
        };
        assert!(with(|run| run.summary.verdict = Outcome::Fail));
        assert!(!with(|run| run.summary.verdict = Outcome::Invalid));
        assert!(!with(
            |run| run.summary.hopeless = Some("hopeless after 3 s".into())
        ));
        assert!(!with(|run| run.environment.profile = "debug".into()));
    }

    #[test]
    fn runs_of_the_same_second_do_not_overwrite_each_other() {
        let runs = tempfile::tempdir().unwrap();
        let ids: Vec<_> = (0..3)
            .map(|_| create_directory(runs.path(), "x").unwrap().0)
            .collect();
        assert_eq!(ids, ["x", "x-2", "x-3"]);
        assert!(create_directory(&runs.path().join("missing"), "x").is_err());
    }
}
