//! Where a run stands, for whoever shows it.

use std::time::Duration;

use crate::control::{Control, Phase};
use crate::live::{Live, Totals};
use crate::plan::Plan;
use crate::sampler::RecentUsage;
use crate::terminal::Standing;

pub(super) fn standing(
    plan: &Plan,
    control: &Control,
    live: &Live,
    faults: usize,
    usage: Option<RecentUsage>,
) -> Standing {
    let now_ns = control.clock().now_ns();
    let phase = control.phase_at(now_ns);
    let totals = live.totals();
    let (start_ns, end_ns) = control.measure_window();
    let load_ns = control.started_ns().unwrap_or(now_ns);
    let (from_ns, to_ns) = match phase {
        Phase::Connect => (now_ns, now_ns),
        Phase::WarmUp => (load_ns, start_ns),
        Phase::Measure => (start_ns, end_ns),
        Phase::Drain | Phase::Done => (end_ns, end_ns + (plan.scenario.drain_s * 1e9) as u64),
    };
    Standing {
        phase,
        elapsed: Duration::from_nanos(now_ns.saturating_sub(from_ns)),
        length: Duration::from_nanos(to_ns.saturating_sub(from_ns)),
        last: live.last(),
        totals,
        harm: live.harm(),
        faults,
        usage,
        goal: goal(plan, phase, &totals),
        fills: plan.scenario.backlog_first,
    }
}

/// How far a counted phase has come: messages, of how many.
fn goal(plan: &Plan, phase: Phase, totals: &Totals) -> Option<(u64, u64)> {
    let messages = plan.scenario.messages?;
    let copies = messages * u64::from(plan.scenario.copies());
    match (phase, plan.scenario.backlog_first) {
        (Phase::WarmUp, true) | (Phase::Measure, false) => Some((totals.published, messages)),
        (Phase::Measure, true) => Some((totals.consumed, copies)),
        _ => None,
    }
}
