//! Kills of the broker: what the conductor, which kills and restarts it, and the driver, which connects anew, tell each
//! other.
//!
//! An *incarnation* counts the broker's starts: 0 until the first kill. The conductor counts a kill before it strikes, so
//! a driver that loses a connection always finds out whether that was to be expected.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::target::Target;

/// The kills of one run.
#[derive(Debug, Default)]
pub struct Outages {
    /// Kills that are planned and whose restart has not succeeded yet.
    pending: AtomicU32,
    /// Kills so far. Stored (release) before the broker dies, loaded (acquire) after a connection broke.
    struck: AtomicU32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The broker's last restart: its incarnation, and where it listens now.
    restarted: Option<(u32, Target)>,
    /// No further restart will come.
    given_up: bool,
}

impl Outages {
    /// The conductor plans so many kills.
    pub fn plan(&self, kills: u32) {
        self.pending.store(kills, Ordering::Release);
    }

    /// The conductor is about to kill the broker.
    pub fn strike(&self) {
        self.struck.fetch_add(1, Ordering::AcqRel);
    }

    /// The broker listens again, at `target`.
    pub fn restarted(&self, target: Target) {
        let mut state = self.state.lock();
        state.restarted = Some((self.struck(), target));
        self.pending.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_all();
    }

    /// No further kill will be made, and no restart will come.
    pub fn give_up(&self) {
        self.pending.store(0, Ordering::Release);
        self.state.lock().given_up = true;
        self.changed.notify_all();
    }

    /// Kills so far: the number of the broker's present incarnation.
    #[must_use]
    pub fn struck(&self) -> u32 {
        self.struck.load(Ordering::Acquire)
    }

    /// Whether another kill is still to come, or its restart. A driver that has seen none pending and
    /// [`Outages::struck`] unchanged will not be surprised any more.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }

    /// Where the broker listens since its last restart, if there was one.
    #[must_use]
    pub fn address(&self) -> Option<Target> {
        let state = self.state.lock();
        state.restarted.as_ref().map(|(_, target)| target.clone())
    }

    /// Waits for a restart later than `incarnation`, and returns which incarnation listens where; `None` when none
    /// comes within `timeout`, or none will come at all.
    #[must_use]
    pub fn await_restart(&self, incarnation: u32, timeout: Duration) -> Option<(u32, Target)> {
        let later = |state: &State| {
            let restarted = state.restarted.as_ref();
            restarted
                .filter(|(number, _)| *number > incarnation && *number == self.struck())
                .cloned()
        };
        let mut state = self.state.lock();
        let waiting = |state: &mut State| later(state).is_none() && !state.given_up;
        self.changed.wait_while_for(&mut state, waiting, timeout);
        later(&state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_restart_wakes_who_waits_for_it() {
        let outages = Outages::default();
        outages.plan(1);
        std::thread::scope(|scope| {
            let driver = scope.spawn(|| outages.await_restart(0, LONG));
            outages.strike();
            assert!(outages.is_pending());
            outages.restarted(Target::guest("127.0.0.1", 7));
            assert_eq!(driver.join().unwrap(), Some((1, Target::guest("127.0.0.1", 7))));
        });
        assert_eq!((outages.struck(), outages.is_pending()), (1, false));
        assert_eq!(outages.address(), Some(Target::guest("127.0.0.1", 7)));
        assert_eq!(outages.await_restart(1, Duration::ZERO), None);
    }

    #[test]
    fn a_restart_that_was_killed_again_is_not_waited_for() {
        let outages = Outages::default();
        outages.plan(2);
        outages.strike();
        outages.restarted(Target::guest("127.0.0.1", 7));
        outages.strike();
        assert_eq!(outages.await_restart(0, Duration::ZERO), None);
        outages.restarted(Target::guest("127.0.0.1", 8));
        assert_eq!(outages.await_restart(0, Duration::ZERO).unwrap().0, 2);
    }

    #[test]
    fn giving_up_ends_every_wait() {
        let outages = Outages::default();
        outages.plan(3);
        outages.strike();
        outages.give_up();
        assert_eq!(outages.await_restart(0, LONG), None);
        assert!(!outages.is_pending());
    }
}
