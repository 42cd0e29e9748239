//! Dealing: which messages go to which consumer, from the ring or from the log.

use ring::Offset;

use super::backlog::{Backlog, lookup, parse};
use super::consumer::{Accepted, DeliverySession, DeliveryTarget};
use super::special::DeathReason;
use super::state::QueueState;
use crate::observe::Delivered;
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
    /// The next message must be read from the log before anything more can be done: from this offset on.
    pub cold: Option<Offset>,
    /// The queue is to be dispatched again then, because a message expires: milliseconds since the Unix epoch.
    pub wake_at_ms: Option<u64>,
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
    /// out; then drops what is too old or too much. `touched` sees the target of every chunk dealt. `now_us` is Unix
    /// time in microseconds.
    pub fn dispatch(&mut self, now_us: u64, mut touched: impl FnMut(&T)) -> Dispatched {
        self.pace.advance(now_us);
        let now_ms = now_us / 1000;
        let mut dealt = 0;
        let mut cold = None;
        for group in 0..self.roster.groups() {
            if cold.is_none() && self.backlog.ready_len() > 0 {
                cold = self.deal_group(group, now_ms, &mut dealt, &mut touched);
            }
        }
        self.pace.add(dealt);
        let mut wake_at_ms = None;
        if self.backlog.special.is_some() && cold.is_none() {
            match self.end_turn(now_ms) {
                Ok(at_ms) => wake_at_ms = at_ms,
                Err(wanted) => cold = Some(wanted),
            }
        }
        self.backlog.check();
        Dispatched {
            dealt,
            cold,
            wake_at_ms,
        }
    }

    /// What nobody took in time goes, and what is too much.
    fn end_turn(&mut self, now_ms: u64) -> Result<Option<u64>, Offset> {
        let next = self.backlog.ring.next_offset();
        if let Some(special) = &mut self.backlog.special {
            special.set_seen(next);
        }
        // What is too old is not what is too much.
        let wake_at_ms = self.backlog.expire(now_ms)?;
        self.backlog.drop_surplus();
        Ok(wake_at_ms)
    }

    /// Deals to the consumers of one priority; the offset that must be read from the log before they can go on.
    fn deal_group(
        &mut self,
        group: usize,
        now_ms: u64,
        dealt: &mut usize,
        touched: &mut impl FnMut(&T),
    ) -> Option<Offset> {
        let mut idle = 0;
        let mut cold = None;
        let share = self.share(group);
        while idle < self.roster.members(group).len() && cold.is_none() && self.backlog.ready_len() > 0 {
            let slot = self.roster.turn(group);
            let count;
            (count, cold) = match self.backlog.is_each_looked_at() {
                false => self.deal(slot, share),
                true => self.deal_singly(slot, share, now_ms),
            };
            match count {
                0 => idle += 1,
                count => {
                    idle = 0;
                    *dealt += count;
                    touched(&self.roster.at(slot).target);
                }
            }
            // Who only waits for the log keeps its turn.
            if count > 0 || cold.is_none() {
                self.roster.pass_turn(group);
            }
        }
        cold
    }

    /// Takes the oldest ready message for `basic.get`: `take` sees the offset, the redelivered flag, the
    /// record and how many stay ready. The message is unsettled afterwards, or settled with `no_ack`. `now_ms` is Unix
    /// time in milliseconds.
    pub fn get<R>(
        &mut self,
        no_ack: bool,
        now_ms: u64,
        take: impl FnOnce(Offset, bool, &Record<'_>, usize) -> R,
    ) -> Got<R> {
        if self.backlog.special.is_some() {
            self.trim_surplus();
            if let Err(wanted) = self.backlog.expire(now_ms) {
                return Got::Cold(wanted);
            }
        }
        let Some(head) = self.backlog.head() else {
            self.counts.got_empty += 1;
            return Got::Empty;
        };
        let remaining = self.backlog.ready_len() - 1;
        let Some(record) = self.backlog.record(head.offset) else {
            return Got::Cold(head.offset);
        };
        let mut buffer = Vec::new();
        let record = self.backlog.counted(head.offset, record, &mut buffer);
        let result = take(head.offset, head.redelivered, &record, remaining);
        self.backlog.take(head);
        self.backlog.unsettled += 1;
        self.counts.delivered.redelivered += u64::from(head.redelivered);
        if no_ack {
            self.counts.got_auto += 1;
            self.backlog.settle_run(head.offset, 1);
        } else {
            self.counts.got_manual += 1;
        }
        Got::Message(result)
    }

    /// How many messages one consumer of a group gets at a time.
    fn share(&self, group: usize) -> usize {
        let members = self.roster.members(group).iter();
        let able = members.filter(|&&slot| self.roster.at(slot).can_take()).count();
        if self.backlog.ready_len() >= able * DEAL_DEEP_PER_CONSUMER {
            DEAL_MESSAGES_MAX
        } else {
            self.pace.run_len(able).min(DEAL_MESSAGES_MAX)
        }
    }

    /// Deals up to `share` messages to the consumer in `slot`; 0 when it can take none. Also the offset that must be
    /// read from the log before it can go on.
    fn deal(&mut self, slot: usize, share: usize) -> (usize, Option<Offset>) {
        let Backlog {
            ring,
            journal,
            cold,
            settled,
            cursor,
            requeued,
            redeliver_below,
            ..
        } = &mut self.backlog;
        let consumer = self.roster.at_mut(slot);
        if !consumer.can_take() {
            return (0, None);
        }
        let count_max = share.min(consumer.credit.available());
        let Some(session) = consumer.target.open() else {
            consumer.stalled = true;
            return (0, None);
        };
        let mut dealing = Dealing::new(session, count_max);
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
            if dealing.hand_over_bytes(offset, true, record) {
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
                let redelivered = offset < *redeliver_below;
                if !dealing.goes_on() || !dealing.hand_over_bytes(offset, redelivered, record) {
                    through = offset;
                    break;
                }
                fresh_count += 1;
            }
            *cursor = through;
        }
        if wanted.is_none() && *cursor >= journal.gate() && dealing.goes_on() {
            for (offset, record) in ring.records_from(*cursor) {
                let redelivered = offset < *redeliver_below;
                if !dealing.goes_on() || !dealing.hand_over_bytes(offset, redelivered, record) {
                    break;
                }
                fresh_count += 1;
                *cursor = offset.next();
            }
        }
        self.counts.delivered += dealing.delivered(no_ack);
        let (count, full) = dealing.end();
        consumer.stalled = full;
        if !no_ack {
            consumer.credit.take(count);
        }
        self.backlog.unsettled += count;
        if no_ack {
            for offset in again {
                self.backlog.settle_run(offset, 1);
            }
            self.settle_dealt(fresh, fresh_count);
        }
        (count, wanted)
    }

    /// Settles the `count` fresh messages that were just dealt between `first` and the cursor.
    fn settle_dealt(&mut self, first: Offset, count: usize) {
        let backlog = &mut self.backlog;
        let passed = backlog.cursor.distance_from(first);
        if passed > 0 {
            let newly = backlog.settled.settle_range(first, passed);
            assert_eq!(newly, count as u64, "dealt other messages than were there");
            backlog.ring.release_range(first, passed);
            backlog.pass_settled();
        }
        backlog.unsettled -= count;
    }

    /// As `deal`, for queues that look at each message: expired ones go, others get their delivery count.
    fn deal_singly(&mut self, slot: usize, share: usize, now_ms: u64) -> (usize, Option<Offset>) {
        let backlog = &mut self.backlog;
        let consumer = self.roster.at_mut(slot);
        if !consumer.can_take() {
            return (0, None);
        }
        let count_max = share.min(consumer.credit.available());
        let Some(session) = consumer.target.open() else {
            consumer.stalled = true;
            return (0, None);
        };
        let mut dealing = Dealing::new(session, count_max);
        let no_ack = consumer.target.no_ack();
        let mut wanted = None;
        let mut buffer = Vec::new();
        while dealing.goes_on()
            && let Some(head) = backlog.head()
        {
            let Some(record) = backlog.record(head.offset) else {
                wanted = Some(head.offset);
                break;
            };
            if backlog.is_expired(head.offset, &record, now_ms) {
                if backlog.is_full_of_dead() {
                    break;
                }
                backlog.take(head);
                backlog.kill(head.offset, DeathReason::Expired);
                continue;
            }
            buffer.clear();
            let record = backlog.counted(head.offset, record, &mut buffer);
            if !dealing.hand_over(head.offset, head.redelivered, &record) {
                break;
            }
            backlog.take(head);
            backlog.unsettled += 1;
            if no_ack {
                backlog.settle_run(head.offset, 1);
            }
        }
        self.counts.delivered += dealing.delivered(no_ack);
        let (count, full) = dealing.end();
        consumer.stalled = full;
        if !no_ack {
            consumer.credit.take(count);
        }
        (count, wanted)
    }
}

/// One consumer's turn: what it has got and may still get.
struct Dealing<S> {
    session: S,
    count_max: usize,
    count: usize,
    bytes: usize,
    /// Those of `count` that had been delivered before.
    redelivered: usize,
    full: bool,
}

impl<S: DeliverySession> Dealing<S> {
    fn new(session: S, count_max: usize) -> Dealing<S> {
        Dealing {
            session,
            count_max,
            count: 0,
            bytes: 0,
            redelivered: 0,
            full: false,
        }
    }

    fn goes_on(&self) -> bool {
        self.count < self.count_max && self.bytes < DEAL_BYTES_MAX && !self.full
    }

    /// False when the consumer has no room: it did not get the message.
    ///
    /// The hot part of several loops: one copy of it, with the delivery inside.
    #[inline(never)]
    fn hand_over_bytes(&mut self, offset: Offset, redelivered: bool, record: &[u8]) -> bool {
        self.hand_over(offset, redelivered, &parse(record))
    }

    /// As `hand_over_bytes`, for a record that was looked at.
    #[inline(always)]
    fn hand_over(&mut self, offset: Offset, redelivered: bool, record: &Record<'_>) -> bool {
        self.full = self.session.deliver(offset, redelivered, record) == Accepted::Full;
        if !self.full {
            self.count += 1;
            self.redelivered += usize::from(redelivered);
            self.bytes += record.encoded_len();
        }
        !self.full
    }

    /// What the consumer got so far.
    fn delivered(&self, no_ack: bool) -> Delivered {
        let count = self.count as u64;
        Delivered {
            auto: if no_ack { count } else { 0 },
            manual: if no_ack { 0 } else { count },
            redelivered: self.redelivered as u64,
        }
    }

    /// Ends the turn: how many messages the consumer got, and whether it has no room for more.
    fn end(self) -> (usize, bool) {
        (self.count, self.full)
    }
}
