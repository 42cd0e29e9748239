//! Direct reply-to: answers to requests go straight to the channel that asked, without a queue.
//!
//! A channel that consumes from the pseudo-queue `amq.rabbitmq.reply-to` gets an address, unique and not to be guessed. Where
//! its requests carry the pseudo-queue's name as `reply-to`, they carry the address instead from then on; what is published
//! to the default exchange with the address as routing key is encoded into the connection's outbox at once, by whichever
//! reactor. Nothing is kept: an answer for a channel that is gone, or whose outbox is full, is unroutable.
//!
//! Lock order: the table of consumers, then a connection's outbound.

use std::sync::Arc;

use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use wire::{Method, ReplyCode};

use super::basic::Consume;
use super::delivery::ConsumerTarget;
use super::failure::Failure;
use super::task::Connection;
use crate::record::{Content, Record};

/// The pseudo-queue.
pub(super) const REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// What addresses begin with.
const ADDRESS_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// Who gets answers, by address.
#[derive(Debug, Default)]
pub struct ReplyConsumers {
    consumers: RwLock<FxHashMap<String, ConsumerTarget>>,
}

/// A channel's entry there.
#[derive(Debug)]
pub(super) struct ReplyConsumer {
    tag: String,
    address: String,
}

/// True for a publish that may be an answer.
pub(super) fn is_reply_key(exchange: &str, routing_key: &str) -> bool {
    exchange.is_empty() && routing_key.starts_with(ADDRESS_PREFIX)
}

/// True for what can be declared only as it is: the pseudo-queue and addresses.
pub(super) fn is_reply_queue(name: &str) -> bool {
    name.starts_with(REPLY_TO)
}

impl ReplyConsumers {
    fn has(&self, address: &str) -> bool {
        self.consumers.read().contains_key(address)
    }
}

impl Connection {
    /// `basic.consume` on the pseudo-queue.
    pub(super) fn consume_replies(&mut self, id: u16, consume: Consume<'_>) -> Result<(), Failure> {
        let channel = &self.channels[&id];
        if channel.consumers.contains_key(consume.consumer_tag) {
            let text = format!("attempt to reuse consumer tag '{}'", consume.consumer_tag);
            return Err(Failure::new(ReplyCode::NotAllowed, text));
        }
        let refused = match () {
            () if !consume.no_ack => "reply consumer cannot acknowledge",
            () if channel.replies.is_some() => "reply consumer already set",
            () => "",
        };
        if !refused.is_empty() {
            return Err(Failure::new(ReplyCode::PreconditionFailed, refused));
        }
        let tag = match consume.consumer_tag {
            "" => self.broker.generated_name("amq.ctag-"),
            tag => tag.to_owned(),
        };
        let address = self.broker.generated_name(ADDRESS_PREFIX);
        let target = ConsumerTarget::without_acks(Arc::clone(&self.link), channel.window, id, &tag);
        let consumers = &self.broker.replies.consumers;
        consumers.write().insert(address.clone(), target);
        if !consume.no_wait {
            self.reply(id, Method::BasicConsumeOk { consumer_tag: &tag });
        }
        self.channel_mut(id).replies = Some(ReplyConsumer { tag, address });
        Ok(())
    }

    /// Takes the channel's reply consumer away, if it has this tag, or any.
    pub(super) fn cancel_replies(&mut self, id: u16, consumer_tag: Option<&str>) {
        let is_meant = |replies: &mut ReplyConsumer| consumer_tag.is_none_or(|tag| tag == replies.tag);
        if let Some(replies) = self.channel_mut(id).replies.take_if(is_meant) {
            self.broker.replies.consumers.write().remove(&replies.address);
        }
    }

    /// A declaration of the pseudo-queue or of an address, which only says whether it is there.
    pub(super) fn declare_replies(&mut self, id: u16, name: &str, no_wait: bool) -> Result<(), Failure> {
        if name != REPLY_TO && !self.broker.replies.has(name) {
            let text = format!("no queue '{name}' in vhost '{}'", self.vhost().name());
            return Err(Failure::new(ReplyCode::NotFound, text));
        }
        self.channel_mut(id).queue_last = name.to_owned();
        if !no_wait {
            let ok = Method::QueueDeclareOk {
                queue: name,
                message_count: 0,
                consumer_count: 1,
            };
            self.reply(id, ok);
        }
        Ok(())
    }

    /// The address that requests of the channel carry.
    pub(super) fn reply_address(&self, id: u16) -> Result<String, Failure> {
        let replies = self.channels[&id].replies.as_ref();
        replies.map(|replies| replies.address.clone()).ok_or_else(|| {
            Failure::new(
                ReplyCode::PreconditionFailed,
                "fast reply consumer does not exist",
            )
        })
    }

    /// Delivers an answer; false when nobody can take it.
    pub(super) fn deliver_reply(&self, address: &str, names: &[u8], content: Content<'_>) -> bool {
        // Held while it is delivered: the channel cannot end, and its window go to another one, meanwhile.
        let consumers = self.broker.replies.consumers.read();
        let Some(target) = consumers.get(address) else {
            return false;
        };
        let record = Record {
            timestamp_ms: self.reactor.now_ms(),
            flags: 0,
            names,
            content,
        };
        let delivered = target.deliver_reply(&record);
        if delivered {
            self.reactor.mark_flush(target.link());
        }
        delivered
    }
}
