//! Everything about a run: what it was given, what was measured, and its file.

use std::io;
use std::path::Path;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::histograms::EncodedHistograms;
use super::summary::Summary;
use super::summing::sum_up;
use crate::calibration::Ceiling;
use crate::conditions::Conditions;
use crate::conductor::Conducted;
use crate::environment::Environment;
use crate::hiccup::HiccupSecond;
use crate::live::Interval;
use crate::recorder::encode;
use crate::sampler::Sample;
use crate::scenario::{Overridden, Scenario};
use crate::subject::Subject;
use crate::usage::Usage;
use crate::utc::Utc;
use crate::verdict::{Check, Evidence, Verdict};
use crate::workers::combine;

/// Version of `run.json` and of the history's lines; grows with every change that a reader must know of.
pub const SCHEMA: u32 = 4;

/// The oldest schema that is still understood: everything added since has a default.
pub const SCHEMA_OLDEST: u32 = 2;

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
    /// The state of the machine around the run.
    #[serde(default)]
    pub conditions: Conditions,
    /// The calibration that the run is measured against; `None`: there was none for its shape of load on this machine.
    #[serde(default)]
    pub ceiling: Option<Ceiling>,
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
    /// What the machine was like before and after.
    pub conditions: Conditions,
    /// The generator's ceiling for this load, if it was calibrated.
    pub ceiling: Option<Ceiling>,
}

impl RunResult {
    /// Judges and sums up what was measured.
    #[must_use]
    pub fn new(given: &Given<'_>, conducted: &Conducted) -> Self {
        let scenario = &given.overridden.scenario;
        let recording = &conducted.recording;
        let own = Usage::within(&conducted.samples, conducted.window_ns);
        let (usage, judged) = combine(own, &recording.workers, given.environment.cores);
        let mut summary = sum_up(given, conducted, usage.as_ref());
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
            conditions: given.conditions.clone().with(own.as_ref()),
            ceiling: given.ceiling.clone(),
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
