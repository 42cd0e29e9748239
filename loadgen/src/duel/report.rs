//! A duel's file and its table.

use std::fmt::Write as _;

use serde::Serialize;

use super::engine::{Duel, Ended, Rules, Verdict};
use crate::environment::Environment;
use crate::metric::Metric;
use crate::reading::Reading;
use crate::statistics::{Interval, median, sign_flip};

/// One contender.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Whom it drove.
    pub target: String,
    /// Its further flags.
    pub arguments: Vec<String>,
    /// The broker's own product and version.
    pub server: String,
    /// Its runs in the order of the rounds, repeated invalid ones included.
    pub runs: Vec<Reading>,
}

/// `duel.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Hash of its load.
    pub scenario_hash: String,
    /// What the command line changed in it.
    pub overrides: Vec<String>,
    /// Where and with what.
    pub environment: Environment,
    /// The metric that decides.
    pub metric: Metric,
    /// When it ends.
    pub rules: Rules,
    /// A and B.
    pub sides: [Side; 2],
    /// A's runs against itself.
    pub control_runs: Vec<Reading>,
    /// Values of each complete round: A, B and the control.
    pub rounds: Vec<Vec<f64>>,
    /// B ÷ A, from the confidence sequence, valid in spite of the early stop: this decides.
    pub ratio: Option<Interval>,
    /// B ÷ A, BCa bootstrap over pairs: narrower, and right only had the number of pairs been fixed before.
    pub ratio_bootstrap: Option<Interval>,
    /// Fisher's test of the pairs, likewise for a fixed number.
    pub sign_flip_p: f64,
    /// Control ÷ A: the noise floor.
    pub noise_floor: Option<Interval>,
    /// What was found.
    pub verdict: Verdict,
    /// Why it ended.
    pub ended: Ended,
    /// Runs that were invalid and made again.
    pub invalid: u32,
    /// Whether messages were harmed in any run.
    pub harmed: bool,
}

impl Report {
    /// Fills in what follows from `duel`.
    pub fn conclude(&mut self, duel: &Duel) {
        let column = |arm: usize| -> Vec<f64> { duel.rounds.iter().map(|round| round[arm]).collect() };
        let (a, b) = (column(0), column(1));
        let logs: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (b / a).ln()).collect();
        self.ratio = finite(duel.ratio);
        self.ratio_bootstrap = Interval::of_paired_ratio(&b, &a, self.rules.confidence, self.rules.seed).ok();
        self.sign_flip_p = sign_flip(&logs, self.rules.seed);
        self.noise_floor = finite(duel.control);
        self.rounds.clone_from(&duel.rounds);
        (self.verdict, self.ended, self.invalid) = (duel.verdict, duel.ended, duel.invalid);
    }

    /// 0 when decided either way, 1 when messages were harmed, 3 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            _ if self.harmed => 1,
            Verdict::BHigher | Verdict::BLower | Verdict::Equal => 0,
            Verdict::Undecided | Verdict::Disturbed => crate::failure::EXIT_INVALID,
        }
    }

    /// The verdict in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let [a, b] = [&self.sides[0].name, &self.sides[1].name];
        let better = |b_wins: bool| if b_wins { b } else { a };
        let metric = self.metric;
        match self.verdict {
            Verdict::BHigher => format!("{} is better", better(metric.improves(2.0))),
            Verdict::BLower => format!("{} is better", better(metric.improves(0.5))),
            Verdict::Equal => format!(
                "equal within {:.1} %",
                self.rules.margin.unwrap_or_default() * 100.0
            ),
            Verdict::Undecided => format!("undecided: {}", why(self.ended)),
            Verdict::Disturbed => {
                format!("undecided: {a} differs from itself, so nothing is claimed; quieten the machine")
            }
        }
    }
}

/// An interval that is still infinite is none.
fn finite(interval: Option<Interval>) -> Option<Interval> {
    interval.filter(|interval| interval.low > 0.0 && interval.high.is_finite())
}

fn why(ended: Ended) -> &'static str {
    match ended {
        Ended::Decided => "decided",
        Ended::PairsMax => "the interval still contains 1 after the last pair",
        Ended::InvalidMax => "too many runs were invalid",
        Ended::Interrupted => "cut short by hand",
    }
}

/// The duel for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let metric = report.metric;
    let [a, b] = &report.sides;
    writeln!(
        out,
        "\nduel on {}: {} pairs, {} runs invalid",
        report.scenario,
        report.rounds.len(),
        report.invalid
    )?;
    for (side, arm) in [(a, 0), (b, 1)] {
        let values: Vec<f64> = report.rounds.iter().map(|round| round[arm]).collect();
        let shown = if values.is_empty() {
            "no runs".into()
        } else {
            format!("median {}", metric.show(median(&values)))
        };
        let flags = side.arguments.join(" ");
        writeln!(
            out,
            "  {:<16} {:<28} {shown}",
            side.name,
            format!("{} {flags}", side.target)
        )?;
    }
    let confidence = report.rules.confidence * 100.0;
    let rows = [
        (format!("{} ÷ {}", b.name, a.name), report.ratio),
        ("  bootstrap".into(), report.ratio_bootstrap),
        (format!("{} ÷ itself", a.name), report.noise_floor),
    ];
    writeln!(
        out,
        "\n  {:<28}{:>10}  {confidence} % interval",
        metric.name(),
        "ratio"
    )?;
    for (name, interval) in rows {
        match interval {
            Some(Interval { low, point, high, .. }) => {
                writeln!(out, "  {name:<28}{point:>10.4}  {low:.4} to {high:.4}")?;
            }
            None => writeln!(out, "  {name:<28}{:>10}  none", "–")?,
        }
    }
    if let Some(floor) = report.noise_floor {
        let wider = (floor.high - 1.0).max(1.0 - floor.low) * 100.0;
        writeln!(
            out,
            "  noise floor: differences below {wider:.1} % are not told from none here"
        )?;
    }
    if report.harmed {
        writeln!(out, "  messages were harmed: see the runs' reasons")?;
    }
    writeln!(out, "\n  verdict: {}", report.sentence())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str) -> Side {
        Side {
            name: name.into(),
            target: "embedded".into(),
            arguments: vec![],
            server: String::new(),
            runs: vec![],
        }
    }

    fn report(metric: Metric) -> Report {
        Report {
            scenario: "20p20c".into(),
            scenario_hash: "0".into(),
            overrides: vec![],
            environment: Environment::detect(),
            metric,
            rules: Rules {
                pairs_min: 5,
                pairs_max: 20,
                confidence: 0.95,
                margin: None,
                control: true,
                invalid_max: 3,
                seed: 1,
            },
            sides: [side("old"), side("new")],
            control_runs: vec![],
            rounds: vec![],
            ratio: None,
            ratio_bootstrap: None,
            sign_flip_p: 1.0,
            noise_floor: None,
            verdict: Verdict::Undecided,
            ended: Ended::PairsMax,
            invalid: 0,
            harmed: false,
        }
    }

    fn fought(metric: Metric) -> Report {
        let mut report = report(metric);
        let duel = report.rules.play(|trial| {
            let center = if trial.arm as usize == 1 { 1.2e6 } else { 1e6 };
            Ok::<_, std::convert::Infallible>(super::super::Value::Measured(
                // The control is as often faster as slower.
                center + 1e3 * f64::from((trial.round + trial.arm as u32) % 2),
            ))
        });
        report.conclude(&duel.unwrap());
        report
    }

    #[test]
    fn the_better_one_depends_on_the_metric() {
        assert_eq!(fought(Metric::ConsumeRate).sentence(), "new is better");
        assert_eq!(fought(Metric::LatencyP99).sentence(), "old is better");
    }

    #[test]
    fn the_table_shows_ratio_noise_floor_and_verdict() {
        let report = fought(Metric::ConsumeRate);
        let table = table(&report);
        for expected in [
            "duel on 20p20c",
            "new ÷ old",
            "old ÷ itself",
            "noise floor",
            "new is better",
        ] {
            assert!(table.contains(expected), "{expected} is not in\n{table}");
        }
    }

    #[test]
    fn harm_outweighs_a_decision() {
        let mut report = fought(Metric::ConsumeRate);
        report.verdict = Verdict::Equal;
        assert_eq!(report.exit_code(), 0);
        report.harmed = true;
        assert_eq!(report.exit_code(), 1);
        report.harmed = false;
        report.verdict = Verdict::Undecided;
        assert_eq!(report.exit_code(), 3);
        assert!(serde_json::to_value(&report).unwrap()["noise_floor"].is_object());
    }
}
