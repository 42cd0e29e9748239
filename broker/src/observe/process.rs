//! The broker's process as the operating system sees it (Linux; elsewhere nothing is known).

use std::fs;

/// See the module documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// How many there may be.
    pub open_files_max: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// CPU time used, in microseconds.
    pub cpu_us: Option<u64>,
}

impl Process {
    /// Reads what can be read of this process.
    pub fn read() -> Process {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Process {
            resident_bytes: field(&status, "VmRSS:", 0).map(|kib| kib * 1024),
            // Without the directory's own.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| (entries.count() as u64).saturating_sub(1)),
            open_files_max: field(&limits, "Max open files", 0),
            threads: field(&status, "Threads:", 0),
            cpu_us: cpu_us(),
        }
    }
}

/// The number at a place among the words that follow `name`.
fn field(text: &str, name: &str, place: usize) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(place)?.parse().ok()
}

/// Of all threads together. `/proc/self/stat` counts ticks of 10 ms; the scheduler's own files count nanoseconds, a file a thread.
fn cpu_us() -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    let mut total = 0;
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let first = text.split_whitespace().next();
        total += first.and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Some(total / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_threads() {
        let process = Process::read();
        assert!(process.resident_bytes > Some(1 << 20), "{process:?}");
        assert!(
            process.open_files >= Some(3) && process.threads >= Some(1),
            "{process:?}"
        );
        assert_eq!(
            field("Max open files  1024  4096 files", "Max open files", 1),
            Some(4096)
        );
        assert_eq!(field("Max open files  unlimited", "Max open files", 0), None);
    }
}
