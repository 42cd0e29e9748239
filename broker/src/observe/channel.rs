//! What can be seen of a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::count::{Count, Gauge};
use super::link::LinkObserved;
use crate::connection::DeliveryWindow;

/// Counted by the connection's task. What is delivered is counted in the channel's window.
#[derive(Debug)]
pub struct ChannelObserved {
    /// Its number on the connection.
    pub number: u16,
    /// Key of its window in the connection's outbox.
    pub window: usize,
    /// Messages published; those of a transaction when it commits.
    pub published: Count,
    /// Those among them that are to be confirmed.
    pub published_confirm: Count,
    /// Messages confirmed, or refused.
    pub confirmed: Count,
    /// Messages without a queue that went back.
    pub returned: Count,
    /// Messages without a queue that did not.
    pub dropped: Count,
    /// Messages acknowledged.
    pub acknowledged: Count,
    /// Messages got that need no acknowledgement.
    pub got_auto: Count,
    /// Messages got that need one.
    pub got_manual: Count,
    /// Gets that found nothing.
    pub got_empty: Count,
    /// Prefetch of consumers yet to come.
    pub prefetch: Gauge,
    confirm: AtomicBool,
    transactional: AtomicBool,
}

/// A copy of it, with what its window says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelView {
    /// Its number on the connection.
    pub number: u16,
    /// See [`ChannelObserved`].
    pub published: u64,
    /// See [`ChannelObserved`].
    pub confirmed: u64,
    /// Messages that wait for their confirm.
    pub unconfirmed: u64,
    /// See [`ChannelObserved`].
    pub returned: u64,
    /// See [`ChannelObserved`].
    pub dropped: u64,
    /// See [`ChannelObserved`].
    pub acknowledged: u64,
    /// See [`ChannelObserved`].
    pub got_auto: u64,
    /// See [`ChannelObserved`].
    pub got_manual: u64,
    /// See [`ChannelObserved`].
    pub got_empty: u64,
    /// Messages delivered to consumers that do not acknowledge.
    pub delivered_auto: u64,
    /// Messages delivered to consumers that do.
    pub delivered_manual: u64,
    /// Messages delivered or got that had been delivered before.
    pub redelivered: u64,
    /// Delivered or got, and not settled.
    pub unsettled: u64,
    /// Consumers, those of direct reply-to left out.
    pub consumers: u64,
    /// Prefetch of consumers yet to come; 0 = no limit.
    pub prefetch: u64,
    /// Limit of the channel as a whole; 0 = none.
    pub prefetch_global: u64,
    /// Publisher confirms are on.
    pub confirm: bool,
    /// It is transactional.
    pub transactional: bool,
}

impl ChannelView {
    /// Messages that reached consumers, by delivery or get.
    pub fn delivered(&self) -> u64 {
        self.delivered_auto + self.delivered_manual + self.got_auto + self.got_manual
    }
}

impl ChannelObserved {
    pub(super) fn new(number: u16, window: usize) -> ChannelObserved {
        ChannelObserved {
            number,
            window,
            published: Count::default(),
            published_confirm: Count::default(),
            confirmed: Count::default(),
            returned: Count::default(),
            dropped: Count::default(),
            acknowledged: Count::default(),
            got_auto: Count::default(),
            got_manual: Count::default(),
            got_empty: Count::default(),
            prefetch: Gauge::default(),
            confirm: AtomicBool::new(false),
            transactional: AtomicBool::new(false),
        }
    }

    /// Publisher confirms are on from here on.
    pub fn note_confirm(&self) {
        self.confirm.store(true, Ordering::Relaxed);
    }

    /// It is transactional from here on.
    pub fn note_transactional(&self) {
        self.transactional.store(true, Ordering::Relaxed);
    }

    /// A copy; `window` is that of the channel, unless it is closing.
    pub(super) fn view(&self, window: Option<&DeliveryWindow>) -> ChannelView {
        let window = window.map(DeliveryWindow::observed).unwrap_or_default();
        let (got_auto, got_manual) = (self.got_auto.get(), self.got_manual.get());
        // Read first: a confirm is counted after its publish.
        let confirmed = self.confirmed.get();
        ChannelView {
            number: self.number,
            published: self.published.get(),
            confirmed,
            unconfirmed: self.published_confirm.get().saturating_sub(confirmed),
            returned: self.returned.get(),
            dropped: self.dropped.get(),
            acknowledged: self.acknowledged.get(),
            got_auto,
            got_manual,
            got_empty: self.got_empty.get(),
            delivered_auto: (window.tags - window.pushed).saturating_sub(got_auto),
            delivered_manual: window.pushed.saturating_sub(got_manual),
            redelivered: window.redelivered,
            unsettled: window.unsettled,
            consumers: window.consumers,
            prefetch: self.prefetch.get(),
            prefetch_global: window.prefetch_global,
            confirm: self.confirm.load(Ordering::Relaxed),
            transactional: self.transactional.load(Ordering::Relaxed),
        }
    }
}

/// Keeps a channel among those that can be seen, as long as it is not dropped.
#[derive(Debug)]
pub struct ChannelShare {
    pub(super) observed: Arc<ChannelObserved>,
    pub(super) link: Arc<LinkObserved>,
}

impl std::ops::Deref for ChannelShare {
    type Target = ChannelObserved;

    fn deref(&self) -> &ChannelObserved {
        &self.observed
    }
}

impl Drop for ChannelShare {
    fn drop(&mut self) {
        self.link.remove_channel(self.observed.number);
    }
}
