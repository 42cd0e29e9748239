//! What waits behind publishes that found no room, and whether a connection is read meanwhile.
//!
//! A frame whose channel has to wait is kept as it came, and handled when its turn comes: see `publish` about why a
//! publish waits. What is kept is charged to the broker's memory budget; when that is spent, nothing more is read.

use wire::{Frame, FrameKind, Method};

use super::channel::Channel;
use super::task::{Connection, Stage};

/// Parked bytes of a connection that could free no ring by itself; more than this and it is not read.
const PARKED_BYTES_MAX: usize = 256 * 1024;

impl Connection {
    /// True when a frame has to wait behind publishes that found no room.
    pub(super) fn must_park(&self, frame: &Frame<'_>) -> bool {
        let Some(channel) = self.channels.get(&frame.channel) else {
            return false;
        };
        if channel.closing {
            return false;
        }
        if !channel.is_blocked() {
            return self.alarmed && frame.kind == FrameKind::Method && starts_basic_publish(frame.payload);
        }
        match frame.kind {
            FrameKind::Method => match Method::decode(frame.payload) {
                // In a transaction they take their place among commits and rollbacks.
                Ok(Method::BasicAck { .. } | Method::BasicNack { .. } | Method::BasicReject { .. }) => {
                    channel.tx.is_some()
                }
                Ok(
                    Method::BasicQos { .. }
                    | Method::BasicConsume { .. }
                    | Method::BasicCancel { .. }
                    | Method::BasicGet { .. },
                ) => channel.parked.strict || channel.awaits_answer(),
                _ => true,
            },
            _ => true,
        }
    }

    /// Keeps a frame, `raw` being all of its octets.
    pub(super) fn park(&mut self, id: u16, kind: FrameKind, raw: &[u8]) {
        let is_publish = kind != FrameKind::Method || is_basic_publish(raw);
        let channel = self.channels.get_mut(&id).expect("parking on an open channel");
        // What waits for the store waits for more than room: nothing may overtake.
        channel.parked.strict |= !is_publish || channel.awaits_answer();
        channel.parked.bytes.extend_from_slice(raw);
        let waits_for_room = channel.waits_for_room();
        self.hold(raw.len());
        if is_publish && waits_for_room {
            self.blocked = true;
            self.tell_blocked();
        }
    }

    /// Counts bytes kept for later against the memory budget. When that is spent, reading stops instead.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.held_bytes += bytes;
        self.broker.alarms.park(bytes);
        if self.broker.pool.try_hold(bytes) {
            self.held_charged += bytes;
        } else {
            self.budget_spent = true;
        }
    }

    /// The opposite of `hold`.
    pub(super) fn release_held(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held_bytes);
        self.held_bytes -= bytes;
        self.broker.alarms.unpark(bytes);
        let release = bytes.min(self.held_charged);
        self.held_charged -= release;
        self.broker.pool.release_held(release);
        self.budget_spent = false;
    }

    /// True while the connection may read on: see the `publish` module about back-pressure.
    pub(super) fn may_read(&self) -> bool {
        // Of a connection that closes, the end of that is still read.
        if (self.quiet && self.stage != Stage::Closing) || self.login.is_some() {
            return false;
        }
        // A client that asks and asks and never reads the answers.
        if self
            .link
            .is_congested(self.broker.config.message_bytes_max as usize)
        {
            return false;
        }
        if !self.blocked {
            return true;
        }
        let frees_rings = self
            .channels
            .values()
            .any(|channel| !channel.consumers.is_empty())
            || self
                .link
                .outbound()
                .windows
                .iter()
                .any(|(_, window)| window.unsettled_len() > 0);
        let reads_on = frees_rings && !self.broker.alarms.has_parked_enough();
        !self.budget_spent && (reads_on || self.held_bytes < PARKED_BYTES_MAX)
    }
}

impl Channel {
    /// Nothing stands in the way of what is parked, which begins with a publish.
    pub(super) fn waits_for_the_alarm(&self) -> bool {
        self.blocked.is_empty() && !self.awaits_answer() && is_basic_publish(&self.parked.bytes)
    }

    /// Bytes of blocked publishes and parked frames.
    pub(super) fn held_bytes(&self) -> usize {
        self.parked.bytes.len()
            + self
                .blocked
                .iter()
                .map(|publish| publish.frames.len())
                .sum::<usize>()
    }
}

/// True for a raw method frame of `basic.publish` (class 60, method 40).
fn is_basic_publish(raw: &[u8]) -> bool {
    raw.get(wire::FRAME_HEADER_SIZE..)
        .is_some_and(starts_basic_publish)
}

/// The same for the frame's payload.
pub(super) fn starts_basic_publish(payload: &[u8]) -> bool {
    payload.starts_with(&[0, 60, 0, 40])
}
