//! How many lines of one kind are written: a kind is a place in the code, and whom or what the line is about, so that one
//! client's failures hide no other's.
//!
//! Lines whose number the operator or the disk decides (what a configuration or a data directory makes the broker say) are never
//! left out, nor are those for debugging, which somebody has asked for. All others could be caused by a client, over and over.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Level, Metadata};

/// Lines of a kind in [`INTERVAL`].
pub(super) const LINES_MAX: u32 = 10;
/// From the first line of a kind to the end of its limit.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// Modules whose lines an operator causes, or the disk.
const UNLIMITED: [&str; 6] = [
    "broker::cli",
    "broker::definitions",
    "broker::reload",
    "broker::restore",
    "broker::shutdown",
    "broker::store",
];
/// Where what an operator does through the control socket is noted; what is refused there is not his.
const CONTROL_NOTES: (&str, Level) = ("broker::control::caller", Level::INFO);
/// Kinds told apart at a time; of more than these, whom a line is about does not count.
const KINDS_MAX: usize = 1024;

/// Counts lines by kind.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<HashMap<Kind, Window>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    place: Identifier,
    about: String,
}

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
    /// Whom or what all of them are about; empty where that was not told apart.
    pub(super) about: String,
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
    /// Decides on a line with this message, about somebody or something.
    pub(super) fn admit(
        &self,
        metadata: &'static Metadata<'static>,
        message: &str,
        about: String,
        now: Instant,
    ) -> Verdict {
        let (level, target) = (*metadata.level(), metadata.target());
        if is_unlimited(level, target) {
            return Verdict::Write(None);
        }
        let mut kinds = self.0.lock();
        let mut kind = Kind {
            place: metadata.callsite(),
            about,
        };
        if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
            kind.about.clear();
        }
        let first = {
            let about = kind.about.clone();
            move || LeftOut {
                level,
                target,
                like: message.to_owned(),
                about,
                count: 0,
            }
        };
        let window = kinds.entry(kind).or_insert_with(|| Window::new(now));
        window.admit(first, now)
    }

    /// What was left out of kinds whose limit has ended; all of it when the log ends.
    pub(super) fn ended(&self, now: Instant, log_ends: bool) -> Vec<LeftOut> {
        let is_over = |window: &Window| log_ends || now.duration_since(window.since) >= INTERVAL;
        let mut kinds = self.0.lock();
        let over = kinds.extract_if(|_, window| is_over(window));
        over.filter_map(|(_, window)| window.left_out).collect()
    }
}

fn is_unlimited(level: Level, target: &str) -> bool {
    let is_in = |module: &&str| {
        let rest = target.strip_prefix(*module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    level > Level::INFO || (target, level) == CONTROL_NOTES || UNLIMITED.iter().any(is_in)
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
            about: "10.0.0.7".to_owned(),
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

    #[test]
    fn modules_are_told_apart_from_others_that_begin_alike() {
        for (target, level, expected) in [
            ("broker::cli", Level::WARN, true),
            ("broker::store::recovery", Level::WARN, true),
            ("broker::client", Level::WARN, false),
            ("broker::control::caller", Level::INFO, true),
            ("broker::control::caller", Level::WARN, false),
            ("broker::control::server", Level::ERROR, false),
            ("broker::connection", Level::DEBUG, true),
        ] {
            assert_eq!(is_unlimited(level, target), expected, "{target} {level}");
        }
    }
}
