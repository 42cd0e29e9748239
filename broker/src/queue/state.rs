//! The queue state machine: publish, dispatch, settle, requeue, purge.
//!
//! Every message is named by its [`Offset`] and is in exactly one state:
//!
//! ```text
//!             publish            dispatch              settle (ack, reject, no-ack, purge)
//!  (nowhere) ---------> ready --------------> unsettled -----------------> settled
//!                         ^                      |
//!                         +------- requeue ------+      redelivered is set from here on
//! ```
//!
//! Ready messages are those at or after `cursor`, never dispatched, and those in `requeued`, all of which
//! lie before `cursor`: serving `requeued` first therefore keeps the original order.
//!
//! Invariants, asserted: settled ≤ dispatched ≤ published; a message is settled exactly once; a consumer's
//! credit never exceeds its prefetch.

use std::collections::BTreeSet;
use std::sync::Arc;

use ring::{ChunkPool, Offset, Ring, RingConfig, RingFull, SettledSet};
use slab::Slab;

use super::consumer::{Accepted, Consumer, ConsumerId, Credit, DeliverySession, DeliveryTarget};
use super::pace::Pace;
use crate::record::{Record, RecordFields};

/// Most messages dealt to one consumer before the next one gets its turn.
pub const DEAL_MESSAGES_MAX: usize = 512;
/// Most record bytes dealt to one consumer before the next one gets its turn.
pub const DEAL_BYTES_MAX: usize = 256 * 1024;
/// Backlog, in messages per consumer with credit, from which whole chunks are dealt: there is work for all.
/// Below it the length of a run follows from the [`Pace`].
const DEAL_DEEP_PER_CONSUMER: usize = 4;

/// One queue's messages and consumers. `T` is where deliveries go.
#[derive(Debug)]
pub struct QueueState<T> {
    ring: Ring,
    settled: SettledSet,
    /// First offset that was never dispatched.
    cursor: Offset,
    /// Dispatched once, given back, and ready again.
    requeued: BTreeSet<Offset>,
    consumers: Slab<Consumer<T>>,
    /// Slots of `consumers` in subscription order, rotated by `next`.
    order: Vec<usize>,
    next: usize,
    serial: u64,
    unsettled: usize,
    pace: Pace,
}

impl<T: DeliveryTarget> QueueState<T> {
    /// An empty queue whose first message will be offset 0.
    pub fn new(config: RingConfig, pool: Arc<ChunkPool>) -> Self {
        QueueState {
            ring: Ring::new(config, pool, Offset::ZERO),
            settled: SettledSet::new(Offset::ZERO),
            cursor: Offset::ZERO,
            requeued: BTreeSet::new(),
            consumers: Slab::new(),
            order: Vec::new(),
            next: 0,
            serial: 0,
            unsettled: 0,
            pace: Pace::default(),
        }
    }

    /// Appends one message, or says what is full; then nothing has changed.
    #[inline]
    pub fn publish(&mut self, fields: &RecordFields<'_>) -> Result<Offset, RingFull> {
        let head = fields.head();
        self.ring
            .try_append(&[&head, fields.names, fields.content.frames()])
    }

    /// Messages waiting for a consumer.
    pub fn ready_len(&self) -> usize {
        self.requeued.len() + self.ring.next_offset().distance_from(self.cursor) as usize
    }

    /// Messages delivered and not yet settled.
    pub fn unsettled_len(&self) -> usize {
        self.unsettled
    }

    /// Lowest offset that is not settled.
    pub fn frontier(&self) -> Offset {
        self.settled.frontier()
    }

    /// Share of the ring in use, 0 to 1, by messages or bytes, whichever is more.
    pub fn fill_ratio(&self) -> f64 {
        self.ring.fill_ratio()
    }

    /// Bytes of ring memory held.
    pub fn bytes_held(&self) -> usize {
        self.ring.bytes_held()
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// True when a consumer asked to be the only one.
    pub fn has_exclusive_consumer(&self) -> bool {
        self.consumers.iter().any(|(_, consumer)| consumer.exclusive)
    }

    /// Adds a consumer with `prefetch` messages of credit (0 = no limit).
    pub fn subscribe(&mut self, target: T, prefetch: u16, exclusive: bool) -> ConsumerId {
        let serial = self.serial;
        self.serial += 1;
        let credit = Credit::new(prefetch);
        let slot = self.consumers.insert(Consumer {
            serial,
            target,
            credit,
            exclusive,
            stalled: false,
        });
        self.order.push(slot);
        ConsumerId { slot, serial }
    }

    /// Removes a consumer. What it holds unsettled stays unsettled: its channel still may ack or requeue it.
    pub fn unsubscribe(&mut self, id: ConsumerId) -> Option<T> {
        self.consumer_mut(id)?;
        let position = self.order.iter().position(|&slot| slot == id.slot)?;
        self.order.remove(position);
        if position < self.next {
            self.next -= 1;
        }
        Some(self.consumers.remove(id.slot).target)
    }

    /// Removes every consumer and returns their targets in subscription order.
    pub fn unsubscribe_all(&mut self) -> Vec<T> {
        let order = std::mem::take(&mut self.order);
        order
            .into_iter()
            .map(|slot| self.consumers.remove(slot).target)
            .collect()
    }

    /// The target of a stalled consumer has room again.
    pub fn unstall(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumer_mut(id) {
            consumer.stalled = false;
        }
    }

    /// Deals ready messages to the consumers that have credit and room, round-robin, until one side runs
    /// out; `touched` sees the target of every chunk dealt. `now_us` is any clock in microseconds. Returns how
    /// many messages were dealt.
    pub fn dispatch(&mut self, now_us: u64, mut touched: impl FnMut(&T)) -> usize {
        self.pace.advance(now_us);
        let mut dealt = 0;
        let mut ready = self.ready_len();
        let mut idle = 0;
        let share = self.share(ready);
        while ready > 0 && idle < self.order.len() {
            if self.next >= self.order.len() {
                self.next = 0;
            }
            let slot = self.order[self.next];
            self.next += 1;
            match self.deal(slot, share) {
                0 => idle += 1,
                count => {
                    idle = 0;
                    ready -= count;
                    dealt += count;
                    touched(&self.consumers[slot].target);
                }
            }
        }
        self.pace.add(dealt);
        self.check();
        dealt
    }

    /// Takes the oldest ready message for `basic.get`: `take` sees the offset, the redelivered flag, the
    /// record and how many stay ready. The message is unsettled afterwards, or settled with `no_ack`.
    pub fn get<R>(
        &mut self,
        no_ack: bool,
        take: impl FnOnce(Offset, bool, &Record<'_>, usize) -> R,
    ) -> Option<R> {
        let remaining = self.ready_len().checked_sub(1)?;
        let (offset, redelivered) = match self.requeued.pop_first() {
            Some(offset) => (offset, true),
            None => {
                let offset = self.cursor;
                self.cursor = offset.next();
                (offset, false)
            }
        };
        let result = take(offset, redelivered, &read(&self.ring, offset), remaining);
        self.unsettled += 1;
        if no_ack {
            self.settle(None, offset, 1);
        }
        Some(result)
    }

    /// Settles `count` messages from `first` on, that `consumer` (or a get) held: they are done with.
    pub fn settle(&mut self, consumer: Option<ConsumerId>, first: Offset, count: usize) {
        assert!(
            count <= self.unsettled,
            "more messages settled than were delivered"
        );
        assert!(
            first.advance(count as u64) <= self.cursor,
            "settled before it was delivered"
        );
        if count == 1 {
            assert!(self.settled.settle(first), "offset {first} settled twice");
            self.ring.release(first);
        } else {
            self.settled.settle_range(first, count as u64);
            self.ring.release_range(first, count as u64);
        }
        self.unsettled -= count;
        self.restore_credit(consumer, count);
    }

    /// Gives `count` messages from `first` on back: ready again, in their old place, as redelivered.
    pub fn requeue(&mut self, consumer: Option<ConsumerId>, first: Offset, count: usize) {
        assert!(
            count <= self.unsettled,
            "more messages requeued than were delivered"
        );
        for index in 0..count as u64 {
            let offset = first.advance(index);
            assert!(
                offset < self.cursor && !self.settled.is_settled(offset),
                "requeued what was not unsettled"
            );
            assert!(self.requeued.insert(offset), "offset {offset} requeued twice");
        }
        self.unsettled -= count;
        self.restore_credit(consumer, count);
    }

    /// Drops every ready message and says how many there were. Unsettled ones stay.
    pub fn purge(&mut self) -> usize {
        let purged = self.ready_len();
        for offset in std::mem::take(&mut self.requeued) {
            self.settled.settle(offset);
            self.ring.release(offset);
        }
        let fresh = self.ring.next_offset().distance_from(self.cursor);
        if fresh > 0 {
            self.settled.settle_range(self.cursor, fresh);
            self.ring.release_range(self.cursor, fresh);
            self.cursor = self.ring.next_offset();
        }
        self.check();
        purged
    }

    /// Gives memory back that an idle queue does not need; to be called about once a second.
    pub fn trim(&mut self) {
        self.ring.trim();
    }

    /// How many messages one consumer gets at a time when `ready` wait.
    fn share(&self, ready: usize) -> usize {
        let able = self
            .order
            .iter()
            .filter(|&&slot| self.consumers[slot].can_take())
            .count();
        if ready >= able * DEAL_DEEP_PER_CONSUMER {
            DEAL_MESSAGES_MAX
        } else {
            self.pace.run_len(able).min(DEAL_MESSAGES_MAX)
        }
    }

    /// Deals up to `share` messages to the consumer in `slot`; 0 when it can take none.
    fn deal(&mut self, slot: usize, share: usize) -> usize {
        let QueueState {
            ring,
            cursor,
            requeued,
            consumers,
            unsettled,
            ..
        } = self;
        let consumer = &mut consumers[slot];
        if !consumer.can_take() {
            return 0;
        }
        let Some(mut session) = consumer.target.open() else {
            consumer.stalled = true;
            return 0;
        };
        let count_max = share.min(consumer.credit.available());
        let no_ack = consumer.target.no_ack();
        let mut count = 0;
        let mut bytes = 0;
        let mut full = false;

        let mut settled_again = Vec::new();
        while count < count_max && bytes < DEAL_BYTES_MAX && !full {
            let Some(&offset) = requeued.first() else { break };
            let record = read(ring, offset);
            full = session.deliver(offset, true, &record) == Accepted::Full;
            if !full {
                requeued.pop_first();
                bytes += record.content.frames().len();
                count += 1;
                if no_ack {
                    settled_again.push(offset);
                }
            }
        }

        let fresh = *cursor;
        for (offset, bytes_of_record) in ring.records_from(fresh) {
            if count >= count_max || bytes >= DEAL_BYTES_MAX || full {
                break;
            }
            let record = parse(bytes_of_record);
            full = session.deliver(offset, false, &record) == Accepted::Full;
            if !full {
                bytes += bytes_of_record.len();
                count += 1;
                *cursor = offset.next();
            }
        }
        drop(session);

        *unsettled += count;
        consumer.stalled = full;
        if no_ack {
            for offset in settled_again {
                self.settle(None, offset, 1);
            }
            let fresh_count = self.cursor.distance_from(fresh) as usize;
            if fresh_count > 0 {
                self.settle(None, fresh, fresh_count);
            }
        } else {
            consumer.credit.take(count);
        }
        count
    }

    fn restore_credit(&mut self, consumer: Option<ConsumerId>, count: usize) {
        if let Some(consumer) = consumer.and_then(|id| self.consumer_mut(id)) {
            consumer.credit.restore(count);
        }
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer<T>> {
        self.consumers
            .get_mut(id.slot)
            .filter(|consumer| consumer.serial == id.serial)
    }

    /// Once a dispatch, not once a message: every live record is ready or unsettled.
    fn check(&self) {
        assert!(self.settled.frontier() <= self.cursor && self.cursor <= self.ring.next_offset());
        assert_eq!(
            self.ring.len(),
            self.ready_len() + self.unsettled,
            "a message is in two states or in none"
        );
    }
}

impl<T> Consumer<T> {
    fn can_take(&self) -> bool {
        !self.stalled && self.credit.available() > 0
    }
}

fn read(ring: &Ring, offset: Offset) -> Record<'_> {
    parse(ring.get(offset).expect("a ready message is in the ring"))
}

#[inline]
fn parse(bytes: &[u8]) -> Record<'_> {
    Record::parse(bytes).expect("the ring holds what publish wrote")
}
