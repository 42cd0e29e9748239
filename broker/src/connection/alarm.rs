//! The disk alarm: while it lasts, publishes wait on their channel and everything else goes on.

use wire::Method;

use super::task::Connection;

/// What a blocked publisher is told.
const REASON: &str = "low on disk";

impl Connection {
    /// The alarm was raised or cleared.
    pub(super) fn on_alarm(&mut self) {
        self.alarmed = self.broker.store.has_alarm();
        if !self.alarmed && std::mem::take(&mut self.told_blocked) {
            self.reply(0, Method::ConnectionUnblocked);
        }
    }

    /// A publish has to wait for the end of the alarm: the client is told, once, if it understands that.
    pub(super) fn note_alarmed_publish(&mut self) {
        self.blocked = true;
        if !self.told_blocked && self.link.outbound().blocked_notify {
            self.told_blocked = true;
            self.reply(0, Method::ConnectionBlocked { reason: REASON });
        }
    }
}
