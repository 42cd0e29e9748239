//! When a drain is over.

use crate::control::Phase;

/// How long the driver goes on listening after everything has arrived, to catch late duplicates.
const LINGER_NS: u64 = 100_000_000;
/// Without any progress for so long, what is missing will not come.
const QUIET_NS: u64 = 3_000_000_000;

/// The same after the end of connections: what was not confirmed may come, but nobody can say how much of it.
const LINGER_AFTER_FAULT_NS: u64 = 500_000_000;

/// Watches the drain: it ends when all is in and has stayed so, when nothing moves any more, or at its deadline.
#[derive(Debug)]
pub(super) struct DrainWatch {
    linger_ns: u64,
    progress: u64,
    moved_ns: Option<u64>,
    complete_ns: Option<u64>,
}

impl DrainWatch {
    /// A watch for a run with or without faults.
    pub(super) fn new(with_faults: bool) -> Self {
        Self {
            linger_ns: if with_faults {
                LINGER_AFTER_FAULT_NS
            } else {
                LINGER_NS
            },
            progress: 0,
            moved_ns: None,
            complete_ns: None,
        }
    }

    /// The broker was away: what moved before says nothing.
    pub(super) fn restart(&mut self) {
        (self.moved_ns, self.complete_ns) = (None, None);
    }

    /// Whether the drain is over. `progress` is any count that grows with each arrival; `complete` says that nothing
    /// is outstanding.
    pub(super) fn is_over(&mut self, now_ns: u64, phase: Phase, progress: u64, complete: bool) -> bool {
        match phase {
            Phase::Done => return true,
            Phase::Connect | Phase::WarmUp | Phase::Measure => return false,
            Phase::Drain => {}
        }
        let moved = progress != self.progress;
        if moved {
            (self.progress, self.moved_ns) = (progress, Some(now_ns));
        }
        if moved || !complete {
            self.complete_ns = None;
        }
        if complete {
            return now_ns - *self.complete_ns.get_or_insert(now_ns) >= self.linger_ns;
        }
        now_ns - *self.moved_ns.get_or_insert(now_ns) >= QUIET_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lingers_for_late_duplicates_once_all_is_in() {
        let mut watch = DrainWatch::new(false);
        assert!(!watch.is_over(0, Phase::Measure, 5, true));
        assert!(!watch.is_over(1, Phase::Drain, 5, true));
        assert!(!watch.is_over(LINGER_NS, Phase::Drain, 5, true));
        assert!(watch.is_over(LINGER_NS + 1, Phase::Drain, 5, true));
        // A late duplicate: others may follow.
        assert!(!watch.is_over(LINGER_NS + 2, Phase::Drain, 6, true));
        assert!(!watch.is_over(2 * LINGER_NS + 1, Phase::Drain, 6, true));
        assert!(watch.is_over(2 * LINGER_NS + 2, Phase::Drain, 6, true));
    }

    #[test]
    fn gives_up_after_a_quiet_period_and_at_the_deadline() {
        let mut watch = DrainWatch::new(false);
        assert!(!watch.is_over(0, Phase::Drain, 1, false));
        assert!(!watch.is_over(QUIET_NS - 1, Phase::Drain, 2, false));
        assert!(!watch.is_over(2 * QUIET_NS - 2, Phase::Drain, 2, false));
        assert!(watch.is_over(2 * QUIET_NS - 1, Phase::Drain, 2, false));
        assert!(DrainWatch::new(false).is_over(0, Phase::Done, 0, false));
    }

    #[test]
    fn a_kill_starts_it_anew() {
        let mut watch = DrainWatch::new(true);
        assert!(!watch.is_over(0, Phase::Drain, 1, false));
        watch.restart();
        assert!(!watch.is_over(10 * QUIET_NS, Phase::Drain, 1, false));
        assert!(!watch.is_over(10 * QUIET_NS + 1, Phase::Drain, 1, true));
        assert!(!watch.is_over(10 * QUIET_NS + LINGER_NS + 1, Phase::Drain, 1, true));
        assert!(watch.is_over(10 * QUIET_NS + LINGER_AFTER_FAULT_NS + 1, Phase::Drain, 1, true));
    }
}
