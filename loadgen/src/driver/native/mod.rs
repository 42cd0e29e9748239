//! The native driver: one thread, non-blocking sockets, prebuilt frames.
//!
//! Connections are set up one after the other with blocking calls (`session`) and then handed to the event loop
//! (`engine`). All state belongs to that one thread; nothing is locked or shared on the way of a message.
//!
//! One turn of the loop: read every ready socket (confirms and deliveries) into one shared buffer, with one clock read
//! per socket read; write each consumer's acks; then let the producers send, each a bounded batch in one write. It
//! never spins: with nothing to do it waits in epoll, for a socket or for the next tick.

pub(super) mod churn;
mod consumer;
mod engine;
mod inbox;
mod link;
mod orders;
mod producer;
mod recovery;
mod session;
mod socket;
mod ticker;
mod tls_stream;
mod topology;
mod transport;

use super::{Driver, DriverError};
use crate::control::Control;
use crate::live::Live;
use crate::plan::Plan;
use crate::recorder::{Recording, ServerProperties};
use crate::target::Target;

/// Asks the broker who it is, on a connection of its own.
///
/// # Errors
/// When it cannot be reached, refuses the login, or does not answer in time.
pub fn introduction(target: &Target) -> Result<ServerProperties, DriverError> {
    let session = session::Session::open("the introduction", target)?;
    let server = session.server.clone();
    session.close();
    Ok(server)
}

/// Drives a broker from one thread, with `wire` as its codec.
#[derive(Debug, Default)]
pub struct NativeDriver;

impl Driver for NativeDriver {
    fn name(&self) -> &'static str {
        "native"
    }

    fn run(
        &mut self,
        plan: &Plan,
        target: &Target,
        control: &Control,
        live: &Live,
    ) -> Result<Recording, DriverError> {
        let (outcome, churn) = churn::beside(plan, target, control, || carry(plan, target, control, live));
        outcome.map(|recording| Recording { churn, ..recording })
    }
}

/// The load alone.
fn carry(plan: &Plan, target: &Target, control: &Control, live: &Live) -> Result<Recording, DriverError> {
    let outcome = topology::declare(plan, target).and_then(|declared| {
        if declared.queued > 0 && plan.needs_empty_queues() {
            let messages = declared.queued;
            return Err(DriverError::Occupied { messages });
        }
        engine::Engine::connect(plan, target, control)?.run(plan, control, live, declared)
    });
    // A broker that was restarted may listen elsewhere.
    let moved = control.outages().address();
    let target = moved.as_ref().unwrap_or(target);
    // After a failure the first error is the one to report, not that cleaning up failed, too.
    match outcome {
        Ok(recording) => topology::delete(plan, target).map(|()| recording),
        Err(error) => {
            let _ = topology::delete(plan, target);
            Err(error)
        }
    }
}
