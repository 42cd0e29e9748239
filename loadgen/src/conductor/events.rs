//! The conductor's inbox.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::driver::DriverError;
use crate::recorder::Recording;

/// What the conductor waits for.
#[derive(Debug)]
pub enum Event {
    /// Ctrl-C or SIGTERM.
    Interrupt,
    /// The driver has returned.
    Finished(Box<Result<Recording, DriverError>>),
    /// The driver panicked.
    Panicked,
}

/// Both ends of the conductor's inbox: whoever has the sender may interrupt.
#[derive(Debug)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    pub(super) receiver: mpsc::Receiver<Event>,
    /// Whether a run has been interrupted: no further one is to follow.
    pub(super) interrupted: AtomicBool,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self {
            sender,
            receiver,
            interrupted: AtomicBool::new(false),
        }
    }
}

impl Events {
    /// Whether a run has been interrupted.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Waits so long, or until interrupted; whether it is. Between runs only: nobody else sends anything then.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        if let Ok(Event::Interrupt) = self.receiver.recv_timeout(time) {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        self.interrupted()
    }

    /// For the thread that listens for signals.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<Event> {
        self.sender.clone()
    }
}
