//! Changes that an administrator asks for: virtual hosts, users, permissions, limits.
//!
//! Each takes effect at once, for connections that are open too, and is stored by the time of the ticket that it gives.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::broker::Broker;
use crate::store::metadata::{
    Entity, PermissionRecord, TopicPermissionRecord, UserRecord, VhostLimits, VhostRecord,
};
use crate::store::{Job, Ticket};
use crate::vhost::VirtualHost;

impl Broker {
    /// Makes a virtual host; `None` when there is one of this name, which stays as it is.
    pub fn create_vhost(&self, record: VhostRecord) -> Option<Ticket> {
        let mut vhosts = self.vhosts.write();
        let Entry::Vacant(vacant) = vhosts.entry(record.name.clone()) else {
            return None;
        };
        vacant.insert(VirtualHost::new(record.clone(), Arc::clone(&self.maker)));
        // Under the lock, so that nothing in it is stored before it.
        Some(self.put(record))
    }

    /// Deletes a virtual host with all that is in it and the permissions for it, and closes its connections with 320.
    /// `None` when there is none of this name.
    pub fn delete_vhost(&self, name: &str) -> Option<Ticket> {
        // Under the lock, so that another one of this name is stored after the end of this one.
        let mut vhosts = self.vhosts.write();
        let vhost = vhosts.remove(name)?;
        vhost.close();
        for permission in self.users.forget_vhost(name) {
            self.remove(permission);
        }
        Some(self.remove(vhost.record()))
    }

    /// Makes a virtual host, or gives the one of this name what `record` says; what it holds already stays.
    pub fn put_vhost(&self, record: VhostRecord) -> Ticket {
        if let Some(ticket) = self.create_vhost(record.clone()) {
            return ticket;
        }
        let vhosts = self.vhosts.write();
        if let Some(vhost) = vhosts.get(&record.name) {
            vhost.set_record(record.clone());
        }
        self.put(record)
    }

    /// Changes what a virtual host may hold; what it holds already stays. `None` when there is none of this name.
    pub fn set_vhost_limits(&self, name: &str, limits: VhostLimits) -> Option<Ticket> {
        let vhosts = self.vhosts.write();
        let vhost = vhosts.get(name)?;
        vhost.set_limits(limits);
        Some(self.put(vhost.record()))
    }

    /// Adds a user, or changes the one with this name; whoever is logged in stays.
    pub fn put_user(&self, record: UserRecord) -> Ticket {
        self.users.put(record.clone());
        self.put(record)
    }

    /// Deletes a user with all permissions, and closes the user's connections with 320. `None` when there is none of this
    /// name.
    pub fn delete_user(&self, name: &str) -> Option<Ticket> {
        let removed = self.users.remove(name);
        let text = format!("user '{name}' is deleted");
        for vhost in self.vhosts() {
            vhost.close_connections_of(name, &text);
        }
        removed.into_iter().map(|entity| self.remove(entity)).last()
    }

    /// Gives a user permissions in a virtual host, in place of those that the user had there.
    ///
    /// # Errors
    /// When there is no such user or virtual host, or a pattern is wrong.
    pub fn set_permission(&self, record: PermissionRecord) -> Result<Ticket, String> {
        let vhost = self.known(&record.vhost, &record.user)?;
        self.users.grant(record.clone())?;
        vhost.forget_routes();
        Ok(self.put(record))
    }

    /// Takes a user's permissions in a virtual host away; `None` when there are none.
    pub fn clear_permission(&self, vhost: &str, user: &str) -> Option<Ticket> {
        let record = self.users.revoke(vhost, user)?;
        self.forget_routes_in(vhost);
        Some(self.remove(record))
    }

    /// As [`Broker::set_permission`], for the routing keys of an exchange.
    ///
    /// # Errors
    /// As there.
    pub fn set_topic_permission(&self, record: TopicPermissionRecord) -> Result<Ticket, String> {
        let vhost = self.known(&record.vhost, &record.user)?;
        self.users.grant_topic(record.clone())?;
        vhost.forget_routes();
        Ok(self.put(record))
    }

    /// As [`Broker::clear_permission`], for the routing keys of an exchange.
    pub fn clear_topic_permission(&self, vhost: &str, user: &str, exchange: &str) -> Option<Ticket> {
        let record = self.users.revoke_topic(vhost, user, exchange)?;
        self.forget_routes_in(vhost);
        Some(self.remove(record))
    }

    fn known(&self, vhost: &str, user: &str) -> Result<Arc<VirtualHost>, String> {
        self.users
            .account(user)
            .ok_or_else(|| format!("there is no user '{user}'"))?;
        self.vhost(vhost)
            .ok_or_else(|| format!("there is no vhost '{vhost}'"))
    }

    fn forget_routes_in(&self, vhost: &str) {
        if let Some(vhost) = self.vhost(vhost) {
            vhost.forget_routes();
        }
    }

    fn put(&self, record: impl Into<Entity>) -> Ticket {
        self.store.submit(Job::Put(record.into(), None))
    }

    fn remove(&self, record: impl Into<Entity>) -> Ticket {
        self.store.submit(Job::Remove(record.into()))
    }
}
