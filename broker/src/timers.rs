//! When queues are to be dispatched without anybody having done anything to them: a message expires, a lease ends.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::queue::Queue;

/// Longest sleep: the clock of the wall, which this follows, may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// No queue is noted for a later time than this from now: it is looked at again then. So no entry, and no deleted queue, stays
/// longer.
const AHEAD_MAX_MS: u64 = 60_000;

/// One reactor's alarm clock. Milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// By time and a serial number.
    queues: RefCell<BTreeMap<(u64, u64), Weak<Queue>>>,
    serial: Cell<u64>,
    earlier: Notify,
}

impl Timers {
    /// The queue is to be dispatched at that time, unless it will be earlier anyway.
    pub(crate) fn add(&self, queue: &Arc<Queue>, at_ms: u64, now_ms: u64) {
        let at_ms = at_ms.min(now_ms + AHEAD_MAX_MS);
        if !queue.schedule(at_ms) {
            return;
        }
        let mut queues = self.queues.borrow_mut();
        let is_first = queues
            .first_key_value()
            .is_none_or(|((first, _), _)| at_ms < *first);
        self.serial.set(self.serial.get() + 1);
        queues.insert((at_ms, self.serial.get()), Arc::downgrade(queue));
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// The queues whose time has come.
    pub(crate) fn due(&self, now_ms: u64) -> Vec<Arc<Queue>> {
        let mut queues = self.queues.borrow_mut();
        let later = queues.split_off(&(now_ms + 1, 0));
        let due = std::mem::replace(&mut *queues, later);
        let due = due.into_values().filter_map(|queue| queue.upgrade());
        due.inspect(|queue| queue.wake()).collect()
    }

    /// Waits until the next queue is due, or something earlier comes up.
    pub(crate) async fn sleep(&self, now_ms: u64) {
        let next = self
            .queues
            .borrow()
            .first_key_value()
            .map(|((at_ms, _), _)| *at_ms);
        let Some(next) = next else {
            return self.earlier.notified().await;
        };
        let rest = Duration::from_millis(next.saturating_sub(now_ms)).min(SLEEP_MAX);
        // Whichever it is: look again.
        let _ = tokio::time::timeout(rest, self.earlier.notified()).await;
    }
}
