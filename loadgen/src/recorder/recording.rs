//! What a driver hands back after a run.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::encoding::{as_text, as_text_or_null};
use super::timeline::Timeline;
use crate::churn::ChurnRecording;
use crate::ledger::LedgerSummary;
use crate::live::Interval;
use crate::tls::TlsFigures;
use crate::workers::WorkerFigures;

/// How the broker introduced itself in `connection.start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerProperties {
    /// Its `implementation`, where it names one, or its `product`, e.g. `RabbitMQ`.
    pub product: String,
    /// Its `implementation_version` or its `version`.
    pub version: String,
    /// Its `durability`: what has happened to a persistent message on a durable queue when it is confirmed. `None` when
    /// the broker does not say.
    pub durability: Option<String>,
}

/// How the load went on after a fault, as the driver saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Which fault of the plan.
    pub fault: usize,
    /// When every connection was open again, or when the driver learned that the pause or stall was over, in ns since the
    /// run's epoch.
    pub connected_ns: u64,
    /// When the first confirm came; after a cut, on a connection that it had struck.
    pub first_confirm_ns: Option<u64>,
    /// When the first delivery came, likewise.
    pub first_delivery_ns: Option<u64>,
    /// Copies of confirmed messages that had not arrived by then: what the broker had to bring back.
    pub at_stake: u64,
    /// Messages in the queues before anybody consumed, as the broker counts them; only after an end of the broker.
    pub queued: Option<u64>,
    /// First copies of messages that were sent on connections that had ended.
    pub recovered: u64,
    /// Repeated copies.
    pub repeated: u64,
    /// With which reply code the broker closed the first connection, if it did.
    pub reply_code: Option<u16>,
}

/// What a driver knows at the end of a run besides the series.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The closed ledger.
    pub ledger: LedgerSummary,
    /// Whether the producers asked for confirms.
    pub with_confirms: bool,
    /// Socket reads that returned data.
    pub reads: u64,
    /// Socket writes that took data.
    pub writes: u64,
    /// `connection.blocked` notices.
    pub blocked: u64,
    /// Due messages that were never sent.
    pub unsent: u64,
    /// Messages that became due while the broker kept their producer from sending.
    pub held_back: u64,
    /// Who was driven.
    pub server: ServerProperties,
    /// What the handshakes of TLS agreed on; `None` on plain TCP.
    pub tls: Option<TlsFigures>,
    /// One for each fault that the load got over.
    pub recoveries: Vec<Recovery>,
    /// Latencies by intended instant; only in runs with faults.
    pub timeline: Option<Box<Timeline>>,
}

/// Everything that was measured in one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recording {
    /// Latency from the intended send instant, of messages intended within the window, in ns.
    #[serde(with = "as_text")]
    pub response: Histogram<u64>,
    /// Latency from the actual send instant, of the same messages, in ns.
    #[serde(with = "as_text")]
    pub service: Histogram<u64>,
    /// Send to confirm, in ns; `None` without confirms.
    #[serde(with = "as_text_or_null")]
    pub confirm: Option<Histogram<u64>>,
    /// Actual − intended send instant in ns; empty in a saturating run.
    #[serde(with = "as_text")]
    pub schedule_lag: Histogram<u64>,
    /// Latencies above the histograms' range of 60 s (recorded as 60 s).
    pub saturated: u64,
    /// What was lost, duplicated, reordered or corrupt.
    pub ledger: LedgerSummary,
    /// Messages sent while the window was open.
    pub published_in_window: u64,
    /// Messages received while the window was open.
    pub consumed_in_window: u64,
    /// Messages confirmed while the window was open.
    pub confirmed_in_window: u64,
    /// Length of the window in seconds, shortened when the run was cut short.
    pub window_s: f64,
    /// Messages of an open-loop schedule that were due and could not be sent before the drain's deadline: latencies
    /// that this recording does not contain.
    pub unsent: u64,
    /// Messages of an open-loop schedule that became due while the broker kept their producer from sending: it read too
    /// slowly, or the confirm window was full. Their schedule lag is the broker's.
    pub held_back: u64,
    /// Socket reads of the whole run that returned data; 0 when the driver cannot know.
    pub reads: u64,
    /// Socket writes of the whole run that took data; 0 when the driver cannot know.
    pub writes: u64,
    /// How often the broker announced `connection.blocked`.
    pub blocked: u64,
    /// One entry a second.
    pub intervals: Vec<Interval>,
    /// Who was driven.
    pub server: ServerProperties,
    /// What the handshakes of TLS agreed on; `None` on plain TCP.
    #[serde(default)]
    pub tls: Option<TlsFigures>,
    /// How the load went on after each fault; one that was followed by a kill at once may be missing.
    pub recoveries: Vec<Recovery>,
    /// Latencies by intended instant; only in runs with faults, which workers do not share.
    #[serde(skip)]
    pub timeline: Option<Box<Timeline>>,
    /// What came and went beside the load, by kind. Not among what workers hand over: it is not dealt out.
    #[serde(skip)]
    pub churn: Vec<ChurnRecording>,
    /// The parts of several generators; empty when this one did everything.
    pub workers: Vec<WorkerFigures>,
    /// Whether the run was interrupted.
    pub cut_short: bool,
}
