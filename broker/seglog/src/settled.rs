//! Which offsets nobody needs any more.

use std::ops::Range;

/// The settled offsets of a log: all below the frontier, and ranges above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Every offset below is settled.
    pub frontier: u64,
    /// Settled above the frontier: ascending, disjoint, none empty.
    pub ranges: Vec<Range<u64>>,
}

impl Settled {
    /// Whether one offset is settled.
    pub fn contains(&self, offset: u64) -> bool {
        offset < self.frontier
            || self
                .ranges_from(offset)
                .first()
                .is_some_and(|range| range.start <= offset)
    }

    /// How many offsets in `range` are settled.
    pub fn count_in(&self, range: Range<u64>) -> u64 {
        let below = self.frontier.min(range.end).saturating_sub(range.start);
        let above = range.start.max(self.frontier);
        let overlaps = self
            .ranges_from(above)
            .iter()
            .take_while(|settled| settled.start < range.end);
        below
            + overlaps
                .map(|settled| {
                    settled
                        .end
                        .min(range.end)
                        .saturating_sub(settled.start.max(above))
                })
                .sum::<u64>()
    }

    /// Whether every offset in `range` is settled; true of an empty one.
    pub fn is_all_settled(&self, range: Range<u64>) -> bool {
        self.count_in(range.clone()) == range.end.saturating_sub(range.start)
    }

    /// The ranges that end above `offset`.
    fn ranges_from(&self, offset: u64) -> &[Range<u64>] {
        &self.ranges[self.ranges.partition_point(|range| range.end <= offset)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_plain_set() {
        let settled = Settled {
            frontier: 5,
            ranges: vec![7..9, 9..10, 15..20],
        };
        let is_settled = |offset: u64| matches!(offset, 0..5 | 7..10 | 15..20);
        for start in 0..25 {
            assert_eq!(settled.contains(start), is_settled(start), "{start}");
            for end in start..25 {
                let count = (start..end).filter(|offset| is_settled(*offset)).count() as u64;
                assert_eq!(settled.count_in(start..end), count, "{start}..{end}");
                assert_eq!(
                    settled.is_all_settled(start..end),
                    count == end - start,
                    "{start}..{end}"
                );
            }
        }
    }
}
