//! Alarms: while they last, publishes wait on their channel and everything else goes on; see [`crate::alarms`].

use wire::Method;

use super::channel::Channel;
use super::task::{Connection, Stage};
use crate::observe::LinkState;

impl Connection {
    /// An alarm was raised or cleared.
    pub(super) fn on_alarm(&mut self) {
        self.alarmed = self.broker.alarms.stops_publishers();
        self.note_frame_by_frame();
        if self.stage != Stage::Open {
            return;
        }
        self.note_state();
        if self.broker.alarms.reason().is_none() {
            if std::mem::take(&mut self.told_blocked) {
                self.reply(0, Method::ConnectionUnblocked);
            }
        } else if self.shortage.is_some() || self.channels.values().any(Channel::waits_for_room) {
            self.tell_blocked();
        }
    }

    /// Publishes are looked at frame by frame while something may hold them up: one flag for the fast path to test.
    pub(super) fn note_frame_by_frame(&mut self) {
        self.frame_by_frame = self.alarmed || self.is_metered;
    }

    /// A publish has to wait: where an alarm is the reason the client is told, once, if it understands that.
    pub(super) fn tell_blocked(&mut self) {
        if !self.told_blocked
            && let Some(reason) = self.broker.alarms.reason()
            && self.link.outbound().blocked_notify
        {
            self.told_blocked = true;
            self.reply(0, Method::ConnectionBlocked { reason });
            self.note_state();
        }
    }

    /// Shows how its publishes fare.
    pub(super) fn note_state(&self) {
        let (alarms, observed) = (&self.broker.alarms, self.link.observed());
        let waits =
            self.shortage.is_some() || self.blocked && self.channels.values().any(Channel::waits_for_room);
        observed.blocked.set(waits.into());
        observed.set_state(match (alarms.stops_publishers(), alarms.reason().is_some()) {
            (_, true) if waits => LinkState::Blocked,
            (true, _) => LinkState::Blocking,
            _ if waits || observed.throttled.get() > 0 => LinkState::Flow,
            _ => LinkState::Running,
        });
    }
}
