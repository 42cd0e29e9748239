//! What the connection's user may do.
//!
//! Permissions are asked for once and again when they may have changed. A publish is checked when its route is looked up: what
//! changes a permission makes every channel forget its routes.

use std::sync::Arc;

use wire::FieldTable;

use super::failure::Failure;
use super::task::Connection;
use crate::access::Access;
use crate::auth::{Operation, Permissions, Resource};
use crate::topology::ExchangeSpec;

/// Permissions, and when they were asked for.
#[derive(Debug, Default)]
pub(super) struct KnownPermissions(Option<(u64, Arc<Permissions>)>);

impl Connection {
    /// Refuses what the user may not do.
    pub(super) fn check_access(
        &mut self,
        operation: Operation,
        resource: Resource<'_>,
    ) -> Result<(), Failure> {
        self.checked(|access| access.check(operation, resource))
    }

    /// Refuses routing keys that the user may not use with a topic exchange.
    pub(super) fn check_topic_access(
        &mut self,
        operation: Operation,
        exchange: &str,
        routing_key: &str,
    ) -> Result<(), Failure> {
        self.checked(|access| access.check_topic(operation, exchange, routing_key))
    }

    /// See [`Access::check_exchange_declare`].
    pub(super) fn check_exchange_declare(&mut self, spec: &ExchangeSpec) -> Result<(), Failure> {
        self.checked(|access| access.check_exchange_declare(spec))
    }

    /// See [`Access::check_queue_declare`].
    pub(super) fn check_queue_declare(&mut self, name: &str, arguments: &FieldTable) -> Result<(), Failure> {
        self.checked(|access| access.check_queue_declare(name, arguments))
    }

    /// See [`Access::check_binding`].
    pub(super) fn check_binding(
        &mut self,
        source: &str,
        destination: Resource<'_>,
        routing_key: &str,
    ) -> Result<(), Failure> {
        self.checked(|access| access.check_binding(source, destination, routing_key))
    }

    fn checked(&mut self, check: impl FnOnce(&Access<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let permissions = self.permissions();
        check(&Access {
            vhost: self.vhost(),
            user: &self.user().name,
            permissions: &permissions,
        })
    }

    fn permissions(&mut self) -> Arc<Permissions> {
        // Read before the permissions are: at worst they are asked for once more than necessary.
        let generation = self.broker.users.generation();
        if let Some((at, permissions)) = &self.access.0
            && *at == generation
        {
            return Arc::clone(permissions);
        }
        let permissions = self
            .broker
            .users
            .permissions(self.vhost().name(), &self.user().name);
        self.access.0 = Some((generation, Arc::clone(&permissions)));
        permissions
    }
}

/// An exchange that nobody may delete.
pub(super) fn is_system_exchange(name: &str) -> bool {
    name.is_empty() || name.starts_with("amq.")
}
