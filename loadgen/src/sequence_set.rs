//! A set of sequence numbers that fills up from the bottom: one bit each above a frontier, nothing below it.
//!
//! Invariant: every sequence below `base × 64` is in the set. Memory is one bit for each sequence between the lowest
//! missing one and the highest present, so a run that loses its first message still costs only 1 bit a message.

use std::collections::VecDeque;

const WORD_BITS: u32 = u64::BITS;

/// The sequences received so far.
#[derive(Debug, Default)]
pub(crate) struct SequenceSet {
    /// Words that lie wholly below the frontier.
    base: u32,
    words: VecDeque<u64>,
    count: u64,
}

impl SequenceSet {
    /// The empty set.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `sequence`; `false` when it was already there. Inlined into the ledger's way of every delivery: as a call it
    /// cost the generator 2 % of its CPU, since runs with kills have a second caller.
    #[inline(always)]
    pub(crate) fn insert(&mut self, sequence: u32) -> bool {
        let Some(index) = (sequence / WORD_BITS).checked_sub(self.base) else {
            return false;
        };
        let (index, bit) = (index as usize, 1_u64 << (sequence % WORD_BITS));
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let word = &mut self.words[index];
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        self.count += 1;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.base += 1;
        }
        true
    }

    /// Whether `sequence` is in the set.
    #[must_use]
    pub(crate) fn contains(&self, sequence: u32) -> bool {
        let Some(index) = (sequence / WORD_BITS).checked_sub(self.base) else {
            return true;
        };
        let word = self.words.get(index as usize);
        word.is_some_and(|word| word & (1_u64 << (sequence % WORD_BITS)) != 0)
    }

    /// Sequences in the set.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The lowest sequence that is not in the set.
    #[must_use]
    pub(crate) fn first_missing(&self) -> u64 {
        let below = u64::from(self.base) * u64::from(WORD_BITS);
        below
            + self
                .words
                .front()
                .map_or(0, |word| u64::from(word.trailing_ones()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(sequences in proptest::collection::vec(0_u32..600, 0..2_000)) {
            let (mut set, mut model) = (SequenceSet::new(), BTreeSet::new());
            for sequence in sequences {
                prop_assert_eq!(set.contains(sequence), model.contains(&sequence));
                prop_assert_eq!(set.insert(sequence), model.insert(sequence));
                prop_assert!(set.contains(sequence));
                prop_assert_eq!(set.count(), model.len() as u64);
                let missing = (0..).find(|number| !model.contains(number)).unwrap();
                prop_assert_eq!(set.first_missing(), u64::from(missing));
            }
        }
    }

    #[test]
    fn a_run_that_loses_its_first_message_costs_at_most_two_bits_a_message() {
        const MESSAGES: u32 = 10_000_000;
        let mut set = SequenceSet::new();
        assert!((1..MESSAGES).all(|sequence| set.insert(sequence)));
        let bits = set.words.capacity() * WORD_BITS as usize;
        assert!(bits <= 2 * MESSAGES as usize, "{bits}");
        // The one that was missing was what kept them.
        assert!(set.insert(0));
        assert!(set.words.len() <= 1);
    }

    #[test]
    fn keeps_no_words_below_the_frontier() {
        let mut set = SequenceSet::new();
        assert!((0..1_000_000).all(|sequence| set.insert(sequence)));
        assert!(set.words.len() <= 1);
        assert!(!set.insert(5));
        assert_eq!(set.first_missing(), 1_000_000);
    }
}
