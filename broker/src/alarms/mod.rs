//! Alarms: memory or disk is nearly used up, so publishers wait. Consumers, acknowledgements, gets and deletions go on: they
//! are what makes room again.
//!
//! | alarm | raised | cleared | publishes |
//! |---|---|---|---|
//! | memory | the process's resident memory passes `--memory-high-watermark` | without what is parked it is a [`margin`] below it | wait |
//! | disk | less is free than `--disk-free-min` | a [`margin`] more is free | wait |
//! | budget | somebody has waited for `--memory-budget` for [`PATIENCE_LOOKS`] looks on end | nobody does at a look | go on as far as there is room |
//!
//! The first two are about what the machine has, the third about what the broker gives itself. The budget's own back-pressure is exact
//! and needs no alarm: a publish that finds no room waits for it, in order, and nobody else does. The alarm only tells: a
//! client that is kept waiting for seconds, and whoever watches the broker, should know why. It must not hold up
//! publishes by itself, since what is held is charged to the budget too.
//!
//! [`Watch`] looks once a second, on a [thread](WatchThread) of its own; whoever asks reads an atomic.

mod memory;
mod thread;
mod watch;
mod watermark;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

pub use thread::WatchThread;
pub use watch::{Watch, margin};
pub use watermark::Watermark;

/// Looks on end, a second apart, at which somebody waits for the memory budget until that is an alarm.
pub const PATIENCE_LOOKS: u32 = 5;

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alarm {
    /// Resident memory.
    Memory = 1 << 0,
    /// Free space of the data directory's disk.
    Disk = 1 << 1,
    /// The broker's own memory budget.
    Budget = 1 << 2,
}

/// The alarms that are raised, and what was seen at the last look.
#[derive(Debug, Default)]
pub struct Alarms {
    raised: AtomicU8,
    memory_used: AtomicU64,
    /// 0: there is none.
    memory_limit: AtomicU64,
    parked_bytes: AtomicU64,
}

impl Alarms {
    /// True while this one is raised.
    pub fn has(&self, alarm: Alarm) -> bool {
        self.raised.load(Ordering::Relaxed) & alarm as u8 != 0
    }

    /// True while publishes wait whatever room there is.
    pub fn stops_publishers(&self) -> bool {
        self.has(Alarm::Memory) || self.has(Alarm::Disk)
    }

    /// True while publishers wait for memory: the machine's or the budget.
    pub fn is_short_of_memory(&self) -> bool {
        self.has(Alarm::Memory) || self.has(Alarm::Budget)
    }

    /// What a publisher that has to wait is told, in RabbitMQ's words; `None` while there is nothing to tell.
    pub fn reason(&self) -> Option<&'static str> {
        match (self.is_short_of_memory(), self.has(Alarm::Disk)) {
            (true, true) => Some("low on memory & disk"),
            (true, false) => Some("low on memory"),
            (false, true) => Some("low on disk"),
            (false, false) => None,
        }
    }

    /// Resident memory in bytes as the memory alarm counts it, as of the last look: without pages of files.
    pub fn memory_used(&self) -> u64 {
        self.memory_used.load(Ordering::Relaxed)
    }

    /// The bytes from which the memory alarm is raised; `None` where there is none.
    pub fn memory_limit(&self) -> Option<u64> {
        let limit = self.memory_limit.load(Ordering::Relaxed);
        (limit > 0).then_some(limit)
    }

    /// Bytes of publishes that wait, and of what waits behind them, on all connections.
    pub fn parked_bytes(&self) -> u64 {
        self.parked_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn park(&self, bytes: usize) {
        self.parked_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The opposite of `park`.
    pub(crate) fn unpark(&self, bytes: usize) {
        self.parked_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// True when memory is short and so much is parked that more of it would bring the process down: a tenth of the mark, at most 512 MiB.
    pub(crate) fn has_parked_enough(&self) -> bool {
        let limit = self.memory_limit.load(Ordering::Relaxed);
        self.has(Alarm::Memory) && self.parked_bytes() > 2 * margin(limit)
    }

    /// Raises or clears an alarm; true when that changes it.
    fn set(&self, alarm: Alarm, raised: bool) -> bool {
        let before = if raised {
            self.raised.fetch_or(alarm as u8, Ordering::Relaxed)
        } else {
            self.raised.fetch_and(!(alarm as u8), Ordering::Relaxed)
        };
        (before & alarm as u8 != 0) != raised
    }

    fn note_memory(&self, used: u64, limit: Option<u64>) {
        self.memory_used.store(used, Ordering::Relaxed);
        self.memory_limit.store(limit.unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_while_memory_is_short_is_there_an_end_to_what_is_parked() {
        let alarms = Alarms::default();
        alarms.note_memory(1001, Some(1000));
        alarms.park(101);
        assert!(!alarms.has_parked_enough());
        alarms.set(Alarm::Memory, true);
        assert!(alarms.has_parked_enough());
        alarms.unpark(1);
        assert!(!alarms.has_parked_enough());
    }

    #[test]
    fn a_publisher_is_told_of_everything_that_is_short() {
        let alarms = Alarms::default();
        assert_eq!((alarms.reason(), alarms.stops_publishers()), (None, false));
        let steps = [
            (Alarm::Budget, true, Some("low on memory"), false),
            (Alarm::Disk, true, Some("low on memory & disk"), true),
            (Alarm::Budget, false, Some("low on disk"), true),
            (Alarm::Memory, true, Some("low on memory & disk"), true),
            (Alarm::Disk, false, Some("low on memory"), true),
            (Alarm::Memory, false, None, false),
        ];
        for (alarm, raised, reason, stops) in steps {
            assert!(alarms.set(alarm, raised) && !alarms.set(alarm, raised));
            assert_eq!((alarms.reason(), alarms.stops_publishers()), (reason, stops));
        }
    }
}
