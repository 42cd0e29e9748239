//! Drivers: what turns a plan into load on a broker and books what comes back.
//!
//! Two of them behind one trait. [`NativeDriver`] is one thread over `wire`, for rates that no client library reaches;
//! [`LapinDriver`] is the ecosystem's client, and shares no protocol code with the first. Both keep to the same rules:
//!
//! * one connection per producer and per consumer;
//! * saturating load: a producer sends while fewer than its share of messages are sent and not yet consumed (on the
//!   slowest of its queues) and, with confirms, fewer than `confirm_window` are unconfirmed;
//! * open loop: each message has an intended instant (`crate::schedule`); whatever is due is sent, however late;
//! * flood: a producer sends what the broker reads and, with confirms, while fewer than `confirm_window` are unconfirmed;
//! * counted: a producer ends after its share of the messages; without confirms it asks the broker for an answer behind
//!   the last one, so that nothing still lies in a socket when the window closes (`course`);
//! * drain: no message becomes due any more; due ones are still sent, and everything outstanding is awaited.

mod acks;
mod confirms;
mod course;
mod drain;
mod error;
pub mod lapin;
pub mod native;
mod pace;

use crate::control::Control;
use crate::live::Live;
use crate::plan::Plan;
use crate::recorder::Recording;
use crate::target::Target;

pub use error::DriverError;
pub use lapin::LapinDriver;
pub use native::{NativeDriver, introduction};

/// A way to put a plan's load on a broker.
pub trait Driver {
    /// The name that selects it on the command line.
    fn name(&self) -> &'static str;

    /// Connects, reports [`Control::connected`], waits for [`Control::begin`], and returns after the drain with its
    /// connections closed and its queues and exchange deleted.
    ///
    /// # Errors
    /// When the broker refuses, closes or breaks a connection, or breaks the protocol; or when the run is interrupted
    /// before the load began.
    fn run(
        &mut self,
        plan: &Plan,
        target: &Target,
        control: &Control,
        live: &Live,
    ) -> Result<Recording, DriverError>;
}
