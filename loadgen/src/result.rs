//! A run's result: the summary that programs read from the last line of output, and `run.json`, which holds everything.

use std::io;
use std::path::Path;

use hdrhistogram::Histogram;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::churn::ChurnFigures;
use crate::conductor::Conducted;
use crate::cost::Cost;
use crate::durability::Durability;
use crate::environment::Environment;
use crate::hiccup::{HiccupSecond, HiccupUs};
use crate::live::Interval;
use crate::recorder::{self, encode};
use crate::recovery::{self, FaultFigures, KillFigures};
use crate::sampler::Sample;
use crate::scenario::{DriverKind, Overridden, Scenario};
use crate::subject::Subject;
use crate::usage::Usage;
use crate::utc::Utc;
use crate::verdict::{Check, Evidence, Outcome, Verdict};
use crate::workers::{WorkerFigures, combine};

/// Version of `run.json` and of the history's lines; grows with every change that a reader must know of.
pub const SCHEMA: u32 = 4;

/// The oldest schema that is still understood: everything added since has a default.
pub const SCHEMA_OLDEST: u32 = 2;

/// Quantiles of a latency in µs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyUs {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p99_9: f64,
    /// Largest.
    pub max: f64,
    /// How many were measured.
    pub count: u64,
}

impl LatencyUs {
    /// Of a histogram in ns; `None` when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max() as f64 / 1e3,
            count: histogram.len(),
        })
    }
}

/// The ledger's counts, of all messages of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerCounts {
    /// Messages sent.
    pub published: u64,
    /// Copies that had to arrive.
    pub expected: u64,
    /// Distinct copies that arrived.
    pub received: u64,
    /// Messages that the broker confirmed.
    pub confirmed: u64,
    /// Expected and never received, without `unconfirmed_lost`.
    pub lost: u64,
    /// Of these, confirmed by the broker; `None` when no connection ended: the run does not tell them apart.
    #[serde(default)]
    pub confirmed_lost: Option<u64>,
    /// Sent before the end of their connection, neither confirmed nor received: legitimate. `None` when none ended.
    #[serde(default)]
    pub unconfirmed_lost: Option<u64>,
    /// Received again without the redelivered flag.
    pub duplicated: u64,
    /// Received again with it.
    pub redelivered: u64,
    /// Received by a consumer after a later one of the same producer.
    pub reordered: u64,
    /// Changed on the way, or never sent.
    pub corrupt: u64,
    /// Messages of others, received and not judged; only in a run in which nobody sends.
    #[serde(default)]
    pub foreign: u64,
    /// Refused by the broker with a nack.
    pub nacked: u64,
    /// A few faults in words.
    pub examples: Vec<String>,
}

/// The broker's use of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BrokerFigures {
    /// Peak of anonymous resident memory; `None`, as all of these, when the process is unknown.
    pub rss_anon_bytes_max: Option<u64>,
    /// Peak of file-backed and shared resident memory.
    pub rss_file_bytes_max: Option<u64>,
    /// Peak of their sum.
    pub rss_bytes_max: Option<u64>,
    /// Cores kept busy on average in the window.
    pub cpu_cores: Option<f64>,
    /// CPU time per delivery received; when nobody consumes, per message sent.
    pub cpu_us_per_message: Option<f64>,
}

/// The generator's own figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorFigures {
    /// Cores kept busy on average in the window.
    pub cpu_cores: Option<f64>,
    /// CPU time per delivery received; when nobody consumes, per message sent.
    pub cpu_us_per_message: Option<f64>,
    /// 99th percentile of actual − intended send instant; `None` in a saturating run.
    pub schedule_lag_us_p99: Option<f64>,
    /// Messages due and not sent before the drain's deadline.
    pub unsent: u64,
    /// Deliveries (and confirms, which are few) per socket read; `None` when the driver cannot know.
    pub messages_per_read: Option<f64>,
    /// Messages sent per socket write (acks included in the writes); `None` when the driver cannot know.
    pub messages_per_write: Option<f64>,
}

/// The rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineFigures {
    /// Share of CPU time that the hypervisor took.
    pub steal: Option<f64>,
    /// Share used by other processes.
    pub foreign_cpu: Option<f64>,
    /// Pauses beyond an intended sleep of 1 ms, within the window.
    #[serde(default)]
    pub hiccup_us: Option<HiccupUs>,
}

/// The summary: `--format json` prints exactly this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Name of the scenario.
    pub scenario: String,
    /// Hash of the load; differs when anything was overridden.
    pub scenario_hash: String,
    /// What the command line changed.
    pub overrides: Vec<String>,
    /// The broker's URL without credentials, or `embedded`.
    pub target: String,
    /// Commit that the broker was built from, in few digits and marked `+` when the tree was modified; as the user stated it for a
    /// build given with `--broker`, `None` for a broker that was there already.
    #[serde(default)]
    pub broker_commit: Option<String>,
    /// The driver.
    pub driver: DriverKind,
    /// The broker's own product and version.
    pub server: String,
    /// What was asked for, and the broker's level: `persistent`, `durable`, `confirm_window`, `durability`.
    #[serde(flatten)]
    pub durability: Durability,
    /// pass, fail or invalid.
    pub verdict: Outcome,
    /// Why it is not a pass.
    pub reasons: Vec<String>,
    /// Why the run was ended before its time, as hopeless; its figures are then of a short window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hopeless: Option<String>,
    /// Length of the measured window.
    pub duration_s: f64,
    /// Messages sent within the window.
    pub published: u64,
    /// Deliveries received within the window.
    pub consumed: u64,
    /// Messages sent per second.
    pub publish_rate: f64,
    /// Deliveries received per second.
    pub consume_rate: f64,
    /// From the intended send instant.
    pub latency_us: Option<LatencyUs>,
    /// From the actual send instant.
    pub service_latency_us: Option<LatencyUs>,
    /// From send to confirm.
    pub confirm_latency_us: Option<LatencyUs>,
    /// What became of the messages.
    pub ledger: LedgerCounts,
    /// Each fault, and how the load went on.
    #[serde(default)]
    pub faults: Vec<FaultFigures>,
    /// Kills of the broker in results of schema 3; later ones are in `faults`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kills: Vec<KillFigures>,
    /// What came and went beside the load, by kind.
    #[serde(default)]
    pub churn: Vec<ChurnFigures>,
    /// The generators that shared the run; none when this one did everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerFigures>,
    /// The broker.
    pub broker: BrokerFigures,
    /// The generator.
    pub generator: GeneratorFigures,
    /// The machine.
    pub machine: MachineFigures,
    /// What each message cost.
    #[serde(default)]
    pub cost: Cost,
}

/// Histograms in HdrHistogram's V2 encoding, base64; values in ns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EncodedHistograms {
    /// Response latency.
    pub response: String,
    /// Service latency.
    pub service: String,
    /// Confirm latency.
    pub confirm: Option<String>,
    /// Schedule lag; empty in a saturating run.
    pub schedule_lag: String,
}

/// The same, ready for use.
#[derive(Clone, Debug)]
pub struct Histograms {
    /// Response latency.
    pub response: Histogram<u64>,
    /// Service latency.
    pub service: Histogram<u64>,
    /// Confirm latency.
    pub confirm: Option<Histogram<u64>>,
    /// Schedule lag.
    pub schedule_lag: Histogram<u64>,
}

impl EncodedHistograms {
    /// Decodes all of them.
    ///
    /// # Errors
    /// When one is not base64 or not a histogram, which is named.
    pub fn decode(&self) -> io::Result<Histograms> {
        Ok(Histograms {
            response: decode("response", &self.response)?,
            service: decode("service", &self.service)?,
            confirm: self
                .confirm
                .as_ref()
                .map(|confirm| decode("confirm", confirm))
                .transpose()?,
            schedule_lag: decode("schedule_lag", &self.schedule_lag)?,
        })
    }
}

/// Socket calls of the generator over the whole run; 0 when the driver cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketCalls {
    /// Reads that returned data.
    pub reads: u64,
    /// Writes that took data.
    pub writes: u64,
}

/// Everything about a run; `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// [`SCHEMA`].
    pub schema: u32,
    /// UTC time, scenario and commit; the name of the run's directory.
    pub id: String,
    /// When the run began, UTC.
    pub started: String,
    /// Seed of the plan.
    pub seed: u64,
    /// The command line, without passwords.
    #[serde(default)]
    pub command: Vec<String>,
    /// Commit, machine, kernel, toolchain.
    pub environment: Environment,
    /// The effective scenario, overrides applied.
    #[schemars(schema_with = "scenario_schema")]
    pub effective_scenario: Scenario,
    /// Further flags given to the embedded broker.
    pub broker_arguments: Vec<String>,
    /// The summary.
    pub summary: Summary,
    /// Each target and what was reached.
    pub checks: Vec<Check>,
    /// When the measured window began and ended, in seconds since the load began.
    pub window_s: (f64, f64),
    /// When the load began, in ns on the clock of the samples.
    pub started_ns: u64,
    /// Latencies above the histograms' range.
    pub saturated: u64,
    /// How often the broker announced `connection.blocked`.
    pub blocked: u64,
    /// Socket calls.
    pub socket_calls: SocketCalls,
    /// Histograms.
    pub histograms: EncodedHistograms,
    /// One entry a second.
    pub intervals: Vec<Interval>,
    /// Four entries a second.
    pub samples: Vec<Sample>,
    /// Pauses of the machine, one entry a second.
    #[serde(default)]
    pub hiccups: Vec<HiccupSecond>,
}

/// The JSON Schema (draft 2020-12) of `run.json`. Fields may be added without a new [`SCHEMA`], so it allows more than there are.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<RunResult>();
    schema.to_value()
}

fn scenario_schema(_: &mut SchemaGenerator) -> Schema {
    let mut schema = Schema::try_from(crate::scenario::json_schema()).expect("the schema is an object");
    schema.remove("$schema");
    schema
}

/// What a run was given: everything that its result repeats.
#[derive(Debug)]
pub struct Given<'a> {
    /// The scenario, with the command line's changes.
    pub overridden: &'a Overridden,
    /// Seed.
    pub seed: u64,
    /// The command line, without passwords.
    pub command: Vec<String>,
    /// Whom it drove.
    pub subject: &'a Subject,
    /// When it began.
    pub started: Utc,
    /// Where.
    pub environment: Environment,
}

impl RunResult {
    /// Judges and sums up what was measured.
    #[must_use]
    pub fn new(given: &Given<'_>, conducted: &Conducted) -> Self {
        let scenario = &given.overridden.scenario;
        let recording = &conducted.recording;
        let own = Usage::within(&conducted.samples, conducted.window_ns);
        let (usage, judged) = combine(own, &recording.workers, given.environment.cores);
        let mut summary = figures(given, conducted, usage.as_ref());
        let verdict = Verdict::of(&Evidence::of(scenario, conducted, judged.as_ref(), &summary));
        summary.verdict = verdict.outcome;
        summary.reasons.clone_from(&verdict.reasons);
        let since_load = |ns: u64| ns.saturating_sub(conducted.started_ns) as f64 / 1e9;
        Self {
            schema: SCHEMA,
            id: run_id(given),
            started: given.started.iso(),
            seed: given.seed,
            command: given.command.clone(),
            environment: given.environment.clone(),
            effective_scenario: scenario.clone(),
            broker_arguments: given.subject.arguments(),
            summary,
            checks: verdict.checks,
            window_s: (
                since_load(conducted.window_ns.0),
                since_load(conducted.window_ns.1),
            ),
            started_ns: conducted.started_ns,
            saturated: recording.saturated,
            blocked: recording.blocked,
            socket_calls: SocketCalls {
                reads: recording.reads,
                writes: recording.writes,
            },
            histograms: EncodedHistograms {
                response: encode(&recording.response),
                service: encode(&recording.service),
                confirm: recording.confirm.as_ref().map(encode),
                schedule_lag: encode(&recording.schedule_lag),
            },
            intervals: recording.intervals.clone(),
            samples: conducted.samples.clone(),
            hiccups: conducted.hiccups.seconds.clone(),
        }
    }

    /// Reads a `run.json`.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or was written by a version of loadgen that this one does not know.
    pub fn read(file: &Path) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let text = std::fs::read_to_string(file)?;
        let Version { schema } = serde_json::from_str(&text)?;
        if !(SCHEMA_OLDEST..=SCHEMA).contains(&schema) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("schema {schema}; this loadgen reads {SCHEMA_OLDEST} to {SCHEMA}"),
            ));
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes `run.json` into the run's directory, which must exist.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(directory.join("run.json"), text)
    }
}

/// UTC time, scenario and short commit: unique enough, sorts by time.
fn run_id(given: &Given<'_>) -> String {
    let commit = given.environment.commit_short().replace('+', "-modified");
    format!(
        "{}-{}-{commit}",
        given.started.compact(),
        given.overridden.scenario.name
    )
}

/// The summary of a run that is still to be judged.
fn figures(given: &Given<'_>, conducted: &Conducted, usage: Option<&Usage>) -> Summary {
    let Overridden { scenario, changes } = given.overridden;
    let recording = &conducted.recording;
    let per_second = |count: u64| {
        if recording.window_s > 0.0 {
            count as f64 / recording.window_s
        } else {
            0.0
        }
    };
    let publish_rate = per_second(recording.published_in_window);
    let consume_rate = per_second(recording.consumed_in_window);
    let message_rate = if scenario.consumers == 0 {
        publish_rate
    } else {
        consume_rate
    };
    let cost = Cost::of(usage, message_rate, &recording.intervals);
    let broker = usage.and_then(|usage| usage.broker);
    let generator = usage.map(|usage| usage.generator);
    let per_call = |messages: u64, calls: u64| (calls > 0).then(|| messages as f64 / calls as f64);
    let ledger = &recording.ledger;
    let server = &recording.server;
    Summary {
        scenario: scenario.name.clone(),
        scenario_hash: scenario.hash(),
        overrides: changes.clone(),
        target: given.subject.name(),
        broker_commit: given.subject.commit(&given.environment.commit_short()),
        driver: scenario.driver,
        server: format!("{} {}", server.product, server.version)
            .trim()
            .to_string(),
        durability: Durability::of(scenario, server),
        verdict: Outcome::Pass,
        reasons: Vec::new(),
        hopeless: conducted.hopeless.clone(),
        duration_s: recording.window_s,
        published: recording.published_in_window,
        consumed: recording.consumed_in_window,
        publish_rate,
        consume_rate,
        latency_us: LatencyUs::of(&recording.response),
        service_latency_us: LatencyUs::of(&recording.service),
        confirm_latency_us: recording.confirm.as_ref().and_then(LatencyUs::of),
        ledger: LedgerCounts {
            published: ledger.published,
            expected: ledger.expected,
            received: ledger.received,
            confirmed: ledger.confirmed,
            lost: ledger.lost,
            confirmed_lost: ledger.confirmed_lost,
            unconfirmed_lost: ledger.unconfirmed_lost,
            duplicated: ledger.duplicated,
            redelivered: ledger.redelivered,
            reordered: ledger.reordered,
            corrupt: ledger.corrupt,
            foreign: ledger.foreign,
            nacked: ledger.nacked,
            examples: ledger.first_examples.clone(),
        },
        faults: recovery::rows(&conducted.strikes, recording, conducted.started_ns),
        kills: Vec::new(),
        churn: recording.churn.iter().map(ChurnFigures::from).collect(),
        workers: recording.workers.clone(),
        broker: BrokerFigures {
            rss_anon_bytes_max: broker.map(|it| it.rss_anon_bytes_max),
            rss_file_bytes_max: broker.map(|it| it.rss_file_bytes_max),
            rss_bytes_max: broker.map(|it| it.rss_bytes_max),
            cpu_cores: broker.map(|it| it.cpu_cores),
            cpu_us_per_message: cost.broker_cpu_us,
        },
        generator: GeneratorFigures {
            cpu_cores: generator.map(|it| it.cpu_cores),
            cpu_us_per_message: cost.generator_cpu_us,
            schedule_lag_us_p99: LatencyUs::of(&recording.schedule_lag).map(|lag| lag.p99),
            unsent: recording.unsent,
            messages_per_read: per_call(ledger.received, recording.reads),
            messages_per_write: per_call(ledger.published, recording.writes),
        },
        machine: MachineFigures {
            steal: usage.map(|usage| usage.steal),
            foreign_cpu: usage.and_then(|usage| usage.foreign_cpu),
            hiccup_us: conducted.hiccups.window,
        },
        cost,
    }
}

fn decode(name: &str, text: &str) -> io::Result<Histogram<u64>> {
    recorder::decode(text).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the {name} histogram is damaged: {error}"),
        )
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fixtures;
    use crate::scenario::json_schema_tests::is_valid;
    use crate::scenario::{Overrides, built_in};

    /// The result of a made-up good run.
    pub(crate) fn run_result(name: &str) -> RunResult {
        let overridden = Overrides::default().apply(&built_in(name).unwrap()).unwrap();
        let scenario = &overridden.scenario;
        let seconds = (scenario.warmup_s + scenario.duration_s) as u64;
        let conducted = Conducted {
            recording: fixtures::recording(scenario),
            samples: fixtures::samples(seconds),
            started_ns: 0,
            window_ns: ((scenario.warmup_s * 1e9) as u64, seconds * 1_000_000_000),
            strikes: fixtures::strikes(scenario),
            interval_log: crate::formats::IntervalLog::default(),
            hiccups: fixtures::hiccups(seconds),
            hopeless: None,
        };
        let given = Given {
            overridden: &overridden,
            seed: 1,
            command: vec!["loadgen".into(), "--scenario".into(), name.into()],
            subject: &Subject::embedded(),
            started: Utc::now(),
            environment: Environment::detect(),
        };
        RunResult::new(&given, &conducted)
    }

    #[test]
    fn the_summary_has_every_key_that_programs_rely_on() {
        let value = serde_json::to_value(run_result("20p20c-latency").summary).unwrap();
        for pointer in [
            "/scenario",
            "/target",
            "/verdict",
            "/reasons",
            "/duration_s",
            "/published",
            "/consumed",
            "/publish_rate",
            "/consume_rate",
            "/latency_us/p50",
            "/latency_us/p90",
            "/latency_us/p99",
            "/latency_us/p99_9",
            "/latency_us/max",
            "/latency_us/count",
            "/service_latency_us/p99",
            "/ledger/lost",
            "/ledger/duplicated",
            "/ledger/redelivered",
            "/ledger/reordered",
            "/ledger/corrupt",
            "/broker/rss_anon_bytes_max",
            "/broker/rss_file_bytes_max",
            "/broker/cpu_us_per_message",
            "/generator/cpu_us_per_message",
            "/generator/schedule_lag_us_p99",
            "/persistent",
            "/durable",
            "/cost/broker_cpu_us",
            "/cost/broker_written_bytes",
            "/cost/broker_voluntary_switches",
            "/cost/broker_anonymous_bytes",
            "/cost/generator_cpu_us",
            "/faults",
        ] {
            assert!(
                value.pointer(pointer).is_some_and(|found| !found.is_null()),
                "{pointer}"
            );
        }
        assert_eq!(
            value.pointer("/confirm_latency_us"),
            Some(&serde_json::Value::Null)
        );
        assert_eq!(value["verdict"], "pass");
        for unknown in ["/durability", "/confirm_window", "/ledger/confirmed_lost"] {
            assert_eq!(
                value.pointer(unknown),
                Some(&serde_json::Value::Null),
                "{unknown}"
            );
        }
    }

    #[test]
    fn a_crash_is_reported_with_the_brokers_return() {
        let value = serde_json::to_value(run_result("crash").summary).unwrap();
        assert_eq!(value["verdict"], "pass", "{}", value["reasons"]);
        assert_eq!(value["ledger"]["confirmed_lost"], 0);
        assert_eq!(value["ledger"]["unconfirmed_lost"], 17);
        let kill = &value["faults"][0];
        assert_eq!(kill["kind"], "kill");
        assert_eq!(kill["ended_ms"], 120.0);
        assert_eq!(kill["first_confirm_ms"], 160.0);
        assert_eq!(kill["recovered"], 700);
    }

    #[test]
    fn figures_follow_from_what_was_measured() {
        let summary = run_result("20p20c").summary;
        assert_eq!(summary.publish_rate, 1_600_000.0);
        let cpu_us = summary.broker.cpu_us_per_message.unwrap();
        assert!((cpu_us - 0.85 / 1.6).abs() < 0.01, "{cpu_us}");
        assert_eq!(summary.generator.schedule_lag_us_p99, None);
        assert_eq!(summary.generator.messages_per_write, Some(1_200.0));
    }

    #[test]
    fn a_run_survives_its_file() {
        let run = run_result("crash");
        let directory = tempfile::tempdir().unwrap();
        run.write(directory.path()).unwrap();
        let read = RunResult::read(&directory.path().join("run.json")).unwrap();
        assert_eq!((&read.id, &read.summary.ledger), (&run.id, &run.summary.ledger));
        assert_eq!(read.summary.durability, run.summary.durability);
        assert_eq!(read.effective_scenario, run.effective_scenario);
        let histograms = read.histograms.decode().unwrap();
        assert_eq!(LatencyUs::of(&histograms.response), run.summary.latency_us);
        let mut damaged = read.histograms;
        damaged.service.truncate(20);
        let message = damaged.decode().unwrap_err().to_string();
        assert!(
            message.starts_with("the service histogram is damaged: "),
            "{message}"
        );
    }

    #[test]
    fn runs_have_the_schema_that_is_committed() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/schema.json");
        let committed: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(
            committed,
            json_schema(),
            "loadgen schema run > results/schema.json"
        );
        for name in ["20p20c", "20p20c-latency", "crash"] {
            let mut run = serde_json::to_value(run_result(name)).unwrap();
            assert!(is_valid(&run, &committed, &committed), "{name}");
            run["summary"]["ledger"]["lost"] = serde_json::json!("many");
            assert!(!is_valid(&run, &committed, &committed), "{name}");
        }
    }

    #[test]
    fn the_id_sorts_by_time_and_names_scenario_and_commit() {
        let run = run_result("fanout");
        let commit = run.environment.commit_short().replace('+', "-modified");
        assert!(run.id.ends_with(&format!("-fanout-{commit}")), "{}", run.id);
        assert_eq!(run.id.split('-').next().unwrap().len(), "20261123T220405Z".len());
    }
}
