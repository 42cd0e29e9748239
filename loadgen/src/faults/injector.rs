//! The injector: makes the plan's faults, in the conductor's thread. While it ends and restarts the broker the conductor
//! looks after nothing else; pauses and stalls take no time of its own.

use std::collections::VecDeque;
use std::time::Duration;

use super::planned::{FaultAction, PlannedFault};
use crate::conductor::{Peer, target_of};
use crate::control::{Control, Phase};
use crate::embedded::{BrokerError, EmbeddedBroker};
use crate::outages::Cut;
use crate::proxy::Proxy;
use crate::sampler::Sampler;
use crate::scenario::{CutBy, FaultKind};

/// How soon a fault that has to wait for the clients' connections is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// A fault that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// What kind of fault.
    pub kind: FaultKind,
    /// When, in ns since the run's epoch.
    pub at_ns: u64,
    /// When it was over: the broker listened again or went on, the consumers were let go, the connections were cut. `None`
    /// when the run ended before.
    pub ended_ns: Option<u64>,
}

/// What the injector needs to act.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The run's controls.
    pub control: &'a Control,
    /// The broker.
    pub peer: &'a mut Peer,
    /// Follows the broker's process.
    pub sampler: &'a Sampler,
}

/// The faults of a run: those to come and those made.
#[derive(Debug)]
pub struct Injector {
    to_come: VecDeque<PlannedFault>,
    /// When the pause or stall that is going on ends, in ns since the run's epoch.
    ends_ns: Option<u64>,
    made: Vec<Strike>,
    /// Between clients and each node of the broker, when connections are to be cut.
    proxies: Vec<Proxy>,
}

impl Injector {
    /// Makes `faults`; it can cut connections that go through `proxies`.
    #[must_use]
    pub fn new(faults: &[PlannedFault], proxies: Vec<Proxy>) -> Self {
        Self {
            to_come: faults.iter().cloned().collect(),
            ends_ns: None,
            made: Vec::new(),
            proxies,
        }
    }

    /// How many were made so far.
    #[must_use]
    pub fn made_count(&self) -> usize {
        self.made.len()
    }

    /// What was made.
    #[must_use]
    pub fn into_made(self) -> Vec<Strike> {
        self.made
    }

    /// Until something is to be done; `None` when nothing is, or nobody knows yet when the window begins.
    #[must_use]
    pub fn wait(&self, control: &Control) -> Option<Duration> {
        let due_ns = self.due_ns(control)?;
        let wait_ns = due_ns.saturating_sub(control.clock().now_ns());
        // One that is overdue waits for the clients.
        Some(Duration::from_nanos(wait_ns).max(RETRY))
    }

    fn due_ns(&self, control: &Control) -> Option<u64> {
        control.started_ns()?;
        let next = || Some(control.measure_window().0 + self.to_come.front()?.at_ns);
        self.ends_ns.or_else(next)
    }

    /// Makes the fault that is due, or ends the one that has lasted long enough. A fault that a restart before it has
    /// delayed strikes at once, one that leaves the broker alive not before the clients are connected again; none does
    /// when the drain is given up.
    ///
    /// # Errors
    /// When the broker does not end or start as it should.
    pub fn act(&mut self, stage: &mut Stage<'_>) -> Result<(), BrokerError> {
        let now_ns = stage.control.clock().now_ns();
        if self.due_ns(stage.control).is_none_or(|due_ns| due_ns > now_ns) {
            return Ok(());
        }
        if self.ends_ns.take().is_some() {
            self.end(stage);
            return Ok(());
        }
        if stage.control.phase() == Phase::Done {
            return Ok(());
        }
        let connected = stage.control.outages().connections().is_some();
        let strikes_now = |fault: &PlannedFault| connected || fault.kind().ends_the_broker();
        if self.to_come.front().is_some_and(strikes_now)
            && let Some(fault) = self.to_come.pop_front()
        {
            self.strike(&fault, stage)?;
        }
        Ok(())
    }

    /// Makes no further fault, and ends the one that is going on.
    pub fn give_up(&mut self, stage: &mut Stage<'_>) {
        self.to_come.clear();
        if self.ends_ns.take().is_some() {
            self.end(stage);
        }
        stage.control.outages().give_up();
    }

    fn strike(&mut self, fault: &PlannedFault, stage: &mut Stage<'_>) -> Result<(), BrokerError> {
        let outages = stage.control.outages();
        let at_ns = stage.control.clock().now_ns();
        self.made.push(Strike {
            kind: fault.kind(),
            at_ns,
            ended_ns: None,
        });
        match &fault.action {
            FaultAction::Kill => self.end_the_broker(stage, EmbeddedBroker::kill)?,
            FaultAction::Restart => self.end_the_broker(stage, EmbeddedBroker::shut_down)?,
            FaultAction::Pause { for_ns } => {
                if let Some(broker) = stage.peer.embedded() {
                    broker.pause()?;
                }
                self.ends_ns = Some(at_ns + for_ns);
            }
            FaultAction::Stall { for_ns, consumers } => {
                outages.stall(consumers.clone());
                self.ends_ns = Some(at_ns + for_ns);
            }
            FaultAction::Cut {
                producers,
                consumers,
                by,
            } => {
                let cut = Cut {
                    fault: self.made.len() - 1,
                    producers: producers.clone(),
                    consumers: consumers.clone(),
                };
                self.cut(cut, *by, stage.control);
            }
        }
        Ok(())
    }

    fn end_the_broker(
        &mut self,
        stage: &mut Stage<'_>,
        end: fn(&mut EmbeddedBroker) -> Result<(), BrokerError>,
    ) -> Result<(), BrokerError> {
        let Some(broker) = stage.peer.embedded() else {
            return Ok(());
        };
        stage.control.outages().strike();
        end(broker)?;
        broker.restart()?;
        self.ended(stage.control);
        stage.sampler.follow(broker.pid());
        // Our own broker is one node.
        let target = match self.proxies.first() {
            Some(proxy) => {
                proxy.retarget(broker.address());
                target_of(broker.address()).through(proxy.address())
            }
            None => target_of(broker.address()),
        };
        stage.control.outages().restarted(target);
        Ok(())
    }

    fn cut(&mut self, cut: Cut, by: CutBy, control: &Control) {
        let Some(connections) = control.outages().connections() else {
            return;
        };
        let producers = cut.producers.iter().map(|&index| connections.producers[index]);
        let consumers = cut.consumers.iter().map(|&index| connections.consumers[index]);
        let clients: Vec<_> = producers.chain(consumers).collect();
        control.outages().cut(cut);
        for proxy in &self.proxies {
            proxy.cut(clients.clone(), by);
        }
        self.ended(control);
    }

    /// Ends the pause or stall that is going on.
    fn end(&mut self, stage: &mut Stage<'_>) {
        self.ended(stage.control);
        stage.control.outages().over(self.made.len() - 1);
        if let Some(broker) = stage.peer.embedded() {
            broker.go_on();
        }
    }

    fn ended(&mut self, control: &Control) {
        if let Some(strike) = self.made.last_mut() {
            strike.ended_ns = Some(control.clock().now_ns());
        }
    }
}
