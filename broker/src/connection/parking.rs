//! What waits behind publishes that found no room, and whether a connection is read meanwhile.
//!
//! A frame whose channel has to wait is kept as it came, and handled when its turn comes: see `publish` about why a
//! publish waits. What is kept is charged to the broker's memory budget; when that is spent, nothing more is read.

use wire::fast::{self, PublishScan, Scan};
use wire::{Frame, FrameKind, Method};

use super::channel::{BlockedPublish, Channel};
use super::failure::Failure;
use super::task::{Connection, Stage};

/// Parked bytes of a connection that could free no ring by itself; more than this and it is not read.
const PARKED_BYTES_MAX: usize = 256 * 1024;

/// Whole frames of one channel that wait, in order; see [`Channel::parked`].
#[derive(Debug, Default)]
pub(super) struct Parked {
    bytes: Vec<u8>,
    /// Where the first frame that still waits starts.
    start: usize,
    /// Position behind the last frame that nothing but acknowledgements may overtake: one that is no part of a publish.
    strict_through: usize,
}

impl Parked {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// What waits.
    pub(super) fn frames(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// True when nothing but acknowledgements may overtake what waits.
    fn is_strict(&self) -> bool {
        self.strict_through > self.start
    }

    fn push(&mut self, frames: &[u8], is_strict: bool) {
        self.bytes.extend_from_slice(frames);
        if is_strict {
            self.strict_through = self.bytes.len();
        }
    }

    /// The first so many bytes wait no more.
    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        // No more is moved than was skipped.
        if self.start >= self.len() {
            self.bytes.drain(..self.start);
            self.strict_through = self.strict_through.saturating_sub(self.start);
            self.start = 0;
            // What is charged is what waits.
            if self.bytes.capacity() > 4 * self.bytes.len() {
                self.bytes.shrink_to(2 * self.bytes.len());
            }
        }
    }

    /// What waits behind these.
    fn append(&mut self, behind: Parked) {
        if self.is_empty() {
            *self = behind;
            return;
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(behind.frames());
        if behind.is_strict() {
            self.strict_through = at + behind.strict_through - behind.start;
        }
    }
}

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
                ) => channel.parked.is_strict() || channel.awaits_answer(),
                _ => true,
            },
            _ => true,
        }
    }

    /// True when whole publishes on this channel have to wait, and need not be looked at frame by frame for that.
    pub(super) fn parks_publishes(&self, id: u16) -> bool {
        let parks = |channel: &Channel| {
            !channel.closing && channel.content.is_none() && (self.alarmed || channel.is_blocked())
        };
        !self.is_metered && self.channels.get(&id).is_some_and(parks)
    }

    /// Keeps `first` and the publishes on the same channel that follow it in `input`; how many bytes of `input` that were.
    pub(super) fn park_publishes(&mut self, first: &PublishScan<'_>, input: &[u8]) -> usize {
        let mut bytes = first.len;
        while let Scan::Complete(next) = fast::scan_publish(&input[bytes..], self.frame_bytes_max)
            && next.channel == first.channel
        {
            bytes += next.len;
        }
        self.park(first.channel, true, &input[..bytes]);
        bytes
    }

    /// Keeps a frame, `raw` being all of its octets.
    pub(super) fn park_frame(&mut self, id: u16, kind: FrameKind, raw: &[u8]) {
        let is_publish = kind != FrameKind::Method || is_basic_publish(raw);
        self.park(id, is_publish, raw);
    }

    fn park(&mut self, id: u16, is_publish: bool, raw: &[u8]) {
        let channel = self.channels.get_mut(&id).expect("parking on an open channel");
        channel.parked.push(raw, !is_publish);
        let waits_for_room = channel.waits_for_room();
        self.hold(raw.len());
        if is_publish && waits_for_room {
            self.blocked = true;
            self.tell_blocked();
        }
    }

    /// Handles what waits on a channel that is not blocked any more, until it is again.
    pub(super) fn unpark(&mut self, id: u16) -> Result<(), Failure> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let mut parked = std::mem::take(&mut channel.parked);
        let bytes = parked.len();
        let outcome = self.process_parked(id, parked.frames());
        parked.skip(*outcome.as_ref().unwrap_or(&bytes));
        let waiting = parked.len();
        match self.channels.get_mut(&id).filter(|channel| !channel.closing) {
            Some(channel) => {
                channel.parked.append(parked);
                self.release_held(bytes - waiting);
            }
            None => self.release_held(bytes),
        }
        outcome.map(|_| ())
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
        self.budget_spent = self.held_charged < self.held_bytes;
    }

    /// Charges what found no room in the budget, if there is room now.
    pub(super) fn charge_held(&mut self) {
        let owed = self.held_bytes - self.held_charged;
        if owed > 0 && self.broker.pool.try_hold(owed) {
            self.held_charged += owed;
            self.budget_spent = false;
        }
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
        self.blocked.is_empty() && !self.awaits_answer() && is_basic_publish(self.parked.frames())
    }

    /// Bytes of blocked publishes and parked frames.
    pub(super) fn held_bytes(&self) -> usize {
        self.parked.len() + self.blocked.iter().map(BlockedPublish::bytes).sum::<usize>()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_stays_in_order_and_strict_as_long_as_it_must() {
        let mut parked = Parked::default();
        parked.push(b"publish", false);
        assert!(!parked.is_strict());
        parked.push(b"declare", true);
        parked.push(b"publish", false);
        assert!(parked.is_strict());
        parked.skip(7);
        assert_eq!(parked.frames(), b"declarepublish");
        assert!(parked.is_strict());
        let mut before = Parked::default();
        before.push(b"first", false);
        before.append(parked);
        assert_eq!(before.frames(), b"firstdeclarepublish");
        assert!(before.is_strict());
        before.skip(12);
        assert_eq!(before.frames(), b"publish");
        assert!(!before.is_strict());
        before.skip(7);
        assert!(before.is_empty());
        before.push(b"again", true);
        assert_eq!((before.frames(), before.len()), (b"again".as_slice(), 5));
        assert!(before.is_strict());
    }
}
