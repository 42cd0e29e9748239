//! The gate: whether a candidate may pass, benchmark by benchmark.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::likeness::{Benchmark, pair};
use super::rows::values;
use crate::failure::EXIT_INVALID;
use crate::history::Line;
use crate::metric::{Better, Metric};
use crate::reading::is_harm;
use crate::statistics::{Alternative, holm, mann_whitney, mann_whitney_p_min, median};
use crate::verdict::Outcome;

/// What the gate lets through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateRules {
    /// The metrics that must not get worse.
    pub metrics: Vec<Metric>,
    /// By how much they may, as a share.
    pub margin: f64,
    /// 1 − the chance that a candidate as good as the baseline is stopped by any of the tests.
    pub confidence: f64,
    /// Whether other machines than the baseline's may be compared with it.
    pub any_machine: bool,
}

/// A run that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvalidRun {
    /// Its id.
    pub id: String,
    /// Hash of its load.
    pub scenario_hash: String,
    /// Why.
    pub reasons: Vec<String>,
}

/// What the gate says to one metric or benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// Not shown to be worse than the margin allows.
    Pass,
    /// Worse by more than the margin, significantly.
    Regression,
    /// In the baseline, not in the candidate: the benchmark, or the metric.
    Missing,
    /// A run of the candidate is invalid.
    Invalid,
    /// Messages were harmed, or targets missed that the baseline reached.
    Failed,
    /// Not alike.
    Unlike,
    /// So few runs could not have shown any regression.
    TooFew,
}

/// One line of the gate's output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateLine {
    /// The scenario's name.
    pub scenario: String,
    /// The metric, if it is about one.
    pub metric: Option<Metric>,
    /// What is ruled.
    pub ruling: Ruling,
    /// Why.
    pub reason: String,
}

/// All lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// By scenario.
    pub lines: Vec<GateLine>,
}

impl Gate {
    /// 1 when anything stops the candidate, else 3 when a comparison says nothing, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let any = |of: &dyn Fn(Ruling) -> bool| self.lines.iter().any(|line| of(line.ruling));
        if any(&|ruling| !matches!(ruling, Ruling::Pass | Ruling::TooFew)) {
            1
        } else if any(&|ruling| ruling == Ruling::TooFew) || self.lines.is_empty() {
            EXIT_INVALID
        } else {
            0
        }
    }

    /// One line each, then the verdict.
    #[must_use]
    pub fn table(&self) -> String {
        let line = |line: &GateLine| {
            let ruling = match line.ruling {
                Ruling::Pass => "pass",
                Ruling::Regression => "REGRESSION",
                Ruling::Missing => "MISSING",
                Ruling::Invalid => "INVALID",
                Ruling::Failed => "FAILED",
                Ruling::Unlike => "UNLIKE",
                Ruling::TooFew => "TOO FEW",
            };
            let metric = line.metric.map_or("", Metric::name);
            format!("{ruling:<12}{:<20}{metric:<28}{}\n", line.scenario, line.reason)
        };
        let verdict = match self.exit_code() {
            0 => "PASS",
            1 => "STOP",
            _ => "NOTHING IS SHOWN",
        };
        self.lines.iter().map(line).collect::<String>() + &format!("gate: {verdict}\n")
    }
}

/// A test that could find a regression.
struct Test {
    line: GateLine,
    p: f64,
    p_min: f64,
}

/// Judges `candidate` by `baseline`.
#[must_use]
pub fn gate(rules: &GateRules, baseline: &[&Line], candidate: &[&Line], invalid: &[InvalidRun]) -> Gate {
    let pairing = pair(baseline, candidate, rules.any_machine);
    let mut lines = Vec::new();
    for scenario in &pairing.only_base {
        lines.push(about(scenario, Ruling::Missing, "no run of the candidate".into()));
    }
    for refusal in &pairing.refusals {
        lines.push(about(&refusal.scenario, Ruling::Unlike, refusal.reason.clone()));
    }
    for run in invalid {
        let known = baseline
            .iter()
            .find(|line| line.summary.scenario_hash == run.scenario_hash);
        if let Some(known) = known {
            let reason = format!("{}: {}", run.id, run.reasons.join("; "));
            lines.push(about(&known.summary.scenario, Ruling::Invalid, reason));
        }
    }
    let mut tests = Vec::new();
    for benchmark in &pairing.benchmarks {
        lines.extend(failed(benchmark));
        for metric in &rules.metrics {
            match test(rules, benchmark, *metric) {
                Some(Ok(test)) => tests.push(test),
                Some(Err(missing)) => lines.push(missing),
                None => {}
            }
        }
    }
    lines.extend(rule(rules, tests));
    lines.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    Gate { lines }
}

fn about(scenario: &str, ruling: Ruling, reason: String) -> GateLine {
    GateLine {
        scenario: scenario.into(),
        metric: None,
        ruling,
        reason,
    }
}

/// Runs of the candidate in which messages were harmed, or that missed targets although no run of the baseline did.
fn failed(benchmark: &Benchmark<'_>) -> Vec<GateLine> {
    let has_failed = |line: &&Line| line.summary.verdict == Outcome::Fail;
    let baseline_fails = benchmark.base.iter().any(has_failed);
    let runs = benchmark.new.iter().filter(|line| has_failed(line));
    runs.filter(|line| !baseline_fails || is_harm(&line.summary.ledger))
        .map(|line| {
            let reason = format!("{}: {}", line.id, line.summary.reasons.join("; "));
            about(&benchmark.scenario, Ruling::Failed, reason)
        })
        .collect()
}

/// The test of one metric; the line that says that it is missing; nothing when the baseline has none.
fn test(rules: &GateRules, benchmark: &Benchmark<'_>, metric: Metric) -> Option<Result<Test, GateLine>> {
    let (base, new) = (values(&benchmark.base, metric), values(&benchmark.new, metric));
    if base.is_empty() {
        return None;
    }
    let mut line = GateLine {
        scenario: benchmark.scenario.clone(),
        metric: Some(metric),
        ruling: Ruling::Missing,
        reason: "measured in the baseline, not in the candidate".into(),
    };
    if new.is_empty() {
        return Some(Err(line));
    }
    // Worse than the baseline moved by the margin.
    let (allowed, alternative) = match metric.better() {
        Better::Higher => (1.0 - rules.margin, Alternative::Less),
        Better::Lower => (1.0 + rules.margin, Alternative::Greater),
    };
    let moved: Vec<f64> = base.iter().map(|value| value * allowed).collect();
    let (base_median, new_median) = (median(&base), median(&new));
    line.reason = format!(
        "{} → {} ({:+.1} %), {} and {} runs",
        metric.show(base_median),
        metric.show(new_median),
        (new_median / base_median - 1.0) * 100.0,
        base.len(),
        new.len(),
    );
    if benchmark.machines_differ {
        line.reason.push_str(", machines differ");
    }
    Some(Ok(Test {
        line,
        p: mann_whitney(&new, &moved, alternative).p,
        p_min: mann_whitney_p_min(base.len(), new.len()),
    }))
}

/// Rules on all tests together: the chance of any false alarm is 1 − confidence (Holm).
fn rule(rules: &GateRules, tests: Vec<Test>) -> Vec<GateLine> {
    let adjusted = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
    let alpha = 1.0 - rules.confidence;
    let count = tests.len() as f64;
    let ruled = tests.into_iter().zip(adjusted).map(|(test, p)| {
        let mut line = test.line;
        line.reason.push_str(&format!(", p = {p:.4}"));
        line.ruling = if p <= alpha {
            Ruling::Regression
        } else if test.p_min * count > alpha {
            line.reason
                .push_str("; more runs on each side are needed to find anything");
            Ruling::TooFew
        } else {
            Ruling::Pass
        };
        line
    });
    ruled.collect()
}

/// The invalid runs below `results`, which are in no history.
///
/// # Errors
/// When a run's file cannot be read.
pub fn invalid_runs(results: &Path) -> anyhow::Result<Vec<InvalidRun>> {
    /// Only what is needed of `run.json`.
    #[derive(Deserialize)]
    struct Kept {
        id: String,
        summary: KeptSummary,
    }
    #[derive(Deserialize)]
    struct KeptSummary {
        scenario_hash: String,
        verdict: Outcome,
        reasons: Vec<String>,
    }
    let runs = results.join("runs");
    if !runs.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&runs).with_context(|| format!("cannot read {}", runs.display()))? {
        let file = entry?.path().join("run.json");
        if !file.is_file() {
            continue;
        }
        let reading = || format!("cannot read {}", file.display());
        let text = std::fs::read_to_string(&file).with_context(reading)?;
        let kept: Kept = serde_json::from_str(&text).with_context(reading)?;
        if kept.summary.verdict == Outcome::Invalid {
            found.push(InvalidRun {
                id: kept.id,
                scenario_hash: kept.summary.scenario_hash,
                reasons: kept.summary.reasons,
            });
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::rows::tests::runs;
    use crate::result::tests::run_result;

    fn rules() -> GateRules {
        GateRules {
            metrics: vec![Metric::ConsumeRate, Metric::BrokerCpu],
            margin: 0.05,
            confidence: 0.95,
            any_machine: false,
        }
    }

    fn judged(baseline: &[Line], candidate: &[Line], invalid: &[InvalidRun]) -> Gate {
        let (baseline, candidate): (Vec<&Line>, Vec<&Line>) =
            (baseline.iter().collect(), candidate.iter().collect());
        gate(&rules(), &baseline, &candidate, invalid)
    }

    fn has(gate: &Gate, ruling: Ruling) -> bool {
        gate.lines.iter().any(|line| line.ruling == ruling)
    }

    #[test]
    fn an_equal_candidate_and_a_better_one_pass() {
        for factor in [1.0, 0.97, 1.3] {
            let gate = judged(&runs("20p20c", 10, 1.0), &runs("20p20c", 10, factor), &[]);
            assert_eq!(gate.exit_code(), 0, "{}", gate.table());
            assert_eq!(gate.lines.len(), 2);
            assert!(gate.table().ends_with("gate: PASS\n"));
        }
    }

    #[test]
    fn a_regression_beyond_the_margin_stops() {
        let gate = judged(&runs("20p20c", 10, 1.0), &runs("20p20c", 10, 0.9), &[]);
        assert_eq!(gate.exit_code(), 1);
        let table = gate.table();
        assert!(
            table.contains("REGRESSION  20p20c") && table.contains("(-10.0 %)"),
            "{table}"
        );
        assert!(
            gate.lines.iter().all(|line| line.ruling == Ruling::Regression),
            "CPU rose, too: {table}"
        );
    }

    #[test]
    fn a_missing_benchmark_and_a_missing_metric_stop() {
        let baseline = [runs("20p20c", 10, 1.0), runs("fanout", 10, 1.0)].concat();
        let mut candidate = runs("20p20c", 10, 1.0);
        let gate = judged(&baseline, &candidate, &[]);
        assert!(
            has(&gate, Ruling::Missing) && gate.exit_code() == 1,
            "{}",
            gate.table()
        );
        for line in &mut candidate {
            line.summary.broker.cpu_us_per_message = None;
        }
        let gate = judged(&runs("20p20c", 10, 1.0), &candidate, &[]);
        assert!(
            has(&gate, Ruling::Missing) && gate.exit_code() == 1,
            "{}",
            gate.table()
        );
    }

    #[test]
    fn an_invalid_run_stops_if_its_benchmark_counts() {
        let (baseline, candidate) = (runs("20p20c", 10, 1.0), runs("20p20c", 10, 1.0));
        let mut invalid = InvalidRun {
            id: "run-7".into(),
            scenario_hash: baseline[0].summary.scenario_hash.clone(),
            reasons: vec!["steal".into()],
        };
        let gate = judged(&baseline, &candidate, std::slice::from_ref(&invalid));
        assert!(gate.table().contains("INVALID     20p20c") && gate.exit_code() == 1);
        assert!(gate.table().contains("run-7: steal"));
        invalid.scenario_hash = "of no benchmark".into();
        assert_eq!(judged(&baseline, &candidate, &[invalid]).exit_code(), 0);
    }

    #[test]
    fn harm_stops_and_so_does_a_target_that_was_reached_before() {
        let baseline = runs("20p20c", 10, 1.0);
        let mut candidate = runs("20p20c", 10, 1.0);
        candidate[3].summary.verdict = Outcome::Fail;
        assert!(has(&judged(&baseline, &candidate, &[]), Ruling::Failed));
        let mut failing = baseline.clone();
        failing[0].summary.verdict = Outcome::Fail;
        assert_eq!(
            judged(&failing, &candidate, &[]).exit_code(),
            0,
            "it never was reached"
        );
        candidate[3].summary.ledger.lost = 1;
        assert!(has(&judged(&failing, &candidate, &[]), Ruling::Failed));
    }

    #[test]
    fn another_load_or_machine_is_not_compared() {
        let baseline = runs("20p20c", 10, 1.0);
        let mut candidate = runs("20p20c", 10, 1.0);
        for line in &mut candidate {
            line.environment.cores += 1;
        }
        let gate = judged(&baseline, &candidate, &[]);
        assert!(
            has(&gate, Ruling::Unlike) && gate.exit_code() == 1,
            "{}",
            gate.table()
        );
    }

    #[test]
    fn runs_too_few_to_show_anything_are_no_pass() {
        let gate = judged(&runs("20p20c", 2, 1.0), &runs("20p20c", 2, 0.1), &[]);
        assert_eq!(gate.exit_code(), 3, "{}", gate.table());
        assert!(gate.table().contains("more runs on each side are needed"));
        assert_eq!(judged(&[], &[], &[]).exit_code(), 3);
    }

    #[test]
    fn invalid_runs_are_found_in_their_directories() {
        let results = tempfile::tempdir().unwrap();
        assert_eq!(invalid_runs(results.path()).unwrap(), []);
        for (name, verdict) in [("good", Outcome::Pass), ("bad", Outcome::Invalid)] {
            let mut run = run_result("20p20c");
            (run.id, run.summary.verdict) = (name.into(), verdict);
            let directory = results.path().join("runs").join(name);
            std::fs::create_dir_all(&directory).unwrap();
            run.write(&directory).unwrap();
        }
        let found = invalid_runs(results.path()).unwrap();
        assert_eq!(
            found.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(),
            ["bad"]
        );
        std::fs::write(results.path().join("runs/good/run.json"), "{").unwrap();
        assert!(
            invalid_runs(results.path())
                .unwrap_err()
                .to_string()
                .contains("runs/good/run.json")
        );
    }
}
