//! Looks at all counters once an interval, so that a request can tell rates.
//!
//! The sampler keeps the last two of its looks. A request looks for itself and compares with the older one, so that a rate is over at
//! least one interval and at most two. Nothing is kept of what is gone.

use std::sync::Arc;

use parking_lot::Mutex;

use super::shared::Service;
use crate::observe::{Earlier, Look};
use crate::stage::Phase;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    looks: Mutex<Option<(Arc<Look>, Arc<Look>)>>,
}

impl Sampler {
    /// Looks once an interval, for as long as the broker serves. Never returns.
    pub(super) async fn run(&self, service: &Service) {
        let mut interval = tokio::time::interval(service.config.sample_interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let (Phase::Serving, Some(broker)) = (service.phase(), service.opened()) {
                let look = Arc::new(Look::take(broker));
                let mut looks = self.looks.lock();
                let earlier = looks.take().map_or_else(|| Arc::clone(&look), |(_, last)| last);
                *looks = Some((earlier, look));
            }
        }
    }

    /// What to compare with now, once the sampler has looked.
    pub(super) fn earlier(&self) -> Option<Earlier> {
        let looks = self.looks.lock();
        let (look, _) = looks.as_ref()?;
        Some(Earlier::since(Arc::clone(look)))
    }
}
