//! What memory there is, and what of it this process has (Linux; elsewhere nothing is known).

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// What was seen at the last look that could see: a file that cannot be opened just now, for want of a descriptor say, must neither
/// raise nor clear an alarm.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Bytes that this process may come to: the machine's memory, or what the control groups that it is in allow where that is less.
    pub(super) available: Option<u64>,
    /// Bytes of this process that are no pages of files, those the kernel takes back when it needs them; with what is swapped out.
    pub(super) used: Option<u64>,
}

impl Memory {
    /// Looks. `root` is `/`, or a directory that stands for it.
    pub(super) fn look(&mut self, root: &Path) {
        if let Ok(available) = available(root) {
            self.available = available;
        }
        if let Ok(used) = used(root) {
            self.used = used;
        }
    }
}

fn available(root: &Path) -> io::Result<Option<u64>> {
    let text = read(&root.join("proc/meminfo"))?;
    let machine = text.and_then(|text| kibibytes(&text, "MemTotal:"));
    let groups = read(&root.join("proc/self/cgroup"))?.unwrap_or_default();
    let mut limits = group_limits(root, &groups)?;
    limits.extend(machine);
    Ok(limits.into_iter().min())
}

/// The limits of this process's control groups and those above them. A line of `groups` is `0::PATH` in version 2,
/// `NUMBER:CONTROLLER,…:PATH` in version 1; both may be there.
fn group_limits(root: &Path, groups: &str) -> io::Result<Vec<u64>> {
    let top = root.join("sys/fs/cgroup");
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(own)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (top, file) = match controllers {
            "" => (top.clone(), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (top.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // In a container the path may be one of the host's, where nothing is: the top is looked at all the same.
        for group in Path::new(own.trim_start_matches('/')).ancestors() {
            let text = read(&top.join(group).join(file))?;
            limits.extend(text.and_then(|text| text.trim().parse::<u64>().ok()));
        }
    }
    Ok(limits)
}

fn used(root: &Path) -> io::Result<Option<u64>> {
    let status = read(&root.join("proc/self/status"))?.unwrap_or_default();
    let others = ["RssShmem:", "VmSwap:"].map(|name| kibibytes(&status, name).unwrap_or(0));
    Ok(kibibytes(&status, "RssAnon:").map(|anonymous| anonymous + others.iter().sum::<u64>()))
}

/// A file's text; `None` when it is not there for this process at all.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => Ok(None),
            _ => Err(error),
        },
    }
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

    /// A machine with 1000 KiB, a process in a control group `own`, and limits in these files.
    fn machine(own: &str, limits: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal:        1000 kB\nMemFree:  10 kB\n");
        write("proc/self/cgroup", own);
        write(
            "proc/self/status",
            "VmRSS: 90 kB\nRssAnon:\t  10 kB\nRssFile: 79 kB\nRssShmem: 1 kB\nVmSwap: 5 kB\n",
        );
        for (file, limit) in limits {
            write(&format!("sys/fs/cgroup/{file}"), limit);
        }
        root
    }

    #[test]
    fn the_least_limit_counts() {
        type Limits = &'static [(&'static str, &'static str)];
        let cases: [(&str, Limits, u64); 10] = [
            ("0::/\n", &[], 1_024_000),
            ("0::/\n", &[("memory.max", "4096\n")], 4096),
            ("0::/a/b\n", &[("a/b/memory.max", "max\n")], 1_024_000),
            (
                "0::/a/b\n",
                &[("a/memory.max", "8192\n"), ("a/b/memory.max", "16384\n")],
                8192,
            ),
            (
                "1:cpu:/x\n0::/a\n",
                &[("memory.max", "max\n"), ("a/memory.max", "512\n")],
                512,
            ),
            ("0::/a\n", &[("a/memory.max", "9999999999\n")], 1_024_000),
            // Version 1, as without a limit, alone, beside others, and below a group of the host's.
            (
                "4:memory:/\n",
                &[("memory/memory.limit_in_bytes", "9223372036854771712\n")],
                1_024_000,
            ),
            (
                "4:memory:/a\n",
                &[("memory/a/memory.limit_in_bytes", "512\n")],
                512,
            ),
            (
                "5:cpu,memory:/b/c\n1:name=systemd:/b\n0::/b\n",
                &[("memory/b/memory.limit_in_bytes", "256\n")],
                256,
            ),
            (
                "4:memory:/docker/1\n",
                &[("memory/memory.limit_in_bytes", "128\n")],
                128,
            ),
        ];
        for (own, limits, expected) in cases {
            let root = machine(own, limits);
            assert_eq!(
                available(root.path()).unwrap(),
                Some(expected),
                "{own} {limits:?}"
            );
        }
    }

    #[test]
    fn nothing_is_known_of_a_machine_without_files_about_it() {
        let root = tempfile::tempdir().unwrap();
        let mut memory = Memory::default();
        memory.look(root.path());
        assert_eq!((memory.available, memory.used), (None, None));
    }

    #[test]
    fn what_cannot_be_read_just_now_stays_as_it_was() {
        let root = machine("0::/\n", &[("memory.max", "4096\n")]);
        let mut memory = Memory::default();
        memory.look(root.path());
        assert_eq!((memory.available, memory.used), (Some(4096), Some(16 << 10)));
        for file in ["sys/fs/cgroup/memory.max", "proc/self/status"] {
            let path = root.path().join(file);
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }
        memory.look(root.path());
        assert_eq!((memory.available, memory.used), (Some(4096), Some(16 << 10)));
    }

    #[test]
    fn this_process_uses_less_than_there_is() {
        let mut memory = Memory::default();
        memory.look(Path::new("/"));
        let (used, available) = (memory.used.unwrap(), memory.available.unwrap());
        assert!((1..available).contains(&used), "{used} of {available}");
    }
}
