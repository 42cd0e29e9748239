//! `matrix.json`: everything that the table and the page show, and every run behind it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::METRICS;
use super::promise::{Comparison, Promise};
use crate::environment::Environment;
use crate::scenario::Scenario;
use crate::statistics::{Interval, median};
use crate::verdict::Outcome;

/// Share of such intervals that contain the true median.
const CONFIDENCE: f64 = 0.95;

/// A campaign and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`Document::SCHEMA`].
    pub schema: u32,
    /// When the first run began, UTC.
    pub started: String,
    /// The command line, without passwords.
    pub command: Vec<String>,
    /// Generator and machine.
    pub environment: Environment,
    /// Seed of the order and, plus the round, of the runs.
    pub seed: u64,
    /// Valid runs wanted of each cell.
    pub rounds: u32,
    /// How often an invalid run is repeated, at most.
    pub retries_max: u32,
    /// Longest pause before a run, in seconds.
    pub settle_s_max: f64,
    /// Whether it was cut short.
    pub interrupted: bool,
    /// The brokers.
    pub entrants: Vec<EntrantEntry>,
    /// The loads.
    pub scenarios: Vec<ScenarioEntry>,
    /// One for each scenario and entrant, scenario by scenario.
    pub cells: Vec<Cell>,
}

/// A broker that takes part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntrantEntry {
    /// Its name.
    pub name: String,
    /// `embedded`, `embedded:PROGRAM`, or the URL without credentials.
    pub subject: String,
    /// Flags of a broker that was started.
    pub arguments: Vec<String>,
    /// Its product and version.
    pub server: String,
    /// Its settings, as the user gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
}

/// A load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioEntry {
    /// The scenario.
    pub scenario: Scenario,
    /// Its hash, by which the history knows it.
    pub hash: String,
    /// Whether the entrants may be compared under it.
    pub comparison: Comparison,
}

/// One entrant under one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The scenario's name.
    pub scenario: String,
    /// The entrant's name.
    pub entrant: String,
    /// What a confirm is worth.
    pub promise: Promise,
    /// All its runs, in the order in which they were made.
    pub attempts: Vec<Attempt>,
}

/// A run, or what kept it from being one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub round: u32,
    /// Its seed.
    pub seed: u64,
    /// Its verdict; targets are judged in it, though they are the reference broker's.
    pub verdict: Outcome,
    /// Whether it is counted: a result that is not invalid.
    pub counted: bool,
    /// Whether messages were lost, duplicated, reordered, damaged or refused.
    pub harmed: bool,
    /// Why it is no pass.
    pub reasons: Vec<String>,
    /// Its directory and, when it is counted and the build a release, its line of the history.
    pub run: Option<String>,
    /// What the process would exit with, had it been a run of its own.
    pub exit_code: u8,
    /// Its figures, by [`super::Metric::id`].
    pub figures: BTreeMap<String, f64>,
}

/// A figure over the counted runs of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many runs.
    pub runs: usize,
    /// Lowest.
    pub min: f64,
    /// The middle; of an even number of runs the mean of the two.
    pub median: f64,
    /// Highest.
    pub max: f64,
    /// Of the median; `None` for fewer runs than an interval can be had from.
    pub interval: Option<Interval>,
}

impl Spread {
    /// Of the counted runs' values; `None` when there is none. `seed` is the bootstrap's.
    #[must_use]
    pub fn of(values: &[f64], seed: u64) -> Option<Self> {
        let (first, rest) = values.split_first()?;
        Some(Self {
            runs: values.len(),
            min: rest.iter().copied().fold(*first, f64::min),
            median: median(values),
            max: rest.iter().copied().fold(*first, f64::max),
            interval: Interval::of_median(values, CONFIDENCE, seed).ok(),
        })
    }
}

impl Cell {
    /// The counted runs.
    pub fn counted(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.counted)
    }

    /// A figure over the counted runs.
    #[must_use]
    pub fn spread(&self, metric: &str, seed: u64) -> Option<Spread> {
        let values: Vec<f64> = self
            .counted()
            .filter_map(|run| run.figures.get(metric).copied())
            .collect();
        Spread::of(&values, seed)
    }

    /// All figures that any counted run has, in the order of [`METRICS`].
    #[must_use]
    pub fn spreads(&self, seed: u64) -> Vec<(&'static str, Spread)> {
        METRICS
            .iter()
            .filter_map(|metric| Some((metric.id, self.spread(metric.id, seed)?)))
            .collect()
    }
}

impl Document {
    /// Version of the document.
    pub const SCHEMA: u32 = 1;

    /// The cells of a scenario, in the entrants' order.
    pub fn cells_of<'a>(&'a self, scenario: &'a str) -> impl Iterator<Item = &'a Cell> {
        self.cells.iter().filter(move |cell| cell.scenario == scenario)
    }

    /// As a file's text: the document, and the figures of each cell ready made.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct WithFigures<'a> {
            #[serde(flatten)]
            document: &'a Document,
            figures: Vec<Figures<'a>>,
        }
        #[derive(Serialize)]
        struct Figures<'a> {
            scenario: &'a str,
            entrant: &'a str,
            metrics: BTreeMap<&'static str, Spread>,
        }
        let figures = self
            .cells
            .iter()
            .map(|cell| Figures {
                scenario: &cell.scenario,
                entrant: &cell.entrant,
                metrics: cell.spreads(self.seed).into_iter().collect(),
            })
            .collect();
        let text = WithFigures {
            document: self,
            figures,
        };
        serde_json::to_string_pretty(&text).expect("a document is plain data") + "\n"
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::scenario::built_in;

    /// A run with one figure.
    pub(in crate::matrix) fn attempt(publish_rate: f64, counted: bool) -> Attempt {
        Attempt {
            round: 1,
            seed: 1,
            verdict: if counted { Outcome::Pass } else { Outcome::Invalid },
            counted,
            harmed: false,
            reasons: if counted {
                Vec::new()
            } else {
                vec!["CPU <used> by others".into()]
            },
            run: Some("20261129T000000Z-20p20c-abcdef0".into()),
            exit_code: if counted { 0 } else { 3 },
            figures: [("publish_rate".to_owned(), publish_rate)].into(),
        }
    }

    /// Two brokers under one durable load, the second one with a name that wants escaping.
    pub(in crate::matrix) fn document() -> Document {
        let scenario = built_in("20p20c-durable").unwrap();
        let entrant = |name: &str| EntrantEntry {
            name: name.into(),
            subject: "embedded".into(),
            arguments: vec!["--reactors=1".into()],
            server: "AMQP <broker> 1".into(),
            settings: (name != "ours").then(|| "a = 1 & b".into()),
        };
        let cell = |name: &str, promise, rates: &[f64]| Cell {
            scenario: scenario.name.clone(),
            entrant: name.into(),
            promise,
            attempts: rates
                .iter()
                .map(|&rate| attempt(rate, true))
                .chain([attempt(9e9, false)])
                .collect(),
        };
        Document {
            schema: Document::SCHEMA,
            started: "2026-11-29T00:00:00Z".into(),
            command: vec!["loadgen".into(), "matrix".into()],
            environment: Environment::detect(),
            seed: 1,
            rounds: 3,
            retries_max: 2,
            settle_s_max: 5.0,
            interrupted: false,
            entrants: vec![entrant("ours"), entrant("<b>theirs</b>")],
            cells: vec![
                cell("ours", Promise::Sync, &[300e3, 100e3, 200e3]),
                cell("<b>theirs</b>", Promise::Write, &[20e3, 40e3]),
            ],
            scenarios: vec![ScenarioEntry {
                hash: scenario.hash(),
                comparison: Comparison {
                    comparable: false,
                    reason: "durability differs: <b>theirs</b>".into(),
                },
                scenario,
            }],
        }
    }

    #[test]
    fn figures_are_of_the_counted_runs_only() {
        let document = document();
        let spread = document.cells[0].spread("publish_rate", 1).unwrap();
        assert_eq!(
            (spread.runs, spread.min, spread.median, spread.max),
            (3, 100e3, 200e3, 300e3)
        );
        assert_eq!(spread.interval, None);
        assert_eq!(document.cells[1].spread("publish_rate", 1).unwrap().median, 30e3);
        assert_eq!(document.cells[0].spread("confirm_us_p99", 1), None);
        assert_eq!(Spread::of(&[], 1), None);
    }

    #[test]
    fn five_runs_have_an_interval() {
        let spread = Spread::of(&[1.0, 2.0, 3.0, 4.0, 5.0], 1).unwrap();
        let interval = spread.interval.unwrap();
        assert!(
            interval.low >= 1.0 && interval.high <= 5.0 && interval.contains(3.0),
            "{interval:?}"
        );
    }

    #[test]
    fn the_file_is_read_again_and_holds_the_figures() {
        let document = document();
        let text = document.to_json();
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["figures"][0]["metrics"]["publish_rate"]["median"], 200e3);
    }
}
