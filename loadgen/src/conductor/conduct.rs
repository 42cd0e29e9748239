//! One run: everybody started, the driver's end awaited, what they measured collected.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use thiserror::Error;

use super::events::{Event, Events};
use super::peer::Peer;
use super::watch::Watch;
use crate::abort::AbortWatch;
use crate::control::Control;
use crate::driver::{Driver, DriverError};
use crate::embedded::BrokerError;
use crate::faults::{Injector, Strike};
use crate::formats::{IntervalEncoder, IntervalLog};
use crate::hiccup::{self, Hiccups};
use crate::live::Live;
use crate::plan::Plan;
use crate::proxy::Proxy;
use crate::recorder::Recording;
use crate::sampler::{Sample, Sampler};
use crate::scenario::FaultKind;
use crate::target::Target;
use crate::terminal::Progress;

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
    /// The faults that were made, in the plan's order.
    pub strikes: Vec<Strike>,
    /// The counted latencies of each second.
    pub interval_log: IntervalLog,
    /// Pauses of the machine.
    pub hiccups: Hiccups,
    /// Why the run was ended as hopeless, if it was.
    pub hopeless: Option<String>,
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
    /// No proxy could be put before the broker.
    #[error(
        "cannot put a proxy before the broker at {target}, which the cuts of the scenario need: {source}"
    )]
    Proxy {
        /// The broker.
        target: String,
        /// The operating system's reason.
        source: io::Error,
    },
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
    let (proxies, target) = behind_proxies(plan, target)?;
    let mut injector = Injector::new(&plan.faults, proxies);
    control
        .outages()
        .plan(u32::try_from(plan.faults.len()).expect("the fields table limits the faults"));
    let sampler = Sampler::start(control.clock(), peer.pid());
    let encoder = IntervalEncoder::start(&live);
    let (mut abort, mut hopeless) = (AbortWatch::of(&plan.scenario), None);
    let load_is_over = AtomicBool::new(false);
    let (outcome, hiccups) = thread::scope(|scope| {
        let (sender, control, live, target) = (events.sender(), &control, &live, &target);
        let meter = scope.spawn(|| hiccup::measure(control, &load_is_over));
        scope.spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| driver.run(plan, target, control, live)));
            let event = outcome.map_or(Event::Panicked, |outcome| Event::Finished(Box::new(outcome)));
            // The receiver lives as long as `events`, which outlives this scope.
            let _ = sender.send(event);
        });
        let outcome = Watch {
            plan,
            control,
            live,
            peer,
            progress,
            sampler: &sampler,
            abort: &mut abort,
            hopeless: &mut hopeless,
            injector: &mut injector,
        }
        .run(events);
        load_is_over.store(true, Ordering::Relaxed);
        // A meter that panicked has nothing to say; its message is on standard error.
        (outcome, meter.join().unwrap_or_default())
    });
    let samples = sampler.stop();
    let interval_log = encoder.finish(&live);
    progress.finish();
    let recording = outcome?;
    let window_ns = control.measure_window();
    let started_ns = control.started_ns().unwrap_or(window_ns.0);
    Ok(Conducted {
        recording,
        samples,
        started_ns,
        window_ns,
        strikes: injector.into_made(),
        interval_log,
        hiccups,
        hopeless,
    })
}

/// A proxy before each node of `target`, if connections are to be cut, and where the clients find them.
fn behind_proxies(plan: &Plan, target: &Target) -> Result<(Vec<Proxy>, Target), ConductError> {
    let mut proxies = Vec::new();
    if !plan.scenario.has_fault(|kind| kind == FaultKind::Cut) {
        return Ok((proxies, target.clone()));
    }
    let mut nodes = Vec::new();
    for node in target.clone().into_nodes() {
        let proxy = Proxy::start(&node).map_err(|source| ConductError::Proxy {
            target: node.to_string(),
            source,
        })?;
        nodes.push(node.through(proxy.address()));
        proxies.push(proxy);
    }
    let through = Target::cluster(nodes).expect("a target has at least one node");
    Ok((proxies, through))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::control::Phase;
    use crate::fixtures;
    use crate::scenario::{Scenario, built_in};
    use crate::terminal::Display;

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
            &mut Progress::new(&Display::quiet()),
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
