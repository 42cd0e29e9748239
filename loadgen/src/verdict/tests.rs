//! Verdicts over made-up runs, each with one thing changed.

use super::*;
use crate::fixtures;
use crate::hiccup::HiccupUs;
use crate::result::tests::run_result;
use crate::scenario::built_in;

fn verdict(name: &str, change: impl FnOnce(&mut Recording, &mut Usage)) -> Verdict {
    let scenario = built_in(name).unwrap();
    let (mut recording, mut usage) = (fixtures::recording(&scenario), fixtures::usage());
    change(&mut recording, &mut usage);
    judge(&scenario, &recording, Some(&usage), scenario.faults.len())
}

/// Figures that only expressions and pauses are judged by are those of a good run.
fn judge(scenario: &Scenario, recording: &Recording, usage: Option<&Usage>, faults: usize) -> Verdict {
    Verdict::of(&Evidence {
        scenario,
        recording,
        usage,
        summary: &run_result(&scenario.name).summary,
        faults,
        hopeless: None,
    })
}

#[test]
fn a_good_run_passes_every_check() {
    for name in ["20p20c", "20p20c-latency"] {
        let verdict = verdict(name, |_, _| {});
        assert_eq!(
            (verdict.outcome, verdict.reasons.as_slice()),
            (Outcome::Pass, [].as_slice())
        );
        assert!(verdict.checks.len() >= 3 && verdict.checks.iter().all(|check| check.passed == Some(true)));
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
    let spared = judge(&scenario, &fixtures::recording(&scenario), None, 0);
    assert_eq!(spared.outcome, Outcome::Invalid);
    assert_eq!(spared.reasons, ["faults that struck: 0, not 1"]);
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
    let verdict = judge(&scenario, &fixtures::recording(&scenario), None, 0);
    assert_eq!(verdict.outcome, Outcome::Pass);
    let rss = verdict
        .checks
        .iter()
        .find(|check| check.target == "broker_rss_bytes_max")
        .unwrap();
    assert_eq!((rss.measured, rss.passed), (None, None));
}

fn judge_with(name: &str, change: impl FnOnce(&mut Scenario, &mut Summary)) -> Verdict {
    let (mut scenario, mut summary) = (built_in(name).unwrap(), run_result(name).summary);
    change(&mut scenario, &mut summary);
    Verdict::of(&Evidence {
        scenario: &scenario,
        recording: &fixtures::recording(&scenario),
        usage: Some(&fixtures::usage()),
        summary: &summary,
        faults: scenario.faults.len(),
        hopeless: None,
    })
}

#[test]
fn expressions_are_targets_like_any_other() {
    let judge = |expression: &str| {
        judge_with("20p20c-latency", |scenario, _| {
            scenario.targets.expressions = vec![expression.into()];
        })
    };
    let met = judge("consume_rate >= 0.99 * publish_rate and ledger.lost == 0");
    assert_eq!(met.outcome, Outcome::Pass);
    let check = met.checks.last().unwrap();
    assert_eq!(
        (check.measured, check.limit, check.passed),
        (Some(250_000.0), 247_500.0, Some(true))
    );
    let missed = judge("latency_us.p99 <= 0.1 ms");
    assert_eq!(missed.outcome, Outcome::Fail);
    assert_eq!(
        missed.reasons,
        ["latency_us.p99 <= 0.1 ms missed: 596 µs <= 100 µs"]
    );
    let unknown = judge("confirm_latency_us.p99 <= 1 ms");
    assert_eq!(unknown.outcome, Outcome::Pass);
    let check = unknown.checks.last().unwrap();
    assert_eq!((check.measured, check.passed), (None, None));
    assert_eq!(check.compared.as_deref(), Some("not measured <= 1.00 ms"));
}

#[test]
fn a_machine_that_pauses_makes_an_open_loop_invalid_and_others_only_if_asked() {
    let pauses = |summary: &mut Summary, p99: f64| {
        summary.machine.hiccup_us = Some(HiccupUs {
            p99,
            max: 90_000.0,
            ..HiccupUs::default()
        });
    };
    let open = judge_with("20p20c-latency", |_, summary| pauses(summary, 30_000.0));
    assert_eq!(
        (open.outcome, open.reasons.as_slice()),
        (
            Outcome::Invalid,
            ["pauses of the machine (p99) was 30000 µs; allowed: 20000 µs".to_owned()].as_slice()
        )
    );
    let quiet = judge_with("20p20c-latency", |_, summary| pauses(summary, 19_000.0));
    assert_eq!(quiet.outcome, Outcome::Pass);
    let saturating = judge_with("20p20c", |_, summary| pauses(summary, 30_000.0));
    assert_eq!(saturating.outcome, Outcome::Pass);
    let asked = judge_with("20p20c", |scenario, summary| {
        pauses(summary, 30_000.0);
        scenario.validity.hiccup_p99_us_max = Some(10_000.0);
        scenario.validity.hiccup_max_us = Some(80_000.0);
    });
    assert_eq!((asked.outcome, asked.reasons.len()), (Outcome::Invalid, 2));
}

#[test]
fn a_run_near_the_generators_ceiling_is_invalid_and_without_calibration_nothing_is_judged() {
    let judge = |share: Option<f64>, limit: Option<f64>| {
        judge_with("20p20c-latency", |scenario, summary| {
            scenario.validity.ceiling_share_max = limit;
            summary.generator.ceiling_share = share;
            summary.generator.ceiling_msgs_per_s = share.map(|_| 300_000.0);
        })
    };
    let near = judge(Some(0.9), Some(0.8));
    assert_eq!(
        (near.outcome, near.reasons.as_slice()),
        (
            Outcome::Invalid,
            ["the run reached 90.0 % of the generator's own ceiling, 300 k/s; allowed: 80.0 %".to_owned()]
                .as_slice()
        )
    );
    assert_eq!(near.checks.last().unwrap().passed, Some(false));
    let below = judge(Some(0.7), Some(0.8));
    assert_eq!(below.outcome, Outcome::Pass);
    assert_eq!(below.checks.last().unwrap().passed, Some(true));
    let unknown = judge(None, Some(0.8));
    assert_eq!(unknown.outcome, Outcome::Pass);
    let check = unknown.checks.last().unwrap();
    assert_eq!((check.measured, check.passed), (None, None));
    assert_eq!(check.compared.as_deref(), Some("not calibrated"));
    let no_limit = judge(Some(0.99), None);
    assert_eq!(no_limit.outcome, Outcome::Pass);
    assert!(
        no_limit
            .checks
            .iter()
            .all(|check| !check.target.contains("ceiling"))
    );
}

#[test]
fn a_hopeless_run_has_failed_whatever_else_is_missing() {
    let scenario = built_in("20p20c").unwrap();
    let mut recording = fixtures::recording(&scenario);
    (recording.cut_short, recording.unsent) = (true, 7);
    recording.response.reset();
    let verdict = Verdict::of(&Evidence {
        scenario: &scenario,
        recording: &recording,
        usage: None,
        summary: &run_result("20p20c").summary,
        faults: 0,
        hopeless: Some("hopeless after 3 s: backlog > 1"),
    });
    assert_eq!(
        (verdict.outcome, verdict.reasons),
        (Outcome::Fail, vec!["hopeless after 3 s: backlog > 1".to_owned()])
    );
}
