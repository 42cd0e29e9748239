//! Looks at memory and disk once a second, raises and clears the alarms, and tells the connections.

use std::path::Path;

use super::{Alarm, PATIENCE_LOOKS, memory};
use crate::broker::Broker;
use crate::connection::Signal;

/// Largest distance between the two marks of an alarm.
const MARGIN_BYTES_MAX: u64 = 256 << 20;

/// How far on the good side of its limit a figure has to be for the alarm to clear: a twentieth of the limit, at most 256 MiB.
/// Without it publishers would be stopped and let go with every message.
pub fn margin(limit: u64) -> u64 {
    (limit / 20).min(MARGIN_BYTES_MAX)
}

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Watch {
    /// Looks on end at which somebody waited for the memory budget.
    starved_looks: u32,
    /// Memory is not looked at any more, as nothing can be known of it.
    is_blind: bool,
}

impl Watch {
    /// One look.
    pub fn look(&mut self, broker: &Broker) {
        let changes = [
            self.look_at_memory(broker),
            look_at_disk(broker),
            self.look_at_budget(broker),
        ];
        if changes.contains(&true) {
            for inbox in broker.inboxes() {
                inbox.raise(Signal::Alarm);
            }
        }
    }

    fn look_at_memory(&mut self, broker: &Broker) -> bool {
        let watermark = broker.limits.settings().memory_high_watermark;
        let limit = watermark.bytes(memory::available(Path::new("/")));
        let Some(used) = memory::used() else {
            if !std::mem::replace(&mut self.is_blind, true) {
                tracing::warn!("cannot tell how much memory this process has: there is no memory alarm");
            }
            return false;
        };
        let was = broker.alarms.has(Alarm::Memory);
        let is_high = |used| limit.is_some_and(|limit| is_high(used, limit, was));
        let mut used = used;
        // What the allocator keeps although nobody uses it must not hold publishers up.
        if is_high(used) && heap::give_back() {
            used = memory::used().unwrap_or(used);
        }
        let raised = is_high(used);
        broker.alarms.note_memory(used, limit);
        let changed = broker.alarms.set(Alarm::Memory, raised);
        broker.starved.set_pressed(raised);
        match (changed, raised) {
            (true, true) => tracing::error!(
                used,
                limit,
                watermark = %watermark,
                "memory is nearly used up: publishers wait until there is less in use"
            ),
            (true, false) => tracing::info!(used, limit, "there is memory again: publishers go on"),
            (false, _) => {}
        }
        changed
    }

    fn look_at_budget(&mut self, broker: &Broker) -> bool {
        self.starved_looks = match broker.starved.any() {
            true => self.starved_looks.saturating_add(1),
            false => 0,
        };
        let raised = self.starved_looks >= PATIENCE_LOOKS;
        let changed = broker.alarms.set(Alarm::Budget, raised);
        let (used, budget) = (broker.pool.bytes_used(), broker.pool.bytes_budget());
        match (changed, raised) {
            (true, true) => tracing::warn!(
                used,
                budget,
                "publishers have waited for the memory budget for seconds"
            ),
            (true, false) => {
                tracing::info!(used, budget, "no publisher waits for the memory budget any more")
            }
            (false, _) => {}
        }
        changed
    }
}

fn look_at_disk(broker: &Broker) -> bool {
    let store = &broker.store;
    let free = match store.storage().free_bytes(store.directory()) {
        Ok(free) => free,
        Err(error) => {
            tracing::warn!(%error, path = %store.directory().display(), "cannot tell the free space of the disk");
            return false;
        }
    };
    let limit = broker.limits.disk_free_min();
    let raised = is_low(free, limit, broker.alarms.has(Alarm::Disk));
    let changed = broker.alarms.set(Alarm::Disk, raised);
    match (changed, raised) {
        (true, true) => tracing::error!(
            free,
            limit,
            "the disk is nearly full: publishers wait until there is room"
        ),
        (true, false) => tracing::info!(free, limit, "the disk has room again: publishers go on"),
        (false, _) => {}
    }
    changed
}

/// Whether so much is too much, given whether it was at the last look.
fn is_high(used: u64, limit: u64, was: bool) -> bool {
    let mark = if was { limit - margin(limit) } else { limit };
    used > mark
}

/// Whether so little is too little, given whether it was at the last look.
fn is_low(free: u64, limit: u64, was: bool) -> bool {
    let mark = if was {
        limit.saturating_add(margin(limit))
    } else {
        limit
    };
    free < mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_clears_on_the_good_side_of_its_limit_only() {
        let mut high = false;
        let highs = [1000, 1001, 1000, 951, 950, 1000, 1001].map(|used| {
            high = is_high(used, 1000, high);
            high
        });
        assert_eq!(highs, [false, true, true, true, false, false, true]);
        let mut low = false;
        let lows = [1000, 999, 1000, 1049, 1050, 1000, 999].map(|free| {
            low = is_low(free, 1000, low);
            low
        });
        assert_eq!(lows, [false, true, true, true, false, false, true]);
    }

    #[test]
    fn the_margin_is_a_share_of_small_limits_and_a_size_beyond() {
        assert_eq!(margin(1000), 50);
        assert_eq!(margin(1 << 40), 256 << 20);
        assert!(is_low(u64::MAX - 1, u64::MAX, true), "no overflow");
        assert!(!is_high(0, 0, true));
    }
}
