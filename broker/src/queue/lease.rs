//! A queue's clocks: the lease of one that goes when nobody uses it (`x-expires`), and when it is to be dispatched again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::handle::{Inner, Queue};

impl Queue {
    /// When the queue goes because nobody uses it (`x-expires`), as far as that can be told.
    pub(super) fn lease_end_ms(&self, inner: &Inner) -> Option<u64> {
        let expires_ms = self.options().expires_ms?;
        (!inner.deleted && inner.state.consumer_count() == 0)
            .then_some(self.used_ms.load(Ordering::Relaxed) + expires_ms)
    }

    pub(super) fn end_lease(self: &Arc<Self>) {
        let Some((vhost, expires_ms)) = self.vhost().zip(self.options().expires_ms) else {
            return;
        };
        // Whoever has begun to use it meanwhile did so before the deletion, or finds no queue.
        let veto = |_, consumers| {
            let is_over = self.used_ms.load(Ordering::Relaxed) + expires_ms <= unix_ms();
            if is_over && consumers == 0 {
                Ok(())
            } else {
                Err(())
            }
        };
        if vhost.delete_queue(self, veto).is_ok() {
            tracing::debug!(queue = self.name(), "deleted because nobody used it");
        }
    }

    /// Somebody uses the queue: its lease (`x-expires`) begins again.
    pub fn touch(&self) {
        if self.options().expires_ms.is_some() {
            self.used_ms.store(unix_ms(), Ordering::Relaxed);
        }
    }

    /// Notes that some reactor will dispatch the queue at that time; false when one will earlier, so that nobody need.
    pub fn schedule(&self, wake_at_ms: u64) -> bool {
        let current = self.wake_at_ms.load(Ordering::Relaxed);
        let is_news = current == 0 || wake_at_ms < current;
        if is_news {
            self.wake_at_ms.store(wake_at_ms, Ordering::Relaxed);
        }
        is_news
    }

    /// The time that `schedule` noted has come.
    pub fn wake(&self) {
        self.wake_at_ms.store(0, Ordering::Relaxed);
    }
}

/// Milliseconds since the Unix epoch.
pub(super) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
