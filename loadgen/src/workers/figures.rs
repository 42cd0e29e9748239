//! What each worker did and used, and what that makes of the run's own usage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// A worker's part in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerFigures {
    /// Where the coordinator reached it.
    pub name: String,
    /// Whether that is a loopback address: it shared the coordinator's machine.
    pub local: bool,
    /// The commit that it was built from.
    pub commit: String,
    /// Its producers.
    pub producers: u16,
    /// Its consumers.
    pub consumers: u16,
    /// Messages that it sent.
    pub published: u64,
    /// Distinct deliveries that it received.
    pub received: u64,
    /// Response latencies that it measured.
    pub latencies: u64,
    /// 99th percentile of its schedule lag in µs; `None` in a saturating run.
    pub schedule_lag_us_p99: Option<f64>,
    /// Cores that it kept busy within the window.
    pub cpu_cores: Option<f64>,
    /// Share of its machine's CPU time that the hypervisor took.
    pub steal: Option<f64>,
}

/// The usage to show and the usage to judge by. Shown is the sum of the workers; judged are the busiest of them and the worst
/// machine. Workers on this machine are not foreign to it.
#[must_use]
pub fn combine(
    own: Option<Usage>,
    workers: &[WorkerFigures],
    cores: usize,
) -> (Option<Usage>, Option<Usage>) {
    let Some(own) = own.filter(|_| !workers.is_empty()) else {
        return (own, own);
    };
    let mut shown = own;
    let used = |local_only: bool| {
        let counted = workers.iter().filter(move |worker| worker.local || !local_only);
        counted.filter_map(|worker| worker.cpu_cores)
    };
    shown.generator.cpu_cores = used(false).sum();
    let local: f64 = used(true).sum();
    shown.foreign_cpu = own
        .foreign_cpu
        .map(|foreign| (foreign - local / cores.max(1) as f64).max(0.0));
    let steal = workers.iter().filter_map(|worker| worker.steal);
    shown.steal = steal.fold(own.steal, f64::max);
    let mut judged = shown;
    judged.generator.cpu_cores = used(false).fold(0.0, f64::max);
    (Some(shown), Some(judged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn worker(local: bool, cpu_cores: f64, steal: f64) -> WorkerFigures {
        WorkerFigures {
            local,
            cpu_cores: Some(cpu_cores),
            steal: Some(steal),
            ..WorkerFigures::default()
        }
    }

    #[test]
    fn workers_are_shown_as_a_sum_and_judged_one_by_one() {
        let mut own = fixtures::usage();
        own.foreign_cpu = Some(0.3);
        let workers = [worker(true, 0.4, 0.0), worker(false, 0.9, 0.2)];
        let (shown, judged) = combine(Some(own), &workers, 2);
        let (shown, judged) = (shown.unwrap(), judged.unwrap());
        assert!((shown.generator.cpu_cores - 1.3).abs() < 1e-9);
        assert!((judged.generator.cpu_cores - 0.9).abs() < 1e-9);
        // 0.4 of 2 cores were the local worker's.
        assert!((shown.foreign_cpu.unwrap() - 0.1).abs() < 1e-9);
        assert_eq!((shown.steal, judged.steal), (0.2, 0.2));
    }

    #[test]
    fn without_workers_nothing_changes() {
        let own = Some(fixtures::usage());
        assert_eq!(combine(own, &[], 2), (own, own));
        assert_eq!(combine(None, &[worker(true, 1.0, 0.0)], 2), (None, None));
    }
}
