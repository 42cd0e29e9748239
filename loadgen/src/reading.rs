//! What commands of many runs keep of each run: the figures; the rest lies in the run's own directory.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::result::{LatencyUs, LedgerCounts, RunResult};
use crate::utc::Utc;
use crate::verdict::Outcome;

/// One run's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The run's id: its directory below `runs`.
    pub run: String,
    /// Seed of its plan.
    pub seed: u64,
    /// What it amounts to.
    pub verdict: Outcome,
    /// Why it is not a pass.
    pub reasons: Vec<String>,
    /// Messages sent per second.
    pub publish_rate: f64,
    /// Deliveries received per second.
    pub consume_rate: f64,
    /// Response latency.
    pub latency_us: Option<LatencyUs>,
    /// The broker's CPU time per message, in µs.
    pub broker_cpu_us_per_message: Option<f64>,
    /// The broker's peak of resident memory.
    pub broker_rss_bytes_max: Option<u64>,
}

/// Names of [`Reading::csv`]'s columns.
pub const CSV_COLUMNS: &str = "run,seed,verdict,publish_rate,consume_rate,latency_us_p50,latency_us_p90,latency_us_p99,\
latency_us_p99_9,latency_us_max,broker_cpu_us_per_message,broker_rss_bytes_max";

impl Reading {
    /// Of a run.
    #[must_use]
    pub fn of(run: &RunResult) -> Self {
        let summary = &run.summary;
        Self {
            run: run.id.clone(),
            seed: run.seed,
            verdict: summary.verdict,
            reasons: summary.reasons.clone(),
            publish_rate: summary.publish_rate,
            consume_rate: summary.consume_rate,
            latency_us: summary.latency_us,
            broker_cpu_us_per_message: summary.broker.cpu_us_per_message,
            broker_rss_bytes_max: summary.broker.rss_bytes_max,
        }
    }

    /// One line for spreadsheets, without its end; what was not measured is empty.
    #[must_use]
    pub fn csv(&self) -> String {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let latency = |of: fn(&LatencyUs) -> f64| number(self.latency_us.as_ref().map(of));
        [
            self.run.clone(),
            self.seed.to_string(),
            self.verdict.name().into(),
            self.publish_rate.to_string(),
            self.consume_rate.to_string(),
            latency(|it| it.p50),
            latency(|it| it.p90),
            latency(|it| it.p99),
            latency(|it| it.p99_9),
            latency(|it| it.max),
            number(self.broker_cpu_us_per_message),
            number(self.broker_rss_bytes_max.map(|bytes| bytes as f64)),
        ]
        .join(",")
    }
}

/// Whether messages were lost, duplicated, reordered, damaged or refused.
#[must_use]
pub fn is_harm(ledger: &LedgerCounts) -> bool {
    ledger.lost + ledger.duplicated + ledger.reordered + ledger.corrupt + ledger.nacked > 0
}

/// Makes a directory of its own for a command's files: `<results>/<kind>/<UTC time>-<name>`.
///
/// # Errors
/// When it cannot be made, or one of this second is there already.
pub fn create_directory(results: &Path, kind: &str, name: &str) -> anyhow::Result<std::path::PathBuf> {
    use anyhow::Context as _;
    let parent = results.join(kind);
    let directory = parent.join(format!("{}-{name}", Utc::now().compact()));
    std::fs::create_dir_all(&parent)
        .and_then(|()| std::fs::create_dir(&directory))
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn a_line_has_a_value_for_each_column() {
        let run = run_result("20p20c-latency");
        let mut reading = Reading::of(&run);
        let columns = CSV_COLUMNS.split(',').count();
        assert_eq!(reading.csv().split(',').count(), columns);
        assert!(reading.csv().contains(",pass,250000,"), "{}", reading.csv());
        reading.latency_us = None;
        assert!(reading.csv().contains(",,,,,"), "{}", reading.csv());
        assert_eq!(reading.csv().split(',').count(), columns);
    }

    #[test]
    fn harm_is_what_happened_to_messages() {
        let mut ledger = run_result("20p20c").summary.ledger;
        assert!(!is_harm(&ledger));
        ledger.redelivered = 3;
        assert!(!is_harm(&ledger), "flagged copies are legitimate");
        ledger.reordered = 1;
        assert!(is_harm(&ledger));
    }
}
