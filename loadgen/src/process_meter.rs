//! What one process has used so far: CPU time, memory, and what the kernel counts of its work.
//!
//! Owned by the sampling thread. Every counter only ever grows: a broker that was restarted is another process, whose
//! counters begin at zero, so those of the processes before it are added up to their last reading. What cannot be read
//! (another user's `/proc/PID/io`, say) is `None`, never 0.

use std::collections::HashMap;

use procfs::process::Process;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessSample {
    /// CPU seconds used since it started; of a broker that was restarted, by all its processes together.
    pub cpu_s: f64,
    /// Anonymous resident memory: heap and stacks.
    pub rss_anon_bytes: u64,
    /// Resident memory backed by files or shared: the program itself, mapped logs.
    pub rss_file_bytes: u64,
    /// What else the kernel counts.
    #[serde(default)]
    pub counters: Counters,
}

/// What the kernel counts of a process's work, since it started or within a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counters {
    /// Bytes handed to the block layer for writing (`write_bytes` of `/proc/PID/io`): neither sockets nor memory.
    pub written_bytes: Option<u64>,
    /// Bytes fetched from the block layer (`read_bytes`): what the page cache held costs nothing here.
    pub read_bytes: Option<u64>,
    /// `read`, `readv`, `pread` calls, of files and sockets alike (`syscr`); `recv` is not among them.
    pub read_calls: Option<u64>,
    /// `write`, `writev`, `pwrite` calls, of files and sockets alike (`syscw`); `send` is not among them.
    pub write_calls: Option<u64>,
    /// Context switches because a thread waited, of all its threads.
    pub voluntary_switches: Option<u64>,
    /// Context switches because the scheduler took the core away from a thread.
    pub involuntary_switches: Option<u64>,
    /// Page faults that had to wait for the disk.
    pub major_faults: Option<u64>,
}

impl Counters {
    /// Field by field; what either side does not know stays unknown.
    fn zip(self, other: Self, combine: fn(u64, u64) -> u64) -> Self {
        let both = |one: Option<u64>, two: Option<u64>| Some(combine(one?, two?));
        Self {
            written_bytes: both(self.written_bytes, other.written_bytes),
            read_bytes: both(self.read_bytes, other.read_bytes),
            read_calls: both(self.read_calls, other.read_calls),
            write_calls: both(self.write_calls, other.write_calls),
            voluntary_switches: both(self.voluntary_switches, other.voluntary_switches),
            involuntary_switches: both(self.involuntary_switches, other.involuntary_switches),
            major_faults: both(self.major_faults, other.major_faults),
        }
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        self.zip(before, u64::saturating_sub)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }
}

/// Follows one process, or a broker through its restarts.
#[derive(Debug, Default)]
pub(crate) struct ProcessMeter {
    pid: u32,
    /// Of the processes before this one, up to their last readings; `None` before the first restart.
    before: Option<(f64, Counters)>,
    last: Option<(f64, Counters)>,
    threads: ThreadSwitches,
}

impl ProcessMeter {
    /// A sample of process `pid`; `None` when it is unknown (0) or gone.
    pub(crate) fn read(&mut self, pid: u32) -> Option<ProcessSample> {
        if pid != self.pid {
            if let Some((cpu_s, counters)) = self.last.take() {
                self.before = Some(match self.before {
                    None => (cpu_s, counters),
                    Some((before_s, before)) => (before_s + cpu_s, before.plus(counters)),
                });
            }
            self.pid = pid;
            self.threads = ThreadSwitches::default();
        }
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        let mut sample = sample(&Process::new(pid).ok()?, &mut self.threads)?;
        self.last = Some((sample.cpu_s, sample.counters));
        if let Some((before_s, before)) = self.before {
            sample.cpu_s += before_s;
            sample.counters = sample.counters.plus(before);
        }
        Some(sample)
    }
}

fn sample(process: &Process, threads: &mut ThreadSwitches) -> Option<ProcessSample> {
    let stat = process.stat().ok()?;
    let status = process.status().ok()?;
    let io = process.io().ok();
    let switches = threads.read(process);
    let bytes = |kib: Option<u64>| kib.unwrap_or(0) * 1024;
    Some(ProcessSample {
        cpu_s: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
        rss_anon_bytes: bytes(status.rssanon),
        rss_file_bytes: bytes(status.rssfile) + bytes(status.rssshmem),
        counters: Counters {
            written_bytes: io.map(|io| io.write_bytes),
            read_bytes: io.map(|io| io.read_bytes),
            read_calls: io.map(|io| io.syscr),
            write_calls: io.map(|io| io.syscw),
            voluntary_switches: switches.map(|(voluntary, _)| voluntary),
            involuntary_switches: switches.map(|(_, involuntary)| involuntary),
            major_faults: Some(stat.majflt),
        },
    })
}

/// Context switches of a process. The kernel tells them thread by thread and forgets a thread that ends, so what each
/// had at last is kept.
#[derive(Debug, Default)]
struct ThreadSwitches {
    /// Voluntary and involuntary ones of each thread ever seen, by thread id.
    threads: HashMap<i32, (u64, u64)>,
}

impl ThreadSwitches {
    /// The sums over all threads, living and gone; `None` when the kernel does not tell.
    fn read(&mut self, process: &Process) -> Option<(u64, u64)> {
        // A thread may end while the list is read.
        for task in process.tasks().ok()?.flatten() {
            let Ok(status) = task.status() else { continue };
            let switches = (
                status.voluntary_ctxt_switches?,
                status.nonvoluntary_ctxt_switches?,
            );
            self.threads.insert(task.tid, switches);
        }
        let sum = |sums: (u64, u64), of: &(u64, u64)| (sums.0 + of.0, sums.1 + of.1);
        Some(self.threads.values().fold((0, 0), sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_goes_on_through_a_restart() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut broker = ProcessMeter::default();
        let before = broker.read(std::process::id()).unwrap();
        let after = broker.read(child.id()).unwrap();
        assert!(after.cpu_s >= before.cpu_s, "{before:?} {after:?}");
        let reads = |sample: ProcessSample| sample.counters.read_calls.unwrap();
        assert!(
            reads(before) > 0 && reads(after) >= reads(before),
            "{before:?} {after:?}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(broker.read(child.id()), None);
        assert_eq!(broker.read(0), None);
        // A third process: the sleeper's counters are those of its last reading, and are counted once.
        let third = broker.read(std::process::id()).unwrap();
        assert!(
            reads(third) >= reads(after) + reads(before),
            "{after:?} {third:?}"
        );
    }

    #[test]
    fn switches_are_of_all_threads_and_outlive_them() {
        let mut meter = ProcessMeter::default();
        let (start, started) = std::sync::mpsc::channel();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            // Waiting is what makes voluntary switches.
            (0..50).for_each(|_| std::thread::sleep(std::time::Duration::from_micros(10)));
            start.send(()).unwrap();
            finished.recv().unwrap_err();
        });
        started.recv().unwrap();
        let voluntary = |meter: &mut ProcessMeter| {
            let sample = meter.read(std::process::id()).unwrap();
            sample.counters.voluntary_switches.unwrap()
        };
        let with_it = voluntary(&mut meter);
        assert!(with_it >= 50, "{with_it}");
        drop(finish);
        thread.join().unwrap();
        assert!(voluntary(&mut meter) >= with_it);
    }

    #[test]
    fn what_is_unknown_once_stays_unknown() {
        let known = Counters {
            written_bytes: Some(7),
            major_faults: Some(2),
            ..Counters::default()
        };
        let more = Counters {
            written_bytes: Some(10),
            major_faults: None,
            ..known
        };
        assert_eq!(more.since(known).written_bytes, Some(3));
        assert_eq!(more.plus(known).written_bytes, Some(17));
        assert_eq!(more.since(known).major_faults, None);
        assert_eq!(more.since(known).read_bytes, None);
    }
}
