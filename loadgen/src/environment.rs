//! What a result was measured on and with: commit, toolchain, machine, kernel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Digits of the commit in names and labels.
const COMMIT_DIGITS: usize = 7;

/// The circumstances of a run. Host names are left out: results are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Commit that the binary was built from, or `unknown`.
    pub commit: String,
    /// Whether the tree differed from that commit.
    pub modified: bool,
    /// Version of loadgen (and of the embedded broker).
    pub version: String,
    /// Compiler.
    pub rustc: String,
    /// Cargo profile, `release` or `debug`.
    pub profile: String,
    /// Target triple.
    pub target: String,
    /// CPU model.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Kernel name and release.
    pub kernel: String,
}

impl Environment {
    /// Looks around. What cannot be found out is `unknown` or 0.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            commit: env!("LOADGEN_COMMIT").into(),
            modified: env!("LOADGEN_MODIFIED") == "true",
            version: env!("CARGO_PKG_VERSION").into(),
            rustc: env!("LOADGEN_RUSTC").into(),
            profile: env!("LOADGEN_PROFILE").into(),
            target: env!("LOADGEN_TARGET").into(),
            cpu: cpu_model().unwrap_or_else(|| "unknown".into()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes().unwrap_or(0),
            kernel: kernel().unwrap_or_else(|| "unknown".into()),
        }
    }

    /// The commit in few digits, marked `+` when the tree was modified.
    #[must_use]
    pub fn commit_short(&self) -> String {
        let digits = self.commit.get(..COMMIT_DIGITS).unwrap_or(&self.commit);
        format!("{digits}{}", if self.modified { "+" } else { "" })
    }

    /// Whether this build's figures mean something.
    #[must_use]
    pub fn is_release(&self) -> bool {
        self.profile == "release"
    }

    /// The machine in one line: cores, CPU, memory.
    #[must_use]
    pub fn machine(&self) -> String {
        let gib = self.memory_bytes as f64 / f64::from(1 << 30);
        format!("{} × {}, {gib:.0} GiB", self.cores, self.cpu)
    }
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = text
        .lines()
        .find(|line| line.starts_with("MemTotal"))?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

fn kernel() -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
    Some(format!(
        "{} {}",
        read("ostype")?.trim(),
        read("osrelease")?.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_compiler_and_machine() {
        let environment = Environment::detect();
        assert!(environment.rustc.starts_with("rustc "), "{environment:?}");
        assert!(
            environment.cores > 0 && environment.memory_bytes > 0,
            "{environment:?}"
        );
    }

    #[test]
    fn a_modified_tree_shows() {
        let mut environment = Environment::detect();
        (environment.commit, environment.modified) = ("0123456789abcdef".into(), false);
        assert_eq!(environment.commit_short(), "0123456");
        environment.modified = true;
        assert_eq!(environment.commit_short(), "0123456+");
        environment.commit = "?".into();
        assert_eq!(environment.commit_short(), "?+");
    }
}
