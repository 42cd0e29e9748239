//! Declaring, finding and deleting queues, for whoever may: a client, or somebody who administers the broker.
//!
//! Codes and texts of what is refused are RabbitMQ's. Whether the one who asks may is checked before.

use std::sync::Arc;

use wire::{FieldValue, ReplyCode};

use crate::broker::DURABILITY_ARGUMENT;
use crate::connection::{ConnectionId, ConsumerTarget, Failure};
use crate::queue::{ArgumentError, DELAYED_EXCHANGE, Declaration, Queue, QueueKind};
use crate::restore::{description, durability_of};
use crate::store::metadata::Entity;
use crate::store::{Durability, Job, Store, Ticket};
use crate::topology::{DELAY_QUEUE_PREFIX, Topology};
use crate::vhost::VirtualHost;

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

/// A queue that was declared.
#[derive(Debug)]
pub struct Declared {
    /// It was there, or is now.
    pub queue: Arc<Queue>,
    /// It was not there before.
    pub is_new: bool,
    /// When it is stored, if it has to be.
    pub ticket: Option<Ticket>,
}

/// A queue that was deleted.
#[derive(Debug, Default)]
pub struct Deleted {
    /// Ready messages that went with it.
    pub messages: usize,
    /// They are to be told.
    pub consumers: Vec<ConsumerTarget>,
    /// When that is stored, if it has to be.
    pub ticket: Option<Ticket>,
}

/// What may stand in the way of a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteIf {
    /// It must have no consumers.
    pub unused: bool,
    /// It must have no ready messages.
    pub empty: bool,
}

/// What a queue's arguments ask of its log, if they are those of a client.
///
/// # Errors
/// 406 for what clients may not ask for, or a level that there is not.
pub fn durability(declaration: &Declaration, default: Durability) -> Result<Durability, Failure> {
    let refused = |text: String| Failure::new(ReplyCode::PreconditionFailed, text);
    if declaration.arguments.get(DELAYED_EXCHANGE).is_some() {
        let text = format!("queue argument '{DELAYED_EXCHANGE}' is for the broker's own queues");
        return Err(refused(text));
    }
    durability_of(&declaration.arguments, default).map_err(refused)
}

/// # Errors
/// 403 for names that only the broker gives.
pub fn check_queue_name(name: &str) -> Result<(), Failure> {
    if !name.starts_with("amq.") {
        return Ok(());
    }
    let text = format!("queue name '{name}' contains reserved prefix 'amq.*'");
    Err(Failure::new(ReplyCode::AccessRefused, text))
}

impl VirtualHost {
    /// The queue of this name, for `asker`.
    ///
    /// # Errors
    /// 404 when there is none, 403 when it is one of the broker's own, 405 when it is somebody else's.
    pub fn find_queue(&self, name: &str, asker: Option<ConnectionId>) -> Result<Arc<Queue>, Failure> {
        let topology = self.topology.read();
        let queue = topology.queue(name).ok_or_else(|| no_queue(self.name(), name))?;
        if name.starts_with(DELAY_QUEUE_PREFIX) {
            let text = format!(
                "queue '{name}' in vhost '{}' belongs to a delayed exchange",
                self.name()
            );
            return Err(Failure::new(ReplyCode::AccessRefused, text));
        }
        if is_locked(queue, asker) {
            return Err(locked(self.name(), name));
        }
        Ok(Arc::clone(queue))
    }

    /// Declares a queue, or finds the one that is there just so. `generated`: the broker has chosen the name.
    ///
    /// # Errors
    /// 405 or 406 when it is there otherwise, 406 for arguments that cannot be and for one queue too many, 320 when the
    /// virtual host is deleted, 541 when files are in the way.
    pub fn declare_queue(
        self: &Arc<Self>,
        store: &Store,
        name: &str,
        declaration: Declaration,
        durability: Durability,
        generated: bool,
    ) -> Result<Declared, Failure> {
        let declare = |topology: &mut Topology<Arc<Queue>>| -> Result<Declared, Failure> {
            if let Some(queue) = topology.queue(name) {
                if is_locked(queue, declaration.owner) {
                    return Err(locked(self.name(), name));
                }
                check_equivalent(self.name(), name, queue.declaration(), &declaration)?;
                queue.touch();
                // The one who has declared it first may still be waiting for this.
                let ticket = queue.declaration().is_stored().then(|| store.ticket_last());
                return Ok(Declared {
                    queue: Arc::clone(queue),
                    is_new: false,
                    ticket,
                });
            }
            self.check_room(topology, name)?;
            let options = declaration.options().and_then(|options| {
                options.kind.check_foreign(&declaration.arguments)?;
                Ok(options)
            });
            let options = options.map_err(|error| invalid_argument(self.name(), name, &error))?;
            if generated && options.kind == QueueKind::Quorum {
                let text = "Cannot declare a server-named queue for type rabbit_quorum_queue";
                return Err(Failure::new(ReplyCode::PreconditionFailed, text));
            }
            let queue = self
                .new_queue(name.to_owned(), declaration, durability)
                .map_err(|error| Failure::new(ReplyCode::InternalError, error.to_string()))?;
            let stored = queue.declaration().is_stored();
            topology.add_queue(name, stored, Arc::clone(&queue));
            let put = || {
                Job::Put(
                    Entity::Queue(description(self.name(), &queue)),
                    Some(Arc::clone(&queue)),
                )
            };
            let ticket = stored.then(|| store.submit(put()));
            Ok(Declared {
                queue,
                is_new: true,
                ticket,
            })
        };
        self.change_topology(declare).0
    }

    fn check_room(&self, topology: &Topology<Arc<Queue>>, name: &str) -> Result<(), Failure> {
        if self.is_deleted() {
            let text = format!("vhost '{}' is deleted", self.name());
            return Err(Failure::new(ReplyCode::ConnectionForced, text));
        }
        let (queues, of_vhost) = (topology.queue_count() as u64, self.limits().queues_max);
        let text = match (of_vhost.filter(|&max| queues >= max), topology.full().queues) {
            (Some(max), _) => format!(
                "cannot declare queue '{name}': queue limit in vhost '{}' ({max}) is reached",
                self.name()
            ),
            // The broker is all of its cluster.
            (None, Some(max)) => {
                format!("cannot declare queue '{name}': queue limit in cluster ({max}) is reached")
            }
            (None, None) => return Ok(()),
        };
        Err(Failure::new(ReplyCode::PreconditionFailed, text))
    }

    /// Deletes a queue unless what `only` asks for is not so.
    ///
    /// # Errors
    /// 406 then.
    pub fn delete_queue_if(&self, queue: &Arc<Queue>, only: DeleteIf) -> Result<Deleted, Failure> {
        let veto = |ready: usize, consumers: usize| {
            let objection = match () {
                () if only.unused && consumers > 0 => "in use",
                () if only.empty && ready > 0 => "not empty",
                () => return Ok(()),
            };
            let text = format!("queue '{}' in vhost '{}' {objection}", queue.name(), self.name());
            Err(Failure::new(ReplyCode::PreconditionFailed, text))
        };
        let ((messages, consumers), ticket) = self.delete_queue(queue, veto)?;
        Ok(Deleted {
            messages,
            consumers,
            ticket,
        })
    }
}

/// 404 for a queue.
pub(crate) fn no_queue(vhost: &str, name: &str) -> Failure {
    let text = format!("no queue '{name}' in vhost '{vhost}'");
    Failure::new(ReplyCode::NotFound, text)
}

fn is_locked(queue: &Queue, asker: Option<ConnectionId>) -> bool {
    let owner = queue.declaration().owner;
    owner.is_some() && owner != asker
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
