//! What other threads leave for a reactor: queues to dispatch, signals for all its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::connection::{Signal, Signals};
use crate::observe::ReactorCounts;
use crate::pulse::Pulse;
use crate::queue::Queue;

/// One reactor's inbox. Also wakes its dispatcher for work that comes from the reactor itself.
#[derive(Debug, Default)]
pub struct Inbox {
    queues: Mutex<Vec<Arc<Queue>>>,
    signals: AtomicU32,
    dispatch: Notify,
    /// Whether the reactor's turns go on.
    pub pulse: Pulse,
    /// What the reactor has done; it alone writes there.
    pub counts: ReactorCounts,
}

impl Inbox {
    /// A queue that was marked dirty.
    pub fn add(&self, queue: Arc<Queue>) {
        self.queues.lock().push(queue);
        self.dispatch.notify_one();
    }

    /// A signal for every connection of the reactor.
    pub fn raise(&self, signal: Signal) {
        // Release pairs with the acquire in `take_signals`.
        self.signals.fetch_or(signal as u32, Ordering::Release);
        self.dispatch.notify_one();
    }

    /// Wakes the dispatcher.
    pub fn wake(&self) {
        self.dispatch.notify_one();
    }

    /// Asks the reactor for a sign of life: its next turn answers.
    pub fn ask(&self) {
        self.pulse.ask();
        self.wake();
    }

    /// Waits until there is something to do.
    pub async fn woken(&self) {
        self.dispatch.notified().await;
    }

    /// Moves the queues over.
    pub fn take_queues(&self, into: &mut Vec<Arc<Queue>>) {
        into.append(&mut self.queues.lock());
    }

    /// The signals raised since the last call.
    pub fn take_signals(&self) -> Signals {
        if self.signals.load(Ordering::Relaxed) == 0 {
            return Signals::none();
        }
        Signals::from_bits(self.signals.swap(0, Ordering::Acquire))
    }
}
