//! A consumer of the load: books deliveries and acknowledges them in batches.

use wire::fast::{Scan, encode_ack, scan_deliver};
use wire::{Method, TableRef};

use super::engine::Books;
use super::inbox::Incoming;
use super::link::Link;
use super::session::{CHANNEL, Session};
use crate::driver::DriverError;
use crate::ledger::Receipt;
use crate::plan::{ConsumerPlan, Plan};
use crate::target::Target;

const CONSUMER_TAG: &str = "c";

/// Acknowledges every `every` deliveries, or what there is when the oldest has waited for `flush_ns`.
#[derive(Debug)]
struct AckBatch {
    /// 0: the broker expects no acks.
    every: u16,
    flush_ns: u64,
    pending: u16,
    pending_since_ns: u64,
    last_tag: u64,
}

impl AckBatch {
    /// Books a delivery; appends the ack that completes a batch. Returns how many deliveries are settled by it.
    fn delivered(&mut self, tag: u64, now_ns: u64, out: &mut Vec<u8>) -> u64 {
        if self.every == 0 {
            return 1;
        }
        if self.pending == 0 {
            self.pending_since_ns = now_ns;
        }
        self.last_tag = tag;
        self.pending += 1;
        if self.pending < self.every {
            0
        } else {
            self.flush(out)
        }
    }

    /// Appends an ack of everything pending; returns how many deliveries that settles.
    fn flush(&mut self, out: &mut Vec<u8>) -> u64 {
        let settled = std::mem::take(&mut self.pending);
        if settled > 0 {
            encode_ack(out, CHANNEL, self.last_tag, settled > 1);
        }
        u64::from(settled)
    }

    fn due_ns(&self) -> Option<u64> {
        (self.pending > 0).then(|| self.pending_since_ns + self.flush_ns)
    }
}

/// One consumer and its connection.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) link: Link,
    index: usize,
    acks: AckBatch,
}

impl Consumer {
    /// Connects and starts to consume.
    pub(super) fn connect(
        plan: &Plan,
        consumer: &ConsumerPlan,
        target: &Target,
    ) -> Result<Self, DriverError> {
        let mut session = Session::open(&format!("consumer {}", consumer.id), target)?;
        let qos = Method::BasicQos {
            prefetch_size: 0,
            prefetch_count: consumer.prefetch,
            global: false,
        };
        session.call(&qos, |method| matches!(method, Method::BasicQosOk).then_some(()))?;
        let consume = Method::BasicConsume {
            queue: &plan.queues[consumer.queue].name,
            consumer_tag: CONSUMER_TAG,
            no_local: false,
            no_ack: consumer.no_ack,
            exclusive: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        session.call(&consume, |method| {
            matches!(method, Method::BasicConsumeOk { .. }).then_some(())
        })?;
        Ok(Self {
            link: Link::new(session)?,
            index: usize::from(consumer.id),
            acks: AckBatch {
                every: if consumer.no_ack {
                    0
                } else {
                    consumer.ack_every.max(1)
                },
                flush_ns: plan.scenario.ack_flush_ms * 1_000_000,
                pending: 0,
                pending_since_ns: 0,
                last_tag: 0,
            },
        })
    }

    /// Reads once, books every delivery that is complete, and writes the acks that are due.
    pub(super) fn read(&mut self, books: &mut Books, buffer: &mut [u8]) -> Result<(), DriverError> {
        let filled = self.link.read(buffer)?;
        if filled == 0 {
            return Ok(());
        }
        let now_ns = books.clock.now_ns();
        let first_copies = books.totals.consumed;
        let mut at = 0;
        while let Some(length) = self.take(books, &buffer[at..filled], now_ns)? {
            at += length;
        }
        self.link.socket.keep(&buffer[at..filled]);
        books
            .recorder
            .consumed(books.totals.consumed - first_copies, now_ns);
        self.link.flush(buffer)
    }

    /// Handles what stands at the start of `input`; how long it was, or `None` when it is incomplete.
    fn take(&mut self, books: &mut Books, input: &[u8], now_ns: u64) -> Result<Option<usize>, DriverError> {
        if !self.link.inbox.is_mid_message() {
            match scan_deliver(input, self.link.frame_bytes_max) {
                Scan::Complete(delivery) => {
                    let out = &mut self.link.socket.out;
                    books.totals.acked += self.acks.delivered(delivery.delivery_tag, now_ns, out);
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
                books.totals.acked += self.acks.delivered(tag, now_ns, &mut socket.out);
                books.receive(self.index, redelivered, body, now_ns);
            }
            Incoming::Settled { .. } => {
                return Err(self
                    .link
                    .protocol("a confirm on a channel that publishes nothing".to_owned()));
            }
            Incoming::Blocked => books.blocked += 1,
            Incoming::Part => {}
        }
        Ok(Some(length))
    }

    /// When the pending acks are to be sent at the latest.
    pub(super) fn ack_due_ns(&self) -> Option<u64> {
        self.acks.due_ns()
    }

    /// Sends all pending acks.
    pub(super) fn flush_acks(&mut self, books: &mut Books, buffer: &mut [u8]) -> Result<(), DriverError> {
        books.totals.acked += self.acks.flush(&mut self.link.socket.out);
        self.link.flush(buffer)
    }

    /// Whether every delivery so far has been acknowledged and the acks are on their way.
    pub(super) fn is_settled(&self) -> bool {
        self.acks.pending == 0 && !self.link.socket.is_backed_up()
    }
}

impl Books {
    /// Books one delivery in the ledger and, when it is a first copy, in the histograms.
    #[inline]
    pub(super) fn receive(&mut self, consumer: usize, redelivered: bool, body: &[u8], now_ns: u64) {
        if let Receipt::First(stamp) = self.ledger.receive(consumer, redelivered, body) {
            self.totals.consumed += 1;
            self.recorder.received(stamp.intended_ns, stamp.sent_ns(), now_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::fast::scan_ack;

    fn batch(every: u16) -> AckBatch {
        AckBatch {
            every,
            flush_ns: 1_000,
            pending: 0,
            pending_since_ns: 0,
            last_tag: 0,
        }
    }

    fn acks(out: &[u8]) -> Vec<(u64, bool)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while let Scan::Complete(ack) = scan_ack(&out[at..]) {
            found.push((ack.delivery_tag, ack.multiple));
            at += ack.len;
        }
        assert_eq!(at, out.len());
        found
    }

    #[test]
    fn acknowledges_each_batch_cumulatively_and_the_rest_by_timer() {
        let (mut batch, mut out) = (batch(3), Vec::new());
        let settled: u64 = (1..=7).map(|tag| batch.delivered(tag, tag * 10, &mut out)).sum();
        assert_eq!(settled, 6);
        assert_eq!(acks(&out), [(3, true), (6, true)]);
        assert_eq!(batch.due_ns(), Some(1_070));
        assert_eq!(batch.flush(&mut out), 1);
        assert_eq!(acks(&out).last(), Some(&(7, false)));
        assert_eq!((batch.due_ns(), batch.flush(&mut out)), (None, 0));
    }

    #[test]
    fn single_acks_and_no_acks() {
        let (mut single, mut out) = (batch(1), Vec::new());
        assert_eq!(single.delivered(4, 0, &mut out), 1);
        assert_eq!(acks(&out), [(4, false)]);
        out.clear();
        assert_eq!(batch(0).delivered(4, 0, &mut out), 1);
        assert!(out.is_empty());
    }
}
