//! Pressure stall information: how long some task waited for CPU, memory or a disk.
//!
//! The kernel adds up microseconds (`/proc/pressure/*`, line `some`, `total=`), so two readings give the exact share of the time
//! between them. A kernel without it tells nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Totals since the machine started, in µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pressure {
    /// Some task could have run and had no core.
    pub cpu_us: Option<u64>,
    /// Some task waited for memory.
    pub memory_us: Option<u64>,
    /// Some task waited for a disk.
    pub io_us: Option<u64>,
}

/// Shares of the time, from 0 to 1, in which some task waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PressureShares {
    /// For a core.
    pub cpu: Option<f64>,
    /// For memory.
    pub memory: Option<f64>,
    /// For a disk.
    pub io: Option<f64>,
}

impl Pressure {
    /// Reads the totals.
    #[must_use]
    pub fn read() -> Self {
        let of = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/pressure/{name}")).ok()?;
            some_total_us(&text)
        };
        Self {
            cpu_us: of("cpu"),
            memory_us: of("memory"),
            io_us: of("io"),
        }
    }

    /// The shares of `elapsed_s` seconds that have passed since `before`.
    #[must_use]
    pub fn shares_since(self, before: Self, elapsed_s: f64) -> PressureShares {
        let share = |before: Option<u64>, after: Option<u64>| {
            let waited_us = after?.saturating_sub(before?);
            (elapsed_s > 0.0).then(|| (waited_us as f64 / 1e6 / elapsed_s).min(1.0))
        };
        PressureShares {
            cpu: share(before.cpu_us, self.cpu_us),
            memory: share(before.memory_us, self.memory_us),
            io: share(before.io_us, self.io_us),
        }
    }
}

fn some_total_us(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let total = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_some_is_read() {
        let text = "some avg10=0.12 avg60=0.00 avg300=0.00 total=4207\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n";
        assert_eq!(some_total_us(text), Some(4_207));
        assert_eq!(some_total_us("full avg10=0.00 total=99\n"), None);
        assert_eq!(some_total_us("some avg10=0.00\n"), None);
    }

    #[test]
    fn shares_are_of_the_time_between() {
        let before = Pressure {
            cpu_us: Some(1_000_000),
            memory_us: Some(5),
            io_us: None,
        };
        let after = Pressure {
            cpu_us: Some(3_000_000),
            memory_us: Some(5),
            io_us: Some(7),
        };
        let shares = after.shares_since(before, 8.0);
        assert_eq!(
            (shares.cpu, shares.memory, shares.io),
            (Some(0.25), Some(0.0), None)
        );
        assert_eq!(after.shares_since(before, 0.0), PressureShares::default());
    }
}
