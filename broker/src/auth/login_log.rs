//! A word in the log about each login that is refused, but no flood: who tries passwords would fill the disk with it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Refused;
use crate::connection::Peer;

/// Lines that may come at once, and again as many each [`INTERVAL`].
const LINES_MAX: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);

/// See the module documentation.
#[derive(Debug, Default)]
pub struct LoginLog(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    since: Option<Instant>,
    lines: u32,
    /// Refused without a word.
    silent: u64,
}

impl LoginLog {
    /// Tells of a refusal: who, from where, how and why; never with what.
    pub fn refused(&self, peer: &Peer, mechanism: &str, refused: &Refused) {
        let Some(silent) = self.0.lock().admit(Instant::now()) else {
            return;
        };
        if silent > 0 {
            tracing::warn!(refused = silent, "more logins were refused than the log tells of");
        }
        let user = refused.user().unwrap_or_default();
        tracing::warn!(%peer, user, mechanism, reason = %refused, "login refused");
    }
}

impl Told {
    /// How many lines were left out before this one; `None` when it is to be left out too.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let is_new = self
            .since
            .is_none_or(|since| now.duration_since(since) >= INTERVAL);
        if is_new {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines == LINES_MAX {
            self.silent += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_told() {
        let mut told = Told::default();
        let start = Instant::now();
        let lines = (0..100).filter(|_| told.admit(start).is_some()).count();
        assert_eq!(lines, LINES_MAX as usize);
        assert_eq!(told.admit(start + INTERVAL), Some(100 - u64::from(LINES_MAX)));
        assert_eq!(told.admit(start + INTERVAL), Some(0));
    }
}
