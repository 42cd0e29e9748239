//! Churn beside the load: connections, channels and queues that come and go. What is asked for, what came of it, and its figures.
//!
//! Who makes it: `driver::native::churn`, on threads and connections of its own, whatever drives the load.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::recorder::histogram;
use crate::result::LatencyUs;

/// How many come and go each second. At least one is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Connections: connect, log in, open a channel, close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_s: Option<u32>,
    /// Channels of one connection: open, close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels_per_s: Option<u32>,
    /// Queues: declare, delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues_per_s: Option<u32>,
}

/// What comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChurnKind {
    /// Connections.
    Connections,
    /// Channels.
    Channels,
    /// Queues.
    Queues,
}

impl ChurnKind {
    /// The name in results and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Channels => "channels",
            Self::Queues => "queues",
        }
    }
}

impl Churn {
    /// Each kind that is asked for, with its rate.
    pub fn rates(self) -> impl Iterator<Item = (ChurnKind, u32)> {
        let rates = [
            (ChurnKind::Connections, self.connections_per_s),
            (ChurnKind::Channels, self.channels_per_s),
            (ChurnKind::Queues, self.queues_per_s),
        ];
        rates.into_iter().filter_map(|(kind, rate)| Some((kind, rate?)))
    }
}

/// What came of one kind of churn.
#[derive(Clone, Debug)]
pub struct ChurnRecording {
    /// What came and went.
    pub kind: ChurnKind,
    /// How often it was due within the measured window.
    pub due: u64,
    /// How often it was done, of these.
    pub made: u64,
    /// How often it failed, in the whole run.
    pub errors: u64,
    /// Why it failed first.
    pub first_error: Option<String>,
    /// From when it was due until it was done, in ns; of those due within the window.
    pub took: Histogram<u64>,
}

impl ChurnRecording {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(kind: ChurnKind) -> Self {
        Self {
            kind,
            due: 0,
            made: 0,
            errors: 0,
            first_error: None,
            took: histogram(),
        }
    }
}

/// One kind of churn in a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChurnFigures {
    /// What came and went.
    pub kind: ChurnKind,
    /// How often it was due within the measured window.
    pub due: u64,
    /// How often it was done, of these. The rest failed, or the broker was too slow for the rate.
    pub made: u64,
    /// How often it failed, in the whole run.
    pub errors: u64,
    /// Why it failed first.
    pub first_error: Option<String>,
    /// From when it was due until it was done; `None` when it never was.
    pub took_us: Option<LatencyUs>,
}

impl From<&ChurnRecording> for ChurnFigures {
    fn from(recording: &ChurnRecording) -> Self {
        Self {
            kind: recording.kind,
            due: recording.due,
            made: recording.made,
            errors: recording.errors,
            first_error: recording.first_error.clone(),
            took_us: LatencyUs::of(&recording.took),
        }
    }
}
