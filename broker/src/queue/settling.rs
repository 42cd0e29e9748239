//! The ends of messages: settled, rejected, given back, purged; and whom that is news for.

use ring::Offset;

use super::consumer::ConsumerId;
use super::handle::{Inner, Queue};
use crate::connection::Signal;

impl Queue {
    /// Settles runs of messages that one consumer (or gets) held; true when dispatch may now go on.
    pub fn settle(&self, consumer: Option<ConsumerId>, runs: &[(Offset, usize)]) -> bool {
        let mut inner = self.lock();
        if inner.deleted {
            return false;
        }
        for &(first, count) in runs {
            inner.state.settle(consumer, first, count);
        }
        if !inner.samples.is_idle() {
            inner.settle_samples(&self.tallies.stages);
        }
        inner.call_back_publishers();
        inner.call_back_kept(false);
        inner.state.ready_len() > 0
    }

    /// As `settle`, for messages that the consumer does not want: they go to the dead-letter exchange, if there is one.
    pub fn reject(&self, consumer: Option<ConsumerId>, runs: &[(Offset, usize)]) -> bool {
        let mut inner = self.lock();
        if inner.deleted {
            return false;
        }
        for &(first, count) in runs {
            inner.state.reject(consumer, first, count);
        }
        inner.call_back_publishers();
        inner.call_back_kept(false);
        inner.has_work()
    }

    /// Gives runs of messages back; true when there is something to dispatch.
    pub fn requeue(&self, consumer: Option<ConsumerId>, runs: &[(Offset, usize)]) -> bool {
        let mut inner = self.lock();
        if inner.deleted {
            return false;
        }
        for &(first, count) in runs {
            inner.state.requeue(consumer, first, count);
        }
        inner.call_back_publishers();
        inner.call_back_kept(false);
        inner.has_work()
    }

    /// Drops what is ready and says how many messages that were.
    pub fn purge(&self) -> usize {
        let mut inner = self.lock();
        let purged = inner.state.purge();
        inner.call_back_publishers();
        inner.call_back_kept(false);
        purged
    }
}

impl Inner {
    /// Tells publishers when the ring has room again.
    pub(super) fn call_back_publishers(&mut self) {
        if !self.waiting.is_empty() && self.state.has_room() {
            for publisher in self.waiting.drain(..) {
                publisher.raise(Signal::RetryPublish);
            }
        }
    }

    /// Calls back those whose messages are kept by now, or with `all` everybody.
    pub(super) fn call_back_kept(&mut self, all: bool) {
        if self.unkept.is_empty() {
            return;
        }
        let kept = if self.stored {
            self.state.kept_through()
        } else {
            Offset::ZERO
        };
        self.unkept.retain(|(offset, publisher)| {
            let called = all || *offset <= kept;
            if called {
                publisher.raise(Signal::Kept);
            }
            !called
        });
    }
}
