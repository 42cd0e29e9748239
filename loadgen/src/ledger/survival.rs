//! The part of the ledger that only runs with faults that end connections need: which messages were confirmed, and which of
//! them the end of a connection may have cost.
//!
//! Afterwards a message that is missing was either confirmed (the broker broke its word), or sent before the end of its
//! producer's connection and not confirmed (nobody was promised anything), or sent afterwards (lost as in any other run).

use std::ops::RangeInclusive;

use crate::sequence_bits::SequenceBits;
use crate::sequence_set::SequenceSet;

/// Why a message is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The broker had confirmed it.
    Confirmed,
    /// It was sent before the end of its connection, and not confirmed.
    Unconfirmed,
    /// It was sent after the last one, or refused.
    Other,
}

#[derive(Debug, Default)]
struct Producer {
    confirmed: SequenceSet,
    refused: SequenceBits,
    /// Messages that it had sent when its connection last ended.
    sent_before_end: u64,
    /// Faults of the plan, in order, each with the messages that it had sent before.
    strikes: Vec<(usize, u64)>,
}

/// What all producers were promised.
#[derive(Debug)]
pub(crate) struct Survival {
    producers: Vec<Producer>,
    /// Copies of confirmed messages that have not arrived yet.
    owed: u64,
    /// First copies that arrived after the end of the connection on which they were sent.
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
            if !producer.refused.contains(sequence) && producer.confirmed.insert(sequence) {
                self.owed += missing(sequence);
            }
        }
    }

    /// Books messages as refused, but for those that were confirmed before.
    pub(crate) fn refuse(&mut self, producer: usize, sequences: RangeInclusive<u32>) {
        let producer = &mut self.producers[producer];
        for sequence in sequences.filter(|&sequence| !producer.confirmed.contains(sequence)) {
            producer.refused.insert(sequence);
        }
    }

    /// Books a first copy; whether it was sent before the end of its connection and arrived after it.
    pub(crate) fn receive(&mut self, producer: usize, sequence: u32) -> bool {
        let producer = &self.producers[producer];
        self.owed -= u64::from(producer.confirmed.contains(sequence));
        let recovered = u64::from(sequence) < producer.sent_before_end;
        self.recovered += u64::from(recovered);
        recovered
    }

    /// Books the end of the connection of `producer`, which has sent so many messages.
    pub(crate) fn end_connection(&mut self, producer: usize, sent: u64) {
        self.producers[producer].sent_before_end = sent;
    }

    /// Books the plan's fault `fault`, by which `producer` has sent so many messages.
    pub(crate) fn strike(&mut self, producer: usize, fault: usize, sent: u64) {
        self.producers[producer].strikes.push((fault, sent));
    }

    /// The first fault after a message was sent, if there was one: what most likely cost it.
    pub(crate) fn next_fault(&self, producer: usize, sequence: u32) -> Option<usize> {
        let strikes = &self.producers[producer].strikes;
        let next = strikes.partition_point(|&(_, sent)| sent <= u64::from(sequence));
        strikes.get(next).map(|&(fault, _)| fault)
    }

    /// Why a message that never arrived is missing.
    pub(crate) fn judge(&self, producer: usize, sequence: u32) -> Missing {
        let producer = &self.producers[producer];
        if producer.confirmed.contains(sequence) {
            Missing::Confirmed
        } else if u64::from(sequence) < producer.sent_before_end && !producer.refused.contains(sequence) {
            Missing::Unconfirmed
        } else {
            Missing::Other
        }
    }

    /// Copies of confirmed messages that have not arrived yet.
    pub(crate) fn owed(&self) -> u64 {
        self.owed
    }

    /// First copies that arrived after the end of the connection on which they were sent.
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
        survival.strike(0, 2, 3);
        survival.strike(0, 4, 8);
        survival.end_connection(0, 8);
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
        let faults = [2, 3, 7, 8].map(|sequence| survival.next_fault(0, sequence));
        assert_eq!(faults, [Some(2), Some(4), Some(4), None]);
    }
}
