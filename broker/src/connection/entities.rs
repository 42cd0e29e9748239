//! Exchange and queue methods: declare, delete, bind, unbind, purge.

use std::sync::Arc;

use wire::{Method, ReplyCode, TableRef};

use super::failure::Failure;
use super::task::Connection;
use crate::queue::{Declaration, Queue};
use crate::topology::{ExchangeSpec, Topology};

/// Queue arguments that other brokers give a meaning and this one does not have yet. Accepting them in
/// silence would drop a promise that the client relies on.
const QUEUE_ARGUMENTS_REFUSED: [&str; 11] = [
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-delivery-limit",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-single-active-consumer",
    "x-consumer-timeout",
];

/// A `queue.declare`.
#[derive(Clone, Copy, Debug)]
struct Declare<'a> {
    queue: &'a str,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
    arguments: TableRef<'a>,
}

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
                let arguments = arguments.to_table();
                let name = exchange.to_owned();
                self.broker.change_topology(|topology| match passive {
                    true => topology.check_exchange(exchange),
                    false => {
                        let kind = kind.parse()?;
                        topology.declare_exchange(ExchangeSpec {
                            name,
                            kind,
                            durable,
                            auto_delete,
                            internal,
                            arguments,
                        })
                    }
                })?;
                self.reply_unless(no_wait, id, Method::ExchangeDeclareOk);
            }
            Method::ExchangeDelete {
                exchange,
                if_unused,
                no_wait,
            } => {
                self.broker
                    .change_topology(|topology| topology.delete_exchange(exchange, if_unused))?;
                self.reply_unless(no_wait, id, Method::ExchangeDeleteOk);
            }
            Method::ExchangeBind {
                destination,
                source,
                routing_key,
                no_wait,
                arguments,
            } => {
                self.broker.change_topology(|topology| {
                    topology.bind_exchange(destination, source, routing_key, &arguments.to_table())
                })?;
                self.reply_unless(no_wait, id, Method::ExchangeBindOk);
            }
            Method::ExchangeUnbind {
                destination,
                source,
                routing_key,
                no_wait,
                arguments,
            } => {
                self.broker.change_topology(|topology| {
                    topology.unbind_exchange(destination, source, routing_key, &arguments.to_table())
                })?;
                self.reply_unless(no_wait, id, Method::ExchangeUnbindOk);
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
                let queue = match passive {
                    true => self.queue(id, queue)?,
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
                self.reply_unless(no_wait, id, ok);
            }
            Method::QueueBind {
                queue,
                exchange,
                routing_key,
                no_wait,
                arguments,
            } => {
                let (queue, key) = self.queue_and_key(id, queue, routing_key)?;
                self.broker.change_topology(|topology| {
                    topology.bind_queue(queue.name(), exchange, &key, &arguments.to_table())
                })?;
                self.reply_unless(no_wait, id, Method::QueueBindOk);
            }
            Method::QueueUnbind {
                queue,
                exchange,
                routing_key,
                arguments,
            } => {
                self.unbind_queue(id, queue, exchange, routing_key, arguments)?;
                self.reply(id, Method::QueueUnbindOk);
            }
            Method::QueuePurge { queue, no_wait } => {
                let message_count = self.queue(id, queue)?.purge() as u32;
                self.reply_unless(no_wait, id, Method::QueuePurgeOk { message_count });
            }
            Method::QueueDelete {
                queue,
                if_unused,
                if_empty,
                no_wait,
            } => {
                let message_count = self.delete_queue_checked(id, queue, if_unused, if_empty)? as u32;
                self.reply_unless(no_wait, id, Method::QueueDeleteOk { message_count });
            }
            _ => unreachable!("dispatched here by method"),
        }
        Ok(())
    }

    /// The queue of that name, or the one declared last on the channel when the name is empty.
    pub(super) fn queue(&self, id: u16, name: &str) -> Result<Arc<Queue>, Failure> {
        let name = match name {
            "" => match self.channels[&id].queue_last.as_str() {
                "" => {
                    let text = "no previously declared queue";
                    return Err(Failure::new(ReplyCode::NotFound, text));
                }
                last => last,
            },
            name => name,
        };
        let topology = self.broker.topology.read();
        let queue = topology.queue(name).ok_or_else(|| no_queue(name))?;
        if queue.is_locked_for(self.link.id()) {
            return Err(locked(name));
        }
        Ok(Arc::clone(queue))
    }

    /// As `queue`; with an empty queue name an empty routing key means the queue's name too (specification,
    /// queue.bind).
    fn queue_and_key(&self, id: u16, name: &str, key: &str) -> Result<(Arc<Queue>, String), Failure> {
        let queue = self.queue(id, name)?;
        let key = if name.is_empty() && key.is_empty() {
            queue.name()
        } else {
            key
        }
        .to_owned();
        Ok((queue, key))
    }

    /// `queue.unbind`: what does not exist is as good as unbound, as in RabbitMQ.
    fn unbind_queue(
        &mut self,
        id: u16,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: TableRef<'_>,
    ) -> Result<(), Failure> {
        let unbound = self.queue_and_key(id, queue, key).and_then(|(queue, key)| {
            let arguments = arguments.to_table();
            let unbind =
                |topology: &mut Topology<_>| topology.unbind_queue(queue.name(), exchange, &key, &arguments);
            Ok(self.broker.change_topology(unbind)?)
        });
        match unbound {
            Err(failure) if failure.code == ReplyCode::NotFound => Ok(()),
            other => other,
        }
    }

    fn declare_queue(&mut self, declare: Declare<'_>) -> Result<Arc<Queue>, Failure> {
        let connection = self.link.id();
        let declaration = Declaration {
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            owner: declare.exclusive.then_some(connection),
            arguments: declare.arguments.to_table(),
        };
        if let Some((name, _)) = declare
            .arguments
            .iter()
            .find(|(name, _)| QUEUE_ARGUMENTS_REFUSED.contains(name))
        {
            let text = format!("queue argument '{name}' is not supported by this broker");
            return Err(Failure::new(ReplyCode::PreconditionFailed, text));
        }
        let broker = Arc::clone(&self.broker);
        let generated = declare.queue.is_empty();
        let name = if generated {
            broker.generated_name("amq.gen-")
        } else {
            declare.queue.to_owned()
        };
        let queue = broker.change_topology(|topology| -> Result<Arc<Queue>, Failure> {
            if let Some(queue) = topology.queue(&name) {
                if queue.is_locked_for(connection) {
                    return Err(locked(&name));
                }
                check_equivalent(&name, queue.declaration(), &declaration)?;
                return Ok(Arc::clone(queue));
            }
            if !generated && name.starts_with("amq.") {
                let text = format!("queue name '{name}' contains reserved prefix 'amq.*'");
                return Err(Failure::new(ReplyCode::AccessRefused, text));
            }
            let queue = broker.new_queue(name.clone(), declaration);
            topology.add_queue(&name, Arc::clone(&queue));
            if declare.exclusive {
                self.exclusive_queues.push(Arc::clone(&queue));
            }
            Ok(queue)
        })?;
        Ok(queue)
    }

    /// `queue.delete`: a queue that does not exist is as good as deleted, as in RabbitMQ.
    fn delete_queue_checked(
        &mut self,
        id: u16,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<usize, Failure> {
        let queue = match self.queue(id, name) {
            Err(failure) if failure.code == ReplyCode::NotFound && !name.is_empty() => return Ok(0),
            other => other?,
        };
        let veto = |ready: usize, consumers: usize| {
            let objection = match () {
                () if if_unused && consumers > 0 => "in use",
                () if if_empty && ready > 0 => "not empty",
                () => return Ok(()),
            };
            let text = format!("queue '{}' in vhost '/' {objection}", queue.name());
            Err(Failure::new(ReplyCode::PreconditionFailed, text))
        };
        let (messages, consumers) = self.broker.delete_queue(&queue, veto)?;
        self.exclusive_queues.retain(|held| !Arc::ptr_eq(held, &queue));
        self.notify_cancelled(&consumers);
        Ok(messages)
    }

    /// Deletes a queue that goes with its last consumer or its connection.
    pub(super) fn drop_queue(&self, queue: &Arc<Queue>, only_if_unused: bool) {
        let veto = |_, consumers| {
            if only_if_unused && consumers > 0 {
                Err(())
            } else {
                Ok(())
            }
        };
        if let Ok((_, consumers)) = self.broker.delete_queue(queue, veto) {
            self.notify_cancelled(&consumers);
        }
    }

    fn notify_cancelled(&self, consumers: &[super::ConsumerTarget]) {
        for consumer in consumers {
            consumer.notify_cancelled();
            self.reactor.mark_flush(consumer.link());
        }
    }

    fn reply_unless(&self, no_wait: bool, id: u16, method: Method<'_>) {
        if !no_wait {
            self.reply(id, method);
        }
    }
}

fn no_queue(name: &str) -> Failure {
    Failure::new(ReplyCode::NotFound, format!("no queue '{name}' in vhost '/'"))
}

fn locked(name: &str) -> Failure {
    let text = format!(
        "cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration."
    );
    Failure::new(ReplyCode::ResourceLocked, text)
}

/// A second declaration must say what the first one said.
fn check_equivalent(name: &str, current: &Declaration, received: &Declaration) -> Result<(), Failure> {
    let differs = |argument: &str, received: String, current: String| {
        let text = format!(
            "inequivalent arg '{argument}' for queue '{name}' in vhost '/': received '{received}' but current is '{current}'"
        );
        Err(Failure::new(ReplyCode::PreconditionFailed, text))
    };
    let flags = [
        ("durable", received.durable, current.durable),
        ("auto_delete", received.auto_delete, current.auto_delete),
        ("exclusive", received.owner.is_some(), current.owner.is_some()),
    ];
    for (argument, received, current) in flags {
        if received != current {
            return differs(argument, received.to_string(), current.to_string());
        }
    }
    let shown =
        |value: Option<&wire::FieldValue>| value.map_or("none".to_owned(), |value| format!("{value:?}"));
    let names = received
        .arguments
        .iter()
        .chain(current.arguments.iter())
        .map(|(name, _)| name);
    for argument in names {
        let (theirs, ours) = (received.arguments.get(argument), current.arguments.get(argument));
        if theirs != ours {
            return differs(argument, shown(theirs), shown(ours));
        }
    }
    Ok(())
}
