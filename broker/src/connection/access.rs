//! What the connection's user may do.
//!
//! Permissions are asked for once and again when they may have changed. A publish is checked when its route is looked up: what
//! changes a permission makes every channel forget its routes.

use std::sync::Arc;

use wire::{FieldTable, ReplyCode};

use super::failure::Failure;
use super::task::Connection;
use crate::auth::{Operation, Permissions, Resource};
use crate::topology::ExchangeSpec;

const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

/// Permissions, and when they were asked for.
#[derive(Debug, Default)]
pub(super) struct Access {
    permissions: Option<(u64, Arc<Permissions>)>,
}

impl Connection {
    /// Refuses what the user may not do.
    pub(super) fn check_access(
        &mut self,
        operation: Operation,
        resource: Resource<'_>,
    ) -> Result<(), Failure> {
        if self.permissions().allow(operation, resource) {
            return Ok(());
        }
        let text = format!(
            "{operation} access to {resource} in vhost '{}' refused for user '{}'",
            self.vhost().name(),
            self.user().name
        );
        Err(Failure::new(ReplyCode::AccessRefused, text))
    }

    /// Refuses routing keys that the user may not use with a topic exchange.
    pub(super) fn check_topic_access(
        &mut self,
        operation: Operation,
        exchange: &str,
        routing_key: &str,
    ) -> Result<(), Failure> {
        let permissions = self.permissions();
        if !permissions.restrict_topics_of(exchange)
            || permissions.allow_topic(operation, exchange, routing_key)
            || !self.vhost().topology.read().is_topic_exchange(exchange)
        {
            return Ok(());
        }
        let text = format!(
            "{operation} access to topic '{routing_key}' in exchange '{exchange}' in vhost '{}' refused for user '{}'",
            self.vhost().name(),
            self.user().name
        );
        Err(Failure::new(ReplyCode::AccessRefused, text))
    }

    /// What `exchange.declare` needs: to configure the exchange; a new one with an alternate exchange also to read from it and
    /// to write to the alternate.
    pub(super) fn check_exchange_declare(&mut self, spec: &ExchangeSpec) -> Result<(), Failure> {
        if spec.name.is_empty() {
            // Refused whoever asks.
            return Ok(());
        }
        let exchange = Resource::Exchange(&spec.name);
        self.check_access(Operation::Configure, exchange)?;
        let alternate = spec
            .arguments
            .get(ALTERNATE_EXCHANGE)
            .and_then(|value| value.as_str());
        match alternate {
            Some(alternate) if self.vhost().topology.read().check_exchange(&spec.name).is_err() => {
                self.check_access(Operation::Read, exchange)?;
                self.check_access(Operation::Write, Resource::Exchange(alternate))
            }
            _ => Ok(()),
        }
    }

    /// What `queue.declare` needs: to configure the queue; a new one with a dead-letter exchange also to read from it and to
    /// write to that exchange.
    pub(super) fn check_queue_declare(&mut self, name: &str, arguments: &FieldTable) -> Result<(), Failure> {
        let queue = Resource::Queue(name);
        self.check_access(Operation::Configure, queue)?;
        let dead_letters = arguments
            .get(DEAD_LETTER_EXCHANGE)
            .and_then(|value| value.as_str());
        match dead_letters {
            Some(exchange) if self.vhost().topology.read().queue(name).is_none() => {
                self.check_access(Operation::Read, queue)?;
                self.check_access(Operation::Write, Resource::Exchange(exchange))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what `queue.bind` and its kin may not do: they write to the destination and read from the source.
    pub(super) fn check_binding(
        &mut self,
        source: &str,
        destination: Resource<'_>,
        routing_key: &str,
    ) -> Result<(), Failure> {
        if source.is_empty() || destination == Resource::Exchange("") {
            // Refused whoever asks.
            return Ok(());
        }
        self.check_access(Operation::Write, destination)?;
        self.check_access(Operation::Read, Resource::Exchange(source))?;
        self.check_topic_access(Operation::Read, source, routing_key)
    }

    fn permissions(&mut self) -> Arc<Permissions> {
        // Read before the permissions are: at worst they are asked for once more than necessary.
        let generation = self.broker.users.generation();
        if let Some((at, permissions)) = &self.access.permissions
            && *at == generation
        {
            return Arc::clone(permissions);
        }
        let permissions = self
            .broker
            .users
            .permissions(self.vhost().name(), &self.user().name);
        self.access.permissions = Some((generation, Arc::clone(&permissions)));
        permissions
    }
}

/// An exchange that nobody may delete.
pub(super) fn is_system_exchange(name: &str) -> bool {
    name.is_empty() || name.starts_with("amq.")
}
