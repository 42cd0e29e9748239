//! Prometheus metrics of the generator while it runs: `GET /metrics` on a port of one's own choice.
//!
//! The conductor posts where the run stands ten times a second; a thread of its own answers requests from that. Neither
//! waits for the other longer than a copy takes, and the driver knows of neither.

mod exposition;
mod server;

use std::sync::Arc;

use parking_lot::Mutex;

pub use server::MetricsServer;

use crate::terminal::Standing;

/// Where the conductor posts and the server reads.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Posted>>);

/// What is posted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Posted {
    /// The scenario that runs.
    pub(crate) scenario: String,
    /// Where it stands; `None` before the first run.
    pub(crate) standing: Option<Standing>,
}

impl Board {
    /// Names the scenario of what is posted from now on.
    pub fn announce(&self, scenario: &str) {
        self.0.lock().scenario = scenario.to_owned();
    }

    /// Posts where the run stands.
    pub fn post(&self, standing: Standing) {
        self.0.lock().standing = Some(standing);
    }

    fn read(&self) -> Posted {
        self.0.lock().clone()
    }
}
