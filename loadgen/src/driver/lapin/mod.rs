//! The lapin driver: the ecosystem's client, on tokio with two workers, a task per producer and consumer.
//!
//! Books are shared between the tasks: the ledger behind one lock that is held for a batch of deliveries, the recorders
//! in a few shards that are merged at the end. A supervisor on the calling thread obeys the run's control, ends the
//! seconds of the series, and notices when a task fails.

mod books;
mod consumer;
mod producer;
mod setup;
mod supervisor;

use super::{Driver, DriverError, native};
use crate::control::Control;
use crate::live::Live;
use crate::plan::Plan;
use crate::recorder::Recording;
use crate::target::Target;

/// Worker threads of the runtime.
const WORKERS: usize = 2;

/// Drives a broker with the lapin client.
#[derive(Debug, Default)]
pub struct LapinDriver;

impl Driver for LapinDriver {
    fn name(&self) -> &'static str {
        "lapin"
    }

    fn run(
        &mut self,
        plan: &Plan,
        target: &Target,
        control: &Control,
        live: &Live,
    ) -> Result<Recording, DriverError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("lapin")
            .enable_all()
            .build()
            .map_err(|source| DriverError::Generator {
                what: "start its runtime",
                source,
            })?;
        // The client keeps to itself what the broker says of itself, so the other driver asks; a broker that does not
        // answer is the client's to report.
        let server = native::introduction(target).unwrap_or_default();
        let load = || {
            runtime.block_on(async {
                let outcome = match setup::declare(plan, target).await {
                    Ok(messages) if messages > 0 && plan.needs_empty_queues() => {
                        Err(DriverError::Occupied { messages })
                    }
                    Ok(_) => supervisor::run(plan, target, control, live, server).await,
                    Err(error) => Err(error),
                };
                // After a failure the first error is the one to report, not that cleaning up failed, too.
                match outcome {
                    Ok(recording) => setup::delete(plan, target).await.map(|()| recording),
                    Err(error) => {
                        let _ = setup::delete(plan, target).await;
                        Err(error)
                    }
                }
            })
        };
        // The client has no blocking calls for it, and a thread of its runtime would make the load late.
        let (outcome, churn) = native::churn::beside(plan, target, control, load);
        outcome.map(|recording| Recording { churn, ..recording })
    }
}
