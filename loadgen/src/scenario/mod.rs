//! A scenario: what load to put on a broker, for how long, and what counts as good.
//!
//! Scenarios are JSON files. Reading one goes through one pipeline, whether the values come from a file or from the
//! command line: JSON value → every field checked against `fields` → typed [`Scenario`] → checks across fields
//! (`checks`). Nothing else builds a `Scenario`, so the rest of the crate may rely on what is checked there.

mod allowed;
mod change;
mod checks;
mod conditions;
mod faults;
mod fields;
mod find;
mod hash;
mod json_schema;
mod keys;
mod load;
mod overrides;
mod sizes;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::churn::Churn;
use crate::perftest::{BodyLayout, HEAD_BYTES};
use crate::work::WorkUs;

pub use faults::{CutBy, FaultKind, InjectedFault};
pub use find::{Source, built_in, find, list};
pub use json_schema::json_schema;
#[cfg(test)]
pub(crate) use json_schema::tests as json_schema_tests;
pub use keys::{KeyDistribution, Keys};
pub use load::{Arrivals, Load, RatePhase};
pub use overrides::{Overridden, Overrides};
pub use sizes::Sizes;

/// The largest message: RabbitMQ's default limit and this broker's.
pub const SIZE_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// A load and its targets. Field for field the JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Lower-case letters, digits and dashes; part of the run's id.
    pub name: String,
    /// One line for `--list`.
    pub description: String,
    /// The client that makes the load.
    #[serde(default)]
    pub driver: DriverKind,
    /// Producers, each with its own connection. 0: the consumers take what lies in existing queues.
    pub producers: u16,
    /// Consumers, each with its own connection; consumer *j* reads queue *j* mod `queues`. 0: the messages stay queued.
    pub consumers: u16,
    /// Queues.
    pub queues: u16,
    /// How messages reach the queues.
    #[serde(default)]
    pub routing: Routing,
    /// Routing keys, for a direct or topic exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// Names of the queues: `%d` is the queue's index. `None`: names that nobody else uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_pattern: Option<String>,
    /// Whether the names are the run's own or stay the same.
    #[serde(default, skip_serializing_if = "QueueNames::is_per_run")]
    pub queue_names: QueueNames,
    /// Length of each message's body, stamp included; `None` with `sizes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u32>,
    /// Messages of different lengths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    /// What stands before the stamp in each body; `None` = nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyLayout>,
    /// When messages are sent.
    pub load: Load,
    /// Messages of the whole run, all producers together: phases end when their work is done, not by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// All messages are sent before the consumers start; the window then measures how that backlog drains.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backlog_first: bool,
    /// Length of the measured window, in seconds; with `messages` its limit.
    pub duration_s: f64,
    /// Load before the window, in seconds; with `backlog_first` the limit of the fill.
    pub warmup_s: f64,
    /// Deadline of the drain after the window, in seconds.
    #[serde(default = "drain_s_default")]
    pub drain_s: f64,
    /// Unacknowledged messages a consumer may hold; 0 = no limit.
    pub prefetch: u16,
    /// Messages that one cumulative ack settles; 0 = the broker settles on delivery (`no_ack`).
    pub ack_every: u16,
    /// After how many milliseconds a partial batch of acks is sent all the same; 0 = after every read.
    #[serde(default = "ack_flush_ms_default")]
    pub ack_flush_ms: u32,
    /// Messages a second that the consumers work off at most, all together, until the load ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume_rate_max: Option<u64>,
    /// How long a consumer works on each message, until the load ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_us: Option<WorkUs>,
    /// Unconfirmed messages a producer may have outstanding; `None` = no publisher confirms.
    #[serde(default)]
    pub confirm_window: Option<u32>,
    /// Delivery mode 2.
    #[serde(default)]
    pub persistent: bool,
    /// Durable queues (and exchange).
    #[serde(default)]
    pub durable: bool,
    /// What the queues are declared as (`x-queue-type`); `None` = what the broker makes of a queue that says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_type: Option<QueueType>,
    /// What comes and goes beside the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// What is done to broker, consumers or connections within the measured window, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<InjectedFault>,
    /// Response latency in µs (p99 over a second) up to which the load counts as recovered from a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_p99_us_max: Option<f64>,
    /// What a passing run reaches.
    #[serde(default)]
    pub targets: Targets,
    /// Conditions over a single second of the run that end it early, as hopeless (see `abort`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abort: Vec<String>,
    /// Beyond what the generator or the machine, not the broker, was the bottleneck.
    #[serde(default)]
    pub validity: Validity,
}

/// Which client makes the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// One thread over the `wire` codec, for rates that no client library reaches.
    #[default]
    Native,
    /// The `lapin` client, two worker threads.
    Lapin,
}

impl DriverKind {
    /// The name in scenarios and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Lapin => "lapin",
        }
    }

    /// Threads among which the driver spreads its work: how many cores it can use at most.
    #[must_use]
    pub fn threads(self) -> u32 {
        match self {
            Self::Native => 1,
            Self::Lapin => 2,
        }
    }
}

/// How messages reach the queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Default exchange: producer *i* sends to queue *i* mod `queues`.
    #[default]
    Queue,
    /// One fanout exchange bound to every queue: each message is copied to all of them.
    Fanout,
    /// One direct exchange: each message carries one of `keys`, each of which is bound to one queue.
    Direct,
    /// The same with a topic exchange: each queue has one binding, whose pattern matches its keys.
    Topic,
}

impl Routing {
    /// The type of the exchange; `None` for the default exchange.
    #[must_use]
    pub fn exchange_kind(self) -> Option<&'static str> {
        match self {
            Self::Queue => None,
            Self::Fanout => Some("fanout"),
            Self::Direct => Some("direct"),
            Self::Topic => Some("topic"),
        }
    }

    /// Whether `keys` decide which queue gets a message.
    #[must_use]
    pub fn is_keyed(self) -> bool {
        matches!(self, Self::Direct | Self::Topic)
    }
}

/// Whether the names of a run's queues are its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueNames {
    /// Nobody else uses them; the queues are deleted after the run.
    #[default]
    PerRun,
    /// Exactly those of `queue_pattern`: the queues stay, with what is in them.
    Fixed,
}

impl QueueNames {
    /// For files, which leave the usual names out.
    #[must_use]
    pub fn is_per_run(&self) -> bool {
        *self == Self::PerRun
    }
}

/// The kind of queue, in RabbitMQ's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueType {
    /// Lives on one node.
    Classic,
    /// A replicated log; durable. RabbitMQ syncs it to the disk before it confirms, also where there is one node only.
    Quorum,
}

impl QueueType {
    /// The argument of `queue.declare` that asks for it.
    pub const ARGUMENT: &str = "x-queue-type";

    /// The name in scenarios, and the argument's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

/// What a run must reach to pass. Absent: not judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// Messages sent per second, at least.
    pub publish_rate_min: Option<f64>,
    /// Deliveries received per second, at least (a fanout counts every copy).
    pub consume_rate_min: Option<f64>,
    /// Resident memory of the broker at its peak, at most.
    pub broker_rss_bytes_max: Option<u64>,
    /// Anonymous resident memory of the broker (without mapped files) at its peak, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_rss_anon_bytes_max: Option<u64>,
    /// 99th percentile of actual − intended send instant in µs, at most, whoever made the producers late. Open loop only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_lag_p99_us_max: Option<f64>,
    /// 99th percentile of the response latency in µs, at most. Open loop only.
    pub latency_p99_us_max: Option<f64>,
    /// Conditions over the summary's figures, which must hold (see `expression`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<String>,
}

/// When a run says nothing about the broker.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Validity {
    /// 99th percentile of actual − intended send instant in µs, at most. Open loop only.
    pub schedule_lag_p99_us_max: f64,
    /// CPU of the generator as a share of its driver's threads, at most. Open loop only.
    pub generator_cpu_max: f64,
    /// Share of the machine's CPU time that the hypervisor took, at most.
    pub steal_max: f64,
    /// Share of the machine's CPU time that other processes used, at most.
    pub foreign_cpu_max: f64,
    /// 99th percentile of the machine's pauses in µs, at most. `None`: 20,000 in an open loop, no limit otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hiccup_p99_us_max: Option<f64>,
    /// The machine's longest pause in µs, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hiccup_max_us: Option<f64>,
    /// Share of the generator's ceiling that the run may reach, where that was calibrated (see `calibration`). `None`: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling_share_max: Option<f64>,
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            schedule_lag_p99_us_max: 1_000.0,
            generator_cpu_max: 0.9,
            steal_max: 0.05,
            foreign_cpu_max: 0.15,
            hiccup_p99_us_max: None,
            hiccup_max_us: None,
            ceiling_share_max: None,
        }
    }
}

/// Why there is no scenario to run.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// A value that is not allowed.
    #[error("{source_name}: {field} is {value}; allowed: {allowed}")]
    Field {
        /// The file, or the command line.
        source_name: String,
        /// Dotted path of the field.
        field: String,
        /// The value found, as JSON; `missing` when there is none.
        value: String,
        /// What would be accepted.
        allowed: String,
    },
    /// Not JSON at all.
    #[error("{source_name} is not valid JSON: {source}")]
    Json {
        /// The file.
        source_name: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The file cannot be read.
    #[error("cannot read the scenario file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// No such scenario.
    #[error("there is no scenario or file named {name}; known scenarios: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What could have been.
        known: Vec<String>,
    },
}

impl Scenario {
    /// Reads and checks a scenario. `source_name` is what error messages call it.
    ///
    /// # Errors
    /// Names the first field that is missing, unknown or out of range, its value, and what is allowed.
    pub fn from_json(source_name: &str, text: &str) -> Result<Self, ScenarioError> {
        let value = serde_json::from_str(text).map_err(|source| ScenarioError::Json {
            source_name: source_name.into(),
            source,
        })?;
        Self::from_value(source_name, value)
    }

    fn from_value(source_name: &str, value: serde_json::Value) -> Result<Self, ScenarioError> {
        fields::check(&value).map_err(|fault| fault.of(source_name))?;
        let scenario: Self = serde_json::from_value(value).map_err(|source| ScenarioError::Json {
            source_name: source_name.into(),
            source,
        })?;
        checks::check(&scenario).map_err(|fault| fault.of(source_name))?;
        conditions::check(&scenario).map_err(|fault| fault.of(source_name))?;
        Ok(scenario)
    }

    /// Copies of each message: the queues that it reaches.
    #[must_use]
    pub fn copies(&self) -> u16 {
        match self.routing {
            Routing::Queue | Routing::Direct | Routing::Topic => 1,
            Routing::Fanout => self.queues,
        }
    }

    /// Messages a second that the consumers work off at most, all together; `None` when nothing slows them down.
    #[must_use]
    pub fn work_rate_max(&self) -> Option<f64> {
        let consumers = f64::from(self.consumers);
        let by_work = self.work_us.map(|work| consumers * 1e6 / work.mean_us());
        self.consume_rate_max.map(|rate| rate as f64).or(by_work)
    }

    /// Bytes before the stamp in each body.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        self.body.map_or(0, |_| HEAD_BYTES)
    }

    /// Whether the window measures messages that become due within it, so that their latency means something: neither
    /// a fill that nobody consumes nor the drain of a backlog does, nor what others have sent.
    #[must_use]
    pub fn measures_latency(&self) -> bool {
        self.producers > 0 && self.consumers > 0 && !self.backlog_first
    }

    /// 16 hexadecimal digits that are equal for equal loads, whatever their name, description, targets, abort and validity.
    #[must_use]
    pub fn hash(&self) -> String {
        hash::load_hash(self)
    }
}

/// A field whose value is not allowed.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    field: String,
    value: String,
    allowed: String,
}

impl Fault {
    fn new(field: impl Into<String>, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }

    fn of(self, source_name: &str) -> ScenarioError {
        ScenarioError::Field {
            source_name: source_name.into(),
            field: self.field,
            value: self.value,
            allowed: self.allowed,
        }
    }
}

/// For fields that are left out of the JSON, and so of the hash, when they change nothing.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn drain_s_default() -> f64 {
    10.0
}

fn ack_flush_ms_default() -> u32 {
    1
}
