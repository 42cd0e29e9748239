//! A run's histograms, as text in `run.json` and ready for use.

use std::io;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recorder;

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

fn decode(name: &str, text: &str) -> io::Result<Histogram<u64>> {
    recorder::decode(text).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the {name} histogram is damaged: {error}"),
        )
    })
}
