//! The coordinator: a driver whose load is made by others.
//!
//! One thread reads from each worker; this one, the conductor's driver thread, gives the orders and merges. A worker that
//! fails, falls silent or is late ends the run, by name: half a load is no measurement.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::figures::WorkerFigures;
use super::link::Link;
use super::merge::{SeriesMerge, add};
use super::protocol::{Assignment, Finished, LINE_BYTES_MAX, Lines, Order, Report};
use super::share::shares;
use crate::control::{Control, Phase};
use crate::driver::{Driver, DriverError};
use crate::live::Live;
use crate::plan::Plan;
use crate::recorder::Recording;
use crate::scenario::Scenario;
use crate::target::Target;

/// How often the coordinator looks up while it waits.
const TICK: Duration = Duration::from_millis(20);
/// How often it asks whether the load has begun: the barrier's own share of how far the workers are apart.
const BEGIN_POLL: Duration = Duration::from_millis(1);
/// A worker reports ten times a second; one that is silent for so long is gone, or its machine is overloaded.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a worker may take to open its connections.
const CONNECT_MAX: Duration = Duration::from_secs(120);
/// How long a worker may take, after the drain's deadline, to clean up and hand over.
const FINISH_MAX: Duration = Duration::from_secs(60);

/// The generators that share a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Where they listen, `host:port`.
    pub addresses: Vec<String>,
    /// The secret that they want to hear.
    pub token: Option<String>,
}

impl Workers {
    /// Refuses what cannot be shared, before any work. A broker that is started for the run listens on loopback
    /// (`broker_is_started`), where only workers on this machine reach it.
    ///
    /// # Errors
    /// Says what is not allowed.
    pub fn check(&self, scenario: &Scenario, broker_is_started: bool) -> anyhow::Result<()> {
        for (index, name) in self.addresses.iter().enumerate() {
            ensure!(
                !self.addresses[..index].contains(name),
                "--workers names {name} twice; allowed: each worker once, for it takes one share at a time"
            );
            let mut addresses = name
                .to_socket_addrs()
                .with_context(|| format!("--workers names {name:?}; allowed: host:port"))?;
            ensure!(
                !broker_is_started || addresses.all(|address| address.ip().is_loopback()),
                "--workers names {name}, which does not reach the broker that is started on loopback; give --url"
            );
        }
        shares(scenario, self.addresses.len())?;
        Ok(())
    }
}

/// Drives a broker from several processes.
#[derive(Debug)]
pub struct WorkersDriver {
    workers: Workers,
    tag: String,
}

impl WorkersDriver {
    /// A driver that shares runs among `workers`; `tag` makes the names of their queues unique.
    #[must_use]
    pub fn new(workers: Workers, tag: &str) -> Self {
        Self {
            workers,
            tag: tag.to_owned(),
        }
    }

    fn connect(&self, plan: &Plan, target: &Target) -> Result<Vec<(Link, Lines<TcpStream>)>, DriverError> {
        let shares =
            shares(&plan.scenario, self.workers.addresses.len()).map_err(|error| DriverError::Worker {
                name: "1 and all others".into(),
                what: format!("cannot share the run: {error}"),
            })?;
        let links = self.workers.addresses.iter().zip(shares).zip(0..);
        let links = links.map(|((name, share), index)| {
            let fault = |what| fault(name, what);
            let (mut link, lines) = Link::open(name, self.workers.token.as_deref()).map_err(fault)?;
            let assignment = Assignment {
                scenario: serde_json::to_value(&share).expect("a scenario is plain data"),
                seed: plan.seed.wrapping_add(index),
                tag: format!("{}.w{index}", self.tag),
                target: target.clone(),
            };
            link.assign(assignment).map_err(fault)?;
            Ok((link, lines))
        });
        links.collect()
    }
}

fn fault(name: &str, what: String) -> DriverError {
    DriverError::Worker {
        name: name.to_owned(),
        what,
    }
}

impl Driver for WorkersDriver {
    fn name(&self) -> &'static str {
        "workers"
    }

    fn run(
        &mut self,
        plan: &Plan,
        target: &Target,
        control: &Control,
        live: &Live,
    ) -> Result<Recording, DriverError> {
        let connected = self.connect(plan, target)?;
        let (sender, reports) = mpsc::channel();
        thread::scope(|scope| {
            let mut links = Vec::new();
            for (index, (link, lines)) in connected.into_iter().enumerate() {
                let sender = sender.clone();
                scope.spawn(move || listen(index, lines, &sender));
                links.push(link);
            }
            let now = Instant::now();
            let mut run = Run {
                heard: vec![now; links.len()],
                connected: vec![false; links.len()],
                finished: (0..links.len()).map(|_| None).collect(),
                merge: SeriesMerge::new(links.len()),
                links,
                reports,
                control,
                live,
                interrupts: 0,
            };
            let outcome = run.carry_out();
            // The workers notice that the connection ends, stop their load and delete their queues.
            run.links.iter().for_each(Link::close);
            outcome
        })
    }
}

/// What a worker said, or why nothing more will come.
type Heard = (usize, Result<Report, String>);

/// Reads from one worker until its connection ends.
fn listen(index: usize, mut lines: Lines<TcpStream>, sender: &Sender<Heard>) {
    loop {
        let heard = lines.receive(LINE_BYTES_MAX).map_err(|error| error.to_string());
        let ends = heard.is_err();
        if sender.send((index, heard)).is_err() || ends {
            return;
        }
    }
}

struct Run<'a> {
    links: Vec<Link>,
    reports: Receiver<Heard>,
    heard: Vec<Instant>,
    connected: Vec<bool>,
    finished: Vec<Option<Box<Finished>>>,
    merge: SeriesMerge,
    control: &'a Control,
    live: &'a Live,
    /// How often the workers have been told to stop.
    interrupts: u32,
}

impl Run<'_> {
    fn carry_out(&mut self) -> Result<Recording, DriverError> {
        let connect_by = Instant::now() + CONNECT_MAX;
        while let Some(worker) = self.connected.iter().position(|connected| !connected) {
            if self.control.interrupted() {
                return Err(DriverError::Interrupted);
            }
            if Instant::now() > connect_by {
                let what = format!("did not connect to the broker within {} s", CONNECT_MAX.as_secs());
                return Err(self.fault(worker, what));
            }
            self.hear(TICK)?;
        }
        self.control.connected();
        while self.control.started_ns().is_none() {
            if self.control.interrupted() {
                return Err(DriverError::Interrupted);
            }
            self.hear(BEGIN_POLL)?;
        }
        for worker in 0..self.links.len() {
            self.order(worker, &Order::Begin)?;
        }
        let mut finish_by = None;
        while let Some(worker) = self.finished.iter().position(Option::is_none) {
            self.pass_interrupts_on()?;
            if self.control.phase() == Phase::Done {
                let by = *finish_by.get_or_insert_with(|| Instant::now() + FINISH_MAX);
                if Instant::now() > by {
                    let what = format!(
                        "was not finished {} s after the drain's deadline",
                        FINISH_MAX.as_secs()
                    );
                    return Err(self.fault(worker, what));
                }
            }
            self.hear(TICK)?;
        }
        self.recording()
    }

    /// Ctrl-C ends the load of all workers; the second one their drains.
    fn pass_interrupts_on(&mut self) -> Result<(), DriverError> {
        let asked = u32::from(self.control.interrupted())
            + u32::from(self.control.interrupted() && self.control.phase() == Phase::Done);
        while self.interrupts < asked {
            self.interrupts += 1;
            for worker in 0..self.links.len() {
                if self.finished[worker].is_none() {
                    self.order(worker, &Order::Interrupt)?;
                }
            }
        }
        Ok(())
    }

    /// Waits for one report at most so long, takes in all that have come, and looks for silent workers.
    fn hear(&mut self, wait: Duration) -> Result<(), DriverError> {
        match self.reports.recv_timeout(wait) {
            Ok((worker, heard)) => self.take(worker, heard)?,
            Err(RecvTimeoutError::Timeout) => {}
            // Every listener has sent its last word before it ended.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
        }
        while let Ok((worker, heard)) = self.reports.try_recv() {
            self.take(worker, heard)?;
        }
        let silent =
            |worker: &usize| self.finished[*worker].is_none() && self.heard[*worker].elapsed() > SILENCE_MAX;
        match (0..self.links.len()).find(silent) {
            Some(worker) => {
                let what = format!("was silent for {} s", SILENCE_MAX.as_secs());
                Err(self.fault(worker, what))
            }
            None => Ok(()),
        }
    }

    fn take(&mut self, worker: usize, heard: Result<Report, String>) -> Result<(), DriverError> {
        self.heard[worker] = Instant::now();
        let report = match heard {
            Ok(report) => report,
            // A worker hangs up after its last word.
            Err(_) if self.finished[worker].is_some() => return Ok(()),
            Err(why) => return Err(self.fault(worker, format!("is gone: {why}"))),
        };
        match report {
            Report::Connected => self.connected[worker] = true,
            Report::Progress(progress) => {
                let added = self.merge.add(worker, &progress, self.live);
                added.map_err(|what| self.fault(worker, what))?;
            }
            Report::Finished(finished) => {
                self.merge.end(worker, self.live);
                self.finished[worker] = Some(finished);
            }
            Report::Failed { why } => return Err(self.fault(worker, format!("gave up: {why}"))),
            Report::Welcome { .. } | Report::Refused { .. } => {
                return Err(self.fault(worker, "broke the protocol".into()));
            }
        }
        Ok(())
    }

    fn recording(&mut self) -> Result<Recording, DriverError> {
        let finished = std::mem::take(&mut self.finished);
        let mut sum: Option<Recording> = None;
        let mut workers = Vec::new();
        for (worker, finished) in finished.into_iter().flatten().enumerate() {
            let Finished { recording, figures } = *finished;
            let link = &self.links[worker];
            workers.push(WorkerFigures {
                name: link.name.clone(),
                local: link.is_local(),
                commit: link.commit.clone(),
                published: recording.ledger.published,
                received: recording.ledger.received,
                latencies: recording.response.len(),
                ..figures
            });
            match &mut sum {
                None => sum = Some(recording),
                Some(sum) => {
                    let added = add(sum, recording, &link.name);
                    added.map_err(|what| fault(&link.name, what))?;
                }
            }
        }
        let mut recording = sum.ok_or_else(|| fault("", "is missing".into()))?;
        recording.workers = workers;
        recording.intervals = self.live.intervals();
        recording.cut_short |= self.control.interrupted();
        Ok(recording)
    }

    fn order(&mut self, worker: usize, order: &Order) -> Result<(), DriverError> {
        let ordered = self.links[worker].order(order);
        ordered.map_err(|what| self.fault(worker, what))
    }

    fn fault(&self, worker: usize, what: String) -> DriverError {
        fault(&self.links[worker].name, what)
    }
}
