//! Response latencies by *intended* instant: what a fault cost those who wanted to send while it lasted.
//!
//! Kept only in runs with faults. A slot holds the messages intended within 10 ms, in 12 octets, so an hour takes 4.3 MB.

/// Length of a slot.
const SLOT_NS: u64 = 10_000_000;
/// Slots that the latency must be good for until it counts as good again.
const SLOTS_A_SECOND: usize = 100;
/// Share of a second's messages that may be slower than the bound: a 99th percentile.
const SLOWER_ONE_IN: u64 = 100;

/// The latencies of a run, slot by slot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Latencies up to here are good; `None` when nobody said what is.
    bound_ns: Option<u64>,
    /// By intended instant since the run's epoch.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slot {
    count: u32,
    slower: u32,
    /// The longest latency, rounded up to µs: 71 minutes at most.
    max_us: u32,
}

impl Timeline {
    /// An empty one; with `bound_us` it tells good seconds from others.
    #[must_use]
    pub fn new(bound_us: Option<f64>) -> Self {
        Self {
            bound_ns: bound_us.map(|us| (us * 1e3) as u64),
            slots: Vec::new(),
        }
    }

    /// Records the first copy of a message.
    pub fn record(&mut self, intended_ns: u64, received_ns: u64) {
        let index = (intended_ns / SLOT_NS) as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::default());
        }
        let slot = &mut self.slots[index];
        let latency_ns = received_ns.saturating_sub(intended_ns);
        slot.count = slot.count.saturating_add(1);
        let slower = self.bound_ns.is_some_and(|bound_ns| latency_ns > bound_ns);
        slot.slower = slot.slower.saturating_add(u32::from(slower));
        let latency_us = u32::try_from(latency_ns.div_ceil(1_000)).unwrap_or(u32::MAX);
        slot.max_us = slot.max_us.max(latency_us);
    }

    /// The longest latency of the messages intended from the slot of `from_ns` to that of `to_ns`, in µs.
    #[must_use]
    pub fn worst_us(&self, from_ns: u64, to_ns: u64) -> Option<u64> {
        let first = (from_ns / SLOT_NS) as usize;
        let last = (to_ns / SLOT_NS) as usize;
        let slots = self
            .slots
            .get(first..=last.min(self.slots.len().saturating_sub(1)))?;
        let received = slots.iter().filter(|slot| slot.count > 0);
        received.map(|slot| u64::from(slot.max_us)).max()
    }

    /// The beginning of the first whole second from `from_ns` on, in steps of a slot, whose messages were good (p99); `None`
    /// when there is none before the last message, or nobody said what is good.
    #[must_use]
    pub fn good_from_ns(&self, from_ns: u64) -> Option<u64> {
        self.bound_ns?;
        let first = from_ns.div_ceil(SLOT_NS) as usize;
        let seconds = self.slots.get(first..)?.windows(SLOTS_A_SECOND);
        let good = seconds.into_iter().position(|second| {
            let sum = |of: fn(&Slot) -> u32| second.iter().map(|slot| u64::from(of(slot))).sum::<u64>();
            let (count, slower) = (sum(|slot| slot.count), sum(|slot| slot.slower));
            count > 0 && slower * SLOWER_ONE_IN <= count
        })?;
        Some((first + good) as u64 * SLOT_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A message every ms for 4 s; those intended in an outage from 1,000 to 1,500 ms arrive when it ends.
    fn outage(bound_us: Option<f64>) -> Timeline {
        let mut timeline = Timeline::new(bound_us);
        for ms in 0..4_000 {
            let received_ms = if (1_000..1_500).contains(&ms) { 1_500 } else { ms };
            timeline.record(ms * MS, received_ms * MS + 200_000);
        }
        timeline
    }

    #[test]
    fn whoever_wanted_to_send_when_the_outage_began_waited_longest() {
        let timeline = outage(None);
        assert_eq!(timeline.worst_us(1_000 * MS, 1_500 * MS), Some(500_200));
        assert_eq!(timeline.worst_us(1_400 * MS, 1_500 * MS), Some(100_200));
        assert_eq!(timeline.worst_us(1_600 * MS, 2_000 * MS), Some(200));
        assert_eq!(timeline.worst_us(9_000 * MS, 9_001 * MS), None);
        assert_eq!(timeline.good_from_ns(0), None);
    }

    #[test]
    fn the_latency_is_good_again_with_the_first_good_second() {
        let timeline = outage(Some(1_000.0));
        // In the second from 490 ms on 9 of 1,000 are slower than 1 ms; from 1,490 ms on, too.
        assert_eq!(timeline.good_from_ns(1_000 * MS), Some(1_490 * MS));
        assert_eq!(timeline.good_from_ns(0), Some(0));
        assert_eq!(timeline.good_from_ns(10 * MS), Some(10 * MS));
        // No whole second is left.
        assert_eq!(timeline.good_from_ns(3_001 * MS), None);
        assert_eq!(outage(Some(100.0)).good_from_ns(0), None);
    }
}
