//! How busy each thread of this process is (Linux; elsewhere nothing is known).

use std::fs;
use std::time::{Duration, Instant};

/// CPU times of all threads at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    at: Instant,
    threads: Vec<Thread>,
}

#[derive(Clone, Debug)]
struct Thread {
    id: String,
    name: String,
    /// On a core.
    ran: Duration,
    /// Ready to run, while all cores were taken.
    waited: Duration,
}

/// What a thread did between two moments, as shares of the time, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Busy {
    pub(crate) name: String,
    pub(crate) ran: f64,
    pub(crate) waited: f64,
}

impl Threads {
    /// Reads what the scheduler says.
    pub(crate) fn read() -> Threads {
        let at = Instant::now();
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let thread = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let mut nanoseconds = text.split_whitespace().map_while(|word| word.parse().ok());
            Some(Thread {
                id: task.file_name().to_string_lossy().into_owned(),
                name: name.trim_end().to_owned(),
                ran: Duration::from_nanos(nanoseconds.next()?),
                waited: Duration::from_nanos(nanoseconds.next()?),
            })
        };
        Threads {
            at,
            threads: tasks.filter_map(thread).collect(),
        }
    }

    /// What each thread that is there at both moments did between them, the busiest first.
    pub(crate) fn since(&self, earlier: &Threads) -> Vec<Busy> {
        let elapsed = (self.at - earlier.at).as_secs_f64();
        if elapsed <= 0.0 {
            return Vec::new();
        }
        let share = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / elapsed;
        let busy = self.threads.iter().filter_map(|now| {
            let then = earlier.threads.iter().find(|then| then.id == now.id)?;
            Some(Busy {
                name: now.name.clone(),
                ran: share(now.ran, then.ran),
                waited: share(now.waited, then.waited),
            })
        });
        let mut busy: Vec<Busy> = busy.collect();
        busy.sort_by(|one, other| other.ran.total_cmp(&one.ran));
        busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, second: u64, threads: &[(&str, u64, u64)]) -> Threads {
        let thread = |&(name, ran, waited): &(&str, u64, u64)| Thread {
            id: name.to_owned(),
            name: name.to_owned(),
            ran: Duration::from_millis(ran),
            waited: Duration::from_millis(waited),
        };
        Threads {
            at: start + Duration::from_secs(second),
            threads: threads.iter().map(thread).collect(),
        }
    }

    #[test]
    fn shares_are_of_the_time_between_and_the_busiest_comes_first() {
        let start = Instant::now();
        let before = at(
            start,
            0,
            &[("log", 500, 0), ("reactor-0", 100, 40), ("gone", 9, 9)],
        );
        let after = at(
            start,
            2,
            &[("log", 600, 0), ("reactor-0", 2000, 140), ("new", 2000, 0)],
        );
        let busy = after.since(&before);
        let shown: Vec<_> = busy
            .iter()
            .map(|busy| (busy.name.as_str(), busy.ran, busy.waited))
            .collect();
        assert_eq!(shown, [("reactor-0", 0.95, 0.05), ("log", 0.05, 0.0)]);
        assert!(before.since(&before).is_empty());
    }

    #[test]
    fn this_thread_is_among_them() {
        let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
        let threads = Threads::read().threads;
        assert!(
            threads.iter().any(|thread| thread.name == name.trim_end()),
            "{threads:?}"
        );
    }
}
