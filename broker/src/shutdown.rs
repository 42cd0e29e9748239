//! The signals that begin an orderly stop, and its phases between the last accept and the close of the connections.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};

use crate::broker::Broker;
use crate::connection::Signal;
use crate::queue::Queue;
use crate::store::{Maintenance, checkpoint_changed};

/// How long what was published may take to be kept and confirmed.
const KEEP_DEADLINE: Duration = Duration::from_secs(10);
/// How long deliveries may take to come back.
const GIVE_BACK_DEADLINE: Duration = Duration::from_secs(2);
/// How long dead letters may take to arrive where they go.
const LETTERS_DEADLINE: Duration = Duration::from_secs(2);
/// How often the progress of a phase is looked at.
const POLL: Duration = Duration::from_millis(2);

/// SIGINT and SIGTERM: what a stop begins with, and a second one ends at once.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: UnixSignal,
    terminate: UnixSignal,
}

impl Signals {
    /// Listens for them from here on.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of either.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Stops reading, waits until what was published is kept and confirmed, and takes back what is not settled.
pub async fn quiesce(broker: &Broker) {
    raise(broker, Signal::Quiesce);
    let kept = |queue: &Queue| queue.is_kept() || broker.store.poison_reason().is_some();
    if !all(broker, kept, KEEP_DEADLINE).await {
        tracing::warn!("not everything was written in time: its publishers got no confirm");
    }
    raise(broker, Signal::GiveBack);
    if !all(broker, Queue::is_given_back, GIVE_BACK_DEADLINE).await {
        tracing::warn!("not every delivery came back in time: they are delivered again after the start");
    }
    if !all(broker, Queue::has_no_letters, LETTERS_DEADLINE).await {
        tracing::warn!("not every dead letter found room in time: they go back to their queues");
    }
}

/// Does what the maintenance thread still has to do, writes final checkpoints and, if all of that succeeded, says so in
/// the data directory; true then. May wait for the disk.
pub fn conclude(broker: &Broker, maintenance: Maintenance) -> bool {
    maintenance.stop();
    broker.store.log_thread().stop();
    let synced = broker
        .queues()
        .iter()
        .filter(|queue| queue.declaration().is_stored())
        .all(|queue| {
            let result = queue.log().log().sync();
            if let Err(error) = &result {
                tracing::error!(queue = queue.name(), %error, "cannot sync the log");
            }
            result.is_ok() && queue.is_kept() && queue.is_given_back()
        });
    let checkpointed = checkpoint_changed(broker, true);
    if broker.store.poison_reason().is_some() || !synced || !checkpointed {
        tracing::warn!("the next start treats this one as a crash");
        return false;
    }
    let marked = broker.store.mark_clean();
    if let Err(error) = &marked {
        tracing::error!(%error, "the next start treats this one as a crash");
    }
    marked.is_ok()
}

fn raise(broker: &Broker, signal: Signal) {
    for inbox in broker.inboxes() {
        inbox.raise(signal);
    }
}

/// Waits until `reached` holds for every queue; false when it does not in time.
async fn all(broker: &Broker, reached: impl Fn(&Queue) -> bool, deadline: Duration) -> bool {
    let start = Instant::now();
    loop {
        if broker.queues().iter().all(|queue| reached(queue)) {
            return true;
        }
        if start.elapsed() > deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
}
