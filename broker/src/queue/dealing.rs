//! Dealing: which messages go to which consumer, from the ring or from the log.

use ring::{Offset, Ring};

use super::cold::ColdWindow;
use super::consumer::{Accepted, Consumer, DeliverySession, DeliveryTarget};
use super::state::QueueState;
use crate::record::Record;

/// Most messages dealt to one consumer before the next one gets its turn.
pub const DEAL_MESSAGES_MAX: usize = 512;
/// Most record bytes dealt to one consumer before the next one gets its turn.
pub const DEAL_BYTES_MAX: usize = 256 * 1024;
/// Backlog, in messages per consumer with credit, from which whole chunks are dealt: there is work for all.
/// Below it the length of a run follows from the `Pace`.
const DEAL_DEEP_PER_CONSUMER: usize = 4;

/// What a dispatch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// Messages dealt.
    pub dealt: usize,
    /// Consumers could take more, but the next message must be read from the log first: from this offset on.
    pub cold: Option<Offset>,
}

/// What a get came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got<R> {
    /// A message, and what `take` made of it.
    Message(R),
    /// The next message must be read from the log first: from this offset on.
    Cold(Offset),
    /// Nothing is ready.
    Empty,
}

impl<T: DeliveryTarget> QueueState<T> {
    /// Deals ready messages to the consumers that have credit and room, round-robin, until one side runs
    /// out; `touched` sees the target of every chunk dealt. `now_us` is any clock in microseconds.
    pub fn dispatch(&mut self, now_us: u64, mut touched: impl FnMut(&T)) -> Dispatched {
        self.pace.advance(now_us);
        let mut dealt = 0;
        let mut ready = self.ready_len();
        let mut idle = 0;
        let mut cold = None;
        let share = self.share(ready);
        while ready > 0 && idle < self.order.len() && cold.is_none() {
            if self.next >= self.order.len() {
                self.next = 0;
            }
            let slot = self.order[self.next];
            let count;
            (count, cold) = self.deal(slot, share);
            match count {
                0 => idle += 1,
                count => {
                    idle = 0;
                    ready -= count;
                    dealt += count;
                    touched(&self.consumers[slot].target);
                }
            }
            // Who only waits for the log keeps its turn.
            self.next += usize::from(count > 0 || cold.is_none());
        }
        self.pace.add(dealt);
        self.check();
        Dispatched { dealt, cold }
    }

    /// Takes the oldest ready message for `basic.get`: `take` sees the offset, the redelivered flag, the
    /// record and how many stay ready. The message is unsettled afterwards, or settled with `no_ack`.
    pub fn get<R>(
        &mut self,
        no_ack: bool,
        take: impl FnOnce(Offset, bool, &Record<'_>, usize) -> R,
    ) -> Got<R> {
        let Some(remaining) = self.ready_len().checked_sub(1) else {
            return Got::Empty;
        };
        let again = self.requeued.first().copied();
        let offset = match again {
            Some(offset) => offset,
            None => match self.next_fresh() {
                Ok(offset) => offset,
                Err(wanted) => return Got::Cold(wanted),
            },
        };
        let Some(record) = self.read(offset) else {
            return Got::Cold(offset);
        };
        let redelivered = again.is_some() || offset < self.redeliver_below;
        let result = take(offset, redelivered, &record, remaining);
        if again.is_some() {
            self.requeued.pop_first();
        } else {
            self.cursor = offset.next();
        }
        self.unsettled += 1;
        if no_ack {
            self.settle(None, offset, 1);
        }
        Got::Message(result)
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

    /// Deals up to `share` messages to the consumer in `slot`; 0 when it can take none. Also the offset that must be
    /// read from the log before it can go on.
    fn deal(&mut self, slot: usize, share: usize) -> (usize, Option<Offset>) {
        let QueueState {
            ring,
            journal,
            cold,
            settled,
            cursor,
            requeued,
            consumers,
            redeliver_below,
            ..
        } = self;
        let consumer = &mut consumers[slot];
        if !consumer.can_take() {
            return (0, None);
        }
        let Some(session) = consumer.target.open() else {
            consumer.stalled = true;
            return (0, None);
        };
        let mut dealing = Dealing {
            session,
            count_max: share.min(consumer.credit.available()),
            count: 0,
            bytes: 0,
            full: false,
        };
        let mut wanted = None;
        let no_ack = consumer.target.no_ack();

        let mut again = Vec::new();
        while let Some(&offset) = requeued.first()
            && dealing.goes_on()
        {
            let Some(record) = lookup(ring, cold.as_ref(), offset) else {
                wanted = Some(offset);
                break;
            };
            if dealing.hand_over(offset, true, record) {
                requeued.pop_first();
                if no_ack {
                    again.push(offset);
                }
            }
        }

        let fresh = *cursor;
        let mut fresh_count = 0;
        while wanted.is_none() && *cursor < journal.gate() && dealing.goes_on() {
            let Some(window) = cold.as_ref().filter(|window| window.covers(*cursor)) else {
                wanted = Some(*cursor);
                break;
            };
            let end = window.next().min(journal.gate());
            let mut through = end;
            for (offset, record) in window
                .records_from(*cursor)
                .take_while(|(offset, _)| *offset < end)
            {
                if settled.is_settled(offset) {
                    continue;
                }
                if !dealing.goes_on() || !dealing.hand_over(offset, offset < *redeliver_below, record) {
                    through = offset;
                    break;
                }
                fresh_count += 1;
            }
            *cursor = through;
        }
        if wanted.is_none() && *cursor >= journal.gate() && dealing.goes_on() {
            for (offset, record) in ring.records_from(*cursor) {
                if !dealing.goes_on() || !dealing.hand_over(offset, offset < *redeliver_below, record) {
                    break;
                }
                fresh_count += 1;
                *cursor = offset.next();
            }
        }
        let (count, full) = dealing.end();
        consumer.stalled = full;
        if !no_ack {
            consumer.credit.take(count);
        }
        self.unsettled += count;
        if no_ack {
            for offset in again {
                self.settle(None, offset, 1);
            }
            self.settle_dealt(fresh, fresh_count);
        }
        (count, wanted)
    }

    /// Settles the `count` fresh messages that were just dealt between `first` and the cursor.
    fn settle_dealt(&mut self, first: Offset, count: usize) {
        let passed = self.cursor.distance_from(first);
        if passed > 0 {
            let newly = self.settled.settle_range(first, passed);
            assert_eq!(newly, count as u64, "dealt other messages than were there");
            self.ring.release_range(first, passed);
            self.pass_settled();
        }
        self.unsettled -= count;
    }

    /// The first live message at or after the cursor, or the offset that must be read from the log to know it.
    fn next_fresh(&mut self) -> Result<Offset, Offset> {
        while self.cursor < self.journal.gate() {
            let cursor = self.cursor;
            let Some(window) = self.cold.as_ref().filter(|window| window.covers(cursor)) else {
                return Err(cursor);
            };
            let end = window.next().min(self.journal.gate());
            let live = window
                .records_from(cursor)
                .map(|(offset, _)| offset)
                .find(|&offset| !self.settled.is_settled(offset))
                .filter(|&offset| offset < end);
            match live {
                Some(offset) => return Ok(offset),
                None => self.cursor = end,
            }
        }
        let first = self.ring.records_from(self.cursor).next();
        Ok(first.expect("a message is ready and not cold").0)
    }

    /// The record at `offset`, if it is in memory.
    fn read(&self, offset: Offset) -> Option<Record<'_>> {
        lookup(&self.ring, self.cold.as_ref(), offset).map(parse)
    }
}

/// One consumer's turn: what it has got and may still get.
struct Dealing<S> {
    session: S,
    count_max: usize,
    count: usize,
    bytes: usize,
    full: bool,
}

impl<S: DeliverySession> Dealing<S> {
    fn goes_on(&self) -> bool {
        self.count < self.count_max && self.bytes < DEAL_BYTES_MAX && !self.full
    }

    /// False when the consumer has no room: it did not get the message.
    #[inline]
    fn hand_over(&mut self, offset: Offset, redelivered: bool, record: &[u8]) -> bool {
        self.full = self.session.deliver(offset, redelivered, &parse(record)) == Accepted::Full;
        if !self.full {
            self.count += 1;
            self.bytes += record.len();
        }
        !self.full
    }

    /// Ends the turn: how many messages the consumer got, and whether it has no room for more.
    fn end(self) -> (usize, bool) {
        (self.count, self.full)
    }
}

impl<T> Consumer<T> {
    fn can_take(&self) -> bool {
        !self.stalled && self.credit.available() > 0
    }
}

/// The record at `offset`, if it is in memory.
fn lookup<'a>(ring: &'a Ring, cold: Option<&'a ColdWindow>, offset: Offset) -> Option<&'a [u8]> {
    ring.get(offset).or_else(|| cold?.get(offset))
}

#[inline]
fn parse(bytes: &[u8]) -> Record<'_> {
    Record::parse(bytes).expect("the ring and the log hold what publish wrote")
}
