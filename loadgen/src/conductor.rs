//! The conductor: leads a driver through the phases of a run.
//!
//! The driver works in a thread of its own; this one starts the load once the driver is connected, watches the broker,
//! passes interrupts on and shows progress. It does nothing that a message waits for. It also makes the faults that the
//! plan asks for (`faults`).

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use crate::abort::AbortWatch;
use crate::control::{Control, Phase};
use crate::driver::{Driver, DriverError};
use crate::embedded::{BrokerError, EmbeddedBroker};
use crate::faults::{Injector, Stage, Strike};
use crate::formats::{IntervalEncoder, IntervalLog};
use crate::hiccup::{self, Hiccups};
use crate::live::{Live, Totals};
use crate::plan::Plan;
use crate::proxy::Proxy;
use crate::recorder::Recording;
use crate::sampler::{RecentUsage, Sample, Sampler};
use crate::scenario::FaultKind;
use crate::target::Target;
use crate::terminal::{Progress, Standing};

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
    /// Whether a run has been interrupted: no further one is to follow.
    interrupted: AtomicBool,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self {
            sender,
            receiver,
            interrupted: AtomicBool::new(false),
        }
    }
}

impl Events {
    /// Whether a run has been interrupted.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Waits so long, or until interrupted; whether it is. Between runs only: nobody else sends anything then.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        if let Ok(Event::Interrupt) = self.receiver.recv_timeout(time) {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        self.interrupted()
    }

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

    /// Our own broker, to which faults may be done.
    pub(crate) fn embedded(&mut self) -> Option<&mut EmbeddedBroker> {
        match self {
            Self::Embedded(broker) => Some(broker),
            Self::External(_) => None,
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

/// What the conductor looks after while the driver works.
struct Watch<'a> {
    plan: &'a Plan,
    control: &'a Control,
    live: &'a Live,
    peer: &'a mut Peer,
    progress: &'a mut Progress,
    sampler: &'a Sampler,
    abort: &'a mut AbortWatch,
    hopeless: &'a mut Option<String>,
    injector: &'a mut Injector,
}

impl Watch<'_> {
    /// Handles events until the driver has returned.
    fn run(mut self, events: &Events) -> Result<Recording, ConductError> {
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

/// The target that an embedded broker at `address` is.
#[must_use]
pub fn target_of(address: SocketAddr) -> Target {
    Target::guest(address.ip().to_string(), address.port())
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

fn standing(
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

#[cfg(test)]
mod tests {
    use super::*;
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
