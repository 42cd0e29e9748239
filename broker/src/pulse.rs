//! Whether a thread still goes round its loop: somebody asks, and the thread answers when it comes by.
//!
//! Asking costs the thread one load in each round. Nothing else is ordered by it, so all accesses are relaxed.

use std::sync::atomic::{AtomicU64, Ordering};

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Pulse {
    asked: AtomicU64,
    /// The last question that the thread has seen; it alone writes here.
    answered: AtomicU64,
}

impl Pulse {
    /// Asks. The caller also wakes the thread, where it may sleep.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread comes by.
    #[inline]
    pub fn answer(&self) {
        let asked = self.asked.load(Ordering::Relaxed);
        if self.answered.load(Ordering::Relaxed) != asked {
            self.answered.store(asked, Ordering::Relaxed);
        }
    }

    /// True when the thread has come by since it was last asked.
    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == self.asked.load(Ordering::Relaxed)
    }
}
