//! Sending dead letters: from the queue where they died to where its dead-letter exchange routes them. Messages that a
//! delayed exchange has held for long enough go the same way, unmarked.
//!
//! A letter stays in its queue, as a dead message, until every queue that it was sent to has it, as safe as that queue
//! keeps what is confirmed; so a crash can double it, and cannot lose it. (RabbitMQ's classic queues may lose it then.)
//! Nothing is done under two queues' locks: letters are copied out under the one, sent under the other, and buried
//! under the first again. Few are under way at a time; the others wait where they are, and of refused ones, which lie nowhere, the
//! surplus is dropped. An orderly stop waits for them, as long as their targets have room.

use std::collections::VecDeque;
use std::sync::Arc;

use ring::Offset;
use smallvec::SmallVec;
use wire::{FieldTable, FieldValue};

use super::death::{Death, forget_deaths, further_keys, goes_in_circles, record_death};
use super::handle::Queue;
use super::options::DeadLetterTarget;
use super::parts::Placed;
use super::special::DeathReason;
use super::waiter::Publisher;
use crate::headers::edited;
use crate::record::{Content, FLAG_DEAD_LETTER, Record, RecordFields, join_names};
use crate::topology::DELAY_HEADER;
use crate::vhost::VirtualHost;

/// Letters taken out at a time.
const BATCH_MESSAGES: usize = 256;
/// The same in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Letters that may be under way at the same time.
const UNDER_WAY_MAX: usize = 4096;

/// The letters of one queue that are on their way.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// Somebody sends them at this moment, outside of the queue's lock.
    pub(super) sending: bool,
    /// Somebody wanted to, meanwhile: whoever sends must look again.
    again: bool,
    /// So many were refused that further ones are dropped.
    overflowed: bool,
    /// Taken out and not sent yet, because a queue had no room for the first of them.
    unsent: VecDeque<Letter>,
    /// Sent; waiting to be kept.
    posted: VecDeque<Posted>,
}

/// A message that died.
#[derive(Debug)]
struct Letter {
    /// Where it lies in its queue; a message that was refused never got there.
    source: Option<Offset>,
    reason: DeathReason,
    /// As the queue had it.
    record: Vec<u8>,
    /// Where it must still go, when it went to some already.
    remaining: Option<SmallVec<[Arc<Queue>; 2]>>,
    waits: Waits,
}

/// Queues that must keep a letter, and up to where.
type Waits = SmallVec<[(Arc<Queue>, Offset); 2]>;

#[derive(Debug)]
struct Posted {
    source: Option<Offset>,
    waits: Waits,
    /// The queue of the first wait will call back.
    awaiting: bool,
}

/// Where a queue sends its letters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Onward<'a> {
    /// To its dead-letter exchange.
    DeadLetters(&'a DeadLetterTarget),
    /// To the bindings of the delayed exchange for which it holds them.
    Delayed(&'a str),
}

/// A letter as it is written.
struct Written<'a> {
    content: Content<'a>,
    headers: FieldTable,
    /// Exchange and routing key as readers will see them.
    names: Vec<u8>,
    /// The exchange that routes it.
    exchange: &'a str,
    routing_keys: Vec<String>,
}

impl Letters {
    /// A message that the queue refused; dropped when too many wait already, since their publishers wait for nothing.
    pub(super) fn add_refused(&mut self, fields: &RecordFields<'_>) {
        if self.unsent.len() >= UNDER_WAY_MAX {
            if !std::mem::replace(&mut self.overflowed, true) {
                tracing::warn!(
                    "more messages are refused than their dead-letter exchange takes: some are dropped"
                );
            }
            return;
        }
        let record = [&fields.head()[..], fields.names, fields.content.frames()].concat();
        self.unsent.push_back(Letter {
            source: None,
            reason: DeathReason::MaxLength,
            record,
            remaining: None,
            waits: Waits::new(),
        });
    }

    /// True when there is nothing on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.unsent.is_empty() && self.posted.is_empty()
    }
}

impl Queue {
    /// Sends what may be sent, and buries what is safe where it went. True when there is more to do at once.
    pub(super) fn send_dead_letters(self: &Arc<Self>, onward: Onward<'_>, now_ms: u64) -> bool {
        let Some((mut letters, mut posted, is_cold)) = self.take_letters() else {
            return false;
        };
        let vhost = self.vhost();
        let mut is_full = false;
        while let Some(mut letter) = letters.pop_front() {
            let is_sent = match &vhost {
                Some(vhost) => self.send(&mut letter, vhost, onward, now_ms),
                None => true,
            };
            if !is_sent {
                letters.push_front(letter);
                is_full = true;
                break;
            }
            posted.push_back(Posted {
                source: letter.source,
                waits: letter.waits,
                awaiting: false,
            });
        }
        let safe = self.collect_safe(&mut posted);
        self.put_letters_back(letters, posted, &safe, is_full || is_cold)
    }

    /// The letters to send now, those that were sent, and whether the next one cannot be read for now; `None` while somebody
    /// else has them.
    fn take_letters(self: &Arc<Self>) -> Option<(VecDeque<Letter>, VecDeque<Posted>, bool)> {
        let mut inner = self.lock();
        let letters = inner.letters.as_mut()?;
        if letters.sending {
            letters.again = true;
            return None;
        }
        letters.sending = true;
        let mut batch = std::mem::take(&mut letters.unsent);
        let posted = std::mem::take(&mut letters.posted);
        // What had no room before is tried alone: the others wait behind it anyway.
        let is_blocked = batch.front().is_some_and(|letter| letter.remaining.is_some());
        let (mut bytes, mut is_cold) = (0, false);
        while !is_blocked
            && batch.len() < BATCH_MESSAGES
            && bytes < BATCH_BYTES
            && posted.len() + batch.len() < UNDER_WAY_MAX
        {
            match inner.state.dead_head() {
                None => break,
                Some(Ok((offset, reason, record))) => {
                    let fields = RecordFields::from(record);
                    let record = [&fields.head()[..], fields.names, fields.content.frames()].concat();
                    bytes += record.len();
                    batch.push_back(Letter {
                        source: Some(offset),
                        reason,
                        record,
                        remaining: None,
                        waits: Waits::new(),
                    });
                    inner.state.post_dead_head();
                }
                Some(Err(from)) if inner.may_read() => inner = self.read_cold(inner, from),
                Some(Err(_)) => {
                    inner.wants_read |= inner.reading;
                    is_cold = true;
                    break;
                }
            }
        }
        Some((batch, posted, is_cold))
    }

    /// Sends a letter to every queue that it is routed to; false when one has no room, which calls back.
    fn send(
        self: &Arc<Self>,
        letter: &mut Letter,
        vhost: &VirtualHost,
        onward: Onward<'_>,
        now_ms: u64,
    ) -> bool {
        let record = Record::parse(&letter.record).expect("written by this broker");
        let mut buffer = Vec::new();
        let written = match onward {
            Onward::DeadLetters(target) => self.write(&record, letter.reason, target, now_ms, &mut buffer),
            Onward::Delayed(exchange) => forward(&record, exchange, &mut buffer),
        };
        let Some(written) = written else {
            return true;
        };
        let targets = match letter.remaining.take() {
            Some(remaining) => remaining,
            None => {
                self.tallies.dead_letter(letter.reason);
                targets(vhost, letter.reason, &written)
            }
        };
        let mut fields = RecordFields::new(now_ms, &written.names, written.content);
        fields.flags |= match onward {
            Onward::DeadLetters(_) => FLAG_DEAD_LETTER,
            Onward::Delayed(_) => record.flags & FLAG_DEAD_LETTER,
        };
        let mut remaining = SmallVec::new();
        for queue in targets {
            let published = queue.publish(std::iter::once(fields), Publisher::Queue(self), true, None);
            queue.dispatch_at_home();
            match published.placed {
                Placed::First(_) => remaining.push(queue),
                Placed::All if fields.is_persistent() && queue.keeps() => {
                    letter.waits.push((queue, published.next));
                }
                Placed::All => {}
            }
        }
        let is_sent = remaining.is_empty();
        letter.remaining = Some(remaining).filter(|_| !is_sent);
        is_sent
    }

    /// A letter as its readers will see it. `None` for one that has no room for another header, which is lost.
    fn write<'a>(
        &self,
        record: &Record<'_>,
        reason: DeathReason,
        target: &'a DeadLetterTarget,
        now_ms: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Option<Written<'a>> {
        let (exchange, routing_key) = record.split_names();
        let routing_key = String::from_utf8_lossy(routing_key);
        let death = Death {
            queue: self.name(),
            reason,
            time_s: now_ms / 1000,
            exchange: &String::from_utf8_lossy(exchange),
            routing_key: &routing_key,
            rerouted: target.routing_key.is_some(),
        };
        let mut headers = FieldTable::new();
        let content = edited(&record.content, buffer, |table, properties| {
            if record.flags & FLAG_DEAD_LETTER == 0 {
                forget_deaths(table);
            }
            record_death(table, properties, &death);
            headers = table.clone();
        });
        let content = content
            .inspect_err(
                |error| tracing::warn!(queue = self.name(), %error, "a dead letter cannot be written"),
            )
            .ok()?;
        let routing_keys = match &target.routing_key {
            Some(key) => vec![key.clone()],
            None => [vec![routing_key.into_owned()], further_keys(&headers)].concat(),
        };
        Some(Written {
            content,
            headers,
            names: join_names(&target.exchange, &routing_keys[0]),
            exchange: &target.exchange,
            routing_keys,
        })
    }

    /// Takes out the letters that every queue keeps by now, in order, and asks to be called for the next one.
    fn collect_safe(self: &Arc<Self>, posted: &mut VecDeque<Posted>) -> Vec<Offset> {
        let mut safe = Vec::new();
        while let Some(front) = posted.front_mut() {
            while let Some((queue, next)) = front.waits.last() {
                let is_kept = match front.awaiting {
                    true => queue.is_kept_through(*next),
                    false => queue.await_kept(*next, Publisher::Queue(self)),
                };
                front.awaiting = !is_kept;
                if !is_kept {
                    return safe;
                }
                front.waits.pop();
            }
            safe.extend(front.source);
            posted.pop_front();
        }
        safe
    }

    /// Ends what `take_letters` began. True when there is more to do at once; not what has to wait (`is_stopped`) for
    /// room in another queue or for a read, unless somebody has looked in vain meanwhile.
    fn put_letters_back(
        &self,
        unsent: VecDeque<Letter>,
        posted: VecDeque<Posted>,
        safe: &[Offset],
        is_stopped: bool,
    ) -> bool {
        let mut inner = self.lock();
        for &offset in safe {
            inner.state.bury(offset);
        }
        let mut more = posted.len() < UNDER_WAY_MAX && inner.state.has_dead();
        let mut again = false;
        if let Some(letters) = &mut inner.letters {
            letters.sending = false;
            // Whatever was refused meanwhile comes after what was taken.
            let refused = std::mem::replace(&mut letters.unsent, unsent);
            more |= !refused.is_empty();
            letters.unsent.extend(refused);
            letters.overflowed &= !letters.unsent.is_empty();
            letters.posted = posted;
            again = std::mem::take(&mut letters.again);
        }
        !inner.deleted && (more && !is_stopped || again)
    }
}

/// A delayed message as its readers will see it: the delay is negative, since it is over.
fn forward<'a>(record: &Record<'_>, exchange: &'a str, buffer: &'a mut Vec<u8>) -> Option<Written<'a>> {
    let mut headers = FieldTable::new();
    let content = edited(&record.content, buffer, |table, _| {
        if let Some(delay) = table.get(DELAY_HEADER).and_then(FieldValue::as_i64) {
            table.insert(DELAY_HEADER, -delay.abs());
        } else {
            table.remove(DELAY_HEADER);
        }
        headers = table.clone();
    });
    let (_, routing_key) = record.split_names();
    let routing_key = String::from_utf8_lossy(routing_key).into_owned();
    Some(Written {
        content: content.ok()?,
        names: record.names.to_vec(),
        exchange,
        routing_keys: [vec![routing_key], further_keys(&headers)].concat(),
        headers,
    })
}

/// The queues that a letter goes to. None when the exchange does not exist.
fn targets(vhost: &VirtualHost, reason: DeathReason, written: &Written<'_>) -> SmallVec<[Arc<Queue>; 2]> {
    let keys: Vec<&str> = written.routing_keys.iter().map(String::as_str).collect();
    let mut queues = vhost.route_internally(written.exchange, &keys, &written.content);
    if matches!(
        reason,
        DeathReason::Expired | DeathReason::MaxLength | DeathReason::DeliveryLimit
    ) {
        queues.retain(|queue| {
            let circles = goes_in_circles(&written.headers, queue.name());
            if circles {
                tracing::warn!(
                    queue = queue.name(),
                    "a dead letter that went round in a circle is dropped"
                );
            }
            !circles
        });
    }
    queues.into()
}
