//! How a run's messages stand, at any time while it runs.

use super::books::Ledger;

impl Ledger {
    /// Whether everything that must arrive has arrived: each copy, or after the end of connections each copy that was
    /// confirmed or sent since.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.survival {
            None => self.summary.received == self.expected,
            Some(survival) => {
                survival.owed() == 0
                    && (0..self.producers.len()).all(|producer| self.in_flight(producer) == 0)
            }
        }
    }

    /// Repeated copies, flagged or not.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.summary.redelivered + self.summary.duplicated
    }

    /// Faults that are certain before the end: deliveries duplicated, reordered or corrupt, and messages refused.
    #[must_use]
    pub fn harm(&self) -> u64 {
        let summary = &self.summary;
        summary.duplicated + summary.reordered + summary.corrupt + summary.nacked
    }

    /// Deliveries that are messages of this run, first copies and repetitions.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.received() + self.repeated()
    }

    /// Deliveries owed by the broker; when nobody consumes, the messages that it keeps.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        if self.consumers.is_empty() {
            self.summary.published
        } else {
            self.expected - self.summary.received
        }
    }

    /// Messages sent by `producer`.
    #[must_use]
    pub fn published_by(&self, producer: usize) -> u64 {
        self.producers[producer].published
    }

    /// Messages of `producer` that its slowest queue has not yet delivered.
    #[must_use]
    pub fn in_flight(&self, producer: usize) -> u64 {
        let producer = &self.producers[producer];
        let slowest = producer
            .streams
            .iter()
            .map(|stream| stream.received.count() + stream.written_off)
            .min();
        producer.published - slowest.unwrap_or(producer.published)
    }

    /// Messages sent.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.summary.published
    }

    /// Copies that had to arrive so far.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Distinct copies that arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.summary.received
    }

    /// Messages of others that were received, in a run in which nobody sends.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.summary.foreign
    }

    /// Messages confirmed so far.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.summary.confirmed
    }

    /// Messages that the broker has answered for: confirmed or refused.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.summary.confirmed + self.summary.nacked
    }
}
