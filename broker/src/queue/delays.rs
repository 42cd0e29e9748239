//! The messages of a delayed exchange while they wait: by the time at which they are due.

use std::collections::BTreeSet;

use ring::Offset;

use super::special::properties;
use crate::record::Record;
use crate::topology::delay_ms;

/// Ready messages, by due time in milliseconds since the Unix epoch, then by age.
#[derive(Debug, Default)]
pub(super) struct Delays {
    waiting: BTreeSet<(u64, Offset)>,
}

impl Delays {
    /// Adds a message.
    pub(super) fn push(&mut self, offset: Offset, record: &Record<'_>) {
        let delay_ms = properties(record).as_ref().and_then(delay_ms).unwrap_or(0);
        let due_ms = record.timestamp_ms.saturating_add(delay_ms);
        self.waiting.insert((due_ms, offset));
    }

    /// Takes the first message that is due by now.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Offset> {
        let &(due_ms, offset) = self.waiting.first()?;
        (due_ms <= now_ms).then(|| {
            self.waiting.pop_first();
            offset
        })
    }

    /// When the next message is due.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.waiting.first().map(|&(due_ms, _)| due_ms)
    }

    /// Removes every message and returns them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Offset> {
        std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(_, offset)| offset)
    }
}
