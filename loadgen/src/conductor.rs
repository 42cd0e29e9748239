//! The conductor: leads a driver through the phases of a run.
//!
//! The driver works in a thread of its own; this one starts the load once the driver is connected, watches the broker,
//! passes interrupts on and shows progress. It does nothing that a message waits for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use crate::control::{Control, Phase};
use crate::driver::{Driver, DriverError};
use crate::embedded::{BrokerError, EmbeddedBroker};
use crate::live::Live;
use crate::plan::Plan;
use crate::progress::{Progress, Standing};
use crate::recorder::Recording;
use crate::sampler::{Sample, Sampler};
use crate::target::Target;

/// How often the conductor looks up.
const TICK: Duration = Duration::from_millis(100);

/// What the conductor waits for.
#[derive(Debug)]
pub enum Event {
    /// Ctrl-C or SIGTERM.
    Interrupt,
    /// The driver has returned.
    Finished(Box<Result<Recording, DriverError>>),
    /// The driver panicked.
    Panicked,
}

/// Both ends of the conductor's inbox: whoever has the sender may interrupt.
#[derive(Debug)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    receiver: mpsc::Receiver<Event>,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver }
    }
}

impl Events {
    /// For the thread that listens for signals.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<Event> {
        self.sender.clone()
    }
}

/// The broker that is driven.
#[derive(Debug)]
pub enum Peer {
    /// Ours, a child process.
    Embedded(EmbeddedBroker),
    /// Somebody else's; its process is known or not.
    External(Option<u32>),
}

impl Peer {
    /// The process to measure.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Embedded(broker) => Some(broker.pid()),
            Self::External(pid) => *pid,
        }
    }

    fn death(&mut self) -> Option<BrokerError> {
        match self {
            Self::Embedded(broker) => broker.death(),
            Self::External(_) => None,
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Conducted {
    /// What the driver measured.
    pub recording: Recording,
    /// CPU and memory.
    pub samples: Vec<Sample>,
    /// When the load began, in ns since the run's epoch.
    pub started_ns: u64,
    /// The measured window, in ns since the run's epoch.
    pub window_ns: (u64, u64),
}

/// Why nothing came of a run.
#[derive(Debug, Error)]
pub enum ConductError {
    /// The embedded broker ended; what the driver said is a consequence.
    #[error(transparent)]
    Broker(BrokerError),
    /// The driver gave up.
    #[error(transparent)]
    Driver(DriverError),
    /// The driver panicked: a fault of the generator.
    #[error("the driver panicked; this is a fault of the generator, see the message above")]
    Panicked,
}

/// Runs `plan` with `driver`, to the end or until interrupted.
///
/// # Errors
/// When the broker ends or the driver gives up.
pub fn conduct(
    driver: &mut (dyn Driver + Send),
    plan: &Plan,
    target: &Target,
    peer: &mut Peer,
    progress: &mut Progress,
    events: &Events,
) -> Result<Conducted, ConductError> {
    let (control, live) = (Control::new(), Live::default());
    let sampler = Sampler::start(control.clock(), peer.pid());
    let outcome = thread::scope(|scope| {
        let (sender, control, live) = (events.sender(), &control, &live);
        scope.spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| driver.run(plan, target, control, live)));
            let event = outcome.map_or(Event::Panicked, |outcome| Event::Finished(Box::new(outcome)));
            // The receiver lives as long as `events`, which outlives this scope.
            let _ = sender.send(event);
        });
        watch(plan, control, live, peer, progress, events)
    });
    let samples = sampler.stop();
    progress.finish();
    let recording = outcome?;
    let window_ns = control.measure_window();
    let started_ns = control.started_ns().unwrap_or(window_ns.0);
    Ok(Conducted {
        recording,
        samples,
        started_ns,
        window_ns,
    })
}

/// Handles events until the driver has returned.
fn watch(
    plan: &Plan,
    control: &Control,
    live: &Live,
    peer: &mut Peer,
    progress: &mut Progress,
    events: &Events,
) -> Result<Recording, ConductError> {
    let mut death = None;
    loop {
        match events.receiver.recv_timeout(TICK) {
            Ok(Event::Finished(outcome)) => {
                return outcome.map_err(|error| {
                    // A broken connection is often the first sign of the broker's end; its own words say more.
                    let death = death.or_else(|| peer.death());
                    death.map_or(ConductError::Driver(error), ConductError::Broker)
                });
            }
            Ok(Event::Panicked) => return Err(ConductError::Panicked),
            Ok(Event::Interrupt) => {
                let again = control.interrupted();
                control.interrupt();
                progress.note(if again {
                    "interrupted again: giving up the drain"
                } else {
                    "interrupted: ending the load and draining; once more gives up the drain"
                });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("`events` holds a sender"),
        }
        if control.is_connected() && control.started_ns().is_none() && !control.interrupted() {
            begin(plan, control);
        }
        if death.is_none() {
            death = peer.death();
            if death.is_some() {
                // Nothing more will come: neither load nor drain.
                control.interrupt();
                control.interrupt();
            }
        }
        progress.show(&standing(plan, control, live));
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

fn standing(plan: &Plan, control: &Control, live: &Live) -> Standing {
    let now_ns = control.clock().now_ns();
    let phase = control.phase_at(now_ns);
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
        totals: live.totals(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::scenario::{Scenario, built_in};

    /// A driver that makes no load but obeys the phases.
    struct Obedient {
        outcome: fn(&Scenario) -> Result<Recording, DriverError>,
        /// Sent once the load has begun.
        interrupt: Option<mpsc::Sender<Event>>,
        seen: Vec<Phase>,
    }

    impl Driver for Obedient {
        fn name(&self) -> &'static str {
            "obedient"
        }

        fn run(
            &mut self,
            plan: &Plan,
            _target: &Target,
            control: &Control,
            _live: &Live,
        ) -> Result<Recording, DriverError> {
            control.connected();
            loop {
                let phase = control.phase();
                if self.seen.last() != Some(&phase) {
                    self.seen.push(phase);
                }
                if phase > Phase::Connect
                    && let Some(interrupt) = self.interrupt.take()
                {
                    interrupt.send(Event::Interrupt).unwrap();
                }
                if phase >= Phase::Drain {
                    let recording = (self.outcome)(&plan.scenario)?;
                    return Ok(Recording {
                        cut_short: control.interrupted(),
                        ..recording
                    });
                }
                thread::yield_now();
            }
        }
    }

    fn run(driver: &mut Obedient, duration_s: f64, events: &Events) -> Result<Conducted, ConductError> {
        let mut scenario = built_in("1p1c").unwrap();
        (scenario.warmup_s, scenario.duration_s) = (0.1, duration_s);
        let plan = Plan::new(&scenario, 1, "test");
        let target = Target::guest("127.0.0.1", 1);
        let mut peer = Peer::External(Some(std::process::id()));
        conduct(
            driver,
            &plan,
            &target,
            &mut peer,
            &mut Progress::new(true),
            events,
        )
    }

    #[test]
    fn leads_through_all_phases() {
        let mut driver = Obedient {
            outcome: |scenario| Ok(fixtures::recording(scenario)),
            interrupt: None,
            seen: vec![],
        };
        let conducted = run(&mut driver, 0.6, &Events::default()).unwrap();
        assert_eq!(
            driver.seen,
            [Phase::Connect, Phase::WarmUp, Phase::Measure, Phase::Drain]
        );
        assert_eq!(conducted.window_ns.1 - conducted.window_ns.0, 600_000_000);
        assert_eq!(conducted.window_ns.0 - conducted.started_ns, 100_000_000);
        assert!(conducted.samples.iter().all(|sample| sample.broker.is_some()));
        assert!(!conducted.recording.cut_short);
    }

    #[test]
    fn an_interrupt_ends_the_load_and_keeps_what_there_is() {
        let events = Events::default();
        let mut driver = Obedient {
            outcome: |scenario| Ok(fixtures::recording(scenario)),
            interrupt: Some(events.sender()),
            seen: vec![],
        };
        let conducted = run(&mut driver, 600.0, &events).unwrap();
        assert!(conducted.recording.cut_short);
        assert_eq!(driver.seen.last(), Some(&Phase::Drain));
    }

    #[test]
    fn a_driver_that_gives_up_ends_the_run() {
        let mut driver = Obedient {
            outcome: |_| Err(DriverError::Interrupted),
            interrupt: None,
            seen: vec![],
        };
        let error = run(&mut driver, 0.1, &Events::default()).unwrap_err();
        assert!(matches!(error, ConductError::Driver(DriverError::Interrupted)));
    }
}
