//! A channel's window of unacknowledged deliveries: delivery tags on one side, queue offsets on the other.
//!
//! Tags are per channel, from 1, and are translated to offsets exactly once, here. Entries lie in tag
//! order, so an acknowledgement in order is a pop, one out of order a guess by distance or a binary search.
//! Deliveries that need no acknowledgement take a tag and no entry.
//!
//! The window lives inside its connection's outbound lock, because any reactor may deliver into it.

use std::collections::VecDeque;
use std::sync::Arc;

use ring::Offset;
use slab::Slab;

use crate::queue::{ConsumerId, Queue};

/// Where deliveries of a channel come from: a consumer, or `basic.get` on a queue.
#[derive(Clone, Debug)]
pub struct Source {
    /// The queue that settles or requeues them.
    pub queue: Arc<Queue>,
    /// The consumer whose credit they used; `None` for `basic.get`.
    pub consumer: Option<ConsumerId>,
}

/// Index of a [`Source`] in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceId(u32);

/// Consecutive offsets of one source, in the order in which they were settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledRun {
    /// Who gets them.
    pub source: SourceId,
    /// First offset of the run.
    pub first: Offset,
    /// Length of the run.
    pub count: usize,
}

/// The acknowledged tag was never delivered, or is settled already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDeliveryTag;

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u64,
    offset: Offset,
    source: SourceId,
    /// What it took of the outbox; 0 once it is settled.
    bytes: u32,
}

impl Entry {
    fn is_live(&self) -> bool {
        self.bytes > 0
    }
}

/// What can be seen of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowObserved {
    /// Deliveries of any kind so far.
    pub tags: u64,
    /// Those that awaited their acknowledgement.
    pub pushed: u64,
    /// Those that had been delivered before.
    pub redelivered: u64,
    /// Those that are not settled.
    pub unsettled: u64,
    /// Consumers.
    pub consumers: u64,
    /// See [`DeliveryWindow::set_prefetch_global`].
    pub prefetch_global: u64,
}

#[derive(Debug)]
struct SourceSlot {
    source: Source,
    unsettled: usize,
    /// Cancelled: goes when nothing of it is unsettled any more.
    detached: bool,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub struct DeliveryWindow {
    tag_last: u64,
    /// Deliveries that awaited their acknowledgement, so far.
    pushed: u64,
    /// Deliveries that were no first ones, so far.
    redelivered: u64,
    entries: VecDeque<Entry>,
    live: usize,
    /// Of those entries.
    live_bytes: u64,
    sources: Slab<SourceSlot>,
    /// Limit on `live` over all consumers of the channel (`basic.qos` global); 0 = none.
    prefetch_global: u16,
    /// A delivery was refused because of it.
    stalled: bool,
}

impl DeliveryWindow {
    /// Registers where deliveries will come from.
    pub fn add_source(&mut self, source: Source) -> SourceId {
        SourceId(self.sources.insert(SourceSlot {
            source,
            unsettled: 0,
            detached: false,
        }) as u32)
    }

    /// Names the consumer, known only after the queue has accepted it.
    pub fn set_consumer(&mut self, id: SourceId, consumer: ConsumerId) {
        self.sources[id.0 as usize].source.consumer = Some(consumer);
    }

    /// No more deliveries will come from there; what is unsettled keeps its source.
    pub fn detach_source(&mut self, id: SourceId) {
        let slot = &mut self.sources[id.0 as usize];
        slot.detached = true;
        if slot.unsettled == 0 {
            self.sources.remove(id.0 as usize);
        }
    }

    /// The source behind an id that is still in use.
    pub fn source(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize].source
    }

    /// Number of unsettled deliveries.
    pub fn unsettled_len(&self) -> usize {
        self.live
    }

    /// What the unsettled deliveries took of the outbox.
    pub fn unsettled_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Sets the channel-wide limit; 0 = none.
    pub fn set_prefetch_global(&mut self, prefetch: u16) {
        self.prefetch_global = prefetch;
    }

    /// True when the channel-wide limit allows one more delivery; otherwise remembers the refusal.
    #[inline]
    pub fn admit(&mut self) -> bool {
        let admitted = self.prefetch_global == 0 || self.live < self.prefetch_global as usize;
        self.stalled |= !admitted;
        admitted
    }

    /// True, once, after the channel-wide limit had refused a delivery and now would allow one.
    pub fn take_unstalled(&mut self) -> bool {
        let room = self.prefetch_global == 0 || self.live < self.prefetch_global as usize;
        let unstalled = self.stalled && room;
        self.stalled &= !room;
        unstalled
    }

    /// The tag of a delivery that settles itself.
    #[inline]
    pub fn next_tag(&mut self) -> u64 {
        self.tag_last += 1;
        self.tag_last
    }

    /// The tag of a delivery of so many bytes, at least one, that awaits its acknowledgement.
    #[inline]
    pub fn push(&mut self, source: SourceId, offset: Offset, bytes: u32) -> u64 {
        debug_assert!(bytes > 0, "0 says that a delivery is settled");
        let tag = self.next_tag();
        self.entries.push_back(Entry {
            tag,
            offset,
            source,
            bytes,
        });
        self.live += 1;
        self.live_bytes += u64::from(bytes);
        self.pushed += 1;
        self.sources[source.0 as usize].unsettled += 1;
        tag
    }

    /// Counts a delivery as one that had been delivered before, if it was.
    #[inline]
    pub fn note_redelivered(&mut self, redelivered: bool) {
        self.redelivered += u64::from(redelivered);
    }

    /// What can be seen of it.
    pub fn observed(&self) -> WindowObserved {
        let consumers = self
            .sources
            .iter()
            .filter(|(_, slot)| !slot.detached && slot.source.consumer.is_some());
        WindowObserved {
            tags: self.tag_last,
            pushed: self.pushed,
            redelivered: self.redelivered,
            unsettled: self.live as u64,
            consumers: consumers.count() as u64,
            prefetch_global: self.prefetch_global.into(),
        }
    }

    /// Takes the delivery `tag`, or with `multiple` all up to it (0: all there are), out of the window and
    /// appends them to `runs`.
    pub fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        runs: &mut Vec<SettledRun>,
    ) -> Result<(), UnknownDeliveryTag> {
        if tag > self.tag_last || (tag == 0 && !multiple) {
            return Err(UnknownDeliveryTag);
        }
        if multiple {
            let through = if tag == 0 { self.tag_last } else { tag };
            // A cumulative acknowledgement must name something unsettled, unless it means "all".
            if tag != 0 && self.find(tag).is_none() {
                return Err(UnknownDeliveryTag);
            }
            while let Some(entry) = self.entries.pop_front_if(|entry| entry.tag <= through) {
                self.take(entry, runs);
            }
        } else {
            let index = self.find(tag).ok_or(UnknownDeliveryTag)?;
            let entry = self.entries[index];
            self.entries[index].bytes = 0;
            self.take(entry, runs);
        }
        self.trim();
        Ok(())
    }

    /// True when the delivery `tag` is unsettled.
    pub fn is_outstanding(&self, tag: u64) -> bool {
        self.find(tag).is_some()
    }

    /// Tags of unsettled deliveries from `first` through `last`, in order.
    pub fn outstanding(&self, first: u64, last: u64) -> impl Iterator<Item = u64> {
        let start = self.entries.partition_point(|entry| entry.tag < first);
        self.entries
            .range(start..)
            .take_while(move |entry| entry.tag <= last)
            .filter(|entry| entry.is_live())
            .map(|entry| entry.tag)
    }

    /// Tag of the last delivery.
    pub fn last_tag(&self) -> u64 {
        self.tag_last
    }

    /// Tag of the oldest unsettled delivery.
    pub fn oldest_tag(&self) -> Option<u64> {
        self.entries
            .iter()
            .find(|entry| entry.is_live())
            .map(|entry| entry.tag)
    }

    /// Unsettled deliveries among the `max` oldest entries: tag and source.
    pub fn unsettled(&self, max: usize) -> impl Iterator<Item = (u64, &Source)> {
        let entries = self.entries.iter().take(max).filter(|entry| entry.is_live());
        entries.map(|entry| (entry.tag, self.source(entry.source)))
    }

    /// Takes everything out, for `basic.recover` and for channels that close.
    pub fn settle_all(&mut self, runs: &mut Vec<SettledRun>) {
        while let Some(entry) = self.entries.pop_front() {
            self.take(entry, runs);
        }
    }

    /// Accounts for runs handed out by `settle`, once their sources have been told: a cancelled source
    /// without deliveries goes.
    pub fn release_runs(&mut self, runs: &[SettledRun]) {
        for run in runs {
            let index = run.source.0 as usize;
            let slot = &mut self.sources[index];
            slot.unsettled -= run.count;
            if slot.detached && slot.unsettled == 0 {
                self.sources.remove(index);
            }
        }
    }

    fn take(&mut self, entry: Entry, runs: &mut Vec<SettledRun>) {
        if !entry.is_live() {
            return;
        }
        self.live -= 1;
        self.live_bytes -= u64::from(entry.bytes);
        match runs.last_mut() {
            Some(run)
                if run.source == entry.source && run.first.advance(run.count as u64) == entry.offset =>
            {
                run.count += 1;
            }
            _ => runs.push(SettledRun {
                source: entry.source,
                first: entry.offset,
                count: 1,
            }),
        }
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let first = self.entries.front()?.tag;
        let guess = tag.checked_sub(first)? as usize;
        let index = match self.entries.get(guess) {
            Some(entry) if entry.tag == tag => guess,
            _ => self.entries.binary_search_by_key(&tag, |entry| entry.tag).ok()?,
        };
        self.entries[index].is_live().then_some(index)
    }

    /// Drops settled entries from the front, and from everywhere when they outnumber the live ones: one
    /// message that is never acknowledged must not make the window grow.
    fn trim(&mut self) {
        while self.entries.pop_front_if(|entry| !entry.is_live()).is_some() {}
        if self.entries.len() > 64 && self.entries.len() > 2 * self.live {
            self.entries.retain(Entry::is_live);
        }
    }
}
