//! CPU and memory of broker, generator and machine, read from procfs by a thread of its own.
//!
//! Counters are cumulative, so a late sample loses nothing. One sample costs a few tens of µs, four times a second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use procfs::CurrentSI;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::conditions::Pressure;
use crate::process_meter::{ProcessMeter, ProcessSample};

/// Distance of two samples. The kernel counts CPU time in ticks of 10 ms, so shorter ones would be noise.
const INTERVAL: Duration = Duration::from_millis(250);

/// The machine at one instant, all cores together, in seconds since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineSample {
    /// All CPU time: busy, idle and stolen.
    pub total_s: f64,
    /// CPU time that processes and interrupts used.
    pub busy_s: f64,
    /// CPU time that the hypervisor gave to other guests.
    pub steal_s: f64,
    /// How long some task waited for a resource.
    #[serde(default)]
    pub pressure: Pressure,
}

/// Everything at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// What was used between the last sample and one about a second before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecentUsage {
    /// Cores that the broker kept busy; `None`, as its memory, when its process is unknown or has just been restarted.
    pub broker_cpu_cores: Option<f64>,
    /// Its anonymous resident memory now.
    pub broker_rss_anon_bytes: Option<u64>,
    /// Its file-backed or shared resident memory now.
    pub broker_rss_file_bytes: Option<u64>,
    /// Cores that this process kept busy.
    pub generator_cpu_cores: f64,
}

impl RecentUsage {
    /// Between two samples; `None` when no time lies between them.
    fn between(first: &Sample, last: &Sample) -> Option<Self> {
        let elapsed_s = last.at_ns.checked_sub(first.at_ns).filter(|ns| *ns > 0)? as f64 / 1e9;
        let brokers = first.broker.zip(last.broker);
        Some(Self {
            broker_cpu_cores: brokers.map(|(first, last)| (last.cpu_s - first.cpu_s) / elapsed_s),
            broker_rss_anon_bytes: last.broker.map(|broker| broker.rss_anon_bytes),
            broker_rss_file_bytes: last.broker.map(|broker| broker.rss_file_bytes),
            generator_cpu_cores: (last.generator.cpu_s - first.generator.cpu_s) / elapsed_s,
        })
    }
}

/// Samples that make up the last second.
const RECENT: usize = 5;

/// The sampling thread.
#[derive(Debug)]
pub struct Sampler {
    recent: Arc<Mutex<VecDeque<Sample>>>,
    stop: mpsc::Sender<()>,
    /// The broker's process; 0 = unknown.
    broker_pid: Arc<AtomicU32>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Starts to sample on the time line of `clock`.
    #[must_use]
    pub fn start(clock: Clock, broker_pid: Option<u32>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let broker_pid = Arc::new(AtomicU32::new(broker_pid.unwrap_or(0)));
        let pid = Arc::clone(&broker_pid);
        let recent = Arc::new(Mutex::new(VecDeque::with_capacity(RECENT)));
        let latest = Arc::clone(&recent);
        let thread = thread::spawn(move || {
            let (mut broker, mut generator) = (ProcessMeter::default(), ProcessMeter::default());
            let mut take = || {
                let sample = Sample {
                    at_ns: clock.now_ns(),
                    broker: broker.read(pid.load(Ordering::Relaxed)),
                    generator: generator.read(std::process::id()).unwrap_or_default(),
                    machine: machine().unwrap_or_default(),
                };
                let mut latest = latest.lock();
                if latest.len() == RECENT {
                    latest.pop_front();
                }
                latest.push_back(sample);
                sample
            };
            let mut samples = vec![take()];
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                samples.push(take());
            }
            samples.push(take());
            samples
        });
        Self {
            recent,
            stop,
            broker_pid,
            thread,
        }
    }

    /// The broker was restarted and is this process now.
    pub fn follow(&self, broker_pid: u32) {
        self.broker_pid.store(broker_pid, Ordering::Relaxed);
    }

    /// The broker at the last sample, if its process is known and alive.
    #[must_use]
    pub fn broker(&self) -> Option<ProcessSample> {
        self.recent.lock().back()?.broker
    }

    /// What was used within the last second; `None` until there are two samples.
    #[must_use]
    pub fn recent(&self) -> Option<RecentUsage> {
        let recent = self.recent.lock();
        RecentUsage::between(recent.front()?, recent.back()?)
    }

    /// Takes a last sample and returns all of them.
    #[must_use]
    pub fn stop(self) -> Vec<Sample> {
        // A failed send means that the thread has ended, which join reports.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
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
        pressure: Pressure::read(),
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
    fn recent_usage_is_a_difference() {
        let samples = crate::fixtures::samples(2);
        let usage = RecentUsage::between(&samples[3], &samples[7]).unwrap();
        assert!((usage.generator_cpu_cores - 0.7).abs() < 0.1, "{usage:?}");
        assert!((usage.broker_cpu_cores.unwrap() - 0.85).abs() < 0.1, "{usage:?}");
        assert_eq!(usage.broker_rss_file_bytes, Some(6 << 20));
        assert_eq!(RecentUsage::between(&samples[3], &samples[3]), None);
    }

    #[test]
    fn an_unknown_broker_has_no_figures() {
        let samples = Sampler::start(Clock::start(), None).stop();
        assert!(samples.iter().all(|sample| sample.broker.is_none()));
    }
}
