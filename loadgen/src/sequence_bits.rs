//! A set of sequence numbers of which few are ever in it: one bit each up to the highest one, nothing before the first.
//!
//! A tree of numbers would take some 50 bits each, which a broker that flags or refuses everything would make gigabytes of.

const WORD_BITS: u32 = u64::BITS;

/// The sequences in the set, by bit.
#[derive(Debug, Default)]
pub(crate) struct SequenceBits {
    words: Vec<u64>,
}

impl SequenceBits {
    /// Adds `sequence`.
    pub(crate) fn insert(&mut self, sequence: u32) {
        let (index, bit) = place(sequence);
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        self.words[index] |= bit;
    }

    /// Takes `sequence` out; whether it was in.
    pub(crate) fn remove(&mut self, sequence: u32) -> bool {
        let (index, bit) = place(sequence);
        let Some(word) = self.words.get_mut(index) else {
            return false;
        };
        let was_in = *word & bit != 0;
        *word &= !bit;
        was_in
    }

    /// Whether `sequence` is in.
    #[must_use]
    pub(crate) fn contains(&self, sequence: u32) -> bool {
        let (index, bit) = place(sequence);
        self.words.get(index).is_some_and(|word| word & bit != 0)
    }

    /// Takes all of them out, and frees the memory.
    pub(crate) fn clear(&mut self) {
        self.words = Vec::new();
    }

    /// Memory for the bits, in octets.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

fn place(sequence: u32) -> (usize, u64) {
    ((sequence / WORD_BITS) as usize, 1 << (sequence % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(steps in proptest::collection::vec((0_u32..300, any::<bool>()), 0..500)) {
            let (mut bits, mut model) = (SequenceBits::default(), BTreeSet::new());
            for (sequence, insert) in steps {
                if insert {
                    bits.insert(sequence);
                    model.insert(sequence);
                } else {
                    prop_assert_eq!(bits.remove(sequence), model.remove(&sequence));
                }
                prop_assert_eq!(bits.contains(sequence), model.contains(&sequence));
            }
            bits.clear();
            prop_assert!((0..300).all(|sequence| !bits.contains(sequence)));
        }
    }

    #[test]
    fn takes_no_more_than_a_few_bits_a_sequence() {
        let mut bits = SequenceBits::default();
        (0..10_000_000).for_each(|sequence| bits.insert(sequence));
        assert!(bits.memory_bytes() * 8 <= 2 * 10_000_000 + 1_000);
    }
}
