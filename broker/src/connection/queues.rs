//! Finding, declaring, unbinding and deleting queues on behalf of a client.

use std::sync::Arc;

use wire::{ReplyCode, TableRef};

use super::delivery::ConsumerTarget;
use super::failure::Failure;
use super::task::Connection;
use crate::auth::{Operation, Resource};
use crate::declare::{DeleteIf, Deleted, check_queue_name, durability};
use crate::queue::{Declaration, Queue};
use crate::store::Ticket;
use crate::topology::Topology;

/// A `queue.declare`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declare<'a> {
    pub(super) queue: &'a str,
    pub(super) durable: bool,
    pub(super) exclusive: bool,
    pub(super) auto_delete: bool,
    pub(super) arguments: TableRef<'a>,
}

impl Connection {
    /// The queue of that name, or the one declared last on the channel when the name is empty.
    pub(super) fn queue(&self, id: u16, name: &str) -> Result<Arc<Queue>, Failure> {
        let name = self.queue_name(id, name)?;
        self.vhost().find_queue(&name, Some(self.link.id()))
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
        let durability = durability(&declaration, self.broker.config.durability)?;
        let (broker, vhost) = (Arc::clone(&self.broker), Arc::clone(self.vhost()));
        let generated = declare.queue.is_empty();
        let name = if generated {
            broker.generated_name("amq.gen-")
        } else {
            declare.queue.to_owned()
        };
        self.check_queue_declare(&name, &declaration.arguments)?;
        // Also when it exists: a name that the server gave is only for passive declarations.
        if !generated {
            check_queue_name(&name)?;
        }
        let declared = vhost.declare_queue(&broker.store, &name, declaration, durability, generated)?;
        if declared.is_new && declare.exclusive {
            self.exclusive_queues.push(Arc::clone(&declared.queue));
        }
        Ok((declared.queue, declared.ticket))
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
        let only = DeleteIf {
            unused: if_unused,
            empty: if_empty,
        };
        let deleted = self.vhost().delete_queue_if(&queue, only)?;
        self.exclusive_queues.retain(|held| !Arc::ptr_eq(held, &queue));
        Ok(deleted)
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
