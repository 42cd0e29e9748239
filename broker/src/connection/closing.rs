//! Opening and closing channels, closing connections, and giving back what they held.

use wire::{Method, ReplyCode};

use super::channel::Channel;
use super::failure::Failure;
use super::task::{Connection, Stage};
use super::window::DeliveryWindow;
use crate::node::node_name;

impl Connection {
    pub(super) fn open_channel(&mut self, id: u16) -> Result<(), Failure> {
        if id > self.channel_max {
            let text = format!(
                "number of channels opened ({}) has reached the negotiated channel_max ({})",
                self.channels.len(),
                self.channel_max
            );
            return Err(Failure::new(ReplyCode::NotAllowed, text));
        }
        let max = self.broker.limits.settings().channels_max;
        if max > 0 && self.broker.channel_count() >= max {
            let text = format!(
                "number of channels opened on node '{}' has reached the maximum allowed limit of ({max})",
                node_name()
            );
            return Err(Failure::new(ReplyCode::NotAllowed, text).during(&Method::ChannelOpen));
        }
        let share = self.account().usage.admit_channel().map_err(|max| {
            let text = format!(
                "number of channels opened for user '{}' has reached the maximum allowed user limit of ({max})",
                self.user().name
            );
            Failure::new(ReplyCode::NotAllowed, text).during(&Method::ChannelOpen)
        })?;
        let window = self.link.outbound().windows.insert(DeliveryWindow::default());
        let observed = self.link.observed().add_channel(id, window);
        let channel = Channel::new(observed, share, &self.routes);
        self.channels.insert(id, channel);
        self.reactor.counts().channels_opened.add(1);
        self.reply(id, Method::ChannelOpenOk);
        Ok(())
    }

    /// `channel.close` from the client.
    pub(super) fn close_channel(&mut self, id: u16) -> Result<(), Failure> {
        self.empty_channel(id);
        self.remove_channel(id);
        self.reply(id, Method::ChannelCloseOk);
        Ok(())
    }

    /// A request on channel `id` failed: closes the channel, or hands the failure on when it is the
    /// connection that must close.
    pub(super) fn fail_channel(
        &mut self,
        id: u16,
        failure: Failure,
        method: Method<'_>,
    ) -> Result<(), Failure> {
        let failure = failure.during(&method);
        if failure.is_connection_error() {
            return Err(failure);
        }
        self.fail_channel_now(id, &failure);
        Ok(())
    }

    /// Closes a channel for a reason that no request on it has given.
    pub(super) fn fail_channel_now(&mut self, id: u16, failure: &Failure) {
        tracing::info!(connection = %self.link.id(), peer = %self.peer, channel = id, %failure, "channel closed");
        self.send_confirms();
        self.empty_channel(id);
        self.channel_mut(id).closing = true;
        let (class_id, method_id) = failure.method;
        let reply_text = failure.reply_text();
        let close = Method::ChannelClose {
            reply_code: failure.code.code(),
            reply_text: &reply_text,
            class_id,
            method_id,
        };
        self.reply(id, close);
    }

    /// A method on a channel that the server has closed: only the close handshake still counts.
    pub(super) fn on_closing_channel(&mut self, id: u16, method: &Method<'_>) -> Result<(), Failure> {
        match method {
            Method::ChannelCloseOk => self.remove_channel(id),
            // Both sides closed at once: answer, and go on waiting for our own close-ok.
            Method::ChannelClose { .. } => self.reply(id, Method::ChannelCloseOk),
            _ => {}
        }
        Ok(())
    }

    fn remove_channel(&mut self, id: u16) {
        if self.channels.remove(&id).is_some() {
            self.reactor.counts().channels_closed.add(1);
        }
    }

    /// Cancels the channel's consumers and gives back everything it holds.
    fn empty_channel(&mut self, id: u16) {
        self.flush_settles();
        self.drop_content(id);
        self.cancel_replies(id, None);
        let consumers = std::mem::take(&mut self.channel_mut(id).consumers);
        for consumer in consumers.values() {
            self.cancel_consumer(id, consumer);
        }
        let channel = self.channel_mut(id);
        if channel.closing {
            return;
        }
        let (window, held) = (channel.window, channel.held_bytes());
        let held_by_tx = channel.tx.take().map_or(0, |tx| tx.charged());
        channel.blocked.clear();
        channel.deferred = None;
        channel.parked = Default::default();
        self.release_held(held);
        self.charge_held();
        self.broker.pool.release_held(held_by_tx);
        self.requeue_all(id);
        self.link.outbound().windows.remove(window);
    }

    /// Methods on channel 0 of an open connection.
    pub(super) fn on_connection_method(&mut self, method: Method<'_>) -> Result<(), Failure> {
        match method {
            Method::ConnectionClose {
                reply_code,
                reply_text,
                ..
            } => {
                tracing::debug!(connection = %self.link.id(), reply_code, reply_text, "client closes");
                // Confirms of what was read before the close are still owed.
                self.send_confirms();
                self.reply(0, Method::ConnectionCloseOk);
                self.stage = Stage::Closed;
                // It may not even read that; what it holds is free at once.
                self.deadline = Some(self.reactor.ticks() + super::task::CLOSE_TICKS);
                self.empty_connection();
                Ok(())
            }
            // Of a token that expires, for those that check one: a password is checked at the login only, as in RabbitMQ.
            Method::ConnectionUpdateSecret { reason, .. } => {
                tracing::info!(connection = %self.link.id(), reason, "secret updated");
                self.reply(0, Method::ConnectionUpdateSecretOk);
                Ok(())
            }
            method => {
                let text = "unexpected method in connection state running";
                Err(Failure::new(ReplyCode::ChannelError, text).during(&method))
            }
        }
    }

    /// Sends `connection.close` and waits for the answer; input is discarded meanwhile.
    pub(super) fn fail_connection(&mut self, failure: &Failure) {
        tracing::warn!(connection = %self.link.id(), peer = %self.peer, %failure, "connection closed");
        self.close_with(failure);
    }

    /// The same, without a word in the log.
    pub(super) fn close_with(&mut self, failure: &Failure) {
        self.confirming.clear();
        let (class_id, method_id) = failure.method;
        let reply_text = failure.reply_text();
        let close = Method::ConnectionClose {
            reply_code: failure.code.code(),
            reply_text: &reply_text,
            class_id,
            method_id,
        };
        self.reply(0, close);
        self.stage = Stage::Closing;
        self.deadline = Some(self.reactor.ticks() + super::task::CLOSE_TICKS);
        self.empty_connection();
    }

    /// Before the broker stops: what is delivered and not settled goes back to its queues, which deliver nothing more to
    /// this connection. An auto-delete queue stays: its consumers go because the broker does.
    pub(super) fn give_back(&mut self) {
        self.flush_settles();
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        for id in ids {
            let channel = self.channel_mut(id);
            if channel.closing {
                continue;
            }
            let window = channel.window;
            for consumer in std::mem::take(&mut channel.consumers).into_values() {
                consumer.queue.unsubscribe(consumer.id);
                self.link.outbound().windows[window].detach_source(consumer.source);
            }
            self.requeue_all(id);
        }
    }

    /// Gives back everything the connection holds. Afterwards it can only finish its close handshake.
    pub(super) fn empty_connection(&mut self) {
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        for id in ids {
            if !self.channel_mut(id).closing {
                self.empty_channel(id);
            }
            self.remove_channel(id);
        }
        // What was in no channel, because a defect has shown while it was handled.
        self.release_held(self.held_bytes);
        self.blocked = false;
        self.end_shortage();
        self.end_overdraft();
        self.give_up_turn();
        for queue in std::mem::take(&mut self.exclusive_queues) {
            self.drop_queue(&queue, false);
        }
    }
}
