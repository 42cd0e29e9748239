//! The thread that looks at the alarms. It has nothing else to do, so that no disk and no long job elsewhere holds a look up.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Watch;
use crate::broker::Broker;

/// From one look to the next.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The running thread.
#[derive(Debug)]
pub struct WatchThread {
    /// The thread ends when this is gone.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl WatchThread {
    /// Starts it, with a look at once: clients are to meet the alarms that there are.
    ///
    /// # Errors
    /// When the operating system has no thread left.
    pub fn start(broker: Arc<Broker>) -> std::io::Result<WatchThread> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("alarms".to_owned())
            .spawn(move || {
                let mut watch = Watch::default();
                loop {
                    watch.look(&broker);
                    if stopped.recv_timeout(LOOK_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
        Ok(WatchThread { stop, thread })
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the alarms' thread panicked");
        }
    }
}
