//! Publishers that found the memory of all queues together used up, whatever room their own queue had.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use ring::ChunkPool;

use super::waiter::{Publisher, Waiter};
use crate::connection::Signal;

/// They are called back once no more than this share of the budget is used.
const CALL_BACK_RATIO: f64 = 0.9;
/// Share of the memory budget from which queues spill what they can.
const PRESSED_RATIO: f64 = 0.8;

/// Shared by all queues.
#[derive(Debug, Default)]
pub struct Starved {
    /// `waiters` is not empty: a look without the lock.
    any: AtomicBool,
    /// The machine is short of memory, whatever the budget says.
    pressed: AtomicBool,
    waiters: Mutex<Vec<Waiter>>,
}

impl Starved {
    /// True while somebody waits.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// True while one of those who are noted still waits. All of them stay noted until there is memory.
    pub(crate) fn is_waited_for(&self) -> bool {
        // Not asked under the lock: to ask a connection takes one of its own.
        let waiters = self.waiters.lock().clone();
        waiters.iter().any(Waiter::waits)
    }

    /// The machine is short of memory, or no longer: queues spill what they can meanwhile.
    pub(crate) fn set_pressed(&self, pressed: bool) {
        self.pressed.store(pressed, Ordering::Relaxed);
    }

    /// True when queues are to spill what they can: the memory of all of them together is short, or the machine's.
    pub fn is_pressed(&self, pool: &ChunkPool) -> bool {
        self.pressed.load(Ordering::Relaxed) || self.is_short(pool)
    }

    /// True when the memory of all queues together is short.
    pub fn is_short(&self, pool: &ChunkPool) -> bool {
        self.any() || pool.bytes_used() as f64 > pool.bytes_budget() as f64 * PRESSED_RATIO
    }

    /// Notes a publisher.
    pub(super) fn add(&self, publisher: Publisher<'_>) {
        let mut waiters = self.waiters.lock();
        if !waiters.iter().any(|waiter| waiter.is(publisher)) {
            waiters.extend(publisher.waiter());
        }
        self.any.store(true, Ordering::Relaxed);
    }

    /// Calls everybody back if there is memory again.
    pub(super) fn call_back(&self, pool: &ChunkPool) {
        if !self.any() || pool.bytes_used() as f64 > pool.bytes_budget() as f64 * CALL_BACK_RATIO {
            return;
        }
        let mut waiters = self.waiters.lock();
        self.any.store(false, Ordering::Relaxed);
        for waiter in waiters.drain(..) {
            waiter.raise(Signal::RetryPublish);
        }
    }
}
