//! Exchange and queue methods: declare, delete, bind, unbind, purge.

use wire::Method;

use super::access::is_system_exchange;
use super::failure::Failure;
use super::queues::Declare;
use super::replies::is_reply_queue;
use super::task::Connection;
use crate::auth::{Operation, Resource};
use crate::declare::no_queue;
use crate::topology::ExchangeSpec;

impl Connection {
    pub(super) fn on_entity_method(&mut self, id: u16, method: Method<'_>) -> Result<(), Failure> {
        match method {
            Method::ExchangeDeclare {
                exchange,
                kind,
                passive,
                durable,
                auto_delete,
                internal,
                no_wait,
                arguments,
                ..
            } => {
                let declared = if passive {
                    (self.vhost().topology.read().check_exchange(exchange), None)
                } else {
                    let spec = ExchangeSpec {
                        name: exchange.to_owned(),
                        kind: kind.parse()?,
                        durable,
                        auto_delete,
                        internal,
                        arguments: arguments.to_table(),
                    };
                    self.check_exchange_declare(&spec)?;
                    self.vhost()
                        .change_topology(|topology| topology.declare_exchange(spec))
                };
                let stored = durable && !passive;
                self.answer_stored(id, declared, stored, no_wait, Method::ExchangeDeclareOk)?;
            }
            Method::ExchangeDelete {
                exchange,
                if_unused,
                no_wait,
            } => {
                if !is_system_exchange(exchange) {
                    self.check_access(Operation::Configure, Resource::Exchange(exchange))?;
                }
                let deleted = self
                    .vhost()
                    .change_topology(|topology| topology.delete_exchange(exchange, if_unused));
                self.answer_stored(id, deleted, true, no_wait, Method::ExchangeDeleteOk)?;
            }
            Method::ExchangeBind {
                destination,
                source,
                routing_key,
                no_wait,
                arguments,
            } => {
                self.check_binding(source, Resource::Exchange(destination), routing_key)?;
                let bound = self.vhost().change_topology(|topology| {
                    topology.bind_exchange(destination, source, routing_key, &arguments.to_table())
                });
                self.answer_stored(id, bound, true, no_wait, Method::ExchangeBindOk)?;
            }
            Method::ExchangeUnbind {
                destination,
                source,
                routing_key,
                no_wait,
                arguments,
            } => {
                self.check_binding(source, Resource::Exchange(destination), routing_key)?;
                let unbound = self.vhost().change_topology(|topology| {
                    topology.unbind_exchange(destination, source, routing_key, &arguments.to_table())
                });
                self.answer_stored(id, unbound, true, no_wait, Method::ExchangeUnbindOk)?;
            }
            Method::QueueDeclare {
                queue,
                passive,
                durable,
                exclusive,
                auto_delete,
                no_wait,
                arguments,
            } => {
                if is_reply_queue(queue) {
                    return self.declare_replies(id, queue, no_wait);
                }
                let (queue, ticket) = match passive {
                    // Here an empty name is just that, as in RabbitMQ.
                    true if queue.is_empty() => return Err(no_queue(self.vhost().name(), "")),
                    true => (self.queue(id, queue)?, None),
                    false => self.declare_queue(Declare {
                        queue,
                        durable,
                        exclusive,
                        auto_delete,
                        arguments,
                    })?,
                };
                self.channel_mut(id).queue_last = queue.name().to_owned();
                let (ready, consumers) = queue.counts();
                let ok = Method::QueueDeclareOk {
                    queue: queue.name(),
                    message_count: ready as u32,
                    consumer_count: consumers as u32,
                };
                self.reply_stored(id, ticket, no_wait, ok);
            }
            Method::QueueBind {
                queue,
                exchange,
                routing_key,
                no_wait,
                arguments,
            } => {
                let (queue, key) = self.queue_to_bind(id, queue, exchange, routing_key)?;
                let bound = self.vhost().change_topology(|topology| {
                    topology.bind_queue(queue.name(), exchange, &key, &arguments.to_table())
                });
                let stored = queue.declaration().is_stored();
                self.answer_stored(id, bound, stored, no_wait, Method::QueueBindOk)?;
            }
            Method::QueueUnbind {
                queue,
                exchange,
                routing_key,
                arguments,
            } => {
                let ticket = self.unbind_queue(id, queue, exchange, routing_key, arguments)?;
                self.reply_stored(id, ticket, false, Method::QueueUnbindOk);
            }
            Method::QueuePurge { queue, no_wait } => {
                let message_count = self.queue_to_read(id, queue)?.purge() as u32;
                self.reply_stored(id, None, no_wait, Method::QueuePurgeOk { message_count });
            }
            Method::QueueDelete {
                queue,
                if_unused,
                if_empty,
                no_wait,
            } => {
                let deleted = self.delete_queue_checked(id, queue, if_unused, if_empty)?;
                let message_count = deleted.messages as u32;
                let mut reply = Vec::new();
                if !no_wait {
                    Method::QueueDeleteOk { message_count }.encode(id, &mut reply);
                }
                // This connection's own consumers are told after the answer, as RabbitMQ does.
                reply.extend(self.cancel_consumers(&deleted.consumers));
                self.send_stored(id, deleted.ticket, reply);
            }
            _ => unreachable!("dispatched here by method"),
        }
        Ok(())
    }
}
