//! Rates: two looks at the counters, and the difference.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::channel::ChannelView;
use super::link::LinkView;
use super::overview::{GlobalCounts, links, overview, queue_views};
use super::queue::{QueueCounts, QueueView};
use crate::broker::Broker;
use crate::connection::ConnectionId;

/// Everything that can be seen of queues and connections at one moment.
#[derive(Debug)]
pub(crate) struct Views {
    at: Instant,
    pub(crate) global: GlobalCounts,
    pub(crate) queues: Vec<QueueView>,
    pub(crate) links: Vec<LinkView>,
}

/// What counters said at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    at: Instant,
    pub(crate) global: GlobalCounts,
    /// By id of the queue.
    queues: FxHashMap<String, QueueLook>,
    links: FxHashMap<ConnectionId, LinkLook>,
}

/// What a queue said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueLook {
    pub(crate) counts: QueueCounts,
    pub(crate) published: u64,
    pub(crate) ready: u64,
    pub(crate) unsettled: u64,
    dead: u64,
}

/// What a connection said.
#[derive(Clone, Debug)]
pub(crate) struct LinkLook {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) channels: Vec<ChannelView>,
}

/// What a request compares with.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    look: Arc<Look>,
    elapsed: Duration,
}

impl Views {
    pub(crate) fn take(broker: &Broker) -> Views {
        let at = Instant::now();
        let vhosts = broker.vhosts();
        let views = Views {
            at,
            global: overview(broker).counts,
            queues: queue_views(&vhosts),
            links: vhosts.iter().flat_map(|vhost| links(vhost)).collect(),
        };
        let us = at.elapsed().as_micros() as u64;
        broker.tallies.snapshot_us.record(us);
        views
    }

    /// What is kept of them to compare with.
    pub(crate) fn look(&self) -> Look {
        let queues = self.queues.iter();
        let links = self.links.iter();
        Look {
            at: self.at,
            global: self.global,
            queues: queues
                .map(|view| (view.queue.id().to_owned(), QueueLook::of(view)))
                .collect(),
            links: links.map(|link| (link.id, LinkLook::of(link))).collect(),
        }
    }
}

impl Look {
    pub(crate) fn take(broker: &Broker) -> Look {
        Views::take(broker).look()
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
    pub(crate) fn messages(&self) -> u64 {
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

impl Earlier {
    /// What is counted now is compared with this.
    pub(crate) fn since(look: Arc<Look>) -> Earlier {
        Earlier {
            elapsed: look.at.elapsed(),
            look,
        }
    }

    /// Time since then.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Per second, from what was counted then to what is counted `now`.
    pub(crate) fn rate(&self, then: u64, now: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        now.saturating_sub(then) as f64 / seconds
    }

    /// The same of what also goes down.
    pub(crate) fn change(&self, then: u64, now: u64) -> f64 {
        self.rate(then, now) - self.rate(now, then)
    }

    /// What all reactors had counted.
    pub(crate) fn global(&self) -> &GlobalCounts {
        &self.look.global
    }

    /// What a queue had said; it may be younger.
    pub(crate) fn queue(&self, id: &str) -> Option<QueueLook> {
        self.look.queues.get(id).copied()
    }

    /// What a connection had counted; it may be younger.
    pub(crate) fn link(&self, id: ConnectionId) -> Option<&LinkLook> {
        self.look.links.get(&id)
    }
}

impl LinkLook {
    /// What one of its channels had counted; it may be younger.
    pub(crate) fn channel(&self, number: u16) -> Option<&ChannelView> {
        self.channels.iter().find(|channel| channel.number == number)
    }
}
