//! `loadgen search`: the highest rate that holds an objective.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::app;
use crate::cli::{Changes, Format, OutputArguments, SubjectArguments, share};
use crate::environment::Environment;
use crate::failure::{EXIT_INVALID, Failure};
use crate::reading::{self, Reading};
use crate::runner::{Measured, Runner};
use crate::scenario::{Load, Overridden, ScenarioError};
use crate::search::{self, Criteria, Engine, Finding, Objective, Plan, Point, Report, Stop, Tried, judge};
use crate::subject::Subject;

/// The first rate where the scenario has none.
const RATE_FIRST: u64 = 10_000;
/// Windows and warm-ups longer than these are shortened, unless the command line says how long they are.
const DURATION_S_MAX: f64 = 10.0;
const WARMUP_S_MAX: f64 = 2.0;

/// Finds the highest rate that holds an objective, for example a p99 of at most 1 ms.
///
/// Each rate is a short run at a fixed rate (open loop). A rate is held when the objectives are met, the backlog does not
/// grow, and what was due is consumed. Rates are doubled until one does not hold, then the bracket is halved; the highest
/// rate that held is confirmed by further runs, all of which must hold, else it is lowered. Invalid runs are made again.
/// Results: search.json and search.csv in RESULTS/searches; their points are the throughput-latency curve. Exit codes: 0 a rate was found, 1 no rate holds or
/// messages were harmed, 2 wrong usage, 3 only invalid runs or cut short, 4 the broker failed.
#[derive(Clone, Debug, Args)]
pub struct SearchArguments {
    /// Name of a scenario or path of a scenario file; its load becomes an open loop.
    #[arg(long, value_name = "NAME|PATH")]
    scenario: String,

    /// What a rate must hold: a condition over a run's summary, as --target takes it; all of them if repeated.
    #[arg(
        long = "objective",
        value_name = "EXPRESSION",
        default_value = "latency_us.p99 <= 1000"
    )]
    objectives: Vec<Objective>,

    /// Lowest rate that is tried.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 100)]
    rate_min: u64,

    /// Highest rate that is tried.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10_000_000)]
    rate_max: u64,

    /// From one rate to the next while the limit is looked for.
    #[arg(long, value_name = "FACTOR", default_value_t = 2.0)]
    factor: f64,

    /// How close the highest rate that holds and the lowest that does not must come; also the step down.
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    resolution: f64,

    /// Runs that must all hold the rate that is reported; five or more have an interval.
    #[arg(long, value_name = "RUNS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    confirm: u32,

    /// Steps down, while runs do not confirm the rate, before the search gives up.
    #[arg(long, value_name = "STEPS", default_value_t = 10)]
    steps_down: u32,

    /// Invalid runs that are made again at one rate before it counts as not measurable.
    #[arg(long, value_name = "RUNS", default_value_t = 2)]
    invalid_max: u32,

    /// The backlog may grow by this share of the rate over the window.
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share)]
    backlog_slope_max: f64,

    /// At least this share of what was due must be consumed within the window.
    #[arg(long, value_name = "SHARE", default_value = "99%", value_parser = share)]
    consumed_min: f64,

    /// Seed of the first run; each later one's is one higher.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,

    /// Whom to drive.
    #[command(flatten)]
    subject: SubjectArguments,

    /// Where results go, and how they are shown.
    #[command(flatten)]
    output: OutputArguments,

    /// What differs from the scenario's file; --rate is the first rate that is tried.
    #[command(flatten)]
    changes: Changes,
}

/// Searches.
///
/// # Errors
/// Wrong usage, or the broker failed, or files cannot be written.
pub fn run(arguments: &SearchArguments) -> Result<u8, Failure> {
    let subject = arguments.subject.subject();
    let base = base(arguments)?;
    let plan = plan(arguments, &base).map_err(Failure::usage)?;
    for rate in [plan.rate_min, plan.rate_first, plan.rate_max] {
        at_rate(&base, rate).map_err(Failure::usage)?;
    }
    let events = app::listen_for_interrupts()?;
    let (display, _metrics) = app::display(&arguments.output, u32::MAX)?;
    let runner = Runner::of_series(&arguments.output.results, &display, &events);
    runner.prepare(&base, &subject)?;
    let directory = reading::create_directory(&arguments.output.results, "searches", &base.scenario.name)
        .map_err(Failure::results)?;
    let mut report = empty_report(arguments, &base, &subject, plan.clone());
    let shows_lines = arguments.output.format == Format::Human && !arguments.output.quiet;
    let engine = Engine::new(&plan, |tried: Tried| {
        let point = probe(&runner, &base, &subject, &report.criteria, tried).map_err(Stop::Failed)?;
        if shows_lines {
            app::print(&point.line());
        }
        let finding = point.judgement.finding;
        report.points.push(point);
        if events.interrupted() {
            return Err(Stop::Interrupted);
        }
        Ok(finding)
    });
    let ended = engine.search();
    if let Ok(found) = &ended {
        report.conclude(*found);
    }
    write_files(&directory, &report).map_err(Failure::results)?;
    if let Err(Stop::Failed(failure)) = ended {
        return Err(failure);
    }
    app::print(&match arguments.output.format {
        Format::Human => format!(
            "{}  files          {}\n",
            search::table(&report),
            directory.display()
        ),
        Format::Json => serde_json::to_string(&report).expect("a report is plain data") + "\n",
    });
    Ok(match ended {
        Ok(_) => report.exit_code(),
        Err(_) => EXIT_INVALID,
    })
}

/// The scenario with the command line's changes and short phases.
fn base(arguments: &SearchArguments) -> Result<Overridden, Failure> {
    let mut base = app::effective_scenario(&arguments.scenario, &arguments.changes)?;
    let scenario = &base.scenario;
    let needs_time = scenario.messages.is_some() || !scenario.measures_latency();
    if needs_time || !scenario.faults.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!(
            "scenario is {}; allowed for a search: one with consumers, without counted messages, backlog_first and faults",
            scenario.name
        )));
    }
    let stated = arguments.changes.overrides();
    for (field, stated, value, longest) in [
        (
            "duration_s",
            stated.duration_s,
            base.scenario.duration_s,
            DURATION_S_MAX,
        ),
        ("warmup_s", stated.warmup_s, base.scenario.warmup_s, WARMUP_S_MAX),
    ] {
        if stated.is_none() && value > longest {
            base = base.with(field, &json!(longest)).map_err(Failure::usage)?;
        }
    }
    Ok(base)
}

fn plan(arguments: &SearchArguments, base: &Overridden) -> anyhow::Result<Plan> {
    let scenario = &base.scenario;
    let rate_stated = scenario.load.rate_mean(scenario.producers);
    let rate_first = rate_stated.map_or(RATE_FIRST, |rate| rate.round() as u64);
    let (rate_min, rate_max) = (arguments.rate_min, arguments.rate_max);
    anyhow::ensure!(
        rate_min <= rate_max,
        "--rate-min is {rate_min}; allowed: at most --rate-max = {rate_max}"
    );
    let factor = arguments.factor;
    anyhow::ensure!(
        factor > 1.0 && factor <= 1e3,
        "--factor is {factor}; allowed: a number above 1, up to 1000"
    );
    let resolution = arguments.resolution;
    anyhow::ensure!(
        resolution > 0.0,
        "--resolution is {resolution}; allowed: a share above 0, e.g. 5% or 0.05"
    );
    Ok(Plan {
        rate_first: rate_first.clamp(rate_min, rate_max),
        rate_min,
        rate_max,
        factor,
        resolution,
        confirm: arguments.confirm,
        steps_down_max: arguments.steps_down,
        invalid_max: arguments.invalid_max,
        seed: arguments.seed,
    })
}

/// An open loop at `rate`, with the arrivals of the scenario's own load.
fn at_rate(base: &Overridden, rate: u64) -> Result<Overridden, ScenarioError> {
    let load = Load::OpenLoop {
        rate: Some(rate),
        rate_per_producer: None,
        arrivals: base.scenario.load.arrivals().unwrap_or_default(),
    };
    base.with("load", &json!(load))
}

/// One run at a rate, judged.
fn probe(
    runner: &Runner<'_>,
    base: &Overridden,
    subject: &Subject,
    criteria: &Criteria,
    tried: Tried,
) -> Result<Point, Failure> {
    let overridden = at_rate(base, tried.rate).map_err(Failure::usage)?;
    let Measured { run, .. } = runner.measure(&overridden, tried.seed, subject)?;
    let judgement = judge(criteria, &run);
    // A figure that no run has would look like a rate that no broker holds.
    if judgement.finding != Finding::Unmeasured {
        let summary = serde_json::to_value(&run.summary).expect("a summary is plain data");
        for objective in &criteria.objectives {
            objective.check(&summary).map_err(Failure::usage)?;
        }
    }
    Ok(Point {
        phase: tried.phase,
        rate: tried.rate,
        reading: Reading::of(&run),
        judgement,
    })
}

fn empty_report(arguments: &SearchArguments, base: &Overridden, subject: &Subject, plan: Plan) -> Report {
    Report {
        scenario: base.scenario.name.clone(),
        scenario_hash: base.scenario.hash(),
        overrides: base.changes.clone(),
        target: subject.name(),
        environment: Environment::detect(),
        criteria: Criteria {
            objectives: arguments.objectives.clone(),
            backlog_slope_max: arguments.backlog_slope_max,
            consumed_share_min: arguments.consumed_min,
        },
        plan,
        points: Vec::new(),
        found: None,
        consume_rate: None,
        objectives: Vec::new(),
        holds_at_least: 0.0,
    }
}

fn write_files(directory: &Path, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(directory.join("search.json"), json)
        .and_then(|()| std::fs::write(directory.join("search.csv"), report.csv()))
        .and_then(|()| search::draw(&directory.join("curve"), report))
        .with_context(|| format!("cannot write to {}", directory.display()))
}
