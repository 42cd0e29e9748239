//! What a user may do in a virtual host, and the words for what is refused. Codes and texts are RabbitMQ's.

use wire::{FieldTable, ReplyCode};

use crate::auth::{Operation, Permissions, Resource};
use crate::connection::Failure;
use crate::topology::ExchangeSpec;
use crate::vhost::VirtualHost;

const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

/// A user in a virtual host, with the permissions there.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Where.
    pub vhost: &'a VirtualHost,
    /// Who.
    pub user: &'a str,
    /// What this user may do there.
    pub permissions: &'a Permissions,
}

impl Access<'_> {
    /// # Errors
    /// 403 for what the user may not do.
    pub fn check(&self, operation: Operation, resource: Resource<'_>) -> Result<(), Failure> {
        if self.permissions.allow(operation, resource) {
            return Ok(());
        }
        Err(self.refused(format!("{operation} access to {resource}")))
    }

    /// # Errors
    /// 403 for a routing key that the user may not use with a topic exchange.
    pub fn check_topic(
        &self,
        operation: Operation,
        exchange: &str,
        routing_key: &str,
    ) -> Result<(), Failure> {
        if !self.permissions.restrict_topics_of(exchange)
            || self.permissions.allow_topic(operation, exchange, routing_key)
            || !self.vhost.topology.read().is_topic_exchange(exchange)
        {
            return Ok(());
        }
        let what = format!("{operation} access to topic '{routing_key}' in exchange '{exchange}'");
        Err(self.refused(what))
    }

    /// What `exchange.declare` needs: to configure the exchange; a new one with an alternate exchange also to read from it and
    /// to write to the alternate.
    ///
    /// # Errors
    /// As [`Access::check`].
    pub fn check_exchange_declare(&self, spec: &ExchangeSpec) -> Result<(), Failure> {
        if spec.name.is_empty() {
            // Refused whoever asks.
            return Ok(());
        }
        let exchange = Resource::Exchange(&spec.name);
        self.check(Operation::Configure, exchange)?;
        let alternate = spec.arguments.get(ALTERNATE_EXCHANGE);
        match alternate.and_then(|value| value.as_str()) {
            Some(alternate) if self.vhost.topology.read().check_exchange(&spec.name).is_err() => {
                self.check(Operation::Read, exchange)?;
                self.check(Operation::Write, Resource::Exchange(alternate))
            }
            _ => Ok(()),
        }
    }

    /// What `queue.declare` needs: to configure the queue; a new one with a dead-letter exchange also to read from it and to
    /// write to that exchange.
    ///
    /// # Errors
    /// As [`Access::check`].
    pub fn check_queue_declare(&self, name: &str, arguments: &FieldTable) -> Result<(), Failure> {
        let queue = Resource::Queue(name);
        self.check(Operation::Configure, queue)?;
        let dead_letters = arguments.get(DEAD_LETTER_EXCHANGE);
        match dead_letters.and_then(|value| value.as_str()) {
            Some(exchange) if self.vhost.topology.read().queue(name).is_none() => {
                self.check(Operation::Read, queue)?;
                self.check(Operation::Write, Resource::Exchange(exchange))
            }
            _ => Ok(()),
        }
    }

    /// What `queue.bind` and its kin need: to write to the destination and to read from the source.
    ///
    /// # Errors
    /// As [`Access::check`].
    pub fn check_binding(
        &self,
        source: &str,
        destination: Resource<'_>,
        routing_key: &str,
    ) -> Result<(), Failure> {
        if source.is_empty() || destination == Resource::Exchange("") {
            // Refused whoever asks.
            return Ok(());
        }
        self.check(Operation::Write, destination)?;
        self.check(Operation::Read, Resource::Exchange(source))?;
        self.check_topic(Operation::Read, source, routing_key)
    }

    fn refused(&self, what: String) -> Failure {
        let (vhost, user) = (self.vhost.name(), self.user);
        let text = format!("{what} in vhost '{vhost}' refused for user '{user}'");
        Failure::new(ReplyCode::AccessRefused, text)
    }
}
