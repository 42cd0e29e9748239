//! Where the embedded broker keeps its data: a result that speaks of durability needs a disk below.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::statfs;

use crate::scenario::Scenario;

/// File systems in memory: `f_type` of tmpfs and ramfs (`man 2 statfs`).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Refuses a directory for the broker's data in which nothing is kept for good, if `scenario` asks for just that.
///
/// # Errors
/// When it is not a directory that can be looked at, or lies in memory.
pub fn check(scenario: &Scenario, parent: Option<&Path>) -> anyhow::Result<()> {
    let directory = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    if parent.is_some() && !directory.is_dir() {
        bail!("--data-dir-parent: {} is not a directory", directory.display());
    }
    if scenario.durable && is_in_memory(&directory)? {
        bail!(
            "the broker's data directory would be made in {}, which lies in memory (tmpfs), where a durable queue is not \
             durable; name a directory on a disk with --data-dir-parent",
            directory.display()
        );
    }
    Ok(())
}

fn is_in_memory(directory: &Path) -> anyhow::Result<bool> {
    let found = statfs(directory).with_context(|| {
        format!(
            "cannot find out on which file system {} lies",
            directory.display()
        )
    })?;
    // The type's width and sign differ between architectures; the magic numbers have 32 bits.
    Ok(IN_MEMORY.contains(&(found.f_type as u64 & 0xFFFF_FFFF)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::built_in;

    #[test]
    fn memory_is_no_place_for_durable_queues() {
        let memory = Path::new("/dev/shm");
        if !is_in_memory(memory).is_ok_and(|found| found) {
            return; // No tmpfs at its usual place on this machine.
        }
        let message = check(&built_in("crash").unwrap(), Some(memory))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("/dev/shm") && message.contains("--data-dir-parent"),
            "{message}"
        );
        check(&built_in("20p20c").unwrap(), Some(memory)).unwrap();
    }

    #[test]
    fn a_disk_is() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        check(&built_in("crash").unwrap(), Some(repository)).unwrap();
        let missing = repository.join("missing");
        let message = check(&built_in("20p20c").unwrap(), Some(&missing)).unwrap_err();
        assert!(message.to_string().contains("is not a directory"), "{message}");
    }
}
