//! How long deliveries wait for their acknowledgement, and consumers that take too long.
//!
//! No delivery carries a time: that would cost a clock and eight bytes for each. Once a second a channel notes how far
//! its delivery tags have come; a tag is at least as old as the first note that has come as far.

use std::collections::VecDeque;
use std::time::Duration;

use wire::ReplyCode;

use super::failure::Failure;
use super::task::Connection;
use super::window::DeliveryWindow;

/// Deliveries of a channel that are looked at in one second, oldest first. Where queues with different timeouts share a
/// channel, one that lies deeper is found out later.
const LOOKED_AT_MAX: usize = 256;

/// How far the delivery tags of a channel had come, second by second.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// Tick and last tag then; only where that had changed.
    notes: VecDeque<(u64, u64)>,
}

impl Ages {
    /// Notes how far the tags have come, and forgets what is older than every unsettled delivery.
    fn note(&mut self, tick: u64, window: &DeliveryWindow) {
        let Some(oldest) = window.oldest_tag() else {
            self.notes.clear();
            return;
        };
        while self.notes.front().is_some_and(|&(_, last)| last < oldest) {
            self.notes.pop_front();
        }
        let last = window.last_tag();
        if self.notes.back().is_none_or(|&(_, noted)| noted < last) {
            self.notes.push_back((tick, last));
        }
    }

    /// Seconds for which a delivery has been out, at least.
    fn age(&self, tag: u64, tick: u64) -> u64 {
        let first = self.notes.partition_point(|&(_, last)| last < tag);
        self.notes.get(first).map_or(0, |&(noted, _)| tick - noted)
    }
}

impl Connection {
    /// Closes channels whose consumers have held a delivery for too long.
    pub(super) fn check_consumer_timeouts(&mut self) {
        let default = self.broker.limits.consumer_timeout();
        let tick = self.reactor.ticks();
        let mut late = Vec::new();
        let mut oldest = 0;
        let mut outbound = self.link.outbound();
        outbound
            .unacked
            .set_max(self.broker.limits.settings().unacked_bytes_max);
        let unstalled = outbound.unacked.take_unstalled();
        for (&id, channel) in self.channels.iter_mut().filter(|(_, channel)| !channel.closing) {
            let window = &outbound.windows[channel.window];
            channel.ages.note(tick, window);
            if let Some(tag) = window.oldest_tag() {
                oldest = oldest.max(channel.ages.age(tag, tick));
            }
            let timeouts = window.unsettled(LOOKED_AT_MAX).filter_map(|(tag, source)| {
                let own = source.queue.options().consumer_timeout_ms;
                let timeout = own.map_or(default, Duration::from_millis);
                let age = Duration::from_secs(channel.ages.age(tag, tick));
                (!timeout.is_zero() && age >= timeout).then_some(timeout)
            });
            late.extend(timeouts.take(1).map(|timeout| (id, timeout)));
        }
        drop(outbound);
        if unstalled {
            // There was less room when a delivery was refused.
            self.resume_consumers();
        }
        self.link.observed().oldest_unsettled_s.set(oldest);
        for (id, timeout) in late {
            let text = format!(
                "delivery acknowledgement on channel {id} timed out. Timeout value used: {} ms. \
                 This timeout value can be configured, see consumers doc guide to learn more",
                timeout.as_millis()
            );
            self.fail_channel_now(id, &Failure::new(ReplyCode::PreconditionFailed, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_as_old_as_the_first_note_that_has_come_as_far() {
        let ages = Ages {
            notes: [(10, 5), (12, 9), (20, 10)].into(),
        };
        let found = [1, 5, 6, 9, 10, 11].map(|tag| ages.age(tag, 30));
        assert_eq!(found, [20, 20, 18, 18, 10, 0]);
    }
}
