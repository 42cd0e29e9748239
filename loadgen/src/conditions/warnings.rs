//! What of the conditions a reader must know of before believing a figure.

use super::Conditions;
use crate::units::{bytes, percent};

/// Share of the window in which some task may wait for memory.
const MEMORY_PRESSURE_MAX: f64 = 0.01;
/// The governor that keeps frequencies low.
const SLOW_GOVERNOR: &str = "powersave";

/// A sentence for each suspicious condition of a machine with `cores`; usually none.
#[must_use]
pub fn warnings(conditions: &Conditions, cores: usize) -> Vec<String> {
    let cores = cores as f64;
    let load = conditions.load_average_start.filter(|load| *load > cores / 2.0);
    let load = load.map(|load| format!("the load average was {load:.2} before the run, with {cores} cores"));
    let swap = conditions
        .swap_used_bytes_start
        .zip(conditions.swap_used_bytes_end);
    let swap = swap.filter(|(start, end)| end > start).map(|(start, end)| {
        format!(
            "swap in use grew by {} during the run",
            bytes((end - start) as f64)
        )
    });
    let faults = |who: &str, faults: Option<u64>| {
        let faults = faults.filter(|faults| *faults > 0)?;
        Some(format!(
            "the {who} waited for a disk at {faults} page faults (major ones)"
        ))
    };
    let governors = conditions.scaling_governors.as_deref().unwrap_or_default();
    let is_slow = governors.iter().any(|governor| governor == SLOW_GOVERNOR);
    let limit = conditions.cgroup_cpu_cores_max.filter(|limit| *limit < cores);
    let memory = conditions.pressure_some.memory;
    let memory = memory.filter(|share| *share > MEMORY_PRESSURE_MAX);
    [
        load,
        swap,
        faults("broker", conditions.broker_major_faults),
        faults("generator", conditions.generator_major_faults),
        is_slow.then(|| format!("the cores' frequencies are governed by {SLOW_GOVERNOR}")),
        limit.map(|limit| format!("the control group allows {limit} of {cores} cores")),
        memory.map(|share| format!("in {} of the window some task waited for memory", percent(share))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::PressureShares;

    #[test]
    fn only_what_is_suspicious_is_told() {
        let calm = Conditions {
            scaling_governors: Some(vec!["performance".into()]),
            load_average_start: Some(1.0),
            swap_used_bytes_start: Some(5),
            swap_used_bytes_end: Some(4),
            cgroup_cpu_cores_max: Some(2.0),
            broker_major_faults: Some(0),
            pressure_some: PressureShares {
                cpu: Some(0.9),
                memory: Some(0.001),
                io: Some(0.5),
            },
            ..Conditions::default()
        };
        assert_eq!(warnings(&calm, 2), [""; 0]);
        assert_eq!(warnings(&Conditions::default(), 2), [""; 0]);
        let suspicious = Conditions {
            scaling_governors: Some(vec!["performance".into(), "powersave".into()]),
            load_average_start: Some(1.01),
            swap_used_bytes_end: Some(1_048_581),
            cgroup_cpu_cores_max: Some(1.5),
            broker_major_faults: Some(3),
            generator_major_faults: Some(1),
            pressure_some: PressureShares {
                memory: Some(0.2),
                ..calm.pressure_some
            },
            ..calm
        };
        let told = warnings(&suspicious, 2);
        assert_eq!(told.len(), 7, "{told:?}");
        assert!(told[0].contains("1.01 before the run, with 2 cores"), "{told:?}");
        assert!(told[1].contains("1.00 MiB"), "{told:?}");
    }
}
