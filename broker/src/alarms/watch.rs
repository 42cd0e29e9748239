//! Looks at memory and disk once a second, raises and clears the alarms, and tells the connections.

use std::path::Path;

use super::memory::Memory;
use super::{Alarm, PATIENCE_LOOKS};
use crate::broker::Broker;
use crate::connection::Signal;

/// Largest distance between the two marks of an alarm.
const MARGIN_BYTES_MAX: u64 = 256 << 20;

/// The allocator stops everybody who allocates while it looks for what it can give back. When it has little it is asked less and less
/// often: after so many looks at most.
const TRIM_REST_LOOKS: u32 = 5;

/// How far on the good side of its limit a figure has to be for the alarm to clear: a twentieth of the limit, at most 256 MiB.
/// Without it publishers would be stopped and let go with every message.
pub fn margin(limit: u64) -> u64 {
    (limit / 20).min(MARGIN_BYTES_MAX)
}

/// Used memory from which queues spill what they can: below where the alarm clears, so that publishers are stopped only when that
/// is too slow.
fn pressure_mark(limit: u64) -> u64 {
    limit - 2 * margin(limit)
}

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Watch {
    /// Looks on end at which somebody waited for the memory budget.
    starved_looks: u32,
    memory: Memory,
    /// The mark at the last look.
    limit: Option<u64>,
    /// Queues are told to spill.
    is_pressed: bool,
    /// Looks until the allocator is asked again for what it can give back.
    trim_rest: u32,
    /// How often on end it had little.
    trims_in_vain: u32,
    /// It was said that nothing can be known of memory.
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
        self.memory.look(Path::new("/"));
        let limit = watermark.bytes(self.memory.available);
        self.compare_with_budget(limit, broker.pool.bytes_budget() as u64);
        let Some(mut used) = self.memory.used else {
            if !std::mem::replace(&mut self.is_blind, true) {
                tracing::warn!("cannot tell how much memory this process has: there is no memory alarm");
            }
            return false;
        };
        let (was, parked) = (broker.alarms.has(Alarm::Memory), broker.alarms.parked_bytes());
        // What the allocator keeps although nobody uses it must not hold publishers up.
        self.trim_rest = self.trim_rest.saturating_sub(1);
        if let Some(limit) = limit
            && self.trim_rest == 0
            && is_high(used, limit, was)
        {
            heap::give_back();
            let before = used;
            self.memory.look(Path::new("/"));
            used = self.memory.used.unwrap_or(used);
            self.trims_in_vain = match before.saturating_sub(used) < margin(limit) {
                true => TRIM_REST_LOOKS.min(self.trims_in_vain + 1),
                false => 0,
            };
            self.trim_rest = self.trims_in_vain;
        }
        let raised = limit.is_some_and(|limit| is_alarming(used, parked, limit, was));
        self.is_pressed =
            raised || limit.is_some_and(|limit| is_high(used, pressure_mark(limit), self.is_pressed));
        broker.alarms.note_memory(used, limit);
        let changed = broker.alarms.set(Alarm::Memory, raised);
        broker.starved.set_pressed(self.is_pressed);
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

    /// What messages may take is to be less than what everything may take.
    fn compare_with_budget(&mut self, limit: Option<u64>, budget: u64) {
        if std::mem::replace(&mut self.limit, limit) != limit
            && let Some(limit) = limit
            && budget >= limit
        {
            tracing::warn!(
                budget,
                limit,
                "memory_budget is not below memory_high_watermark: publishers may be stopped before the budget is used"
            );
        }
    }

    fn look_at_budget(&mut self, broker: &Broker) -> bool {
        self.starved_looks = match broker.is_memory_waited_for() {
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

/// Whether publishers have to wait. What is parked only goes when they need not any more, so an alarm that has been raised
/// does not count it.
fn is_alarming(used: u64, parked: u64, limit: u64, was: bool) -> bool {
    let counted = if was { used.saturating_sub(parked) } else { used };
    is_high(counted, limit, was)
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
    fn queues_spill_before_publishers_are_stopped_and_still_when_they_go_on() {
        let mark = pressure_mark(1000);
        assert!(is_high(901, mark, false) && !is_high(1000, 1000, false));
        assert!(!is_high(900, mark, false));
        // Where the alarm clears the pressure goes on, and ends further down.
        assert!(!is_high(950, 1000, true) && is_high(950, mark, true));
        assert!(is_high(856, mark, true) && !is_high(855, mark, true));
    }

    #[test]
    fn what_is_parked_raises_an_alarm_and_does_not_keep_it_raised() {
        assert!(is_alarming(1001, 500, 1000, false));
        assert!(is_alarming(1001, 50, 1000, true));
        assert!(!is_alarming(1001, 51, 1000, true));
        assert!(!is_alarming(10, 51, 1000, true));
    }

    #[test]
    fn the_margin_is_a_share_of_small_limits_and_a_size_beyond() {
        assert_eq!(margin(1000), 50);
        assert_eq!(margin(1 << 40), 256 << 20);
        assert!(is_low(u64::MAX - 1, u64::MAX, true), "no overflow");
        assert!(!is_high(0, 0, true));
    }
}
