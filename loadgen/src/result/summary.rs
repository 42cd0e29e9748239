//! The summary of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::{BrokerFigures, GeneratorFigures, LatencyUs, LedgerCounts, MachineFigures};
use crate::churn::ChurnFigures;
use crate::cost::Cost;
use crate::durability::Durability;
use crate::recovery::{FaultFigures, KillFigures};
use crate::scenario::{DriverKind, Scenario};
use crate::tls::TlsFigures;
use crate::verdict::Outcome;
use crate::workers::WorkerFigures;

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
    /// What the handshakes of TLS agreed on; `null` on plain TCP.
    #[serde(default)]
    pub tls: Option<TlsFigures>,
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

impl Summary {
    /// Durability and, where there was any, TLS: `transient messages · no confirms · … · TLSv1.3, …`
    #[must_use]
    pub fn describe_setting(&self) -> String {
        let durability = self.durability.describe();
        match &self.tls {
            None => durability,
            Some(tls) => format!("{durability} · {}", tls.describe()),
        }
    }

    /// The rate of what a run of `scenario` counts as its messages: deliveries, or messages sent where nobody consumes.
    #[must_use]
    pub fn message_rate(&self, scenario: &Scenario) -> f64 {
        message_rate(scenario, self.publish_rate, self.consume_rate)
    }
}

pub(super) fn message_rate(scenario: &Scenario, publish_rate: f64, consume_rate: f64) -> f64 {
    if scenario.consumers == 0 {
        publish_rate
    } else {
        consume_rate
    }
}
