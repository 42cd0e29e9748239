//! Answers that wait until what they answer for is stored.

use wire::Method;

use super::channel::Deferred;
use super::failure::Failure;
use super::task::Connection;
use crate::store::Ticket;
use crate::topology::TopologyError;
impl Connection {
    /// Answers a change of the topology once it is stored. `durable`: so it is when nothing has changed.
    pub(super) fn answer_stored(
        &mut self,
        id: u16,
        (result, ticket): (Result<(), TopologyError>, Option<Ticket>),
        durable: bool,
        no_wait: bool,
        ok: Method<'_>,
    ) -> Result<(), Failure> {
        result?;
        let ticket = self.ticket_or_last(ticket, durable);
        self.reply_stored(id, ticket, no_wait, ok);
        Ok(())
    }

    /// What to wait for. A request that changed nothing may owe that to somebody else's, which is perhaps not stored yet.
    pub(super) fn ticket_or_last(&self, ticket: Option<Ticket>, durable: bool) -> Option<Ticket> {
        ticket.or_else(|| durable.then(|| self.broker.store.ticket_last()))
    }

    /// Replies once the store has come to `ticket`. What follows on the channel waits meanwhile, also with `no_wait`: a
    /// message must not be confirmed while its queue is not stored.
    pub(super) fn reply_stored(
        &mut self,
        id: u16,
        ticket: Option<Ticket>,
        no_wait: bool,
        method: Method<'_>,
    ) {
        let mut reply = Vec::new();
        if !no_wait {
            method.encode(id, &mut reply);
        }
        self.send_stored(id, ticket, reply);
    }

    pub(super) fn send_stored(&mut self, id: u16, ticket: Option<Ticket>, reply: Vec<u8>) {
        match ticket {
            Some(ticket) if !self.broker.store.await_stored(ticket, &self.link) => {
                self.channel_mut(id).deferred = Some(Deferred { ticket, reply });
                self.blocked = true;
            }
            _ => self.send(&reply),
        }
    }

    /// Refuses to answer for what could not be stored.
    pub(super) fn check_stored(&self) -> Result<(), Failure> {
        let waits = self.channels.values().any(|channel| channel.deferred.is_some());
        match self.broker.store.poison_reason() {
            Some(reason) if waits => Err(super::publish::log_failed(reason)),
            _ => Ok(()),
        }
    }

    /// Sends a channel's deferred answer if it may; false while it has to wait on.
    pub(super) fn send_deferred(&mut self, id: u16) -> bool {
        let Some(channel) = self.channels.get_mut(&id) else {
            return false;
        };
        let store = &self.broker.store;
        match channel
            .deferred
            .take_if(|deferred| store.is_stored(deferred.ticket))
        {
            Some(deferred) => {
                self.send(&deferred.reply);
                true
            }
            None => channel.deferred.is_none(),
        }
    }

    pub(super) fn send(&self, frames: &[u8]) {
        if !frames.is_empty() {
            self.link.outbound().pending.extend_from_slice(frames);
            self.reactor.mark_flush(&self.link);
        }
    }
}
