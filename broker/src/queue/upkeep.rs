//! A queue between its messages: what a restart has left, checkpoints, what an orderly stop waits for, memory, counts.

use std::sync::atomic::Ordering;

use ring::Offset;
use seglog::{Records, SeglogError};

use super::handle::{COLD_READ_BYTES, Queue};
use super::state::Snapshot;
use crate::record::Record;

impl Queue {
    /// Reads through what a restart has left, where the queue must know each message: its priority, its size.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn index_backlog(&self) -> Result<(), SeglogError> {
        let mut inner = self.lock();
        if !inner.state.wants_index() {
            return Ok(());
        }
        let end = inner.state.next_offset();
        let mut from = inner.state.frontier();
        let mut buffer = Vec::new();
        while from < end {
            buffer.clear();
            let next = self.log().read(from, COLD_READ_BYTES, &mut buffer)?;
            for (offset, bytes) in Records::new(&buffer) {
                if let Some(record) = Record::parse(bytes) {
                    inner.state.index(Offset(offset), &record);
                }
            }
            // Nothing is left from there on.
            from = if next > from { next } else { end };
        }
        inner.state.end_index();
        Ok(())
    }

    /// Gives memory back that an idle queue does not need; to be called about once a second.
    pub fn trim(&self) {
        self.lock().state.trim();
    }

    /// Reads from the log when the oldest message was published, where it is nowhere else and not known. To be called about once a second; may
    /// wait for the disk.
    pub fn look_up_oldest(&self) {
        let offset = {
            let mut inner = self.lock();
            let frontier = inner.state.frontier();
            if inner.unreadable || inner.deleted || !inner.state.is_stored_only(frontier) {
                inner.oldest_stored = None;
                return;
            }
            if inner.oldest_stored.is_some_and(|(offset, _)| offset == frontier) {
                return;
            }
            frontier
        };
        let mut bytes = Vec::new();
        // What is damaged there is told by who delivers it.
        if self.log().read(offset, 1, &mut bytes).is_ok()
            && let Some((_, bytes)) = Records::new(&bytes).next()
            && let Some(record) = Record::parse(bytes)
        {
            self.lock().oldest_stored = Some((offset, record.timestamp_ms));
        }
    }

    /// What is settled, if that has changed since the last call that answered.
    pub fn changed_snapshot(&self) -> Option<Snapshot> {
        let mut inner = self.lock();
        let snapshot = inner.state.snapshot();
        // A queue that never had a message needs no checkpoint.
        if inner.deleted || snapshot.next == Offset::ZERO || inner.checkpointed.as_ref() == Some(&snapshot) {
            return None;
        }
        inner.checkpointed = Some(snapshot.clone());
        Some(snapshot)
    }

    /// The next [`Queue::changed_snapshot`] answers, whatever has changed.
    pub fn forget_snapshot(&self) {
        self.lock().checkpointed = None;
    }

    /// A number for the next checkpoint, one higher than the last.
    pub fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What is settled now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().state.snapshot()
    }

    /// True when the log of a durable queue has all its messages, as safe as the queue asks for.
    pub fn is_kept(&self) -> bool {
        let inner = self.lock();
        inner.deleted
            || !self.declaration().is_stored()
            || inner.state.kept_through() >= inner.state.next_offset()
    }

    /// True when no dead letter waits or is on its way.
    pub fn has_no_letters(&self) -> bool {
        let inner = self.lock();
        inner.deleted || !inner.has_letters()
    }

    /// True when nothing is delivered and not settled.
    pub fn is_given_back(&self) -> bool {
        self.lock().state.unsettled_len() == 0
    }

    /// Messages ready, and consumers.
    pub fn counts(&self) -> (usize, usize) {
        let mut inner = self.lock();
        inner.state.trim_surplus();
        (inner.state.ready_len(), inner.state.consumer_count())
    }
}
