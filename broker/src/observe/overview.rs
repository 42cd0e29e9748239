//! A look at the whole broker.

use std::sync::Arc;

use super::link::LinkView;
use super::queue::{ConsumerView, QueueView};
use super::reactor::ReactorCounts;
use crate::broker::Broker;
use crate::queue::Queue;
use crate::vhost::VirtualHost;

macro_rules! global_counts {
    ($($field:ident),+ $(,)?) => {
        /// The sums of [`ReactorCounts`] over all reactors.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "see ReactorCounts")]
        pub struct GlobalCounts { $(pub $field: u64),+ }

        impl GlobalCounts {
            fn add(&mut self, reactor: &ReactorCounts) {
                $(self.$field += reactor.$field.get();)+
            }
        }
    };
}

global_counts! {
    received, received_confirm, confirmed, routed, unroutable_returned, unroutable_dropped, delivered_auto,
    delivered_manual, got_auto, got_manual, got_empty, redelivered, acknowledged, connections_opened,
    connections_closed, channels_opened, channels_closed, queues_declared, publish_pauses, write_timeouts, bytes_in,
    reads, turns, route_lookups,
}

impl GlobalCounts {
    /// Messages that reached consumers, by delivery or get.
    pub fn delivered(&self) -> u64 {
        self.delivered_auto + self.delivered_manual + self.got_auto + self.got_manual
    }
}

/// Sums over queues.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueTotals {
    /// Queues.
    pub queues: u64,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages delivered and not settled.
    pub unsettled: u64,
    /// Messages that wait to be dead-lettered, or for their time.
    pub dead: u64,
    /// Messages in memory.
    pub in_memory: u64,
    /// Messages in the log only.
    pub in_log_only: u64,
    /// Bytes of messages in memory.
    pub memory_bytes: u64,
    /// Consumers.
    pub consumers: u64,
    /// Publishers that wait for room.
    pub publishers_waiting: u64,
    /// Fill of the fullest ring, 0 to 1.
    pub fill_max: f64,
    /// When the oldest message was published that is not settled.
    pub oldest_ms: Option<u64>,
    /// Messages published into queues that are there.
    pub published: u64,
    /// Stretches read from logs.
    pub cold_reads: u64,
}

impl QueueTotals {
    /// Adds a queue.
    pub fn add(&mut self, view: &QueueView) {
        self.queues += 1;
        self.ready += view.ready;
        self.unsettled += view.unsettled;
        self.dead += view.dead;
        self.in_memory += view.in_memory;
        self.in_log_only += view.in_log_only;
        self.memory_bytes += view.memory_bytes;
        self.consumers += view.consumers;
        self.publishers_waiting += view.publishers_waiting;
        self.fill_max = self.fill_max.max(view.fill);
        self.oldest_ms = [self.oldest_ms, view.oldest_ms].into_iter().flatten().min();
        self.published += view.published;
        self.cold_reads += view.counts.cold_reads;
    }

    /// Of some queues.
    pub fn of<'a>(views: impl IntoIterator<Item = &'a QueueView>) -> QueueTotals {
        let mut totals = QueueTotals::default();
        views.into_iter().for_each(|view| totals.add(view));
        totals
    }

    /// Messages of all kinds.
    pub fn messages(&self) -> u64 {
        self.ready + self.unsettled + self.dead
    }
}

/// What can be told without looking at each queue.
#[derive(Clone, Copy, Debug)]
pub struct Overview {
    /// See there.
    pub counts: GlobalCounts,
    /// Connections that are accepted, open or not.
    pub connections: u64,
}

/// Sums over the reactors and the HTTP thread.
pub fn overview(broker: &Broker) -> Overview {
    let mut counts = GlobalCounts::default();
    for inbox in broker.inboxes() {
        counts.add(&inbox.counts);
    }
    counts.add(&broker.tallies.http);
    Overview {
        counts,
        connections: broker.connection_count() as u64,
    }
}

/// Every queue of `vhosts` that is not deleted, one lock after the other, in no order.
pub fn queue_views(vhosts: &[Arc<VirtualHost>]) -> Vec<QueueView> {
    let queues = vhosts.iter().flat_map(|vhost| vhost.queues());
    queues
        .map(|queue| queue.view())
        .filter(|view| !view.deleted)
        .collect()
}

/// Every open connection of a virtual host, by id.
pub fn links(vhost: &VirtualHost) -> Vec<LinkView> {
    let mut links: Vec<_> = vhost.links().iter().map(|link| LinkView::of(link)).collect();
    links.sort_unstable_by_key(|link| link.id);
    links
}

/// Every consumer of a virtual host's queues, with its queue.
pub fn consumers(vhost: &VirtualHost) -> Vec<(Arc<Queue>, ConsumerView)> {
    let queues = vhost.queues().into_iter();
    queues
        .flat_map(|queue| {
            let consumers = queue.consumers();
            consumers
                .into_iter()
                .map(move |consumer| (Arc::clone(&queue), consumer))
        })
        .collect()
}
