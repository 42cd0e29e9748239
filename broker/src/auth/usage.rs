//! What a user has open and publishes, over all virtual hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::meter::{Meter, PublishRate};
use crate::store::metadata::UserLimits;

/// What a user has open, over all virtual hosts.
#[derive(Debug, Default)]
pub struct Usage {
    limits: Mutex<UserLimits>,
    /// What its connections publish together, while that is limited.
    meter: Mutex<Option<Meter>>,
    connections: AtomicU64,
    channels: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum Counted {
    Connections,
    Channels,
}

/// A place among what a user may have open; it is free again when this is dropped.
#[derive(Debug)]
pub struct UserShare {
    usage: Arc<Usage>,
    counted: Counted,
}

impl Usage {
    pub(super) fn set_limits(&self, limits: UserLimits) {
        *self.limits.lock() = limits;
    }

    /// Sets what the user's connections may publish together: what the user's own limits say, and `default` where they say
    /// nothing. False when that is not limited.
    pub(crate) fn refresh_rate(&self, default: PublishRate, now: Instant) -> bool {
        let limits = *self.limits.lock();
        let rate = PublishRate {
            messages: limits.publish_rate_max.unwrap_or(default.messages),
            bytes: limits.publish_bytes_rate_max.unwrap_or(default.bytes),
        };
        let mut meter = self.meter.lock();
        if rate.is_unlimited() {
            *meter = None;
        } else if meter.as_ref().is_none_or(|meter| meter.rate() != rate) {
            *meter = Some(Meter::new(rate, now));
        }
        meter.is_some()
    }

    /// Asks or tells the meter, if there is one.
    pub(crate) fn metered<R>(&self, ask: impl FnOnce(&mut Meter) -> R) -> Option<R> {
        self.meter.lock().as_mut().map(ask)
    }

    /// A place for one more connection, or how many there may be.
    pub(crate) fn admit_connection(self: &Arc<Self>) -> Result<UserShare, u64> {
        self.admit(Counted::Connections, self.limits.lock().connections_max)
    }

    /// A place for one more channel, or how many there may be.
    pub(crate) fn admit_channel(self: &Arc<Self>) -> Result<UserShare, u64> {
        self.admit(Counted::Channels, self.limits.lock().channels_max)
    }

    fn admit(self: &Arc<Self>, counted: Counted, max: Option<u64>) -> Result<UserShare, u64> {
        let max = max.unwrap_or(u64::MAX);
        let admit = |count| (count < max).then_some(count + 1);
        match self
            .count(counted)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
        {
            Ok(_) => Ok(UserShare {
                usage: Arc::clone(self),
                counted,
            }),
            Err(_) => Err(max),
        }
    }

    fn count(&self, counted: Counted) -> &AtomicU64 {
        match counted {
            Counted::Connections => &self.connections,
            Counted::Channels => &self.channels,
        }
    }
}

impl Drop for UserShare {
    fn drop(&mut self) {
        self.usage.count(self.counted).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_user_s_own_rate_goes_before_that_of_all_users() {
        let (usage, now) = (Usage::default(), Instant::now());
        let all = PublishRate {
            messages: 10,
            bytes: 0,
        };
        let wait = || usage.metered(|meter| meter.wait(now));
        assert!(!usage.refresh_rate(PublishRate::default(), now));
        assert_eq!(wait(), None);
        assert!(usage.refresh_rate(all, now));
        usage.metered(|meter| meter.take(11, 0, now));
        // The same rate again forgets nothing.
        assert!(usage.refresh_rate(all, now));
        assert_eq!(wait(), Some(Duration::from_millis(100)));
        usage.set_limits(UserLimits {
            publish_rate_max: Some(1000),
            ..UserLimits::default()
        });
        assert!(usage.refresh_rate(all, now));
        assert_eq!(usage.metered(|meter| meter.rate().messages), Some(1000));
    }
}
