//! A producer of the load: sends what its schedule or its window allows, and books confirms.

use wire::fast::{PublishTemplate, Scan, scan_ack};
use wire::{BasicProperties, Method};

use super::engine::Books;
use super::inbox::Incoming;
use super::link::Link;
use super::session::{CHANNEL, Session};
use crate::body::{STAMP_BYTES, Stamp};
use crate::driver::DriverError;
use crate::driver::confirms::{ConfirmWindow, UnknownTag};
use crate::driver::pace::Pace;
use crate::plan::{Plan, ProducerPlan};
use crate::target::Target;

/// Octets that one producer may send in one turn, so that the others get theirs; at least one message.
const BATCH_BYTES_MAX: usize = 128 * 1024;
/// The delivery mode of persistent messages.
const PERSISTENT: u8 = 2;

/// One producer and its connection.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) link: Link,
    id: u16,
    index: usize,
    template: PublishTemplate,
    batch_max: u64,
    pace: Pace,
    confirms: Option<ConfirmWindow>,
    confirm_window: u64,
    /// Where the load ends: nothing intended at or after this instant is sent.
    end_ns: u64,
    /// Messages of the whole schedule up to there.
    due_total: Option<u64>,
    /// When the broker last kept it from sending what was due.
    blocked_ns: u64,
    /// Messages that had become due by then.
    held_back: u64,
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
        let mut session = Session::open(&format!("producer {}", producer.id), target)?;
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
        let mut template = PublishTemplate::new(
            CHANNEL,
            &producer.exchange,
            &producer.routing_key,
            false,
            &properties,
            STAMP_BYTES + plan.filler.len(),
            session.frame_bytes_max,
        );
        template.fill(STAMP_BYTES, &plan.filler);
        Ok(Self {
            link: Link::new(session)?,
            id: producer.id,
            index,
            batch_max: (BATCH_BYTES_MAX / template.encoded_len()).max(1) as u64,
            template,
            pace: Pace::new(&producer.schedule, 0),
            confirms: confirm_window.map(|_| ConfirmWindow::default()),
            confirm_window: confirm_window.map_or(u64::MAX, u64::from),
            end_ns: u64::MAX,
            due_total: None,
            blocked_ns: 0,
            held_back: 0,
        })
    }

    /// Ties the schedule to the instant at which the load began.
    pub(super) fn begin(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Sets the end of the load.
    pub(super) fn set_end(&mut self, end_ns: u64) {
        self.end_ns = end_ns;
        self.due_total = self.pace.due_before(end_ns);
    }

    /// Messages that the schedule asks for and that were not sent.
    pub(super) fn unsent(&self, books: &Books) -> u64 {
        self.due_total.map_or(0, |total| {
            total.saturating_sub(books.ledger.published_by(self.index))
        })
    }

    /// Messages that became due while the broker kept this producer from sending.
    pub(super) fn held_back(&self) -> u64 {
        self.held_back
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
        let next = match self.pace {
            Pace::Saturating { window } => self.fill_window(books, window, room),
            Pace::OpenLoop { .. } => self.catch_up(books, room),
        };
        self.link.flush(buffer)?;
        Ok(if self.link.socket.is_backed_up() {
            Next::Blocked
        } else {
            next
        })
    }

    fn fill_window(&mut self, books: &mut Books, window: u64, room: u64) -> Next {
        let room = room.min(window.saturating_sub(books.ledger.in_flight(self.index)));
        let count = room.min(self.batch_max);
        if count == 0 {
            return Next::Blocked;
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
        if count < room { Next::Now } else { Next::Blocked }
    }

    fn catch_up(&mut self, books: &mut Books, room: u64) -> Next {
        let now_ns = books.clock.now_ns();
        let first = books.ledger.published_by(self.index);
        let total = self.due_total.unwrap_or(u64::MAX);
        let (mut count, mut booked, mut measured) = (0, 0, false);
        let next = loop {
            let index = first + count;
            let Some(intended_ns) = self.pace.intended_ns(index).filter(|_| index < total) else {
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
        let start = self.template.append(out);
        // The first frame of a body holds more than a stamp, whatever was negotiated.
        out[start..start + STAMP_BYTES].copy_from_slice(&stamp);
    }

    fn book(&mut self, books: &mut Books, count: u64, sent_ns: u64, measured: bool) {
        books.totals.published += count;
        if let Some(confirms) = &mut self.confirms {
            confirms.sent(count, sent_ns, measured);
        }
    }

    /// Reads once and books the confirms.
    pub(super) fn read(&mut self, books: &mut Books, buffer: &mut [u8]) -> Result<(), DriverError> {
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
        Ok(())
    }
}
