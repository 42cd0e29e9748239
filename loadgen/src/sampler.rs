//! CPU and memory of broker, generator and machine, read from procfs by a thread of its own.
//!
//! Counters are cumulative, so a late sample loses nothing. One sample costs a few tens of µs, four times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use procfs::CurrentSI;
use procfs::process::Process;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Distance of two samples. The kernel counts CPU time in ticks of 10 ms, so shorter ones would be noise.
const INTERVAL: Duration = Duration::from_millis(250);

/// A process at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessSample {
    /// CPU seconds used since it started; of a broker that was restarted, by all its processes together.
    pub cpu_s: f64,
    /// Anonymous resident memory: heap and stacks.
    pub rss_anon_bytes: u64,
    /// Resident memory backed by files or shared: the program itself, mapped logs.
    pub rss_file_bytes: u64,
}

/// The machine at one instant, all cores together, in seconds since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineSample {
    /// All CPU time: busy, idle and stolen.
    pub total_s: f64,
    /// CPU time that processes and interrupts used.
    pub busy_s: f64,
    /// CPU time that the hypervisor gave to other guests.
    pub steal_s: f64,
}

/// Everything at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, in ns since the run's epoch.
    pub at_ns: u64,
    /// The broker, if its process is known and alive.
    pub broker: Option<ProcessSample>,
    /// This process.
    pub generator: ProcessSample,
    /// The machine.
    pub machine: MachineSample,
}

/// The sampling thread.
#[derive(Debug)]
pub struct Sampler {
    stop: mpsc::Sender<()>,
    /// The broker's process; 0 = unknown.
    broker_pid: Arc<AtomicU32>,
    thread: JoinHandle<Vec<Sample>>,
}

/// The broker through its restarts.
#[derive(Debug, Default)]
struct BrokerMeter {
    pid: u32,
    /// CPU seconds of the processes before this one, up to their last samples.
    before_s: f64,
    last_s: f64,
}

impl Sampler {
    /// Starts to sample on the time line of `clock`.
    #[must_use]
    pub fn start(clock: Clock, broker_pid: Option<u32>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let broker_pid = Arc::new(AtomicU32::new(broker_pid.unwrap_or(0)));
        let pid = Arc::clone(&broker_pid);
        let thread = thread::spawn(move || {
            let mut broker = BrokerMeter::default();
            let mut take = || sample(clock, broker.read(pid.load(Ordering::Relaxed)));
            let mut samples = vec![take()];
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                samples.push(take());
            }
            samples.push(take());
            samples
        });
        Self {
            stop,
            broker_pid,
            thread,
        }
    }

    /// The broker was restarted and is this process now.
    pub fn follow(&self, broker_pid: u32) {
        self.broker_pid.store(broker_pid, Ordering::Relaxed);
    }

    /// Takes a last sample and returns all of them.
    #[must_use]
    pub fn stop(self) -> Vec<Sample> {
        // A failed send means that the thread has ended, which join reports.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}

impl BrokerMeter {
    /// A sample of the broker, whose process is `pid`; `None` when it is unknown or gone.
    fn read(&mut self, pid: u32) -> Option<ProcessSample> {
        if pid != self.pid {
            self.before_s += std::mem::take(&mut self.last_s);
            self.pid = pid;
        }
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        let mut sample = process(&Process::new(pid).ok()?)?;
        self.last_s = sample.cpu_s;
        sample.cpu_s += self.before_s;
        Some(sample)
    }
}

fn sample(clock: Clock, broker: Option<ProcessSample>) -> Sample {
    Sample {
        at_ns: clock.now_ns(),
        broker,
        generator: Process::myself()
            .ok()
            .and_then(|it| process(&it))
            .unwrap_or_default(),
        machine: machine().unwrap_or_default(),
    }
}

fn process(process: &Process) -> Option<ProcessSample> {
    let stat = process.stat().ok()?;
    let status = process.status().ok()?;
    let bytes = |kib: Option<u64>| kib.unwrap_or(0) * 1024;
    Some(ProcessSample {
        cpu_s: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
        rss_anon_bytes: bytes(status.rssanon),
        rss_file_bytes: bytes(status.rssfile) + bytes(status.rssshmem),
    })
}

fn machine() -> Option<MachineSample> {
    let cpu = procfs::KernelStats::current().ok()?.total;
    let some = Option::unwrap_or_default;
    // Guest time is contained in user and nice.
    let busy = cpu.user + cpu.nice + cpu.system + some(cpu.irq) + some(cpu.softirq);
    let steal = some(cpu.steal);
    let total = busy + steal + cpu.idle + some(cpu.iowait);
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    Some(MachineSample {
        total_s: seconds(total),
        busy_s: seconds(busy),
        steal_s: seconds(steal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_itself_as_if_it_were_a_broker() {
        let sampler = Sampler::start(Clock::start(), Some(std::process::id()));
        let samples = sampler.stop();
        assert!(samples.len() >= 2);
        for sample in &samples {
            let broker = sample.broker.unwrap();
            assert!(broker.rss_anon_bytes > 0 && broker.rss_file_bytes > 0);
            assert!(sample.machine.total_s >= sample.machine.busy_s + sample.machine.steal_s);
            assert!(sample.machine.busy_s > 0.0);
        }
        assert!(samples.is_sorted_by_key(|sample| sample.at_ns));
    }

    #[test]
    fn cpu_time_goes_on_through_a_restart() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut broker = BrokerMeter::default();
        let before = broker.read(std::process::id()).unwrap();
        let after = broker.read(child.id()).unwrap();
        assert!(
            before.cpu_s > 0.0 && after.cpu_s >= before.cpu_s,
            "{before:?} {after:?}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(broker.read(child.id()), None);
        assert_eq!(broker.read(0), None);
    }

    #[test]
    fn an_unknown_broker_has_no_figures() {
        let samples = Sampler::start(Clock::start(), None).stop();
        assert!(samples.iter().all(|sample| sample.broker.is_none()));
    }
}
