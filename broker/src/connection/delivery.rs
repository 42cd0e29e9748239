//! A consumer of the broker: where a queue's deliveries are encoded.

use std::sync::Arc;

use parking_lot::MutexGuard;
use ring::Offset;
use wire::Method;
use wire::fast::DeliverTemplate;

use super::link::{Link, Outbound, Signal};
use super::window::SourceId;
use crate::queue::{Accepted, DeliverySession, DeliveryTarget};
use crate::record::Record;

/// Frame headers, method and tags of one delivery, roughly; for accounting only.
const DELIVERY_OVERHEAD_BYTES: usize = 64;

/// Deliveries for one consumer tag on one channel of one connection.
#[derive(Debug)]
pub struct ConsumerTarget {
    link: Arc<Link>,
    /// Key of the channel's window in the link.
    window: usize,
    /// Where acknowledged deliveries come from; `None` when there is nothing to acknowledge.
    source: Option<SourceId>,
    channel: u16,
    consumer_tag: String,
    template: DeliverTemplate,
}

impl ConsumerTarget {
    /// Deliveries go to `link`, into `window`, as coming from `source`.
    pub fn new(
        link: Arc<Link>,
        window: usize,
        source: SourceId,
        channel: u16,
        consumer_tag: &str,
        no_ack: bool,
    ) -> Self {
        let mut target = ConsumerTarget::without_acks(link, window, channel, consumer_tag);
        target.source = (!no_ack).then_some(source);
        target
    }

    /// Deliveries to `link` that are not acknowledged.
    pub fn without_acks(link: Arc<Link>, window: usize, channel: u16, consumer_tag: &str) -> Self {
        ConsumerTarget {
            link,
            window,
            source: None,
            channel,
            consumer_tag: consumer_tag.to_owned(),
            template: DeliverTemplate::new(channel, consumer_tag),
        }
    }

    /// Its channel's number.
    pub fn channel(&self) -> u16 {
        self.channel
    }

    /// Key of its channel's window in the link.
    pub fn window(&self) -> usize {
        self.window
    }

    /// True when its deliveries have to be acknowledged.
    pub fn acknowledges(&self) -> bool {
        self.source.is_some()
    }

    /// As the client knows it.
    pub fn consumer_tag(&self) -> &str {
        &self.consumer_tag
    }

    /// The connection.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Delivers what is in no queue, if the connection can take it.
    pub fn deliver_reply(&self, record: &Record<'_>) -> bool {
        let Some(mut session) = self.open() else {
            return false;
        };
        let outbound = &mut *session.outbound;
        if !self.link.admit_reply(outbound, delivery_bytes(record)) {
            return false;
        }
        let tag = outbound.windows[self.window].next_tag();
        self.encode(outbound, tag, false, record);
        true
    }

    // Always: it is one function with the delivery loop, or a tenth of the throughput is lost.
    #[inline(always)]
    fn encode(&self, outbound: &mut Outbound, tag: u64, redelivered: bool, record: &Record<'_>) {
        let content = &record.content;
        let out = &mut outbound.pending;
        if content.body_len() + wire::FRAME_OVERHEAD <= outbound.frame_bytes_max {
            self.template.encode_frames(
                out,
                tag,
                redelivered,
                record.names,
                content.frames(),
                content.header_len(),
            );
        } else {
            let (exchange, key) = record.split_names();
            let (header, body) = (content.header(), content.body());
            self.template.encode(
                out,
                tag,
                redelivered,
                exchange,
                key,
                header,
                body,
                outbound.frame_bytes_max,
            );
        }
    }

    /// The consumer is gone with its queue: appends to `out` what the client is told, if it understands that, and has the
    /// connection forget it.
    pub fn cancel(&self, out: &mut Vec<u8>) {
        let mut outbound = self.link.outbound();
        if outbound.is_closed() {
            return;
        }
        if outbound.consumer_cancel_notify {
            let cancel = Method::BasicCancel {
                consumer_tag: &self.consumer_tag,
                no_wait: true,
            };
            cancel.encode(self.channel, out);
        }
        let forgotten = (self.channel, self.consumer_tag.clone());
        outbound.cancelled.push(forgotten);
        drop(outbound);
        self.link.raise(Signal::Cancelled);
    }
}

impl DeliveryTarget for ConsumerTarget {
    type Session<'a> = ConsumerSession<'a>;

    fn open(&self) -> Option<ConsumerSession<'_>> {
        let outbound = self.link.outbound();
        // A window that is gone means a channel that closes: the consumer is about to be removed.
        let open = !outbound.is_closed() && outbound.windows.contains(self.window);
        open.then_some(ConsumerSession {
            target: self,
            outbound,
        })
    }

    fn no_ack(&self) -> bool {
        self.source.is_none()
    }
}

/// Holds the connection's outbound lock for one chunk of deliveries.
#[derive(Debug)]
pub struct ConsumerSession<'a> {
    target: &'a ConsumerTarget,
    outbound: MutexGuard<'a, Outbound>,
}

impl DeliverySession for ConsumerSession<'_> {
    #[inline(always)]
    fn deliver(&mut self, offset: Offset, redelivered: bool, record: &Record<'_>) -> Accepted {
        let target = self.target;
        let outbound = &mut *self.outbound;
        let bytes = delivery_bytes(record);
        if !target.link.admit(outbound, bytes) {
            return Accepted::Full;
        }
        let window = &mut outbound.windows[target.window];
        let tag = match target.source {
            None => window.next_tag(),
            Some(source) if window.admit() && outbound.unacked.admit() => {
                outbound.unacked.bytes += bytes as u64;
                window.push(source, offset, bytes as u32)
            }
            Some(_) => return Accepted::Full,
        };
        window.note_redelivered(redelivered);
        target.encode(outbound, tag, redelivered, record);
        Accepted::Taken
    }
}

/// What a delivery takes of an outbox, roughly.
#[inline]
pub(super) fn delivery_bytes(record: &Record<'_>) -> usize {
    DELIVERY_OVERHEAD_BYTES + record.names.len() + record.content.frames().len()
}
