//! Repeated runs: one line each, and a summary of all.

use std::fmt::Write as _;

use serde::Serialize;

use crate::recovery::FaultFigures;
use crate::result::{LedgerCounts, RunResult};
use crate::units::{count, latency_us, rate};
use crate::verdict::Outcome;

/// From best to worst: what a pass, an invalid run, a failed one and a broken broker exit with.
const EXIT_CODES_ASCENDING: [u8; 4] = [0, 3, 1, 4];

/// Lowest, middle and highest of all runs; never a mean alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Lowest.
    pub min: f64,
    /// The middle one; of an even number the upper one.
    pub median: f64,
    /// Highest.
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            min: *values.first()?,
            median: values[values.len() / 2],
            max: *values.last()?,
        })
    }
}

/// A run that did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its seed, with which it can be run again.
    pub seed: u64,
    /// What it amounts to.
    pub verdict: Outcome,
    /// Why.
    pub reasons: Vec<String>,
    /// Its directory's name; `None` when there is no result.
    pub run: Option<String>,
}

/// Messages of all runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerSums {
    /// Messages sent.
    pub published: u64,
    /// Distinct copies that arrived.
    pub received: u64,
    /// Confirmed by the broker.
    pub confirmed: u64,
    /// Lost, the confirmed ones included.
    pub lost: u64,
    /// Confirmed and lost; 0 also when the runs do not tell.
    pub confirmed_lost: u64,
    /// Neither confirmed nor received after the end of their connection.
    pub unconfirmed_lost: u64,
    /// Received again without the redelivered flag.
    pub duplicated: u64,
    /// Received again with it.
    pub redelivered: u64,
    /// Out of order.
    pub reordered: u64,
    /// Damaged.
    pub corrupt: u64,
    /// Refused.
    pub nacked: u64,
}

/// What `--format json` prints as the last line of repeated runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RepeatSummary {
    /// Name of the scenario.
    pub scenario: String,
    /// The broker's URL without credentials, or `embedded`.
    pub target: String,
    /// Always true: tells this line from a run's.
    pub repeated: bool,
    /// Runs asked for.
    pub runs_planned: u32,
    /// Runs made.
    pub runs: u32,
    /// The first seed; each run's is one higher than that of the run before.
    pub seed_first: u64,
    /// The worst verdict.
    pub verdict: Outcome,
    /// Runs that passed.
    pub passed: u32,
    /// Runs that failed, those without a result included.
    pub failed: u32,
    /// Runs that say nothing.
    pub invalid: u32,
    /// All runs that did not pass.
    pub failures: Vec<Failed>,
    /// Messages sent per second.
    pub publish_rate: Option<Spread>,
    /// Deliveries received per second.
    pub consume_rate: Option<Spread>,
    /// 99th percentile of the response latency.
    pub latency_us_p99: Option<Spread>,
    /// Faults.
    pub faults: u64,
    /// From a fault until it was over: the broker listened again or went on, the consumers were let go.
    pub ended_ms: Option<Spread>,
    /// From a fault until the first confirm after it.
    pub first_confirm_ms: Option<Spread>,
    /// Messages that arrived for the first time after the connection on which they were sent had ended.
    pub recovered: u64,
    /// Sums of the ledgers.
    pub ledger: LedgerSums,
}

/// Collects the runs.
#[derive(Debug)]
pub struct Tally {
    summary: RepeatSummary,
    exit_codes: Vec<u8>,
    publish_rates: Vec<f64>,
    consume_rates: Vec<f64>,
    latencies_p99: Vec<f64>,
    faults: Vec<FaultFigures>,
}

impl Tally {
    /// No run yet of `runs` with seeds from `seed` on.
    #[must_use]
    pub fn new(scenario: &str, target: &str, runs: u32, seed: u64) -> Self {
        Self {
            summary: RepeatSummary {
                scenario: scenario.to_owned(),
                target: target.to_owned(),
                repeated: true,
                runs_planned: runs,
                runs: 0,
                seed_first: seed,
                verdict: Outcome::Pass,
                passed: 0,
                failed: 0,
                invalid: 0,
                failures: Vec::new(),
                publish_rate: None,
                consume_rate: None,
                latency_us_p99: None,
                faults: 0,
                ended_ms: None,
                first_confirm_ms: None,
                recovered: 0,
                ledger: LedgerSums::default(),
            },
            exit_codes: Vec::new(),
            publish_rates: Vec::new(),
            consume_rates: Vec::new(),
            latencies_p99: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Adds a run; the line that says what came of it.
    pub fn add(&mut self, run: &RunResult) -> String {
        let summary = &run.summary;
        self.publish_rates.push(summary.publish_rate);
        self.consume_rates.push(summary.consume_rate);
        self.latencies_p99
            .extend(summary.latency_us.map(|latency| latency.p99));
        self.faults.extend_from_slice(&summary.faults);
        self.summary.ledger.add(&summary.ledger);
        self.count(
            run.seed,
            summary.verdict,
            summary.verdict.exit_code(),
            &summary.reasons,
            Some(&run.id),
        );
        let mut parts = vec![format!(
            "{} sent, {} received",
            rate(summary.publish_rate),
            rate(summary.consume_rate)
        )];
        parts.extend(
            summary
                .latency_us
                .map(|latency| format!("p99 {}", latency_us(latency.p99))),
        );
        parts.extend(summary.faults.iter().map(describe_fault));
        parts.push(describe_ledger(&summary.ledger));
        parts.extend(summary.reasons.iter().cloned());
        self.line(run.seed, summary.verdict, &parts)
    }

    /// Adds a run that came to nothing; the line that says why.
    pub fn add_failure(&mut self, seed: u64, outcome: Outcome, exit_code: u8, reason: &str) -> String {
        self.count(seed, outcome, exit_code, &[reason.to_owned()], None);
        self.line(seed, outcome, &[reason.to_owned()])
    }

    fn count(&mut self, seed: u64, verdict: Outcome, exit_code: u8, reasons: &[String], run: Option<&str>) {
        self.exit_codes.push(exit_code);
        let summary = &mut self.summary;
        summary.runs += 1;
        *match verdict {
            Outcome::Pass => &mut summary.passed,
            Outcome::Fail => &mut summary.failed,
            Outcome::Invalid => &mut summary.invalid,
        } += 1;
        if verdict != Outcome::Pass {
            summary.failures.push(Failed {
                seed,
                verdict,
                reasons: reasons.to_vec(),
                run: run.map(str::to_owned),
            });
        }
    }

    fn line(&self, seed: u64, verdict: Outcome, parts: &[String]) -> String {
        let of = self.summary.runs_planned;
        let width = of.to_string().len();
        format!(
            "{:>width$}/{of}  seed {seed}  {:<7}  {}\n",
            self.summary.runs,
            verdict.name(),
            parts.join(" · ")
        )
    }

    /// The worst exit code of all runs.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let badness = |code: &u8| EXIT_CODES_ASCENDING.iter().position(|known| known == code);
        self.exit_codes.iter().copied().max_by_key(badness).unwrap_or(0)
    }

    /// All runs in one.
    #[must_use]
    pub fn summary(&self) -> RepeatSummary {
        let of = |value: fn(&FaultFigures) -> Option<f64>| {
            Spread::of(self.faults.iter().filter_map(value).collect())
        };
        let verdict = match (self.summary.failed, self.summary.invalid) {
            (0, 0) => Outcome::Pass,
            (0, _) => Outcome::Invalid,
            (_, _) => Outcome::Fail,
        };
        RepeatSummary {
            verdict,
            publish_rate: Spread::of(self.publish_rates.clone()),
            consume_rate: Spread::of(self.consume_rates.clone()),
            latency_us_p99: Spread::of(self.latencies_p99.clone()),
            faults: self.faults.len() as u64,
            ended_ms: of(|fault| fault.ended_ms),
            first_confirm_ms: of(|fault| fault.first_confirm_ms),
            recovered: self.faults.iter().filter_map(|fault| fault.recovered).sum(),
            ..self.summary.clone()
        }
    }

    /// The summary for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = write_table(&mut out, &self.summary());
        out
    }
}

fn write_table(out: &mut String, summary: &RepeatSummary) -> std::fmt::Result {
    writeln!(
        out,
        "\n{} ({}): {} of {} runs, seeds from {}: {} passed, {} failed, {} invalid",
        summary.scenario,
        summary.target,
        summary.runs,
        summary.runs_planned,
        summary.seed_first,
        summary.passed,
        summary.failed,
        summary.invalid,
    )?;
    writeln!(out, "\n  {:<16}{:>12}{:>12}{:>12}", "", "min", "median", "max")?;
    type Shown = fn(f64) -> String;
    let ms: Shown = |ms| latency_us(ms * 1e3);
    let rows: [(&str, Option<Spread>, Shown); 5] = [
        ("published", summary.publish_rate, rate),
        ("consumed", summary.consume_rate, rate),
        ("response p99", summary.latency_us_p99, latency_us),
        ("fault over", summary.ended_ms, ms),
        ("first confirm", summary.first_confirm_ms, ms),
    ];
    for (name, spread, shown) in rows {
        if let Some(Spread { min, median, max }) = spread {
            let [min, median, max] = [min, median, max].map(shown);
            writeln!(out, "  {name:<16}{min:>12}{median:>12}{max:>12}")?;
        }
    }
    let ledger = &summary.ledger;
    writeln!(
        out,
        "\n  ledger      lost {} · confirmed and lost {} · neither confirmed nor received {} · duplicated {}",
        count(ledger.lost),
        count(ledger.confirmed_lost),
        count(ledger.unconfirmed_lost),
        count(ledger.duplicated),
    )?;
    writeln!(
        out,
        "              redelivered {} · reordered {} · corrupt {} · of {} sent, {} confirmed, {} received",
        count(ledger.redelivered),
        count(ledger.reordered),
        count(ledger.corrupt),
        count(ledger.published),
        count(ledger.confirmed),
        count(ledger.received),
    )?;
    if summary.faults > 0 {
        writeln!(
            out,
            "  faults      {} · recovered {}",
            count(summary.faults),
            count(summary.recovered)
        )?;
    }
    for failed in &summary.failures {
        let reasons = failed.reasons.join("; ");
        writeln!(
            out,
            "  seed {}: {}: {reasons}",
            failed.seed,
            failed.verdict.name()
        )?;
    }
    writeln!(out, "\n  verdict: {}", summary.verdict.name().to_uppercase())
}

fn describe_fault(fault: &FaultFigures) -> String {
    let mut text = format!("{} at {:.2} s", fault.kind.name(), fault.at_s);
    if let Some(ended_ms) = fault.ended_ms {
        let _ = write!(text, ", over after {}", latency_us(ended_ms * 1e3));
    }
    if let Some(first_ms) = fault.first_confirm_ms {
        let _ = write!(text, ", first confirm after {}", latency_us(first_ms * 1e3));
    }
    if let (Some(at_stake), Some(recovered), Some(repeated)) =
        (fault.at_stake, fault.recovered, fault.repeated)
    {
        let _ = write!(
            text,
            ", at stake {}, recovered {}, repeated {}",
            count(at_stake),
            count(recovered),
            count(repeated)
        );
    }
    text
}

fn describe_ledger(ledger: &LedgerCounts) -> String {
    let mut text = format!("lost {}", count(ledger.lost));
    if let (Some(confirmed), Some(unconfirmed)) = (ledger.confirmed_lost, ledger.unconfirmed_lost) {
        let _ = write!(
            text,
            ", confirmed and lost {}, unconfirmed and lost {}",
            count(confirmed),
            count(unconfirmed)
        );
    }
    let _ = write!(text, ", duplicated {}", count(ledger.duplicated));
    text
}

impl LedgerSums {
    fn add(&mut self, ledger: &LedgerCounts) {
        for (sum, of_run) in [
            (&mut self.published, ledger.published),
            (&mut self.received, ledger.received),
            (&mut self.confirmed, ledger.confirmed),
            (&mut self.lost, ledger.lost),
            (&mut self.confirmed_lost, ledger.confirmed_lost.unwrap_or(0)),
            (&mut self.unconfirmed_lost, ledger.unconfirmed_lost.unwrap_or(0)),
            (&mut self.duplicated, ledger.duplicated),
            (&mut self.redelivered, ledger.redelivered),
            (&mut self.reordered, ledger.reordered),
            (&mut self.corrupt, ledger.corrupt),
            (&mut self.nacked, ledger.nacked),
        ] {
            *sum += of_run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::tests::run_result;

    #[test]
    fn a_run_is_a_line_and_all_of_them_a_summary() {
        let mut tally = Tally::new("crash", "embedded", 12, 7);
        let mut run = run_result("crash");
        run.seed = 7;
        let line = tally.add(&run);
        assert!(
            line.starts_with(" 1/12  seed 7  pass     20.0 k/s sent"),
            "{line}"
        );
        assert!(
            line.contains(
                "kill at 1.00 s, over after 120 ms, first confirm after 160 ms, at stake 600, recovered 700, repeated 300"
            ),
            "{line}"
        );
        assert!(
            line.ends_with("lost 0, confirmed and lost 0, unconfirmed and lost 17, duplicated 0\n"),
            "{line}"
        );
        run.seed = 8;
        run.summary.faults[0].ended_ms = Some(300.0);
        run.summary.verdict = Outcome::Fail;
        run.summary.reasons = vec!["messages confirmed and lost: 3".into()];
        run.summary.ledger.confirmed_lost = Some(3);
        assert!(
            tally
                .add(&run)
                .ends_with("duplicated 0 · messages confirmed and lost: 3\n")
        );
        let summary = tally.summary();
        assert_eq!(
            (summary.runs, summary.passed, summary.failed, summary.faults),
            (2, 1, 1, 2)
        );
        assert_eq!(
            (summary.ledger.confirmed_lost, summary.ledger.unconfirmed_lost),
            (3, 34)
        );
        let ended = summary.ended_ms.unwrap();
        assert_eq!((ended.min, ended.max), (120.0, 300.0));
        let table = tally.table();
        for expected in [
            "2 of 12 runs, seeds from 7: 1 passed, 1 failed, 0 invalid",
            "seed 8: fail: messages confirmed and lost: 3",
            "verdict: FAIL",
        ] {
            assert!(table.contains(expected), "{expected} is not in\n{table}");
        }
    }

    #[test]
    fn the_worst_run_decides() {
        let mut tally = Tally::new("x", "embedded", 4, 1);
        assert_eq!((tally.exit_code(), tally.summary().verdict), (0, Outcome::Pass));
        tally.add(&run_result("20p20c"));
        tally.add_failure(2, Outcome::Invalid, 3, "interrupted");
        assert_eq!(
            (tally.exit_code(), tally.summary().verdict),
            (3, Outcome::Invalid)
        );
        let mut failed = run_result("20p20c");
        failed.summary.verdict = Outcome::Fail;
        tally.add(&failed);
        assert_eq!((tally.exit_code(), tally.summary().verdict), (1, Outcome::Fail));
        let line = tally.add_failure(5, Outcome::Fail, 4, "the broker ended");
        assert_eq!(line, "4/4  seed 5  fail     the broker ended\n");
        assert_eq!(tally.exit_code(), 4);
        tally.add(&failed);
        assert_eq!(tally.exit_code(), 4);
    }

    #[test]
    fn a_spread_names_the_middle_run() {
        assert_eq!(Spread::of(vec![]), None);
        let spread = Spread::of(vec![3.0, 9.0, 1.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.0, 9.0));
    }
}
