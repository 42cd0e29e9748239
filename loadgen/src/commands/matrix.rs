//! `loadgen matrix`: several brokers under several scenarios, interleaved, into the history and onto one page.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::app::listen_for_interrupts;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::invocation;
use crate::matrix::{
    Campaign, Cell, Document, Ending, Entrant, EntrantEntry, Promise, ScenarioEntry, compare_over, page,
    table,
};
use crate::recorder::ServerProperties;
use crate::runner::{Keep, Runner};
use crate::scenario::{self, Overridden};
use crate::terminal::Display;
use crate::utc::Utc;

/// Drives several brokers with the same scenarios, interleaved in rounds, and compares them.
///
/// All brokers are asked who they are before anything runs. In each round every scenario runs once on every broker, in an
/// order shuffled by the seed. Valid runs of a release build enter the history; an invalid one is repeated. Targets of a
/// scenario are not judged. Exit codes: 0 every broker has its runs, 1 a broker lost or harmed messages, 2 wrong usage,
/// 3 valid runs are missing, 4 a broker failed.
#[derive(Clone, Debug, Args)]
pub struct MatrixArguments {
    /// A broker: NAME=embedded, NAME=PROGRAM (a build of the reference broker) or NAME=amqp://…; flags of a broker that is
    /// started follow behind blanks, as in 'two=embedded --reactors=2'. May be repeated.
    #[arg(long = "target", value_name = "NAME=SPEC", required = true)]
    targets: Vec<String>,

    /// Name of a scenario or path of a scenario file; may be repeated.
    #[arg(long = "scenario", value_name = "NAME|PATH", required = true)]
    scenarios: Vec<String>,

    /// Valid runs of each scenario on each broker.
    #[arg(long, value_name = "ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,

    /// How often an invalid run is repeated.
    #[arg(long, value_name = "RUNS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=100))]
    retries: u32,

    /// Seed of the order; round N (from 0) runs with seed SEED + N.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,

    /// Longest pause before a run, in seconds: it ends earlier when the machine is calm.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = settle_seconds)]
    settle_max: f64,

    /// What a confirmed persistent message is worth on a broker that does not say, as in lavinmq=sync; may be repeated.
    #[arg(long = "durability", value_name = "NAME=none|write|sync", value_parser = stated)]
    durabilities: Vec<(String, Promise)>,

    /// A text file with a broker's settings, for the page; may be repeated.
    #[arg(long = "settings", value_name = "NAME=FILE")]
    settings: Vec<String>,

    /// Where the data directories of started brokers are made; by default where temporary files go (TMPDIR).
    #[arg(long, value_name = "DIR")]
    data_dir_parent: Option<PathBuf>,

    /// Where runs, history and charts are kept.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,

    /// The page; matrix.json is written beside it. By default peers/index.html in the results directory.
    #[arg(long, value_name = "FILE.html")]
    output: Option<PathBuf>,

    /// Show no progress within runs.
    #[arg(long)]
    quiet: bool,
}

/// Runs the matrix; the exit code.
///
/// # Errors
/// When something is not usable or cannot be reached, before any run; later when files cannot be written.
pub fn run(arguments: &MatrixArguments) -> Result<u8, Failure> {
    let entrants = entrants(arguments)?;
    let scenarios = scenarios(&arguments.scenarios)?;
    let output = arguments
        .output
        .clone()
        .unwrap_or_else(|| arguments.results.join("peers").join("index.html"));
    let events = listen_for_interrupts()?;
    let runner = Runner {
        results: &arguments.results,
        keep: Keep::History,
        workers: None,
        display: &Display::of(arguments.quiet),
        events: &events,
    };
    for entrant in &entrants {
        for overridden in &scenarios {
            runner.prepare(overridden, &entrant.subject)?;
        }
    }
    let servers = entrants
        .iter()
        .map(Entrant::probe)
        .collect::<Result<Vec<_>, _>>()?;
    // Whether the page can be written is to be known now, not after an hour.
    let mut document = document(arguments, &entrants, &scenarios, &servers);
    write(&document, &output).map_err(Failure::usage)?;
    let campaign = Campaign {
        entrants: &entrants,
        scenarios: &scenarios,
        runner: &runner,
    };
    campaign
        .run(
            &mut document,
            |line| print(&format!("{line}\n")),
            |document| write(document, &output),
        )
        .map_err(Failure::results)?;
    let ending = Ending::of(&document);
    print(&format!("{}\n  page: {}\n", table(&document), output.display()));
    Ok(ending.exit_code())
}

fn entrants(arguments: &MatrixArguments) -> Result<Vec<Entrant>, Failure> {
    let parent = arguments.data_dir_parent.as_deref();
    let mut entrants: Vec<Entrant> = Vec::new();
    for text in &arguments.targets {
        let entrant = Entrant::parse(text, parent).map_err(Failure::usage)?;
        if entrants.iter().any(|other| other.name == entrant.name) {
            return Err(Failure::usage(anyhow!(
                "--target: two brokers are called {:?}",
                entrant.name
            )));
        }
        entrants.push(entrant);
    }
    for (name, promise) in &arguments.durabilities {
        find(&mut entrants, "--durability", name)?.stated = Some(*promise);
    }
    for text in &arguments.settings {
        let usage = || Failure::usage(anyhow!("--settings {text:?}: expected NAME=FILE"));
        let (name, file) = text.split_once('=').ok_or_else(usage)?;
        let settings =
            std::fs::read_to_string(file).with_context(|| format!("cannot read the settings file {file}"));
        find(&mut entrants, "--settings", name)?.settings = Some(settings.map_err(Failure::usage)?);
    }
    Ok(entrants)
}

fn find<'a>(entrants: &'a mut [Entrant], flag: &str, name: &str) -> Result<&'a mut Entrant, Failure> {
    let names: Vec<_> = entrants.iter().map(|entrant| entrant.name.clone()).collect();
    let found = entrants.iter_mut().find(|entrant| entrant.name == name);
    found.ok_or_else(|| {
        Failure::usage(anyhow!(
            "{flag}: there is no target {name:?}; targets are {}",
            names.join(", ")
        ))
    })
}

fn scenarios(names: &[String]) -> Result<Vec<Overridden>, Failure> {
    let directory = std::env::current_dir()
        .context("there is no current directory")
        .map_err(Failure::usage)?;
    let mut scenarios: Vec<Overridden> = Vec::new();
    for name in names {
        let (scenario, _) = scenario::find(name, &directory).map_err(Failure::usage)?;
        if scenarios.iter().any(|other| other.scenario.name == scenario.name) {
            return Err(Failure::usage(anyhow!(
                "--scenario: {} is named twice",
                scenario.name
            )));
        }
        scenarios.push(Overridden {
            scenario,
            changes: Vec::new(),
        });
    }
    Ok(scenarios)
}

/// The document before the first run.
fn document(
    arguments: &MatrixArguments,
    entrants: &[Entrant],
    scenarios: &[Overridden],
    servers: &[ServerProperties],
) -> Document {
    let mut document = Document {
        schema: Document::SCHEMA,
        started: Utc::now().iso(),
        command: invocation::command(),
        environment: Environment::detect(),
        seed: arguments.seed,
        rounds: arguments.rounds,
        retries_max: arguments.retries,
        settle_s_max: arguments.settle_max,
        interrupted: false,
        entrants: Vec::new(),
        scenarios: Vec::new(),
        cells: Vec::new(),
    };
    for (entrant, server) in entrants.iter().zip(servers) {
        document.entrants.push(EntrantEntry {
            name: entrant.name.clone(),
            subject: entrant.subject.name(),
            arguments: entrant.subject.arguments(),
            server: format!("{} {}", server.product, server.version).trim().to_owned(),
            settings: entrant.settings.clone(),
        });
    }
    let transports: Vec<_> = entrants
        .iter()
        .map(|entrant| (entrant.name.as_str(), entrant.subject.transport()))
        .collect();
    for Overridden { scenario, .. } in scenarios {
        let mut promises = Vec::new();
        for (entrant, server) in entrants.iter().zip(servers) {
            let promise = Promise::of(scenario, server, entrant.stated);
            promises.push((entrant.name.as_str(), promise));
            document.cells.push(Cell {
                scenario: scenario.name.clone(),
                entrant: entrant.name.clone(),
                promise,
                attempts: Vec::new(),
            });
        }
        document.scenarios.push(ScenarioEntry {
            scenario: scenario.clone(),
            hash: scenario.hash(),
            comparison: compare_over(&promises, &transports),
        });
    }
    document
}

/// Writes the page and, beside it, the document.
fn write(document: &Document, output: &Path) -> anyhow::Result<()> {
    let directory = output.parent().unwrap_or_else(|| Path::new(""));
    let json = directory.join("matrix.json");
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    std::fs::write(&json, document.to_json()).with_context(|| format!("cannot write {}", json.display()))?;
    std::fs::write(output, page(document)).with_context(|| format!("cannot write {}", output.display()))
}

fn settle_seconds(text: &str) -> Result<f64, String> {
    const SETTLE_S_MAX: f64 = 600.0;
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.0..=SETTLE_S_MAX).contains(seconds));
    seconds.ok_or(format!("expected a number from 0 to {SETTLE_S_MAX}"))
}

fn stated(text: &str) -> Result<(String, Promise), String> {
    let level = |level: &str| match level {
        "none" => Some(Promise::None),
        "write" => Some(Promise::Write),
        "sync" => Some(Promise::Sync),
        _ => None,
    };
    let (name, word) = text.rsplit_once('=').unwrap_or(("", text));
    let promise = level(word).filter(|_| !name.is_empty());
    promise
        .map(|promise| (name.to_owned(), promise))
        .ok_or_else(|| "expected NAME=none, NAME=write or NAME=sync".to_owned())
}

/// A closed output must not change the result.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
