//! The part of the ledger that only runs with kills need: which messages were confirmed, and which of them a kill of the
//! broker may have cost.
//!
//! After a kill a message that is missing was either confirmed (the broker broke its word), or sent before the kill and
//! not confirmed (nobody was promised anything), or sent afterwards (lost as in any other run).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::sequence_set::SequenceSet;

/// Why a message is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The broker had confirmed it.
    Confirmed,
    /// It was sent before a kill, and not confirmed.
    Unconfirmed,
    /// It was sent after the last kill, or refused.
    Other,
}

#[derive(Debug, Default)]
struct Producer {
    confirmed: SequenceSet,
    refused: BTreeSet<u32>,
    /// Messages that it had sent when the broker was last killed.
    sent_before_kill: u64,
}

/// What all producers were promised.
#[derive(Debug)]
pub(crate) struct Survival {
    producers: Vec<Producer>,
    /// Copies of confirmed messages that have not arrived yet.
    owed: u64,
    /// First copies that arrived after a kill, of messages sent before it.
    recovered: u64,
}

impl Survival {
    pub(crate) fn new(producers: usize) -> Self {
        Self {
            producers: (0..producers).map(|_| Producer::default()).collect(),
            owed: 0,
            recovered: 0,
        }
    }

    /// Books messages as confirmed, but for those that were refused before (a cumulative confirm passes over them).
    /// `missing` tells how many copies of a message have not arrived yet.
    pub(crate) fn confirm(
        &mut self,
        producer: usize,
        sequences: RangeInclusive<u32>,
        missing: impl Fn(u32) -> u64,
    ) {
        let producer = &mut self.producers[producer];
        for sequence in sequences {
            if !producer.refused.contains(&sequence) && producer.confirmed.insert(sequence) {
                self.owed += missing(sequence);
            }
        }
    }

    /// Books messages as refused, but for those that were confirmed before.
    pub(crate) fn refuse(&mut self, producer: usize, sequences: RangeInclusive<u32>) {
        let producer = &mut self.producers[producer];
        let refused = sequences.filter(|&sequence| !producer.confirmed.contains(sequence));
        producer.refused.extend(refused);
    }

    /// Books a first copy; whether it was sent before a kill and arrived after it.
    pub(crate) fn receive(&mut self, producer: usize, sequence: u32) -> bool {
        let producer = &self.producers[producer];
        self.owed -= u64::from(producer.confirmed.contains(sequence));
        let recovered = u64::from(sequence) < producer.sent_before_kill;
        self.recovered += u64::from(recovered);
        recovered
    }

    /// Books a kill: `producer` has sent so many messages.
    pub(crate) fn kill(&mut self, producer: usize, sent: u64) {
        self.producers[producer].sent_before_kill = sent;
    }

    /// Why a message that never arrived is missing.
    pub(crate) fn judge(&self, producer: usize, sequence: u32) -> Missing {
        let producer = &self.producers[producer];
        if producer.confirmed.contains(sequence) {
            Missing::Confirmed
        } else if u64::from(sequence) < producer.sent_before_kill && !producer.refused.contains(&sequence) {
            Missing::Unconfirmed
        } else {
            Missing::Other
        }
    }

    /// Copies of confirmed messages that have not arrived yet.
    pub(crate) fn owed(&self) -> u64 {
        self.owed
    }

    /// First copies that arrived after a kill, of messages sent before it.
    pub(crate) fn recovered(&self) -> u64 {
        self.recovered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_confirmed_messages_are_owed() {
        let mut survival = Survival::new(1);
        survival.refuse(0, 3..=3);
        // 0 has arrived before its confirm; the cumulative confirm passes over the refused 3.
        assert!(!survival.receive(0, 0));
        survival.confirm(0, 0..=4, |sequence| u64::from(sequence > 0));
        survival.confirm(0, 2..=4, |_| 1);
        assert_eq!(survival.owed(), 3);
        survival.kill(0, 8);
        assert!(survival.receive(0, 1) && survival.receive(0, 7));
        assert!(!survival.receive(0, 8));
        assert_eq!((survival.owed(), survival.recovered()), (2, 2));
        let why = [2, 3, 4, 5, 9].map(|sequence| survival.judge(0, sequence));
        let expected = [
            Missing::Confirmed,
            Missing::Other,
            Missing::Confirmed,
            Missing::Unconfirmed,
            Missing::Other,
        ];
        assert_eq!(why, expected);
    }
}
