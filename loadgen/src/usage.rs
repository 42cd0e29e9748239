//! What broker, generator and machine used within the measured window: sums over samples.

use serde::{Deserialize, Serialize};

use crate::conditions::PressureShares;
use crate::process_meter::{Counters, ProcessSample};
use crate::sampler::Sample;

/// A process within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// Cores that it kept busy on average.
    pub cpu_cores: f64,
    /// Peak of anonymous resident memory, of the whole run.
    pub rss_anon_bytes_max: u64,
    /// Peak of file-backed and shared resident memory, of the whole run.
    pub rss_file_bytes_max: u64,
    /// Peak of their sum, of the whole run.
    pub rss_bytes_max: u64,
    /// Anonymous resident memory at the first sample, before anybody connected.
    pub rss_anon_bytes_first: u64,
    /// What the kernel counted between the first and the last sample within the window.
    pub counters: Counters,
    /// Time between those two samples.
    pub sampled_s: f64,
}

impl ProcessUsage {
    /// The rate of something that was counted `count` times between the window's samples.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.sampled_s.max(f64::MIN_POSITIVE)
    }
}

/// All that was used within the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The broker, if its process was known and two samples of it lie within the window.
    pub broker: Option<ProcessUsage>,
    /// This process.
    pub generator: ProcessUsage,
    /// Share of the machine's CPU time that the hypervisor took.
    pub steal: f64,
    /// Share of the machine's CPU time used by neither broker nor generator; `None` when the broker is unknown and
    /// may be the one.
    pub foreign_cpu: Option<f64>,
    /// Shares of the time in which some task waited for a resource.
    pub pressure: PressureShares,
}

impl Usage {
    /// Sums up `samples`; CPU between the first and the last sample within `window_ns`, memory over all of them.
    /// `None` when the window is too short to hold two samples.
    #[must_use]
    pub fn within(samples: &[Sample], window_ns: (u64, u64)) -> Option<Self> {
        let mut within = samples
            .iter()
            .filter(|sample| (window_ns.0..=window_ns.1).contains(&sample.at_ns));
        let first = within.next()?;
        let last = within.next_back()?;
        let elapsed_s = (last.at_ns - first.at_ns) as f64 / 1e9;
        let used = |of: fn(&Sample) -> Option<ProcessSample>| {
            // While a broker is being restarted there is nothing to sample.
            let mut known = samples
                .iter()
                .filter(|sample| (first.at_ns..=last.at_ns).contains(&sample.at_ns))
                .filter_map(of);
            let before = known.next()?;
            let after = known.next_back()?;
            let first_of_run = samples.iter().find_map(of)?;
            let peak = |bytes: fn(&ProcessSample) -> u64| {
                samples
                    .iter()
                    .filter_map(|sample| of(sample).as_ref().map(bytes))
                    .max()
                    .unwrap_or(0)
            };
            Some(ProcessUsage {
                cpu_cores: (after.cpu_s - before.cpu_s) / elapsed_s,
                rss_anon_bytes_max: peak(|process| process.rss_anon_bytes),
                rss_file_bytes_max: peak(|process| process.rss_file_bytes),
                rss_bytes_max: peak(|process| process.rss_anon_bytes + process.rss_file_bytes),
                rss_anon_bytes_first: first_of_run.rss_anon_bytes,
                counters: after.counters.since(before.counters),
                sampled_s: elapsed_s,
            })
        };
        let broker = used(|sample| sample.broker);
        let generator = used(|sample| Some(sample.generator))?;
        let (before, after) = (&first.machine, &last.machine);
        let total_s = (after.total_s - before.total_s).max(f64::MIN_POSITIVE);
        let busy_s = after.busy_s - before.busy_s;
        let foreign_cpu = broker.map(|broker| {
            let ours_s = (broker.cpu_cores + generator.cpu_cores) * elapsed_s;
            // Ticks are charged to whoever runs when they strike, so the difference may be slightly negative.
            ((busy_s - ours_s) / total_s).max(0.0)
        });
        Some(Self {
            broker,
            generator,
            steal: (after.steal_s - before.steal_s) / total_s,
            foreign_cpu,
            pressure: after.pressure.shares_since(before.pressure, elapsed_s),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::Pressure;
    use crate::sampler::MachineSample;

    const SECOND_NS: u64 = 1_000_000_000;

    /// Broker: 0.8 cores, generator 0.5, others 0.3, steal 0.1, of 2 cores.
    fn at(second: u64) -> Sample {
        let s = second as f64;
        Sample {
            at_ns: second * SECOND_NS,
            broker: Some(ProcessSample {
                cpu_s: 7.0 + 0.8 * s,
                rss_anon_bytes: if second == 9 { 900 } else { 100 + second },
                rss_file_bytes: if second == 1 { 50 } else { 10 },
                counters: Counters {
                    written_bytes: Some(1_000 * second),
                    ..Counters::default()
                },
            }),
            generator: ProcessSample {
                cpu_s: 0.5 * s,
                rss_anon_bytes: 1,
                rss_file_bytes: 2,
                counters: Counters::default(),
            },
            machine: MachineSample {
                total_s: 100.0 + 2.0 * s,
                busy_s: 1.6 * s,
                steal_s: 0.1 * s,
                pressure: Pressure {
                    cpu_us: Some(300_000 * second),
                    ..Pressure::default()
                },
            },
        }
    }

    #[test]
    fn cpu_is_of_the_window_and_memory_of_the_whole_run() {
        let samples: Vec<_> = (0..10).map(at).collect();
        let usage = Usage::within(&samples, (2 * SECOND_NS, 8 * SECOND_NS)).unwrap();
        let broker = usage.broker.unwrap();
        let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(
            close(broker.cpu_cores, 0.8) && close(usage.generator.cpu_cores, 0.5),
            "{usage:?}"
        );
        assert!(
            close(usage.steal, 0.05) && close(usage.foreign_cpu.unwrap(), 0.15),
            "{usage:?}"
        );
        assert_eq!(
            (
                broker.rss_anon_bytes_max,
                broker.rss_file_bytes_max,
                broker.rss_bytes_max
            ),
            (900, 50, 910)
        );
        assert_eq!(broker.rss_anon_bytes_first, 100);
        assert_eq!(
            (broker.counters.written_bytes, broker.counters.read_bytes),
            (Some(6_000), None)
        );
        assert!(close(broker.per_second(6_000), 1_000.0), "{broker:?}");
        assert!(close(usage.pressure.cpu.unwrap(), 0.3), "{usage:?}");
        assert_eq!(usage.pressure.io, None);
    }

    #[test]
    fn an_unknown_broker_may_be_the_foreign_one() {
        let samples: Vec<_> = (0..10)
            .map(|second| Sample {
                broker: None,
                ..at(second)
            })
            .collect();
        let usage = Usage::within(&samples, (0, 9 * SECOND_NS)).unwrap();
        assert_eq!((usage.broker, usage.foreign_cpu), (None, None));
    }

    #[test]
    fn a_broker_that_was_away_at_the_end_is_measured_as_far_as_it_was_there() {
        let mut samples: Vec<_> = (0..10).map(at).collect();
        samples[8].broker = None;
        let usage = Usage::within(&samples, (2 * SECOND_NS, 8 * SECOND_NS)).unwrap();
        let broker = usage.broker.unwrap();
        assert!((broker.cpu_cores - 0.8 * 5.0 / 6.0).abs() < 1e-9, "{broker:?}");
        assert_eq!(broker.rss_anon_bytes_max, 900);
    }

    #[test]
    fn a_window_without_two_samples_says_nothing() {
        let samples: Vec<_> = (0..10).map(at).collect();
        assert_eq!(Usage::within(&samples, (SECOND_NS, SECOND_NS + 5)), None);
        assert_eq!(Usage::within(&[], (0, SECOND_NS)), None);
    }
}
