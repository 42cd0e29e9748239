//! What the ledger says in the end.

use serde::{Deserialize, Serialize};

/// Sums over all producers and queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// Messages sent.
    pub published: u64,
    /// Copies that had to arrive: messages × the queues that each reaches.
    pub expected: u64,
    /// Distinct copies that arrived.
    pub received: u64,
    /// Expected, never received; without the unconfirmed ones that the end of a connection explains.
    pub lost: u64,
    /// Of these, confirmed by the broker; `None` when the run does not tell them apart, because no connection ended.
    pub confirmed_lost: Option<u64>,
    /// Of these, by fault of the plan: the first one after they were sent. Faults after the last that cost any are left out.
    pub confirmed_lost_by_fault: Vec<u64>,
    /// Sent before the end of their connection, neither confirmed nor received: legitimate. `None` when none ended.
    pub unconfirmed_lost: Option<u64>,
    /// Repeated copies without the redelivered flag, beyond the one that needs none.
    pub duplicated: u64,
    /// Repetitions that the redelivered flag announced.
    pub redelivered: u64,
    /// Deliveries flagged as redelivered, first copies included.
    pub redelivered_flags: u64,
    /// First copies behind a later message of the same producer, queue and consumer.
    pub reordered: u64,
    /// Deliveries that are not a message of this run.
    pub corrupt: u64,
    /// Messages of others, received and not judged; only in a run in which nobody sends.
    pub foreign: u64,
    /// Messages that the broker confirmed.
    pub confirmed: u64,
    /// Messages that the broker refused (`basic.nack`).
    pub nacked: u64,
    /// A few faults in words.
    pub first_examples: Vec<String>,
}

impl LedgerSummary {
    /// Whether every copy arrived exactly once, in order and intact.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.duplicated + self.redelivered + self.reordered + self.corrupt + self.nacked == 0
    }
}
