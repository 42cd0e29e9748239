//! The figures of a summary, by whom they are about.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hiccup::HiccupUs;

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
    /// Messages a second that this generator consumed at most from a peer that only passes them on, with this shape of load on
    /// this machine; sent where nobody consumes. `None`: not calibrated.
    #[serde(default)]
    pub ceiling_msgs_per_s: Option<f64>,
    /// The run's rate over it.
    #[serde(default)]
    pub ceiling_share: Option<f64>,
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
