//! `loadgen duel`: two brokers in turns until the difference is decided.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;

use crate::app;
use crate::cli::{Changes, Format, OutputArguments, share};
use crate::duel::{Arm, Contender, Duel, Ended, Report, Rules, Side, Trial, Value, Verdict, table};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::metric::Metric;
use crate::reading::{self, Reading, is_harm};
use crate::runner::{Measured, Runner};
use crate::scenario::Overridden;
use crate::statistics::PAIRS_MIN;
use crate::verdict::Outcome;

/// Compares two brokers, builds or sets of flags by interleaved runs, and stops as soon as the difference is decided.
///
/// Each run has a fresh broker and data directory; runs of a pair have the same load, and the order is balanced (ABBA BAAB).
/// A third run of each round drives A again: what A differs by from itself is the noise floor of the machine. The
/// interval that decides is valid at every look, so stopping early finds no more false differences. Results: duel.json in
/// RESULTS/duels. Exit codes: 0 decided (either is better, or equal within --margin), 1 messages were harmed, 2 wrong
/// usage, 3 undecided, disturbed or cut short, 4 a broker failed.
///
/// Example: loadgen duel one=embedded 'two=embedded --reactors=2' --scenario 20p20c
#[derive(Clone, Debug, Args)]
pub struct DuelArguments {
    /// The first: name=spec; spec is a URL, or `embedded` or a broker's executable, with flags after it (split at spaces).
    #[arg(value_name = "A")]
    a: Contender,

    /// The second, likewise; ratios are B ÷ A.
    #[arg(value_name = "B")]
    b: Contender,

    /// Name of a scenario or path of a scenario file.
    #[arg(long, value_name = "NAME|PATH")]
    scenario: String,

    /// What decides; by default the rate consumed, at a fixed rate the p99 of the latency.
    #[arg(long, value_name = "METRIC")]
    metric: Option<Metric>,

    /// Pairs before the first decision; at least 5.
    #[arg(long, value_name = "PAIRS", default_value_t = PAIRS_MIN as u32, value_parser = clap::value_parser!(u32).range(PAIRS_MIN as i64..=10_000))]
    pairs_min: u32,

    /// Pairs after which the duel ends undecided.
    #[arg(long, value_name = "PAIRS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(PAIRS_MIN as i64..=10_000))]
    pairs_max: u32,

    /// Ratios within 1 ± this share count as equal, and end the duel when that is certain.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    margin: Option<f64>,

    /// Chance that the interval contains the true ratio.
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = share)]
    confidence: f64,

    /// Do not run A against itself: a third fewer runs, and no noise floor.
    #[arg(long)]
    no_control: bool,

    /// Invalid runs that are made again, in all.
    #[arg(long, value_name = "RUNS", default_value_t = 5)]
    invalid_max: u32,

    /// Decides the order, and the load of the first pair; each later pair's is one higher.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,

    /// Where the brokers' temporary data directories are made.
    #[arg(long, value_name = "DIR")]
    data_dir_parent: Option<std::path::PathBuf>,

    /// Where results go, and how they are shown.
    #[command(flatten)]
    output: OutputArguments,

    /// What differs from the scenario's file.
    #[command(flatten)]
    changes: Changes,
}

/// Fights the duel.
///
/// # Errors
/// Wrong usage, or a broker failed, or files cannot be written.
pub fn run(arguments: &DuelArguments) -> Result<u8, Failure> {
    let overridden = app::effective_scenario(&arguments.scenario, &arguments.changes)?;
    let rules = rules(arguments).map_err(Failure::usage)?;
    let parent = arguments.data_dir_parent.as_deref();
    let contenders = [&arguments.a, &arguments.b].map(|contender| contender.clone().with_data_in(parent));
    let events = app::listen_for_interrupts()?;
    let (display, _metrics) = app::display(&arguments.output, u32::MAX)?;
    let runner = Runner::of_series(&arguments.output.results, &display, &events);
    for contender in &contenders {
        runner.prepare(&overridden, &contender.subject)?;
    }
    let directory = reading::create_directory(&arguments.output.results, "duels", &overridden.scenario.name)
        .map_err(Failure::results)?;
    let metric = arguments
        .metric
        .unwrap_or(if overridden.scenario.load.is_open_loop() {
            Metric::LatencyP99
        } else {
            Metric::ConsumeRate
        });
    let mut report = empty_report(&overridden, metric, rules.clone(), &contenders);
    let shows_lines = arguments.output.format == Format::Human && !arguments.output.quiet;
    let fought: Result<Duel, Failure> = rules.play(|trial| {
        let value = fight(&runner, &overridden, &contenders, trial, &mut report)?;
        if shows_lines {
            app::print(&line(&report, trial, &value));
        }
        Ok(if events.interrupted() {
            Value::Interrupted
        } else {
            value
        })
    });
    match &fought {
        Ok(duel) => report.conclude(duel),
        Err(_) => report.ended = Ended::Interrupted,
    }
    let json = serde_json::to_string_pretty(&report).expect("a report is plain data") + "\n";
    std::fs::write(directory.join("duel.json"), json)
        .with_context(|| format!("cannot write to {}", directory.display()))
        .map_err(Failure::results)?;
    fought?;
    app::print(&match arguments.output.format {
        Format::Human => format!("{}  files: {}\n", table(&report), directory.display()),
        Format::Json => serde_json::to_string(&report).expect("a report is plain data") + "\n",
    });
    Ok(report.exit_code())
}

fn rules(arguments: &DuelArguments) -> anyhow::Result<Rules> {
    let (pairs_min, pairs_max) = (arguments.pairs_min, arguments.pairs_max);
    anyhow::ensure!(
        pairs_min <= pairs_max,
        "--pairs-min is {pairs_min}; allowed: at most --pairs-max = {pairs_max}"
    );
    let confidence = arguments.confidence;
    anyhow::ensure!(
        (0.5..=0.9999).contains(&confidence),
        "--confidence is {confidence}; allowed: 50% to 99.99%"
    );
    if let Some(margin) = arguments.margin {
        anyhow::ensure!(
            margin > 0.0,
            "--margin is {margin}; allowed: a share above 0, e.g. 2%"
        );
    }
    anyhow::ensure!(
        arguments.a.name != arguments.b.name,
        "both contenders are called {}; allowed: two different names",
        arguments.a.name
    );
    Ok(Rules {
        pairs_min,
        pairs_max,
        confidence,
        margin: arguments.margin,
        control: !arguments.no_control,
        invalid_max: arguments.invalid_max,
        seed: arguments.seed,
    })
}

/// One run, entered in the report.
fn fight(
    runner: &Runner<'_>,
    overridden: &Overridden,
    contenders: &[Contender; 2],
    trial: Trial,
    report: &mut Report,
) -> Result<Value, Failure> {
    let side = usize::from(trial.arm == Arm::B);
    let Measured { run, .. } = runner.measure(overridden, trial.seed, &contenders[side].subject)?;
    report.harmed |= is_harm(&run.summary.ledger) && run.summary.verdict == Outcome::Fail;
    let reading = Reading::of(&run);
    if trial.arm == Arm::Control {
        report.control_runs.push(reading);
    } else {
        let side = &mut report.sides[side];
        side.server.clone_from(&run.summary.server);
        if let Some(tls) = &run.summary.tls {
            write!(side.server, " over {}", tls.describe()).expect("a String takes everything");
        }
        side.runs.push(reading);
    }
    if run.summary.verdict == Outcome::Invalid {
        return Ok(Value::Invalid);
    }
    let metric = report.metric;
    let value = metric.of(&run.summary).ok_or_else(|| {
        Failure::usage(anyhow::anyhow!(
            "--metric is {}; allowed: one that this scenario and these brokers give; {} did not",
            metric.name(),
            run.id
        ))
    })?;
    Ok(Value::Measured(value))
}

fn line(report: &Report, trial: Trial, value: &Value) -> String {
    let [a, b] = &report.sides;
    let (name, runs) = match trial.arm {
        Arm::A => (a.name.clone(), &a.runs),
        Arm::B => (b.name.clone(), &b.runs),
        Arm::Control => (format!("{} again", a.name), &report.control_runs),
    };
    let shown = match value {
        Value::Measured(value) => report.metric.show(*value),
        Value::Invalid | Value::Interrupted => {
            let reasons = runs.last().map(|run| run.reasons.join("; "));
            format!("invalid: {}", reasons.unwrap_or_default())
        }
    };
    format!("pair {:<4}{name:<24}{shown}\n", trial.round + 1)
}

fn empty_report(
    overridden: &Overridden,
    metric: Metric,
    rules: Rules,
    contenders: &[Contender; 2],
) -> Report {
    let sides = contenders.each_ref().map(|contender| Side {
        name: contender.name.clone(),
        target: contender.subject.name(),
        arguments: contender.subject.arguments(),
        server: String::new(),
        runs: Vec::new(),
    });
    Report {
        scenario: overridden.scenario.name.clone(),
        scenario_hash: overridden.scenario.hash(),
        overrides: overridden.changes.clone(),
        environment: Environment::detect(),
        metric,
        rules,
        sides,
        control_runs: Vec::new(),
        rounds: Vec::new(),
        ratio: None,
        ratio_bootstrap: None,
        sign_flip_p: 1.0,
        noise_floor: None,
        verdict: Verdict::Undecided,
        ended: Ended::PairsMax,
        invalid: 0,
        harmed: false,
    }
}
