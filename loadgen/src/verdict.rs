//! The verdict: pass, fail or invalid, and why.
//!
//! Order of precedence: a message lost, duplicated, reordered or corrupted is a failure on any machine; then whatever
//! made the run say nothing about the broker makes it invalid; then the targets decide. A message that was on its way
//! when the broker was killed, and not confirmed, is not lost in this sense; one delivered again with the redelivered
//! flag is not duplicated.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recorder::Recording;
use crate::scenario::Scenario;
use crate::usage::Usage;

/// Fewest latencies for which a 99th percentile means anything: ten lie above it.
const SAMPLES_MIN: u64 = 1_000;
/// A late generator is excused when more than this share of its messages became due while the broker kept their
/// producer from sending. At 1 % the 99th percentile of the schedule lag is the broker's.
const HELD_BACK_MIN: f64 = 0.01;

/// What a run amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All targets reached.
    Pass,
    /// Targets missed, or messages harmed.
    Fail,
    /// The generator or the machine was the bottleneck, or the run was cut short.
    Invalid,
}

impl Outcome {
    /// `pass`, `fail` or `invalid`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Invalid => "invalid",
        }
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Invalid => 3,
        }
    }
}

/// One target and what was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The target's field.
    pub target: String,
    /// Its value.
    pub limit: f64,
    /// What was measured; `None` when it could not be.
    pub measured: Option<f64>,
    /// Whether it was reached; `None` when nothing was measured.
    pub passed: Option<bool>,
}

/// The outcome with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the run amounts to.
    pub outcome: Outcome,
    /// Why it is not a pass; empty for a pass.
    pub reasons: Vec<String>,
    /// Each target that the scenario states.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Judges a run in which the broker was killed `kills` times.
    #[must_use]
    pub fn of(scenario: &Scenario, recording: &Recording, usage: Option<&Usage>, kills: usize) -> Self {
        let checks = checks(scenario, recording, usage);
        let harm = harm(recording);
        let mut invalid = invalid(scenario, recording, usage);
        if kills < scenario.faults.len() {
            let planned = scenario.faults.len();
            invalid.push(format!("the broker was killed {kills} times, not {planned}"));
        }
        invalid.extend(nothing_at_stake(scenario, recording));
        let mut missed: Vec<_> = checks
            .iter()
            .filter(|check| check.passed == Some(false))
            .map(missed)
            .collect();
        missed.extend(unsent(scenario, recording));
        let outcome = match (harm.is_empty(), invalid.is_empty(), missed.is_empty()) {
            (false, _, _) => Outcome::Fail,
            (true, false, _) => Outcome::Invalid,
            (true, true, false) => Outcome::Fail,
            (true, true, true) => Outcome::Pass,
        };
        Self {
            outcome,
            reasons: [harm, invalid, missed].concat(),
            checks,
        }
    }
}

fn harm(recording: &Recording) -> Vec<String> {
    let ledger = &recording.ledger;
    // Whoever interrupts the drain, too, gives up messages that were on their way.
    let (lost, confirmed_lost) = if recording.cut_short {
        (0, 0)
    } else {
        (ledger.lost, ledger.confirmed_lost.unwrap_or(0))
    };
    let counts = [
        (confirmed_lost, "confirmed and lost"),
        (lost - confirmed_lost, "lost"),
        (ledger.duplicated, "duplicated"),
        (ledger.reordered, "reordered"),
        (ledger.corrupt, "corrupt"),
        (ledger.nacked, "refused (nack)"),
    ];
    counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("messages {what}: {count}"))
        .collect()
}

fn invalid(scenario: &Scenario, recording: &Recording, usage: Option<&Usage>) -> Vec<String> {
    let mut reasons = Vec::new();
    if recording.cut_short {
        reasons.push(format!(
            "cut short by hand after {:.1} s of measurement",
            recording.window_s
        ));
    }
    let (samples, what) = if scenario.measures_latency() {
        (recording.response.len(), "latencies were measured")
    } else if scenario.consumers == 0 {
        (recording.published_in_window, "messages were sent in the window")
    } else {
        (
            recording.consumed_in_window,
            "messages were received in the window",
        )
    };
    if samples < SAMPLES_MIN {
        reasons.push(format!(
            "only {samples} {what}; at least {SAMPLES_MIN} are needed"
        ));
    }
    let limits = &scenario.validity;
    let mut exceeds = |what: &str, measured: f64, limit: f64, shown: fn(f64) -> String| {
        if measured > limit {
            reasons.push(format!(
                "{what} was {}; allowed: {}",
                shown(measured),
                shown(limit)
            ));
        }
    };
    if let Some(usage) = usage {
        exceeds(
            "CPU stolen by the hypervisor",
            usage.steal,
            limits.steal_max,
            percent,
        );
        let foreign = usage.foreign_cpu.unwrap_or(0.0);
        exceeds(
            "CPU used by other processes",
            foreign,
            limits.foreign_cpu_max,
            percent,
        );
        if scenario.is_open_loop() {
            let share = usage.generator.cpu_cores / f64::from(scenario.driver.threads());
            exceeds(
                "CPU of the generator's threads",
                share,
                limits.generator_cpu_max,
                percent,
            );
        }
    }
    if scenario.is_open_loop() && !held_back(recording) {
        let lag_us = recording.schedule_lag.value_at_quantile(0.99) as f64 / 1e3;
        let limit_us = limits.schedule_lag_p99_us_max;
        exceeds("schedule lag of the generator (p99)", lag_us, limit_us, |us| {
            format!("{us:.0} µs")
        });
    }
    reasons
}

/// A broker without any storage survives a kill that finds its queues empty.
fn nothing_at_stake(scenario: &Scenario, recording: &Recording) -> Option<String> {
    let at_stake: u64 = recording.recoveries.iter().map(|it| it.at_stake).sum();
    (!scenario.faults.is_empty() && at_stake == 0).then(|| {
        "every confirmed message had arrived before the broker was killed: nothing was at stake".to_owned()
    })
}

/// Whether it was the broker that made the generator late. (A generator short of CPU is noticed by its CPU.)
fn held_back(recording: &Recording) -> bool {
    recording.held_back as f64 > HELD_BACK_MIN * recording.ledger.published as f64
}

fn unsent(scenario: &Scenario, recording: &Recording) -> Option<String> {
    let unsent = recording.unsent;
    let limit_s = if scenario.backlog_first {
        scenario.warmup_s
    } else {
        scenario.duration_s
    };
    (unsent > 0).then(|| match scenario.messages {
        Some(messages) => format!("messages not sent within {limit_s} s: {unsent} of {messages}"),
        None => format!("messages due but not sent before the drain's deadline: {unsent}"),
    })
}

fn checks(scenario: &Scenario, recording: &Recording, usage: Option<&Usage>) -> Vec<Check> {
    let targets = &scenario.targets;
    let rate = |count: u64| (recording.window_s > 0.0).then(|| count as f64 / recording.window_s);
    let at_least = |target: &str, limit: Option<f64>, measured: Option<f64>| {
        check(target, limit, measured, |measured, limit| measured >= limit)
    };
    let at_most = |target: &str, limit: Option<f64>, measured: Option<f64>| {
        check(target, limit, measured, |measured, limit| measured <= limit)
    };
    let broker = usage.and_then(|usage| usage.broker);
    let rss = broker.map(|broker| broker.rss_bytes_max as f64);
    let rss_anon = broker.map(|broker| broker.rss_anon_bytes_max as f64);
    let p99_us = |histogram: &Histogram<u64>| {
        (!histogram.is_empty()).then(|| histogram.value_at_quantile(0.99) as f64 / 1e3)
    };
    [
        at_least(
            "publish_rate_min",
            targets.publish_rate_min,
            rate(recording.published_in_window),
        ),
        at_least(
            "consume_rate_min",
            targets.consume_rate_min,
            rate(recording.consumed_in_window),
        ),
        at_most(
            "broker_rss_bytes_max",
            targets.broker_rss_bytes_max.map(|bytes| bytes as f64),
            rss,
        ),
        at_most(
            "broker_rss_anon_bytes_max",
            targets.broker_rss_anon_bytes_max.map(|bytes| bytes as f64),
            rss_anon,
        ),
        at_most(
            "schedule_lag_p99_us_max",
            targets.schedule_lag_p99_us_max,
            p99_us(&recording.schedule_lag),
        ),
        at_most(
            "latency_p99_us_max",
            targets.latency_p99_us_max,
            p99_us(&recording.response),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check(
    target: &str,
    limit: Option<f64>,
    measured: Option<f64>,
    reached: fn(f64, f64) -> bool,
) -> Option<Check> {
    let limit = limit?;
    let passed = measured.map(|measured| reached(measured, limit));
    Some(Check {
        target: target.into(),
        limit,
        measured,
        passed,
    })
}

fn missed(check: &Check) -> String {
    let measured = check.measured.unwrap_or_default();
    format!(
        "{} missed: {measured:.0}, target {:.0}",
        check.target, check.limit
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::scenario::built_in;

    fn verdict(name: &str, change: impl FnOnce(&mut Recording, &mut Usage)) -> Verdict {
        let scenario = built_in(name).unwrap();
        let (mut recording, mut usage) = (fixtures::recording(&scenario), fixtures::usage());
        change(&mut recording, &mut usage);
        Verdict::of(&scenario, &recording, Some(&usage), scenario.faults.len())
    }

    #[test]
    fn a_good_run_passes_every_check() {
        for name in ["20p20c", "20p20c-latency"] {
            let verdict = verdict(name, |_, _| {});
            assert_eq!(
                (verdict.outcome, verdict.reasons.as_slice()),
                (Outcome::Pass, [].as_slice())
            );
            assert!(
                verdict.checks.len() >= 3 && verdict.checks.iter().all(|check| check.passed == Some(true))
            );
        }
    }

    #[test]
    fn harmed_messages_fail_even_an_invalid_run() {
        type Harm = fn(&mut Recording);
        let harms: [(&str, Harm); 5] = [
            ("messages lost: 1", |it| it.ledger.lost = 1),
            ("messages duplicated: 2", |it| it.ledger.duplicated = 2),
            ("messages reordered: 3", |it| it.ledger.reordered = 3),
            ("messages corrupt: 4", |it| it.ledger.corrupt = 4),
            ("messages refused (nack): 5", |it| it.ledger.nacked = 5),
        ];
        for (reason, harm) in harms {
            let verdict = verdict("20p20c", |recording, usage| {
                harm(recording);
                usage.steal = 0.5;
            });
            assert_eq!(
                (verdict.outcome, verdict.reasons[0].as_str()),
                (Outcome::Fail, reason)
            );
            assert_eq!(verdict.reasons.len(), 2);
        }
    }

    #[test]
    fn a_missed_target_fails() {
        let verdict = verdict("20p20c", |recording, _| recording.published_in_window = 1_000);
        assert_eq!(verdict.outcome, Outcome::Fail);
        assert_eq!(verdict.reasons, ["publish_rate_min missed: 17, target 750000"]);
        let slow = self::verdict("20p20c-latency", |recording, _| {
            for _ in 0..1_000_000 {
                recording.response.record(5_000_000).unwrap();
            }
        });
        assert_eq!(slow.outcome, Outcome::Fail);
        assert!(
            slow.reasons[0].starts_with("latency_p99_us_max missed: 500"),
            "{slow:?}"
        );
    }

    #[test]
    fn a_bottleneck_elsewhere_makes_the_run_invalid() {
        let reason = |name, change: fn(&mut Recording, &mut Usage)| {
            let verdict = verdict(name, change);
            assert_eq!(verdict.outcome, Outcome::Invalid, "{verdict:?}");
            verdict.reasons.join("; ")
        };
        let stolen = reason("20p20c", |_, usage| usage.steal = 0.2);
        assert_eq!(stolen, "CPU stolen by the hypervisor was 20.0 %; allowed: 5.0 %");
        assert!(
            reason("20p20c", |_, usage| usage.foreign_cpu = Some(0.5)).contains("other processes was 50.0 %")
        );
        let busy = reason("20p20c-latency", |_, usage| usage.generator.cpu_cores = 0.99);
        assert!(busy.contains("generator's threads was 99.0 %"));
        let late = reason("20p20c-latency", |recording, _| {
            recording.schedule_lag.record_n(9_000_000, 1 << 30).unwrap()
        });
        assert!(
            late.contains("schedule lag of the generator (p99) was 90"),
            "{late}"
        );
        assert!(reason("20p20c", |recording, _| recording.cut_short = true).contains("cut short"));
        assert!(reason("20p20c", |recording, _| recording.response.reset()).contains("only 0 latencies"));
    }

    #[test]
    fn a_generator_held_back_by_the_broker_is_not_to_blame() {
        let verdict = verdict("20p20c-latency", |recording, _| {
            recording.schedule_lag.record_n(9_000_000, 1 << 30).unwrap();
            recording.held_back = recording.ledger.published / 10;
            recording.unsent = 5;
        });
        assert_eq!(verdict.outcome, Outcome::Fail);
        assert_eq!(
            verdict.reasons,
            ["messages due but not sent before the drain's deadline: 5"]
        );
    }

    #[test]
    fn a_busy_generator_is_what_a_saturating_load_is_for() {
        assert_eq!(
            verdict("20p20c", |_, usage| usage.generator.cpu_cores = 1.0).outcome,
            Outcome::Pass
        );
    }

    #[test]
    fn what_an_abandoned_drain_lost_is_not_held_against_the_broker() {
        let verdict = verdict("20p20c", |recording, _| {
            recording.cut_short = true;
            recording.ledger.lost = 7;
        });
        assert_eq!(verdict.outcome, Outcome::Invalid);
    }

    #[test]
    fn after_a_kill_only_what_was_promised_counts() {
        let of = |change: fn(&mut Recording)| {
            let verdict = verdict("crash", |recording, _| change(recording));
            (verdict.outcome, verdict.reasons.join("; "))
        };
        // The fixture has unconfirmed losses.
        assert_eq!(
            of(|it| it.ledger.redelivered = 99),
            (Outcome::Pass, String::new())
        );
        let confirmed = of(|it| (it.ledger.lost, it.ledger.confirmed_lost) = (3, Some(3)));
        assert_eq!(
            confirmed,
            (Outcome::Fail, "messages confirmed and lost: 3".into())
        );
        let both = of(|it| (it.ledger.lost, it.ledger.confirmed_lost) = (5, Some(3)));
        assert_eq!(both.1, "messages confirmed and lost: 3; messages lost: 2");
        assert_eq!(of(|it| it.ledger.duplicated = 1).0, Outcome::Fail);
        let scenario = built_in("crash").unwrap();
        let spared = Verdict::of(&scenario, &fixtures::recording(&scenario), None, 0);
        assert_eq!(spared.outcome, Outcome::Invalid);
        assert_eq!(spared.reasons, ["the broker was killed 0 times, not 1"]);
        let (outcome, reasons) = of(|it| it.recoveries[0].at_stake = 0);
        assert_eq!(outcome, Outcome::Invalid);
        assert!(reasons.ends_with("nothing was at stake"), "{reasons}");
    }

    #[test]
    fn counted_runs_are_judged_by_what_their_window_measures() {
        for name in ["backlog-fill", "backlog-fill-1k", "backlog-drain"] {
            let verdict = verdict(name, |recording, _| recording.response.reset());
            assert_eq!(
                (verdict.outcome, verdict.reasons.as_slice()),
                (Outcome::Pass, [].as_slice()),
                "{name}"
            );
        }
        let slow = verdict("backlog-fill", |recording, usage| {
            recording.unsent = 4_000_000;
            usage.broker.as_mut().unwrap().rss_anon_bytes_max = 400_000_000;
        });
        assert_eq!(
            slow.reasons,
            [
                "broker_rss_anon_bytes_max missed: 400000000, target 300000000",
                "messages not sent within 300 s: 4000000 of 10000000"
            ]
        );
        let idle = verdict("backlog-drain", |recording, _| recording.consumed_in_window = 9);
        assert_eq!(idle.outcome, Outcome::Invalid);
        assert!(
            idle.reasons[0].starts_with("only 9 messages were received"),
            "{idle:?}"
        );
    }

    #[test]
    fn producers_that_a_slow_consumer_holds_up_miss_a_target() {
        assert_eq!(verdict("slow-consumer", |_, _| {}).outcome, Outcome::Pass);
        let late = verdict("slow-consumer", |recording, _| {
            recording.schedule_lag.record_n(9_000_000, 1 << 30).unwrap();
            recording.held_back = recording.ledger.published / 10;
        });
        assert_eq!(late.outcome, Outcome::Fail);
        assert!(
            late.reasons[0].starts_with("schedule_lag_p99_us_max missed: 90"),
            "{late:?}"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let scenario = built_in("20p20c").unwrap();
        let verdict = Verdict::of(&scenario, &fixtures::recording(&scenario), None, 0);
        assert_eq!(verdict.outcome, Outcome::Pass);
        let rss = verdict
            .checks
            .iter()
            .find(|check| check.target == "broker_rss_bytes_max")
            .unwrap();
        assert_eq!((rss.measured, rss.passed), (None, None));
    }
}
