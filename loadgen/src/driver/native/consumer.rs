//! A consumer of the load: books deliveries and acknowledges them in batches.

use wire::fast::{Scan, encode_ack, scan_deliver};
use wire::{Method, TableRef};

use super::engine::Books;
use super::inbox::Incoming;
use super::link::{Link, UNASKED};
use super::session::{CHANNEL, Session};
use crate::driver::DriverError;
use crate::driver::acks::{Ack, AckBatch};
use crate::ledger::Receipt;
use crate::plan::{ConsumerPlan, Plan};
use crate::target::Target;

const CONSUMER_TAG: &str = "c";

/// One consumer and its connection.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) link: Link,
    index: usize,
    acks: AckBatch,
    /// What it consumes, until it has been told to.
    waiting: Option<Subscription>,
    /// Whether the broker owes the answer to `basic.consume`.
    subscribing: bool,
    /// Whether its next delivery is the first one after a fault.
    pub(super) is_watched: bool,
}

/// What a consumer asks for.
#[derive(Debug)]
struct Subscription {
    queue: String,
    no_ack: bool,
}

impl Subscription {
    fn method(&self) -> Method<'_> {
        Method::BasicConsume {
            queue: &self.queue,
            consumer_tag: CONSUMER_TAG,
            no_local: false,
            no_ack: self.no_ack,
            exclusive: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        }
    }
}

impl Consumer {
    /// Connects and, unless a backlog comes first, starts to consume.
    pub(super) fn connect(
        plan: &Plan,
        consumer: &ConsumerPlan,
        target: &Target,
    ) -> Result<Self, DriverError> {
        let mut session = Session::open(
            &format!("consumer {}", consumer.id),
            target.node(usize::from(consumer.id)),
        )?;
        let qos = Method::BasicQos {
            prefetch_size: 0,
            prefetch_count: consumer.prefetch,
            global: false,
        };
        session.call(&qos, |method| matches!(method, Method::BasicQosOk).then_some(()))?;
        let subscription = Subscription {
            queue: plan.queues[consumer.queue].name.clone(),
            no_ack: consumer.no_ack,
        };
        let waits = plan.scenario.backlog_first;
        if !waits {
            session.call(&subscription.method(), |method| {
                matches!(method, Method::BasicConsumeOk { .. }).then_some(())
            })?;
        }
        Ok(Self {
            link: Link::new(session)?,
            index: usize::from(consumer.id),
            acks: AckBatch::new(
                if consumer.no_ack {
                    0
                } else {
                    consumer.ack_every.max(1)
                },
                plan.scenario.ack_flush_ms,
                consumer.work.clone(),
            ),
            waiting: waits.then_some(subscription),
            subscribing: false,
            is_watched: false,
        })
    }

    /// Starts to consume, if it has not yet.
    pub(super) fn start(&mut self, buffer: &mut [u8]) -> Result<(), DriverError> {
        let Some(subscription) = self.waiting.take() else {
            return Ok(());
        };
        self.subscribing = true;
        subscription.method().encode(CHANNEL, &mut self.link.socket.out);
        self.link.flush(buffer)
    }

    /// Reads once, books every delivery that is complete, and writes the acks that are due. Agrees when the broker closes the connection: it waits for that.
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
        let first_copies = books.totals.consumed;
        let deliveries = books.ledger.deliveries();
        let mut at = 0;
        while let Some(length) = self.take(books, &buffer[at..filled], now_ns)? {
            at += length;
        }
        self.link.socket.keep(&buffer[at..filled]);
        books
            .recorder
            .consumed(books.totals.consumed - first_copies, now_ns);
        if self.is_watched && books.ledger.deliveries() > deliveries {
            self.is_watched = false;
            books.first_delivery_ns.get_or_insert(now_ns);
        }
        self.link.flush(buffer)
    }

    /// Handles what stands at the start of `input`; how long it was, or `None` when it is incomplete.
    fn take(&mut self, books: &mut Books, input: &[u8], now_ns: u64) -> Result<Option<usize>, DriverError> {
        if !self.link.inbox.is_mid_message() {
            match scan_deliver(input, self.link.frame_bytes_max) {
                Scan::Complete(delivery) => {
                    let ack = self.acks.delivered(delivery.delivery_tag, now_ns);
                    books.send(ack, &mut self.link.socket.out);
                    books.receive(self.index, delivery.redelivered, delivery.body, now_ns);
                    return Ok(Some(delivery.len));
                }
                Scan::Incomplete => return Ok(None),
                Scan::Other => {}
            }
        }
        let Link {
            name,
            socket,
            inbox,
            frame_bytes_max,
        } = &mut self.link;
        let Some((length, incoming)) = inbox.decode(name, input, *frame_bytes_max)? else {
            return Ok(None);
        };
        match incoming {
            Incoming::Delivery {
                tag,
                redelivered,
                body,
            } => {
                books.send(self.acks.delivered(tag, now_ns), &mut socket.out);
                books.receive(self.index, redelivered, body, now_ns);
            }
            Incoming::Settled { .. } => {
                return Err(self
                    .link
                    .protocol("a confirm on a channel that publishes nothing".to_owned()));
            }
            Incoming::Answer if std::mem::take(&mut self.subscribing) => {}
            Incoming::Answer => return Err(self.link.protocol(UNASKED.to_owned())),
            Incoming::Blocked => books.blocked += 1,
            Incoming::Part => {}
        }
        Ok(Some(length))
    }

    /// When the pending acks are to be sent at the latest.
    pub(super) fn ack_due_ns(&self) -> Option<u64> {
        self.acks.due_ns()
    }

    /// Sends the acks that are due, or all of them when the load is `over` and nobody is slow any more.
    pub(super) fn flush_acks(
        &mut self,
        books: &mut Books,
        buffer: &mut [u8],
        now_ns: u64,
        over: bool,
    ) -> Result<(), DriverError> {
        let out = &mut self.link.socket.out;
        if over {
            self.acks.hurry();
            books.send(self.acks.flush(), out);
        }
        while let Some(ack) = self.acks.due(now_ns) {
            books.send(Some(ack), out);
        }
        self.link.flush(buffer)
    }

    /// Whether every delivery so far has been acknowledged and the acks are on their way.
    pub(super) fn is_settled(&self) -> bool {
        self.acks.due_ns().is_none() && !self.link.socket.is_backed_up()
    }
}

impl Books {
    /// Appends an ack, if there is one, and counts what it settles.
    #[inline]
    fn send(&mut self, ack: Option<Ack>, out: &mut Vec<u8>) {
        if let Some(ack) = ack {
            encode_ack(out, CHANNEL, ack.tag, ack.multiple);
            self.totals.acked += ack.count;
        }
    }

    /// Books one delivery in the ledger and, when it is a first copy, in the histograms.
    #[inline]
    pub(super) fn receive(&mut self, consumer: usize, redelivered: bool, body: &[u8], now_ns: u64) {
        match self.ledger.receive(consumer, redelivered, body) {
            Receipt::First(stamp) => {
                self.totals.consumed += 1;
                self.recorder.received(stamp.intended_ns, stamp.sent_ns(), now_ns);
                if let Some(timeline) = &mut self.timeline {
                    timeline.record(stamp.intended_ns, now_ns);
                }
            }
            Receipt::Foreign => self.totals.consumed += 1,
            Receipt::Again(_) | Receipt::Corrupt => {}
        }
    }
}
