//! The one name of a message within its queue.

use std::fmt;

/// The position of a record in its queue: counted from the first record ever, one step a record, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The first offset of a new queue.
    pub const ZERO: Offset = Offset(0);

    /// The offset right after this one.
    #[inline]
    pub fn next(self) -> Offset {
        self.advance(1)
    }

    /// The offset `count` records later.
    #[inline]
    pub fn advance(self, count: u64) -> Offset {
        debug_assert!(
            self.0.checked_add(count).is_some(),
            "offset {self} + {count} leaves u64"
        );
        Offset(self.0.wrapping_add(count))
    }

    /// How many records lie between `earlier` (inclusive) and this offset (exclusive).
    ///
    /// `earlier` must not be later than this offset.
    #[inline]
    pub fn distance_from(self, earlier: Offset) -> u64 {
        debug_assert!(earlier <= self, "{earlier} is later than {self}");
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_distances_agree() {
        let offset = Offset(41).next();
        assert_eq!(offset, Offset(42));
        assert_eq!(offset.advance(8).distance_from(offset), 8);
        assert_eq!(Offset::ZERO.to_string(), "0");
        assert!(Offset(9) < Offset(10));
    }
}
