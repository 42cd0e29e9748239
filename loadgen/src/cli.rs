//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::calibrate::CalibrateArguments;
use crate::commands::chart::ChartArguments;
use crate::commands::compare::CompareArguments;
use crate::commands::duel::DuelArguments;
use crate::commands::export::ExportArguments;
use crate::commands::gate::GateArguments;
use crate::commands::matrix::MatrixArguments;
use crate::commands::report::ReportArguments;
use crate::commands::schema::SchemaArguments;
use crate::commands::search::SearchArguments;
use crate::commands::worker::WorkerArguments;
use crate::scenario::{Arrivals, Overrides};
use crate::subject::Subject;
use crate::sweep::Axis;
use crate::target::Target;
use crate::terminal::Color;
use crate::work::WorkUs;

/// Drives an AMQP 0-9-1 broker with a load and says what became of every message.
///
/// Without --url it starts the reference broker as a separate process on a free loopback port, with a temporary data
/// directory, and stops it afterwards; a scenario with faults may kill, restart or pause it. Exit codes: 0 pass, 1 targets
/// missed or messages harmed, 2 wrong usage, 3 invalid run (the generator or the machine was the bottleneck, or it was
/// cut short), 4 the broker failed. With --repeat the worst of all runs counts, in the order 4, 1, 3, 0.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "loadgen",
    version,
    max_term_width = 110,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    /// What to do instead of running one scenario.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// One scenario, run and judged.
    #[command(flatten)]
    pub run: RunArguments,
}

/// Everything that is not simply a run.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Draw the pictures of runs, or of the history over commits.
    Chart(ChartArguments),
    /// Compare several brokers under several scenarios.
    Matrix(MatrixArguments),
    /// Write runs and history in formats that other tools read.
    Export(ExportArguments),
    /// Print the JSON Schema of a kind of file.
    Schema(SchemaArguments),
    /// Take shares of runs that another loadgen coordinates with --workers.
    Worker(WorkerArguments),
    #[expect(missing_docs, reason = "documented, for --help too, at its arguments")]
    Search(Box<SearchArguments>),
    #[expect(missing_docs, reason = "documented, for --help too, at its arguments")]
    Duel(Box<DuelArguments>),
    #[expect(missing_docs, reason = "documented, for --help too, at its arguments")]
    Compare(Box<CompareArguments>),
    #[expect(missing_docs, reason = "documented, for --help too, at its arguments")]
    Gate(Box<GateArguments>),
    #[expect(missing_docs, reason = "documented, for --help too, at its arguments")]
    Calibrate(Box<CalibrateArguments>),
    /// Write one interactive page over the whole history.
    Report(ReportArguments),
}

/// `loadgen --scenario NAME`.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// Name of a scenario (see --list) or path of a scenario file.
    #[arg(long, value_name = "NAME|PATH", required_unless_present = "list")]
    pub scenario: Option<String>,

    /// Show the scenarios, one line each.
    #[arg(long, conflicts_with = "scenario")]
    pub list: bool,

    /// Whom to drive.
    #[command(flatten)]
    pub subject: SubjectArguments,

    /// Seed of the schedule's phases, of the message bodies and of the faults.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,

    /// Run so many times, with seeds SEED, SEED + 1, …: one line a run and a summary; the exit code is the worst one.
    #[arg(long, value_name = "RUNS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: u32,

    /// Share the run among these `loadgen worker` processes, here or elsewhere, each with queues of its own. Such a run enters
    /// no history.
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',')]
    pub workers: Vec<String>,

    /// The secret that the workers want to hear.
    #[arg(long, value_name = "SECRET", requires = "workers")]
    pub token: Option<String>,

    /// Run every combination of these values, --repeat times each, in shuffled order: FIELD=A,B,C, where FIELD is the
    /// path of a scenario's field, e.g. load.rate=10000,20000. May be repeated for a grid. Such runs enter no history;
    /// RESULTS/sweeps gets their table, and the exit code is the worst one.
    #[arg(
        long,
        value_name = "FIELD=VALUES",
        requires = "scenario",
        conflicts_with = "workers"
    )]
    pub sweep: Vec<Axis>,

    /// Where results go, and how they are shown.
    #[command(flatten)]
    pub output: OutputArguments,

    /// What differs from the scenario's file.
    #[command(flatten)]
    pub changes: Changes,
}

/// Whom to drive.
#[derive(Clone, Debug, Default, Args)]
pub struct SubjectArguments {
    /// Drive this broker instead of the embedded one: `amqp://[user[:password]@]host[:port][/vhost]`, or `amqps://…` over TLS
    /// (port 5671), with `?option=value&…` behind it: `cacertfile` (PEM of the authorities to trust; by default the
    /// system's), `certfile` and `keyfile` (PEM of the own certificate and its key), `verify` (`verify_peer`, or
    /// `verify_none` = accept any certificate), `server_name_indication` (a name other than the host, or `disable`).
    /// Repeated, or with commas in between: the nodes of a cluster, among which producers and consumers are spread in turn.
    #[arg(long, value_name = "URL")]
    pub url: Vec<Target>,

    /// Process of the broker behind --url, whose memory and CPU are to be measured; found by itself on loopback.
    #[arg(long, value_name = "PID", requires = "url", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pub broker_pid: Option<u32>,

    /// Start this build of the reference broker instead of the one built in: a `broker` executable.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub broker: Option<PathBuf>,

    /// The commit that --broker was built from, for the history.
    #[arg(long, value_name = "COMMIT", requires = "broker")]
    pub broker_commit: Option<String>,

    /// Further flag for the broker that is started, e.g. --broker-arg=--reactors=2; may be repeated.
    #[arg(long, value_name = "FLAG", conflicts_with = "url", allow_hyphen_values = true)]
    pub broker_arg: Vec<OsString>,

    /// Where the started broker's temporary data directory is made; by default where temporary files go (TMPDIR).
    /// It must be a disk, not memory, if the scenario asks for durability.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub data_dir_parent: Option<PathBuf>,
}

/// Where results go, and how they are shown.
#[derive(Clone, Debug, Args)]
pub struct OutputArguments {
    /// Where runs, history and charts are kept.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,

    /// What to print at the end: a table, or one JSON object as the last line (before it, one for each repeated run).
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Human)]
    pub format: Format,

    /// Show no progress.
    #[arg(long)]
    pub quiet: bool,

    /// Colours of the live view; auto = unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Serve Prometheus metrics of the run there, under /metrics; port 0 = a free one, which is printed.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    Human,
    /// One JSON object.
    Json,
}

/// Flags that change the scenario. Ranges are checked with the scenario, by the same rules as its file.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Changes to the scenario (the run then counts as another load)")]
pub struct Changes {
    /// Producers, each with its own connection.
    #[arg(long, value_name = "COUNT")]
    producers: Option<u64>,
    /// Consumers, each with its own connection; 0 = the messages stay queued.
    #[arg(long, value_name = "COUNT")]
    consumers: Option<u64>,
    /// Queues.
    #[arg(long, value_name = "COUNT")]
    queues: Option<u64>,
    /// Length of a message's body.
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// What stands before the stamp in each body: plain (nothing), or perftest or perftest_millis, so that consumers of RabbitMQ
    /// PerfTest (with --use-millis: the latter) can measure these messages.
    #[arg(long, value_name = "LAYOUT")]
    body: Option<String>,
    /// Send at a fixed rate, all producers together (open loop).
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "in_flight")]
    rate: Option<u64>,
    /// Send at a fixed rate, each producer (open loop).
    #[arg(long, value_name = "PER_SECOND", conflicts_with_all = ["in_flight", "rate"])]
    rate_per_producer: Option<u64>,
    /// How the messages of an open loop arrive: constant, poisson, or burst:MESSAGES (all producers together).
    #[arg(long, value_name = "ARRIVALS", conflicts_with = "in_flight")]
    arrivals: Option<Arrivals>,
    /// Send as fast as this many messages in flight allow, all producers together (saturating).
    #[arg(long, value_name = "MESSAGES")]
    in_flight: Option<u64>,
    /// Messages of the whole run, all producers together; 0 = as many as the duration allows.
    #[arg(long, value_name = "COUNT")]
    messages: Option<u64>,
    /// Length of the measured window, e.g. 30, 30s or 2m; its limit where messages are counted.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<f64>,
    /// Load before the window; the limit of the fill where a backlog comes first.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    warmup: Option<f64>,
    /// Unacknowledged messages a consumer may hold; 0 = no limit.
    #[arg(long, value_name = "MESSAGES")]
    prefetch: Option<u64>,
    /// Messages that one ack settles; 0 = no acknowledgements.
    #[arg(long, value_name = "MESSAGES")]
    ack_every: Option<u64>,
    /// Messages a second that the consumers work off at most, all together; 0 = no limit.
    #[arg(long, value_name = "PER_SECOND")]
    consume_rate: Option<u64>,
    /// How long a consumer works on each message, in µs: TIME, or exponential:MEAN.
    #[arg(long, value_name = "MICROSECONDS", conflicts_with = "consume_rate")]
    work: Option<WorkUs>,
    /// Unconfirmed messages a producer may have outstanding; 0 = no confirms.
    #[arg(long, value_name = "MESSAGES")]
    confirm_window: Option<u64>,
    /// Persistent messages on durable queues.
    #[arg(long)]
    persistent: bool,
    /// The client that makes the load: native or lapin.
    #[arg(long, value_name = "DRIVER")]
    driver: Option<String>,
    /// A further target, e.g. "latency_us.p99 <= 1 ms and ledger.lost == 0"; may be repeated.
    #[arg(long, value_name = "EXPRESSION")]
    target: Vec<String>,
}

impl SubjectArguments {
    /// The broker that these flags name.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match Target::cluster(self.url.iter().cloned()) {
            Some(target) => Subject::External {
                target,
                pid: self.broker_pid,
            },
            None => Subject::Started {
                program: self.broker.clone(),
                commit: self.broker_commit.clone(),
                arguments: self.broker_arg.clone(),
                data_dir_parent: self.data_dir_parent.clone(),
            },
        }
    }
}

impl Changes {
    /// The values that replace the scenario's own.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        let changes = self.clone();
        Overrides {
            producers: changes.producers,
            consumers: changes.consumers,
            queues: changes.queues,
            size_bytes: changes.size,
            body: changes.body,
            rate: changes.rate,
            rate_per_producer: changes.rate_per_producer,
            arrivals: changes.arrivals,
            in_flight: changes.in_flight,
            messages: changes.messages,
            duration_s: changes.duration,
            warmup_s: changes.warmup,
            prefetch: changes.prefetch,
            ack_every: changes.ack_every,
            consume_rate_max: changes.consume_rate,
            work_us: changes.work,
            confirm_window: changes.confirm_window,
            persistent: changes.persistent,
            driver: changes.driver,
            targets: changes.target,
        }
    }
}

/// A share as `5%` or `0.05`.
///
/// # Errors
/// When it is neither, or not within 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    let value: f64 = number
        .trim()
        .parse()
        .map_err(|_| "expected a share, e.g. 5% or 0.05")?;
    if (0.0..=1.0).contains(&(value * factor)) {
        Ok(value * factor)
    } else {
        Err("expected a share from 0 to 1, or from 0% to 100%".into())
    }
}

/// A time as `30`, `0.5`, `30s`, `500ms` or `2m`, in seconds.
///
/// # Errors
/// When it is none of these, or negative.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    let unit = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1.0));
    let value: f64 = number
        .trim()
        .parse()
        .map_err(|_| "expected seconds, e.g. 30, 0.5, 30s, 500ms or 2m")?;
    if value.is_finite() && value >= 0.0 {
        Ok(value * factor)
    } else {
        Err("expected a duration from 0".into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_overrides() {
        let cli = Cli::try_parse_from([
            "loadgen",
            "--scenario",
            "20p20c",
            "--size",
            "1024",
            "--duration",
            "500ms",
            "--confirm-window",
            "0",
        ])
        .unwrap();
        let expected = Overrides {
            size_bytes: Some(1_024),
            duration_s: Some(0.5),
            confirm_window: Some(0),
            ..Overrides::default()
        };
        assert_eq!(cli.run.changes.overrides(), expected);
        let broker =
            Cli::try_parse_from(["loadgen", "--scenario", "x", "--broker-arg", "--reactors=2"]).unwrap();
        assert_eq!(broker.run.subject.broker_arg, ["--reactors=2"]);
    }

    #[test]
    fn wrong_usage_is_refused_with_code_2() {
        let cases: [&[&str]; 12] = [
            &[],
            &["--scenario", "x", "--producers", "many"],
            &["--scenario", "x", "--url", "http://x"],
            &["--scenario", "x", "--broker-pid", "3"],
            &["--scenario", "x", "--rate", "5", "--in-flight", "5"],
            &["--scenario", "x", "--rate", "5", "--rate-per-producer", "5"],
            &["--scenario", "x", "--arrivals", "bursts"],
            &["--scenario", "x", "--duration", "-3"],
            &["--scenario", "x", "--repeat", "0"],
            &["--scenario", "x", "--url", "amqp://x", "--data-dir-parent", "/"],
            &["--scenario", "x", "--url", "amqp://x", "--broker", "b"],
            &["--scenario", "x", "--broker-commit", "abc"],
        ];
        for arguments in cases {
            let error = Cli::try_parse_from([&["loadgen"], arguments].concat()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn shares_may_be_percents() {
        assert_eq!(
            ["5%", "0.05", "100 %"].map(|text| share(text).unwrap()),
            [0.05, 0.05, 1.0]
        );
        assert!(share("5").is_err() && share("-1%").is_err() && share("much").is_err());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(
            ["30", "0.5", "30s", "500ms", "2m"].map(|text| seconds(text).unwrap()),
            [30.0, 0.5, 30.0, 0.5, 120.0]
        );
        assert!(seconds("soon").is_err() && seconds("NaN").is_err() && seconds("-1").is_err());
    }
}
