//! Rates: two looks at the counters, and the difference.
//!
//! The sampler keeps the last two of its looks. A request looks for itself and compares with the older one, so that a rate is over at
//! least one interval and at most two. Nothing is kept of what is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::stage::{Phase, Stage};
use crate::broker::Broker;
use crate::connection::ConnectionId;
use crate::observe::{
    ChannelView, GlobalCounts, LinkView, QueueCounts, QueueView, links, overview, queue_views,
};

/// What counters said at one moment.
#[derive(Clone, Debug)]
pub(super) struct Look {
    at: Instant,
    pub(super) global: GlobalCounts,
    /// By id of the queue.
    queues: FxHashMap<String, QueueLook>,
    links: FxHashMap<ConnectionId, LinkLook>,
}

/// What a queue said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueLook {
    pub(super) counts: QueueCounts,
    pub(super) published: u64,
    pub(super) ready: u64,
    pub(super) unsettled: u64,
    dead: u64,
}

/// What a connection said.
#[derive(Clone, Debug)]
pub(super) struct LinkLook {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) channels: Vec<ChannelView>,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    looks: Mutex<Option<(Arc<Look>, Arc<Look>)>>,
}

/// What a request compares with.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    look: Arc<Look>,
    elapsed: Duration,
}

impl Look {
    pub(super) fn take(broker: &Broker) -> Look {
        let start = Instant::now();
        let vhosts = broker.vhosts();
        let queues = queue_views(&vhosts);
        let links = vhosts.iter().flat_map(|vhost| links(vhost));
        let look = Look {
            at: start,
            global: overview(broker).counts,
            queues: queues
                .iter()
                .map(|view| (view.queue.id().to_owned(), QueueLook::of(view)))
                .collect(),
            links: links.map(|link| (link.id, LinkLook::of(&link))).collect(),
        };
        let us = start.elapsed().as_micros() as u64;
        broker.tallies.snapshot_us.record(us);
        look
    }
}

impl QueueLook {
    fn of(view: &QueueView) -> QueueLook {
        QueueLook {
            counts: view.counts,
            published: view.published,
            ready: view.ready,
            unsettled: view.unsettled,
            dead: view.dead,
        }
    }

    /// Messages of all kinds.
    pub(super) fn messages(&self) -> u64 {
        self.ready + self.unsettled + self.dead
    }
}

impl LinkLook {
    fn of(link: &LinkView) -> LinkLook {
        LinkLook {
            bytes_in: link.observed.bytes_in.get(),
            bytes_out: link.bytes_out,
            channels: link.channels.clone(),
        }
    }
}

impl Sampler {
    /// Looks once an interval, for as long as the broker serves. Never returns.
    pub(super) async fn run(&self, stage: &Stage) {
        let mut interval = tokio::time::interval(stage.config.sample_interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let (Phase::Serving, Some(broker)) = (stage.phase(), stage.opened()) {
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
        Some(Earlier {
            elapsed: look.at.elapsed(),
            look: Arc::clone(look),
        })
    }
}

impl Earlier {
    /// Per second, from what was counted then to what is counted `now`.
    pub(super) fn rate(&self, then: u64, now: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        now.saturating_sub(then) as f64 / seconds
    }

    /// The same of what also goes down.
    pub(super) fn change(&self, then: u64, now: u64) -> f64 {
        self.rate(then, now) - self.rate(now, then)
    }

    /// What all reactors had counted.
    pub(super) fn global(&self) -> &GlobalCounts {
        &self.look.global
    }

    /// What a queue had said; it may be younger.
    pub(super) fn queue(&self, id: &str) -> Option<QueueLook> {
        self.look.queues.get(id).copied()
    }

    /// What a connection had counted; it may be younger.
    pub(super) fn link(&self, id: ConnectionId) -> Option<&LinkLook> {
        self.look.links.get(&id)
    }
}

impl LinkLook {
    /// What one of its channels had counted; it may be younger.
    pub(super) fn channel(&self, number: u16) -> Option<&ChannelView> {
        self.channels.iter().find(|channel| channel.number == number)
    }
}
