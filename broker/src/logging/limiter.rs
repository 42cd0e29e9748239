//! How many lines of one kind are written: a kind is a place in the code.
//!
//! Lines whose number the operator decides (what a configuration or a data directory makes the broker say) are never left
//! out, nor are those for debugging, which somebody has asked for. All others could be caused by a client, over and over.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Level, Metadata};

/// Lines of a kind in [`INTERVAL`].
pub(super) const LINES_MAX: u32 = 10;
/// From the first line of a kind to the end of its limit.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// Modules whose lines an operator causes.
const UNLIMITED: [&str; 5] = [
    "broker::cli",
    "broker::control",
    "broker::definitions",
    "broker::reload",
    "broker::restore",
];

/// Counts lines by kind. There are as many kinds as places in the code that log.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<HashMap<Identifier, Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    left_out: Option<LeftOut>,
}

/// Lines of a kind that were not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) level: Level,
    pub(super) target: &'static str,
    /// What the first of them said.
    pub(super) like: String,
    pub(super) count: u64,
}

/// What is to become of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is written, after a word about those that were left out before it.
    Write(Option<LeftOut>),
    LeaveOut,
}

impl Limiter {
    /// Decides on a line of this kind; `message` is asked for when it is the first that is left out.
    pub(super) fn admit(
        &self,
        metadata: &'static Metadata<'static>,
        message: impl FnOnce() -> String,
        now: Instant,
    ) -> Verdict {
        let (level, target) = (*metadata.level(), metadata.target());
        if level > Level::INFO || UNLIMITED.iter().any(|module| target.starts_with(module)) {
            return Verdict::Write(None);
        }
        let mut kinds = self.0.lock();
        let window = kinds
            .entry(metadata.callsite())
            .or_insert_with(|| Window::new(now));
        let first = || LeftOut {
            level,
            target,
            like: message(),
            count: 0,
        };
        window.admit(first, now)
    }

    /// What was left out of kinds whose limit has ended; all of it when the log ends.
    pub(super) fn ended(&self, now: Instant, log_ends: bool) -> Vec<LeftOut> {
        let mut kinds = self.0.lock();
        let is_over = |window: &&mut Window| log_ends || now.duration_since(window.since) >= INTERVAL;
        kinds
            .values_mut()
            .filter(is_over)
            .filter_map(|window| window.left_out.take())
            .collect()
    }
}

impl Window {
    fn new(since: Instant) -> Window {
        Window {
            since,
            lines: 0,
            left_out: None,
        }
    }

    fn admit(&mut self, first: impl FnOnce() -> LeftOut, now: Instant) -> Verdict {
        let mut before = None;
        if now.duration_since(self.since) >= INTERVAL {
            before = self.left_out.take();
            (self.since, self.lines) = (now, 0);
        }
        if self.lines < LINES_MAX {
            self.lines += 1;
            return Verdict::Write(before);
        }
        self.left_out.get_or_insert_with(first).count += 1;
        Verdict::LeaveOut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_ends_with_its_interval_and_tells_what_it_left_out() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let first = || LeftOut {
            level: Level::WARN,
            target: "broker::auth",
            like: "login refused".to_owned(),
            count: 0,
        };
        let written = (0..100)
            .filter(|_| window.admit(first, start) == Verdict::Write(None))
            .count();
        assert_eq!(written, LINES_MAX as usize);
        let before_the_end = start + INTERVAL - Duration::from_millis(1);
        assert_eq!(window.admit(first, before_the_end), Verdict::LeaveOut);
        let mut left_out = first();
        left_out.count = 101 - u64::from(LINES_MAX);
        assert_eq!(
            window.admit(first, start + INTERVAL),
            Verdict::Write(Some(left_out))
        );
        assert_eq!(window.admit(first, start + INTERVAL), Verdict::Write(None));
    }
}
