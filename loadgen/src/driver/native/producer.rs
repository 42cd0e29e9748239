//! A producer of the load: sends what its schedule or its window allows, and books confirms.

use std::ops::RangeInclusive;
use std::sync::Arc;

use wire::fast::{PublishTemplate, Scan, scan_ack};
use wire::{BasicProperties, Method};

use super::engine::Books;
use super::inbox::Incoming;
use super::link::{Link, UNASKED};
use super::session::{CHANNEL, Session};
use crate::body::{STAMP_BYTES, Stamp};
use crate::driver::DriverError;
use crate::driver::confirms::{ConfirmWindow, UnknownTag};
use crate::driver::pace::Pace;
use crate::perftest::{BodyLayout, HEAD_BYTES};
use crate::plan::{Plan, ProducerPlan};
use crate::target::Target;
use crate::variety::Variety;

/// Octets that one producer may send in one turn, so that the others get theirs; at least one message.
const BATCH_BYTES_MAX: usize = 128 * 1024;
/// The delivery mode of persistent messages.
const PERSISTENT: u8 = 2;

/// One producer and its connection.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) link: Link,
    id: u16,
    /// What stands before the stamp.
    body: Option<BodyLayout>,
    index: usize,
    /// Ready-made messages: for each key, one of each size.
    templates: Vec<PublishTemplate>,
    variety: Arc<Variety>,
    batch_max: u64,
    pace: Pace,
    confirms: Option<ConfirmWindow>,
    confirm_window: u64,
    /// The sequence of this channel's first publish, which has the tag 1.
    first_sequence: u64,
    /// How many messages it sends at most.
    messages_max: u64,
    barrier: Barrier,
    /// Where the load ends: nothing intended at or after this instant is sent.
    end_ns: u64,
    /// Messages of the whole schedule up to there, once somebody has asked.
    due_total: Option<u64>,
    /// When the broker last kept it from sending what was due.
    blocked_ns: u64,
    /// Messages that had become due by then.
    held_back: u64,
    /// Whether its next confirm is the first one after a fault.
    pub(super) is_watched: bool,
}

/// A question behind the last message of a counted run without confirms: its answer proves that the broker has read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Barrier {
    /// Nobody asks.
    None,
    /// It follows the last message.
    ToCome,
    /// It is on its way.
    Asked,
    /// The broker has answered.
    Answered,
}

/// What a turn left undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More can be sent at once.
    Now,
    /// The next message is due then.
    At(u64),
    /// Nothing until the broker confirms, consumes or reads.
    Blocked,
    /// Nothing any more.
    Finished,
}

impl Producer {
    /// Connects and, if the scenario says so, switches confirms on.
    pub(super) fn connect(
        plan: &Plan,
        index: usize,
        producer: &ProducerPlan,
        target: &Target,
    ) -> Result<Self, DriverError> {
        let mut session = Session::open(&format!("producer {}", producer.id), target.node(index))?;
        let confirm_window = plan.scenario.confirm_window;
        if confirm_window.is_some() {
            let select = Method::ConfirmSelect { no_wait: false };
            session.call(&select, |method| {
                matches!(method, Method::ConfirmSelectOk).then_some(())
            })?;
        }
        let properties = BasicProperties {
            delivery_mode: plan.scenario.persistent.then_some(PERSISTENT),
            ..BasicProperties::default()
        };
        let template = |routing_key: &str, size: u32| {
            let size = size as usize;
            let mut template = PublishTemplate::new(
                CHANNEL,
                &producer.exchange,
                routing_key,
                false,
                &properties,
                size,
                session.frame_bytes_max,
            );
            let start = plan.scenario.head_bytes() + STAMP_BYTES;
            template.fill(start, &plan.filler[..size - start]);
            template
        };
        let keys = if plan.keys.is_empty() {
            std::slice::from_ref(&producer.routing_key)
        } else {
            &plan.keys
        };
        let sizes = plan.variety.sizes();
        let templates: Vec<_> = keys
            .iter()
            .flat_map(|key| sizes.iter().map(|&size| template(key, size)))
            .collect();
        let encoded: usize = templates.iter().map(PublishTemplate::encoded_len).sum();
        let bodies: usize = templates.iter().map(PublishTemplate::body_len).sum();
        let frames_mean = (encoded - bodies) / templates.len().max(1);
        let message_mean = frames_mean + plan.variety.size_bytes_mean() as usize;
        Ok(Self {
            link: Link::new(session)?,
            id: producer.id,
            body: plan.scenario.body,
            index,
            batch_max: (BATCH_BYTES_MAX / message_mean.max(1)).max(1) as u64,
            templates,
            variety: Arc::clone(&plan.variety),
            pace: Pace::new(&producer.schedule, 0),
            confirms: confirm_window.map(|_| ConfirmWindow::default()),
            confirm_window: confirm_window.map_or(u64::MAX, u64::from),
            first_sequence: 0,
            messages_max: producer.messages.unwrap_or(u64::MAX),
            barrier: if producer.messages.is_some() && confirm_window.is_none() {
                Barrier::ToCome
            } else {
                Barrier::None
            },
            end_ns: u64::MAX,
            due_total: None,
            blocked_ns: 0,
            held_back: 0,
            is_watched: false,
        })
    }

    /// Goes on where `before` had to stop when its connection ended, at `now_ns`: after the `sent` messages that it has
    /// sent, none of which is sent again.
    pub(super) fn resume(&mut self, before: &Self, sent: u64, now_ns: u64) {
        self.pace = before.pace.clone();
        self.end_ns = before.end_ns;
        self.due_total = before.due_total;
        self.held_back = before.held_back;
        self.blocked_ns = now_ns;
        self.first_sequence = sent;
    }

    /// Ties the schedule to the instant at which the load began.
    pub(super) fn begin(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Sets the end of the load.
    pub(super) fn set_end(&mut self, end_ns: u64) {
        self.end_ns = end_ns;
        self.due_total = (self.messages_max != u64::MAX).then_some(self.messages_max);
    }

    /// Messages that the schedule asks for and that were not sent. Only what the broker kept the producer from sending is counted
    /// through, and once.
    pub(super) fn unsent(&mut self, books: &Books) -> u64 {
        if self.due_total.is_none() {
            self.due_total = self.pace.due_before(self.end_ns);
        }
        self.due_total.map_or(0, |total| {
            total.saturating_sub(books.ledger.published_by(self.index))
        })
    }

    /// Messages that became due while the broker kept this producer from sending.
    pub(super) fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Whether it has sent all messages of a counted run, and the broker has taken them over.
    pub(super) fn is_done(&self, books: &Books) -> bool {
        books.ledger.published_by(self.index) == self.messages_max
            && self.unconfirmed() == 0
            && matches!(self.barrier, Barrier::None | Barrier::Answered)
    }

    /// Messages that wait for the broker's confirm.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.confirms.as_ref().map_or(0, ConfirmWindow::outstanding)
    }

    /// Sends what is allowed now, at most one batch. After the end of the load a saturating producer rests; an open loop
    /// still sends what is overdue.
    pub(super) fn send(&mut self, books: &mut Books, buffer: &mut [u8]) -> Result<Next, DriverError> {
        if self.link.socket.is_backed_up() {
            self.link.flush(buffer)?;
            if self.link.socket.is_backed_up() {
                self.blocked_ns = books.clock.now_ns();
                return Ok(Next::Blocked);
            }
        }
        let room = self.confirm_window.saturating_sub(self.unconfirmed());
        self.ask_behind_the_last(books);
        let next = match self.pace {
            Pace::Saturating { window } => self.fill_window(books, window, room),
            Pace::OpenLoop(_) => self.catch_up(books, room),
        };
        self.link.flush(buffer)?;
        Ok(if self.link.socket.is_backed_up() {
            Next::Blocked
        } else {
            next
        })
    }

    fn ask_behind_the_last(&mut self, books: &Books) {
        if self.barrier == Barrier::ToCome && books.ledger.published_by(self.index) == self.messages_max {
            self.barrier = Barrier::Asked;
            // Any request will do that changes nothing; every broker knows this one.
            let qos = Method::BasicQos {
                prefetch_size: 0,
                prefetch_count: 0,
                global: false,
            };
            qos.encode(CHANNEL, &mut self.link.socket.out);
        }
    }

    fn fill_window(&mut self, books: &mut Books, window: u64, room: u64) -> Next {
        let left = self.messages_max - books.ledger.published_by(self.index);
        let room = room
            .min(window.saturating_sub(books.ledger.in_flight(self.index)))
            .min(left);
        let count = room.min(self.batch_max);
        if count == 0 {
            return if left == 0 { Next::Finished } else { Next::Blocked };
        }
        let now_ns = books.clock.now_ns();
        if now_ns >= self.end_ns {
            return Next::Finished;
        }
        for _ in 0..count {
            self.append(books, now_ns, now_ns);
        }
        self.book(books, count, now_ns, books.recorder.in_window(now_ns));
        books.recorder.published(count, now_ns);
        if count < room || self.barrier == Barrier::ToCome && count == left {
            Next::Now
        } else {
            Next::Blocked
        }
    }

    fn catch_up(&mut self, books: &mut Books, room: u64) -> Next {
        let now_ns = books.clock.now_ns();
        let (mut count, mut booked, mut measured) = (0, 0, false);
        let next = loop {
            let next_ns = self.pace.next_ns();
            let Some(intended_ns) = next_ns.filter(|next_ns| *next_ns < self.end_ns) else {
                break Next::Finished;
            };
            if intended_ns > now_ns {
                break Next::At(intended_ns);
            }
            if count == room {
                self.blocked_ns = now_ns;
                break Next::Blocked;
            }
            if count == self.batch_max {
                break Next::Now;
            }
            // Confirm latency is measured for messages intended within the window, so a batch may have two parts.
            let in_window = books.recorder.in_window(intended_ns);
            if in_window != measured {
                self.book(books, count - booked, now_ns, measured);
                (booked, measured) = (count, in_window);
            }
            self.append(books, intended_ns, now_ns);
            books.recorder.sent(intended_ns, now_ns);
            self.held_back += u64::from(intended_ns <= self.blocked_ns);
            self.pace.advance();
            count += 1;
        };
        self.book(books, count - booked, now_ns, measured);
        books.recorder.published(count, now_ns);
        next
    }

    #[inline]
    fn append(&mut self, books: &mut Books, intended_ns: u64, now_ns: u64) {
        let sequence = books.ledger.publish(self.index);
        let stamp = Stamp::new(intended_ns, now_ns, self.id, sequence).encode();
        let out = &mut self.link.socket.out;
        let template = match self.templates.as_slice() {
            [only] => only,
            templates => &templates[self.variety.template(self.index, sequence)],
        };
        let mut start = template.append(out);
        // The first frame of a body holds more than head and stamp, whatever was negotiated.
        if let Some(layout) = self.body {
            let head = layout.head(sequence, now_ns, books.clock);
            out[start..start + HEAD_BYTES].copy_from_slice(&head);
            start += HEAD_BYTES;
        }
        out[start..start + STAMP_BYTES].copy_from_slice(&stamp);
    }

    fn book(&mut self, books: &mut Books, count: u64, sent_ns: u64, measured: bool) {
        books.totals.published += count;
        if let Some(confirms) = &mut self.confirms {
            confirms.sent(count, sent_ns, measured);
        }
    }

    /// Reads once and books the confirms. Agrees when the broker closes the connection: it waits for that.
    pub(super) fn read(&mut self, books: &mut Books, buffer: &mut [u8]) -> Result<(), DriverError> {
        self.read_once(books, buffer)
            .inspect_err(|error| self.link.agree(error))
    }

    fn read_once(&mut self, books: &mut Books, buffer: &mut [u8]) -> Result<(), DriverError> {
        let filled = self.link.read(buffer)?;
        if filled == 0 {
            return Ok(());
        }
        let now_ns = books.clock.now_ns();
        let mut at = 0;
        while let Some(length) = self.take(books, &buffer[at..filled], now_ns)? {
            at += length;
        }
        self.link.socket.keep(&buffer[at..filled]);
        Ok(())
    }

    fn take(&mut self, books: &mut Books, input: &[u8], now_ns: u64) -> Result<Option<usize>, DriverError> {
        match scan_ack(input) {
            Scan::Complete(ack) => {
                self.settle(books, ack.delivery_tag, ack.multiple, false, now_ns)?;
                return Ok(Some(ack.len));
            }
            Scan::Incomplete => return Ok(None),
            Scan::Other => {}
        }
        let Link {
            name,
            inbox,
            frame_bytes_max,
            ..
        } = &mut self.link;
        let Some((length, incoming)) = inbox.decode(name, input, *frame_bytes_max)? else {
            return Ok(None);
        };
        match incoming {
            Incoming::Settled { tag, multiple, nack } => self.settle(books, tag, multiple, nack, now_ns)?,
            Incoming::Answer if self.barrier == Barrier::Asked => self.barrier = Barrier::Answered,
            Incoming::Answer => return Err(self.link.protocol(UNASKED.to_owned())),
            Incoming::Blocked => books.blocked += 1,
            Incoming::Part => {}
            Incoming::Delivery { .. } => {
                return Err(self
                    .link
                    .protocol("a delivery on a channel that consumes nothing".to_owned()));
            }
        }
        Ok(Some(length))
    }

    fn settle(
        &mut self,
        books: &mut Books,
        tag: u64,
        multiple: bool,
        nack: bool,
        now_ns: u64,
    ) -> Result<(), DriverError> {
        let Some(confirms) = &mut self.confirms else {
            return Err(self
                .link
                .protocol("a confirm on a channel without confirms".to_owned()));
        };
        let recorder = (!nack).then_some(&mut books.recorder);
        let frontier = confirms.frontier();
        match confirms.settle(tag, multiple, now_ns, recorder) {
            Ok(count) if nack => books.ledger.nack(count),
            Ok(count) => {
                books.ledger.confirm(count);
                books.totals.confirmed += count;
            }
            Err(UnknownTag { tag, last }) => {
                return Err(self.link.protocol(format!(
                    "it confirmed publish {tag}, which is not outstanding (the last one is {last})"
                )));
            }
        }
        if books.ledger.wants_sequences() {
            let last = if multiple { confirms.through(tag) } else { tag };
            let first = if multiple { frontier + 1 } else { tag };
            self.settle_sequences(books, first..=last, nack);
        }
        if self.is_watched && !nack {
            self.is_watched = false;
            books.first_confirm_ns.get_or_insert(now_ns);
        }
        Ok(())
    }

    /// Tells the ledger which messages were confirmed or refused, from their publish tags.
    fn settle_sequences(&self, books: &mut Books, tags: RangeInclusive<u64>, nack: bool) {
        let sequence = |tag: u64| (self.first_sequence + tag - 1) as u32;
        if tags.is_empty() {
            return;
        }
        let sequences = sequence(*tags.start())..=sequence(*tags.end());
        books.ledger.settle_sequences(self.index, sequences, nack);
    }
}
