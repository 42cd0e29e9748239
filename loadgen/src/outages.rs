//! Faults of a run: what the conductor, which makes them, and the driver, which lives with them, tell each other.
//!
//! An *incarnation* counts the broker's starts: 0 until it first ends by a kill or a restart. The conductor counts what it
//! is about to do before it strikes, so a driver that loses a connection always finds out whether that was to be expected.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::target::Target;

/// The faults of one run.
#[derive(Debug, Default)]
pub struct Outages {
    /// Faults that are planned and not over yet.
    pending: AtomicU32,
    /// Ends of the broker so far. Stored (release) before it ends, loaded (acquire) after a connection broke.
    struck: AtomicU32,
    /// Cuts of connections so far; stored and loaded likewise.
    cuts: AtomicU32,
    /// Grows with every change of [`Orders`].
    orders_version: AtomicU32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The broker's last restart: its incarnation, and where it listens now.
    restarted: Option<(u32, Target)>,
    /// No further restart will come.
    given_up: bool,
    /// The driver's connections, and the incarnation that they belong to.
    connected: Option<(u32, Connections)>,
    cut: Option<Cut>,
    orders: Orders,
}

/// Local addresses of the driver's connections, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Those of the producers.
    pub producers: Vec<SocketAddr>,
    /// Those of the consumers.
    pub consumers: Vec<SocketAddr>,
}

/// Connections that are cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Which fault of the plan this is.
    pub fault: usize,
    /// Producers whose connections are cut.
    pub producers: Vec<usize>,
    /// Consumers whose connections are cut.
    pub consumers: Vec<usize>,
}

/// What a driver has to obey, or to take notice of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Consumers that neither read nor acknowledge.
    pub stalled: Vec<usize>,
    /// The fault of the plan that ended last, without an end of any connection.
    pub over: Option<usize>,
}

impl Outages {
    /// The conductor plans so many faults.
    pub fn plan(&self, faults: u32) {
        self.pending.store(faults, Ordering::Release);
    }

    /// The conductor is about to end the broker.
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

    /// The conductor is about to cut connections.
    pub fn cut(&self, cut: Cut) {
        self.state.lock().cut = Some(cut);
        self.cuts.fetch_add(1, Ordering::AcqRel);
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// From now on these consumers neither read nor acknowledge.
    pub fn stall(&self, consumers: Vec<usize>) {
        self.state.lock().orders.stalled = consumers;
        self.orders_version.fetch_add(1, Ordering::AcqRel);
    }

    /// The pause or stall that is this fault of the plan is over; the broker does not go on before this call.
    pub fn over(&self, fault: usize) {
        self.state.lock().orders = Orders {
            stalled: Vec::new(),
            over: Some(fault),
        };
        self.orders_version.fetch_add(1, Ordering::AcqRel);
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// No further fault will be made, and no restart will come; nobody is stalled any more.
    pub fn give_up(&self) {
        self.pending.store(0, Ordering::Release);
        let mut state = self.state.lock();
        state.given_up = true;
        state.orders.stalled.clear();
        self.orders_version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_all();
    }

    /// Ends of the broker so far: the number of its present incarnation.
    #[must_use]
    pub fn struck(&self) -> u32 {
        self.struck.load(Ordering::Acquire)
    }

    /// Whether another fault is still to come, or to end. A driver that has seen none pending, and [`Outages::struck`] and
    /// [`Outages::cuts`] unchanged, will not be surprised any more.
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

    /// Whether no restart will come.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.state.lock().given_up
    }

    /// The driver has all its connections to the broker's `incarnation`, and these are theirs.
    pub fn connected(&self, incarnation: u32, connections: Connections) {
        self.state.lock().connected = Some((incarnation, connections));
    }

    /// The driver's connections; `None` while they are being made anew.
    #[must_use]
    pub fn connections(&self) -> Option<Connections> {
        let state = self.state.lock();
        let present = state
            .connected
            .as_ref()
            .filter(|(number, _)| *number == self.struck());
        present.map(|(_, connections)| connections.clone())
    }

    /// Cuts so far.
    #[must_use]
    pub fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::Acquire)
    }

    /// The last cut.
    #[must_use]
    pub fn last_cut(&self) -> Option<Cut> {
        self.state.lock().cut.clone()
    }

    /// Grows with every change of [`Outages::orders`].
    #[must_use]
    pub fn orders_version(&self) -> u32 {
        self.orders_version.load(Ordering::Acquire)
    }

    /// What a driver has to obey now.
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.state.lock().orders.clone()
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
        outages.stall(vec![1]);
        outages.give_up();
        assert_eq!(outages.await_restart(0, LONG), None);
        assert!(!outages.is_pending() && outages.is_given_up());
        assert_eq!(outages.orders(), Orders::default());
    }

    #[test]
    fn connections_of_an_earlier_incarnation_are_gone() {
        let outages = Outages::default();
        assert_eq!(outages.connections(), None);
        outages.connected(0, Connections::default());
        assert_eq!(outages.connections(), Some(Connections::default()));
        outages.strike();
        assert_eq!(outages.connections(), None);
    }

    #[test]
    fn a_stall_is_pending_until_it_is_over() {
        let outages = Outages::default();
        outages.plan(1);
        let before = outages.orders_version();
        outages.stall(vec![0, 2]);
        assert_ne!(outages.orders_version(), before);
        assert_eq!(
            (outages.orders().stalled, outages.is_pending()),
            (vec![0, 2], true)
        );
        outages.over(4);
        let over = Orders {
            stalled: Vec::new(),
            over: Some(4),
        };
        assert_eq!((outages.orders(), outages.is_pending()), (over, false));
    }
}
