//! What memory there is, and what of it this process has (Linux; elsewhere nothing is known).

use std::fs;
use std::path::Path;

/// Bytes that this process may come to: the machine's memory, or what the control groups (version 2) that it is in allow where that
/// is less. `root` is `/`, or a directory that stands for it.
pub(super) fn available(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| kibibytes(&text, "MemTotal:"));
    machine.into_iter().chain(group_limit(root)).min()
}

/// The least of the limits of this process's control group and those above it.
fn group_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let top = root.join("sys/fs/cgroup");
    // In a container the path may be one of the host's, where nothing is: the top is looked at all the same.
    let limit = |path: &Path| -> Option<u64> {
        let text = fs::read_to_string(top.join(path).join("memory.max")).ok()?;
        text.trim().parse().ok()
    };
    Path::new(own).ancestors().filter_map(limit).min()
}

/// Resident bytes of this process that are no pages of files: those the kernel takes back when it needs them.
pub(super) fn used() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let anonymous = kibibytes(&status, "RssAnon:")?;
    Some(anonymous + kibibytes(&status, "RssShmem:").unwrap_or(0))
}

/// The number of kibibytes that follows `name`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 1000 KiB and these control groups with limits.
    fn machine(own: &str, limits: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:        1000 kB\nMemFree:  10 kB\n");
        write("proc/self/cgroup", own);
        for (group, limit) in limits {
            write(&format!("sys/fs/cgroup/{group}/memory.max"), limit);
        }
        root
    }

    #[test]
    fn the_least_limit_counts() {
        type Limits = &'static [(&'static str, &'static str)];
        let cases: [(&str, Limits, u64); 6] = [
            ("0::/\n", &[], 1_024_000),
            ("0::/\n", &[("", "4096\n")], 4096),
            ("0::/a/b\n", &[("a/b", "max\n")], 1_024_000),
            ("0::/a/b\n", &[("a", "8192\n"), ("a/b", "16384\n")], 8192),
            ("1:cpu:/x\n0::/a\n", &[("", "max\n"), ("a", "512\n")], 512),
            ("0::/a\n", &[("a", "9999999999\n")], 1_024_000),
        ];
        for (own, limits, expected) in cases {
            let root = machine(own, limits);
            assert_eq!(available(root.path()), Some(expected), "{own} {limits:?}");
        }
    }

    #[test]
    fn nothing_is_known_of_a_machine_without_files_about_it() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(available(root.path()), None);
    }

    #[test]
    fn this_process_uses_less_than_there_is() {
        let (used, available) = (used().unwrap(), available(Path::new("/")).unwrap());
        assert!((1..available).contains(&used), "{used} of {available}");
    }
}
