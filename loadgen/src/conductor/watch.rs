//! What the conductor does while the driver works.

use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::conduct::ConductError;
use super::events::{Event, Events};
use super::peer::Peer;
use super::standing::standing;
use crate::abort::AbortWatch;
use crate::control::{Control, Phase};
use crate::embedded::BrokerError;
use crate::faults::{Injector, Stage};
use crate::live::Live;
use crate::plan::Plan;
use crate::recorder::Recording;
use crate::sampler::Sampler;
use crate::terminal::{Progress, Standing};

/// How often the conductor looks up.
const TICK: Duration = Duration::from_millis(100);

/// What the conductor looks after while the driver works.
pub(super) struct Watch<'a> {
    pub(super) plan: &'a Plan,
    pub(super) control: &'a Control,
    pub(super) live: &'a Live,
    pub(super) peer: &'a mut Peer,
    pub(super) progress: &'a mut Progress,
    pub(super) sampler: &'a Sampler,
    pub(super) abort: &'a mut AbortWatch,
    pub(super) hopeless: &'a mut Option<String>,
    pub(super) injector: &'a mut Injector,
}

impl Watch<'_> {
    /// Handles events until the driver has returned.
    pub(super) fn run(mut self, events: &Events) -> Result<Recording, ConductError> {
        let mut death = None;
        loop {
            match events.receiver.recv_timeout(self.wait()) {
                Ok(Event::Finished(outcome)) => {
                    return outcome.map_err(|error| {
                        // A broken connection is often the first sign of the broker's end; its own words say more.
                        let death = death.or_else(|| self.peer.death());
                        death.map_or(ConductError::Driver(error), ConductError::Broker)
                    });
                }
                Ok(Event::Panicked) => return Err(ConductError::Panicked),
                Ok(Event::Interrupt) => {
                    events.interrupted.store(true, Ordering::Relaxed);
                    self.interrupt();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("`events` holds a sender"),
            }
            if self.control.is_connected()
                && self.control.started_ns().is_none()
                && !self.control.interrupted()
            {
                begin(self.plan, self.control);
            }
            if death.is_none() {
                death = self.act().err().or_else(|| self.peer.death());
                if death.is_some() {
                    // Nothing more will come: neither load nor drain.
                    self.control.interrupt();
                    self.control.interrupt();
                    self.give_up();
                }
            }
            self.abort_when_hopeless();
            self.progress.show(&self.standing());
        }
    }

    fn standing(&self) -> Standing {
        let faults = self.injector.made_count();
        standing(self.plan, self.control, self.live, faults, self.sampler.recent())
    }

    /// Ends the run, drain and all, when one of the scenario's conditions for that holds while the load runs.
    fn abort_when_hopeless(&mut self) {
        let is_loading = matches!(self.control.phase(), Phase::WarmUp | Phase::Measure);
        if !is_loading || self.control.interrupted() {
            return;
        }
        let second = self.live.last();
        let reason = second.and_then(|second| self.abort.look(&second, self.sampler.broker()));
        let Some(reason) = reason else { return };
        self.progress.note(&reason);
        *self.hopeless = Some(reason);
        self.control.interrupt();
        self.control.interrupt();
        self.give_up();
    }

    fn interrupt(&mut self) {
        let again = self.control.interrupted();
        self.control.interrupt();
        self.give_up();
        self.progress.note(if again {
            "interrupted again: giving up the drain"
        } else {
            "interrupted: ending the load and draining; once more gives up the drain"
        });
    }

    /// Until the next look, or until a fault is due if that comes before.
    fn wait(&self) -> Duration {
        let due = self.injector.wait(self.control);
        due.map_or(TICK, |due| due.min(TICK))
    }

    fn act(&mut self) -> Result<(), BrokerError> {
        self.injector.act(&mut Stage {
            control: self.control,
            peer: self.peer,
            sampler: self.sampler,
        })
    }

    fn give_up(&mut self) {
        self.injector.give_up(&mut Stage {
            control: self.control,
            peer: self.peer,
            sampler: self.sampler,
        });
    }
}

fn begin(plan: &Plan, control: &Control) {
    let seconds = Duration::from_secs_f64;
    let scenario = &plan.scenario;
    control.begin(
        seconds(scenario.warmup_s),
        seconds(scenario.duration_s),
        seconds(scenario.drain_s),
    );
}
