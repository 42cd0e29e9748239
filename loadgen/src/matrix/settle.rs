//! The pause between two runs: until the machine has calmed down, for a limited time.
//!
//! A broker that was just driven still collects garbage, deletes files and writes back; what follows at once would pay for it.

use std::time::{Duration, Instant};

use procfs::{CurrentSI as _, KernelStats};

use crate::conductor::Events;

/// How often the machine is looked at; its clock ticks every 10 ms.
const LOOK: Duration = Duration::from_millis(500);
/// Below this share of its CPU time the machine is calm.
const BUSY_SHARE_MAX: f64 = 0.05;
/// Looks in a row that must find it calm.
const CALM_LOOKS: u32 = 2;

/// Waits until the machine is calm, at most `limit`. Ends at once when interrupted: `false`.
#[must_use]
pub fn settle(limit: Duration, events: &Events) -> bool {
    let deadline = Instant::now() + limit;
    let mut calm = 0;
    let mut before = ticks();
    while calm < CALM_LOOKS && Instant::now() < deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        if events.wait(LOOK.min(left)) {
            return false;
        }
        let now = ticks();
        calm = if is_calm(before, now) { calm + 1 } else { 0 };
        before = now;
    }
    !events.interrupted()
}

/// Busy and all ticks of the machine since it started; `None` where nobody counts them, which only costs the limit.
fn ticks() -> Option<(u64, u64)> {
    let cpu = KernelStats::current().ok()?.total;
    let some = Option::unwrap_or_default;
    let busy = cpu.user + cpu.nice + cpu.system + some(cpu.irq) + some(cpu.softirq) + some(cpu.steal);
    Some((busy, busy + cpu.idle + some(cpu.iowait)))
}

fn is_calm(before: Option<(u64, u64)>, now: Option<(u64, u64)>) -> bool {
    let (Some(before), Some(now)) = (before, now) else {
        return false;
    };
    let busy = now.0.saturating_sub(before.0) as f64;
    let all = now.1.saturating_sub(before.1) as f64;
    all > 0.0 && busy / all <= BUSY_SHARE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::Event;

    #[test]
    fn calm_is_a_small_share_of_busy_ticks() {
        assert!(is_calm(Some((100, 1_000)), Some((104, 1_100))));
        assert!(!is_calm(Some((100, 1_000)), Some((110, 1_100))));
        assert!(!is_calm(Some((100, 1_000)), Some((100, 1_000))));
        assert!(!is_calm(None, Some((0, 1))));
    }

    #[test]
    fn an_interrupt_ends_the_pause() {
        let events = Events::default();
        events.sender().send(Event::Interrupt).unwrap();
        let start = Instant::now();
        assert!(!settle(Duration::from_secs(600), &events));
        assert!(events.interrupted() && start.elapsed() < Duration::from_secs(300));
        let calm = Events::default();
        assert!(settle(Duration::ZERO, &calm));
    }
}
