//! Finding, declaring, unbinding and deleting queues on behalf of a client.

use std::sync::Arc;

use wire::{FieldValue, ReplyCode, TableRef};

use super::delivery::ConsumerTarget;
use super::failure::Failure;
use super::task::Connection;
use crate::auth::{Operation, Resource};
use crate::broker::DURABILITY_ARGUMENT;
use crate::queue::{ArgumentError, DELAYED_EXCHANGE, Declaration, Queue, QueueKind};
use crate::restore::{description, durability_of};
use crate::store::metadata::Entity;
use crate::store::{Job, Ticket};
use crate::topology::{DELAY_QUEUE_PREFIX, Topology};
/// Arguments that a second declaration must give the same values; others are labels.
const COMPARED_ARGUMENTS: [&str; 15] = [
    "x-queue-type",
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-max-priority",
    "x-queue-mode",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-consumer-timeout",
    DURABILITY_ARGUMENT,
];

/// A `queue.declare`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declare<'a> {
    pub(super) queue: &'a str,
    pub(super) durable: bool,
    pub(super) exclusive: bool,
    pub(super) auto_delete: bool,
    pub(super) arguments: TableRef<'a>,
}

/// A deleted queue.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    /// Ready messages that went with it.
    pub(super) messages: usize,
    /// They are to be told.
    pub(super) consumers: Vec<ConsumerTarget>,
    pub(super) ticket: Option<Ticket>,
}

impl Connection {
    /// The queue of that name, or the one declared last on the channel when the name is empty.
    pub(super) fn queue(&self, id: u16, name: &str) -> Result<Arc<Queue>, Failure> {
        let name = &self.queue_name(id, name)?;
        let topology = self.vhost().topology.read();
        let queue = topology
            .queue(name)
            .ok_or_else(|| no_queue(self.vhost().name(), name))?;
        if name.starts_with(DELAY_QUEUE_PREFIX) {
            let text = format!(
                "queue '{name}' in vhost '{}' belongs to a delayed exchange",
                self.vhost().name()
            );
            return Err(Failure::new(ReplyCode::AccessRefused, text));
        }
        if queue.is_locked_for(self.link.id()) {
            return Err(locked(self.vhost().name(), name));
        }
        Ok(Arc::clone(queue))
    }

    /// As `queue`, for what consumes or purges.
    pub(super) fn queue_to_read(&mut self, id: u16, name: &str) -> Result<Arc<Queue>, Failure> {
        let name = self.queue_name(id, name)?;
        self.check_access(Operation::Read, Resource::Queue(&name))?;
        self.queue(id, &name)
    }

    /// The name, or that of the queue declared last on the channel when it is empty.
    pub(super) fn queue_name(&self, id: u16, name: &str) -> Result<String, Failure> {
        let name = match name {
            "" => self.channels[&id].queue_last.as_str(),
            name => name,
        };
        if name.is_empty() {
            return Err(Failure::new(ReplyCode::NotFound, "no previously declared queue"));
        }
        Ok(name.to_owned())
    }

    /// As `queue`, for bindings; with an empty queue name an empty routing key means the queue's name too (specification,
    /// queue.bind).
    pub(super) fn queue_to_bind(
        &mut self,
        id: u16,
        name: &str,
        exchange: &str,
        key: &str,
    ) -> Result<(Arc<Queue>, String), Failure> {
        let queue = self.queue_name(id, name)?;
        let key = match name.is_empty() && key.is_empty() {
            true => queue.clone(),
            false => key.to_owned(),
        };
        self.check_binding(exchange, Resource::Queue(&queue), &key)?;
        self.vhost().topology.read().check_exchange(exchange)?;
        Ok((self.queue(id, &queue)?, key))
    }

    /// `queue.unbind`: what does not exist is as good as unbound, as in RabbitMQ.
    pub(super) fn unbind_queue(
        &mut self,
        id: u16,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: TableRef<'_>,
    ) -> Result<Option<Ticket>, Failure> {
        self.queue_name(id, queue)?;
        let ends = self.queue_to_bind(id, queue, exchange, key);
        let unbound = ends.and_then(|(queue, key)| {
            let arguments = arguments.to_table();
            let unbind =
                |topology: &mut Topology<_>| topology.unbind_queue(queue.name(), exchange, &key, &arguments);
            let (unbound, ticket) = self.vhost().change_topology(unbind);
            Ok(unbound.map(|()| ticket)?)
        });
        match unbound {
            Err(failure) if failure.code == ReplyCode::NotFound => Ok(None),
            unbound => unbound,
        }
        .map(|ticket| self.ticket_or_last(ticket, true))
    }

    pub(super) fn declare_queue(
        &mut self,
        declare: Declare<'_>,
    ) -> Result<(Arc<Queue>, Option<Ticket>), Failure> {
        let connection = self.link.id();
        self.reactor.counts().queues_declared.add(1);
        let declaration = Declaration {
            // What goes with its connection survives no restart.
            durable: declare.durable && !declare.exclusive,
            auto_delete: declare.auto_delete,
            owner: declare.exclusive.then_some(connection),
            arguments: declare.arguments.to_table(),
        };
        if declaration.arguments.get(DELAYED_EXCHANGE).is_some() {
            let text = format!("queue argument '{DELAYED_EXCHANGE}' is for the broker's own queues");
            return Err(Failure::new(ReplyCode::PreconditionFailed, text));
        }
        let durability = durability_of(&declaration.arguments, self.broker.config.durability)
            .map_err(|text| Failure::new(ReplyCode::PreconditionFailed, text))?;
        let (broker, vhost) = (Arc::clone(&self.broker), Arc::clone(self.vhost()));
        let generated = declare.queue.is_empty();
        let name = if generated {
            broker.generated_name("amq.gen-")
        } else {
            declare.queue.to_owned()
        };
        self.check_queue_declare(&name, &declaration.arguments)?;
        // Also when it exists: a name that the server gave is only for passive declarations.
        if !generated && name.starts_with("amq.") {
            let text = format!("queue name '{name}' contains reserved prefix 'amq.*'");
            return Err(Failure::new(ReplyCode::AccessRefused, text));
        }
        let (declared, _) = vhost.change_topology(|topology| -> Result<_, Failure> {
            if let Some(queue) = topology.queue(&name) {
                if queue.is_locked_for(connection) {
                    return Err(locked(vhost.name(), &name));
                }
                check_equivalent(vhost.name(), &name, queue.declaration(), &declaration)?;
                queue.touch();
                return Ok((
                    Arc::clone(queue),
                    self.ticket_or_last(None, queue.declaration().is_stored()),
                ));
            }
            if vhost.is_deleted() {
                let text = format!("vhost '{}' is deleted", vhost.name());
                return Err(Failure::new(ReplyCode::ConnectionForced, text));
            }
            let options = declaration
                .options()
                .map_err(|error| invalid_argument(vhost.name(), &name, &error))?;
            if generated && options.kind == QueueKind::Quorum {
                let text = "Cannot declare a server-named queue for type rabbit_quorum_queue";
                return Err(Failure::new(ReplyCode::PreconditionFailed, text));
            }
            if let Some(max) = vhost.limits().queues_max
                && topology.queue_count() as u64 >= max
            {
                let text = format!(
                    "cannot declare queue '{name}': queue limit in vhost '{}' ({max}) is reached",
                    vhost.name()
                );
                return Err(Failure::new(ReplyCode::PreconditionFailed, text));
            }
            let queue = vhost
                .new_queue(name.clone(), declaration, durability)
                .map_err(|error| Failure::new(ReplyCode::InternalError, error.to_string()))?;
            let stored = queue.declaration().is_stored();
            topology.add_queue(&name, stored, Arc::clone(&queue));
            if declare.exclusive {
                self.exclusive_queues.push(Arc::clone(&queue));
            }
            let put = || {
                Job::Put(
                    Entity::Queue(description(vhost.name(), &queue)),
                    Some(Arc::clone(&queue)),
                )
            };
            let ticket = stored.then(|| broker.store.submit(put()));
            Ok((queue, ticket))
        });
        declared
    }

    /// `queue.delete`: a queue that does not exist is as good as deleted, as in RabbitMQ.
    pub(super) fn delete_queue_checked(
        &mut self,
        id: u16,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Deleted, Failure> {
        let name = self.queue_name(id, name)?;
        self.check_access(Operation::Configure, Resource::Queue(&name))?;
        let queue = match self.queue(id, &name) {
            Err(failure) if failure.code == ReplyCode::NotFound => {
                return Ok(Deleted {
                    ticket: self.ticket_or_last(None, true),
                    ..Deleted::default()
                });
            }
            other => other?,
        };
        let veto = |ready: usize, consumers: usize| {
            let objection = match () {
                () if if_unused && consumers > 0 => "in use",
                () if if_empty && ready > 0 => "not empty",
                () => return Ok(()),
            };
            let text = format!(
                "queue '{}' in vhost '{}' {objection}",
                queue.name(),
                self.vhost().name()
            );
            Err(Failure::new(ReplyCode::PreconditionFailed, text))
        };
        let ((messages, consumers), ticket) = self.vhost().delete_queue(&queue, veto)?;
        self.exclusive_queues.retain(|held| !Arc::ptr_eq(held, &queue));
        Ok(Deleted {
            messages,
            consumers,
            ticket,
        })
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
        if let Ok(((_, consumers), _)) = self.vhost().delete_queue(queue, veto) {
            self.send(&self.cancel_consumers(&consumers));
        }
    }

    /// Tells the consumers of a deleted queue; returns what this connection's own are to be told.
    pub(super) fn cancel_consumers(&self, consumers: &[ConsumerTarget]) -> Vec<u8> {
        let mut own = Vec::new();
        for consumer in consumers {
            if Arc::ptr_eq(consumer.link(), &self.link) {
                consumer.cancel(&mut own);
                continue;
            }
            let mut cancel = Vec::new();
            consumer.cancel(&mut cancel);
            consumer.link().outbound().pending.extend(cancel);
            self.reactor.mark_flush(consumer.link());
        }
        own
    }
}

pub(super) fn no_queue(vhost: &str, name: &str) -> Failure {
    Failure::new(
        ReplyCode::NotFound,
        format!("no queue '{name}' in vhost '{vhost}'"),
    )
}

fn invalid_argument(vhost: &str, queue: &str, error: &ArgumentError) -> Failure {
    Failure::new(ReplyCode::PreconditionFailed, error.reply_text(queue, vhost))
}

fn locked(vhost: &str, name: &str) -> Failure {
    let text = format!(
        "cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration."
    );
    Failure::new(ReplyCode::ResourceLocked, text)
}

/// A second declaration must say what the first one said.
fn check_equivalent(
    vhost: &str,
    name: &str,
    current: &Declaration,
    received: &Declaration,
) -> Result<(), Failure> {
    let differs = |argument: &str, difference: &str| {
        let text =
            format!("inequivalent arg '{argument}' for queue '{name}' in vhost '{vhost}': {difference}");
        Err(Failure::new(ReplyCode::PreconditionFailed, text))
    };
    if received.owner != current.owner {
        return Err(locked(vhost, name));
    }
    let flags = [
        ("durable", received.durable, current.durable),
        ("auto_delete", received.auto_delete, current.auto_delete),
    ];
    for (argument, received, current) in flags {
        if received != current {
            let difference = format!("received '{received}' but current is '{current}'");
            return differs(argument, &difference);
        }
    }
    for argument in COMPARED_ARGUMENTS {
        let (theirs, ours) = (received.arguments.get(argument), current.arguments.get(argument));
        let is_default = |value: Option<&FieldValue>| {
            argument == "x-queue-type"
                && value.is_none_or(|value| value.as_str().is_some_and(|text| text == "classic"))
        };
        if is_default(theirs) && is_default(ours) {
            continue;
        }
        if let Some(difference) = crate::terms::difference(ours, theirs) {
            return differs(argument, &difference);
        }
    }
    Ok(())
}
