//! `basic.qos`, `basic.consume`, `basic.cancel`, `basic.get`, `confirm.select`, `channel.flow`.

use std::sync::Arc;

use wire::{Method, ReplyCode, TableRef};

use super::channel::{ChannelConsumer, Confirms};
use super::delivery::{ConsumerTarget, delivery_bytes};
use super::failure::Failure;
use super::replies::REPLY_TO;
use super::task::Connection;
use super::window::Source;
use crate::queue::{Queue, Subscription};
use crate::terms::type_name;

/// Argument of `basic.consume`.
const CONSUMER_PRIORITY: &str = "x-priority";

/// A `basic.consume`, without the parts that the broker ignores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consume<'a> {
    pub(super) queue: &'a str,
    pub(super) consumer_tag: &'a str,
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) no_wait: bool,
    /// `x-priority`; higher ones are served first.
    pub(super) priority: i32,
}

impl Connection {
    pub(super) fn on_basic_method(&mut self, id: u16, method: Method<'_>) -> Result<(), Failure> {
        match method {
            Method::BasicQos {
                prefetch_size,
                prefetch_count,
                global,
            } => self.qos(id, prefetch_size, prefetch_count, global),
            Method::BasicConsume {
                queue,
                consumer_tag,
                no_ack,
                exclusive,
                no_wait,
                arguments,
                ..
            } => self.consume(
                id,
                Consume {
                    queue,
                    consumer_tag,
                    no_ack,
                    exclusive,
                    no_wait,
                    priority: consumer_priority(arguments)?,
                },
            ),
            Method::BasicCancel {
                consumer_tag,
                no_wait,
            } => self.cancel(id, consumer_tag, no_wait),
            Method::BasicGet { queue, no_ack } => self.get(id, queue, no_ack),
            _ => unreachable!("dispatched here by method"),
        }
    }

    /// `global` follows RabbitMQ: false is for each consumer yet to come, true for the channel as a whole.
    fn qos(&mut self, id: u16, prefetch_size: u32, prefetch_count: u16, global: bool) -> Result<(), Failure> {
        if prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({prefetch_size})");
            return Err(Failure::new(ReplyCode::NotImplemented, text));
        }
        let channel = self.channel_mut(id);
        if global {
            let window = channel.window;
            self.link.outbound().windows[window].set_prefetch_global(prefetch_count);
            self.resume_consumers();
        } else {
            channel.prefetch = prefetch_count;
            channel.observed.prefetch.set(prefetch_count.into());
        }
        self.reply(id, Method::BasicQosOk);
        Ok(())
    }

    fn consume(&mut self, id: u16, consume: Consume<'_>) -> Result<(), Failure> {
        if consume.queue == REPLY_TO {
            return self.consume_replies(id, consume);
        }
        // One of them may have just gone, by a request of this connection.
        self.forget_cancelled();
        let queue = self.queue_to_read(id, consume.queue)?;
        let tag = match consume.consumer_tag {
            "" => self.broker.generated_name("amq.ctag-"),
            tag => tag.to_owned(),
        };
        let consumers_max = self.broker.limits.consumers_per_channel_max();
        let channel = self.channel_mut(id);
        if channel.consumers.len() >= consumers_max {
            let text = format!("reached maximum ({consumers_max}) of consumers per channel");
            return Err(Failure::new(ReplyCode::NotAllowed, text));
        }
        if channel.consumers.contains_key(&tag) {
            let text = format!("attempt to reuse consumer tag '{tag}'");
            return Err(Failure::new(ReplyCode::NotAllowed, text));
        }
        let (window, prefetch) = (channel.window, channel.prefetch);
        let source = Source {
            queue: Arc::clone(&queue),
            consumer: None,
        };
        let source = self.link.outbound().windows[window].add_source(source);
        let target = ConsumerTarget::new(Arc::clone(&self.link), window, source, id, &tag, consume.no_ack);
        let subscription = Subscription {
            target,
            prefetch,
            priority: consume.priority,
            exclusive: consume.exclusive,
        };
        let subscribed = queue.subscribe(subscription, |consumer| {
            let mut outbound = self.link.outbound();
            outbound.windows[window].set_consumer(source, consumer);
            if !consume.no_wait {
                Method::BasicConsumeOk { consumer_tag: &tag }.encode(id, &mut outbound.pending);
            }
        });
        let Some(consumer) = subscribed else {
            self.link.outbound().windows[window].detach_source(source);
            let text = format!(
                "queue '{}' in vhost '{}' in exclusive use",
                queue.name(),
                self.vhost().name()
            );
            return Err(Failure::new(ReplyCode::AccessRefused, text));
        };
        self.reactor.mark_flush(&self.link);
        self.reactor.mark_dirty(&queue);
        self.channel_mut(id).consumers.insert(
            tag,
            ChannelConsumer {
                queue,
                id: consumer,
                source,
            },
        );
        Ok(())
    }

    fn cancel(&mut self, id: u16, consumer_tag: &str, no_wait: bool) -> Result<(), Failure> {
        self.cancel_replies(id, Some(consumer_tag));
        if let Some(consumer) = self.channel_mut(id).consumers.remove(consumer_tag) {
            self.cancel_consumer(id, &consumer);
        }
        if !no_wait {
            self.reply(id, Method::BasicCancelOk { consumer_tag });
        }
        Ok(())
    }

    /// Consumers went with their queues: their tags are free again.
    pub(super) fn forget_cancelled(&mut self) {
        let cancelled = std::mem::take(&mut self.link.outbound().cancelled);
        for (id, tag) in cancelled {
            let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.closing) else {
                continue;
            };
            if let Some(consumer) = channel.consumers.remove(&tag) {
                self.link.outbound().windows[channel.window].detach_source(consumer.source);
            }
        }
    }

    /// Takes a consumer, already out of its channel's table, off its queue.
    pub(super) fn cancel_consumer(&mut self, id: u16, consumer: &ChannelConsumer) {
        let queue_goes = consumer.queue.unsubscribe(consumer.id);
        let window = self.channel_mut(id).window;
        self.link.outbound().windows[window].detach_source(consumer.source);
        if queue_goes {
            self.drop_queue(&consumer.queue, true);
        } else {
            self.reactor.mark_dirty(&consumer.queue);
        }
    }

    fn get(&mut self, id: u16, queue: &str, no_ack: bool) -> Result<(), Failure> {
        let queue: Arc<Queue> = self.queue_to_read(id, queue)?;
        let window = self.channel_mut(id).window;
        let source = Source {
            queue: Arc::clone(&queue),
            consumer: None,
        };
        let source = self.link.outbound().windows[window].add_source(source);
        let mut again = false;
        let found = queue.get(
            no_ack,
            self.reactor.now_ms(),
            |offset, redelivered, record, remaining| {
                let mut locked = self.link.outbound();
                let outbound = &mut *locked;
                let frame_bytes_max = outbound.frame_bytes_max;
                let window = &mut outbound.windows[window];
                let delivery_tag = if no_ack {
                    window.next_tag()
                } else {
                    let bytes = delivery_bytes(record);
                    outbound.unacked.bytes += bytes as u64;
                    window.push(source, offset, bytes as u32)
                };
                window.note_redelivered(redelivered);
                again = redelivered;
                let (exchange, routing_key) = record.split_names();
                let ok = Method::BasicGetOk {
                    delivery_tag,
                    redelivered,
                    exchange: utf8(exchange),
                    routing_key: utf8(routing_key),
                    message_count: remaining as u32,
                };
                ok.encode(id, &mut outbound.pending);
                wire::encode_header_frame(&mut outbound.pending, id, record.content.header());
                wire::encode_body_frames(&mut outbound.pending, id, record.content.body(), frame_bytes_max);
            },
        );
        self.link.outbound().windows[window].detach_source(source);
        self.count_get(id, no_ack, found.is_some(), again);
        match found {
            Some(()) => self.reactor.mark_flush(&self.link),
            None => self.reply(id, Method::BasicGetEmpty),
        }
        Ok(())
    }

    fn count_get(&self, id: u16, no_ack: bool, found: bool, redelivered: bool) {
        let (channel, reactor) = (&self.channels[&id].observed, self.reactor.counts());
        let (own, all) = match (found, no_ack) {
            (false, _) => (&channel.got_empty, &reactor.got_empty),
            (true, true) => (&channel.got_auto, &reactor.got_auto),
            (true, false) => (&channel.got_manual, &reactor.got_manual),
        };
        own.add(1);
        all.add(1);
        reactor.redelivered.add(redelivered.into());
    }

    pub(super) fn confirm_select(&mut self, id: u16, no_wait: bool) -> Result<(), Failure> {
        let channel = self.channel_mut(id);
        if channel.tx.is_some() {
            let text = "cannot switch from tx to confirm mode";
            return Err(Failure::new(ReplyCode::PreconditionFailed, text));
        }
        channel.confirms.get_or_insert(Confirms::default());
        channel.observed.note_confirm();
        if !no_wait {
            self.reply(id, Method::ConfirmSelectOk);
        }
        Ok(())
    }

    /// Only `active = true` is supported, as in RabbitMQ: consumers have prefetch to hold deliveries back.
    pub(super) fn channel_flow(&mut self, id: u16, active: bool) -> Result<(), Failure> {
        if !active {
            return Err(Failure::new(ReplyCode::NotImplemented, "active=false"));
        }
        self.reply(id, Method::ChannelFlowOk { active: true });
        Ok(())
    }
}

/// The argument `x-priority`; 0 when there is none.
fn consumer_priority(arguments: TableRef<'_>) -> Result<i32, Failure> {
    let Some(value) = arguments.get(CONSUMER_PRIORITY) else {
        return Ok(0);
    };
    match value.as_i64() {
        Some(priority) => Ok(priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32),
        None => {
            let kind = type_name(&value.to_value());
            let text = format!("invalid arg '{CONSUMER_PRIORITY}': {{unacceptable_type,{kind}}}");
            Err(Failure::new(ReplyCode::PreconditionFailed, text))
        }
    }
}

/// Names that came in as short strings were checked to be UTF-8.
fn utf8(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}
