//! Which machine, and which build, a ceiling belongs to.

use serde::{Deserialize, Serialize};

use crate::environment::Environment;

/// A ceiling means nothing where any of this differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// CPU model.
    pub cpu: String,
    /// Cores that the generator may use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Kernel name and release.
    pub kernel: String,
    /// Cargo profile of the generator: a debug build has another ceiling.
    pub profile: String,
}

impl From<&Environment> for Machine {
    fn from(environment: &Environment) -> Self {
        Self {
            cpu: environment.cpu.clone(),
            cores: environment.cores,
            memory_bytes: environment.memory_bytes,
            kernel: environment.kernel.clone(),
            profile: environment.profile.clone(),
        }
    }
}
