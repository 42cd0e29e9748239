//! What all requests share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Refusal;
use super::sampler::Sampler;
use super::settings::ManagementConfig;
use crate::broker::Broker;
use crate::stage::Stage;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) config: ManagementConfig,
    pub(super) sampler: Sampler,
    stage: Arc<Stage>,
}

/// As handlers get it.
pub(super) type Shared = Arc<Service>;

impl Deref for Service {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Service {
    pub(super) fn new(config: ManagementConfig, stage: Arc<Stage>) -> Shared {
        Arc::new(Service {
            config,
            sampler: Sampler::default(),
            stage,
        })
    }

    /// How long a peer may leave its socket full.
    pub(super) fn write_timeout(&self) -> Duration {
        let limits = self.opened().map(|broker| broker.limits.settings());
        // While the broker starts, answers are a line.
        limits.unwrap_or_default().write_timeout
    }

    /// The broker, or 503.
    pub(super) fn broker(&self) -> Result<&Arc<Broker>, Refusal> {
        self.opened()
            .ok_or_else(|| Refusal::unavailable("the broker is starting: it reads its data directory"))
    }
}
