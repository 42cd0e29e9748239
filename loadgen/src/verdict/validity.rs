//! Validity: whether the run says anything about the broker, or only about the generator and the machine.

use super::{Evidence, ceiling};
use crate::recorder::Recording;
use crate::scenario::{FaultKind, Scenario};

/// Fewest latencies for which a 99th percentile means anything: ten lie above it.
const SAMPLES_MIN: u64 = 1_000;
/// A late generator is excused when more than this share of its messages became due while the broker kept their
/// producer from sending. At 1 % the 99th percentile of the schedule lag is the broker's.
const HELD_BACK_MIN: f64 = 0.01;
/// Pauses that an open loop may meet when its scenario says nothing. A saturating load keeps every core busy, so that the
/// meter waits for the scheduler as everybody does: it has no such limit.
const HICCUP_P99_US_MAX_OPEN_LOOP: f64 = 20_000.0;

/// Why the run says nothing about the broker.
pub(super) fn reasons(evidence: &Evidence<'_>) -> Vec<String> {
    let Evidence {
        scenario,
        recording,
        usage,
        ..
    } = *evidence;
    let mut reasons = Vec::new();
    if recording.cut_short {
        reasons.push(format!(
            "cut short by hand after {:.1} s of measurement",
            recording.window_s
        ));
    }
    reasons.extend(too_few(scenario, recording));
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
        exceeds(
            "schedule lag of the generator (p99)",
            lag_us,
            limit_us,
            microseconds,
        );
    }
    pauses(evidence, &mut exceeds);
    reasons.extend(ceiling::reason(evidence));
    let (made, planned) = (evidence.faults, scenario.faults.len());
    if made < planned {
        reasons.push(format!("faults that struck: {made}, not {planned}"));
    }
    reasons.extend(nothing_at_stake(scenario, recording));
    reasons
}

/// Pauses of the machine, as a thread that only sleeps meets them.
fn pauses(evidence: &Evidence<'_>, exceeds: &mut impl FnMut(&str, f64, f64, fn(f64) -> String)) {
    let Some(hiccup_us) = evidence.summary.machine.hiccup_us else {
        return;
    };
    let validity = &evidence.scenario.validity;
    let default = evidence
        .scenario
        .is_open_loop()
        .then_some(HICCUP_P99_US_MAX_OPEN_LOOP);
    if let Some(limit_us) = validity.hiccup_p99_us_max.or(default) {
        exceeds(
            "pauses of the machine (p99)",
            hiccup_us.p99,
            limit_us,
            microseconds,
        );
    }
    if let Some(limit_us) = validity.hiccup_max_us {
        exceeds(
            "the longest pause of the machine",
            hiccup_us.max,
            limit_us,
            microseconds,
        );
    }
}

/// What was measured too seldom for its 99th percentile, or its rate, to mean anything.
fn too_few(scenario: &Scenario, recording: &Recording) -> Option<String> {
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
    (samples < SAMPLES_MIN).then(|| format!("only {samples} {what}; at least {SAMPLES_MIN} are needed"))
}

/// A broker without any storage survives an end that finds its queues empty.
fn nothing_at_stake(scenario: &Scenario, recording: &Recording) -> Option<String> {
    let ends_the_broker = |fault: usize| {
        let fault = scenario.faults.get(fault);
        fault.is_some_and(|fault| fault.kind().ends_the_broker())
    };
    let recoveries = recording.recoveries.iter();
    let ends = recoveries.filter(|it| ends_the_broker(it.fault));
    let at_stake: u64 = ends.map(|it| it.at_stake).sum();
    (scenario.has_fault(FaultKind::ends_the_broker) && at_stake == 0).then(|| {
        "every confirmed message had arrived before the broker ended: nothing was at stake".to_owned()
    })
}

/// Whether it was the broker that made the generator late. (A generator short of CPU is noticed by its CPU.)
fn held_back(recording: &Recording) -> bool {
    recording.held_back as f64 > HELD_BACK_MIN * recording.ledger.published as f64
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn microseconds(us: f64) -> String {
    format!("{us:.0} µs")
}
