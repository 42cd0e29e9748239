//! The state of the machine around a run: what may explain a figure, and is no figure itself.
//!
//! What cannot be read on this machine is `None`, never 0.

mod pressure;
mod system_files;
mod warnings;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use pressure::{Pressure, PressureShares};
pub use warnings::warnings;

use self::system_files::SystemFiles;
use crate::usage::Usage;

/// What the machine was like. All of it is absent in results older than it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Conditions {
    /// How the kernel chooses the cores' frequencies (`scaling_governor`), each answer once.
    pub scaling_governors: Option<Vec<String>>,
    /// `none`, or the virtual machine's product name; `unknown` when it does not tell.
    pub hypervisor: Option<String>,
    /// Mode of transparent huge pages: `always`, `madvise` or `never`.
    pub transparent_huge_pages: Option<String>,
    /// Cores' worth of CPU time that the control group allows; `None` also when it sets no limit.
    pub cgroup_cpu_cores_max: Option<f64>,
    /// Load average over a minute, before the broker was started.
    pub load_average_start: Option<f64>,
    /// Swap in use before the broker was started.
    pub swap_used_bytes_start: Option<u64>,
    /// Swap in use after the load.
    pub swap_used_bytes_end: Option<u64>,
    /// Shares of the window in which some task waited for a resource.
    pub pressure_some: PressureShares,
    /// Page faults of the broker, within the window, that waited for a disk.
    pub broker_major_faults: Option<u64>,
    /// The same of the generator.
    pub generator_major_faults: Option<u64>,
}

impl Conditions {
    /// Looks around before a run.
    #[must_use]
    pub fn at_start() -> Self {
        SystemFiles::of_this_machine().conditions_at_start()
    }

    /// Looks around after the load.
    pub fn look_again(&mut self) {
        self.swap_used_bytes_end = SystemFiles::of_this_machine().swap_used_bytes();
    }

    /// With what was sampled within the window.
    #[must_use]
    pub fn with(mut self, usage: Option<&Usage>) -> Self {
        let Some(usage) = usage else { return self };
        self.pressure_some = usage.pressure;
        self.broker_major_faults = usage.broker.and_then(|broker| broker.counters.major_faults);
        self.generator_major_faults = usage.generator.counters.major_faults;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn what_was_sampled_is_added() {
        let mut usage = fixtures::usage();
        usage.pressure.cpu = Some(0.25);
        usage.generator.counters.major_faults = Some(3);
        usage.broker = None;
        let conditions = Conditions::default().with(Some(&usage));
        assert_eq!(conditions.pressure_some.cpu, Some(0.25));
        assert_eq!(
            (conditions.broker_major_faults, conditions.generator_major_faults),
            (None, Some(3))
        );
        assert_eq!(Conditions::default().with(None), Conditions::default());
    }

    #[test]
    fn nothing_known_is_read_from_an_empty_object() {
        assert_eq!(
            serde_json::from_str::<Conditions>("{}").unwrap(),
            Conditions::default()
        );
    }
}
