//! Which offsets of a queue are settled.
//!
//! Everything below the *frontier* is settled; above it a sparse set says what else is. The set is a chain of
//! extents over blocks of 4096 offsets: a bitmap where a block is mixed, one entry for any run of full blocks.
//! So memory follows how scattered the settled offsets are, not how far the last lies above the frontier.
//!
//! ```text
//!   settled ....| frontier block (bitmap) | full x 812 | bitmap |   (nothing settled)   | bitmap |
//! ```
//!
//! One owner at a time, beside the queue's ring. Invariants: the frontier never moves back and is itself not
//! settled; extents ascend and do not overlap; no two runs touch; a bitmap has at least one bit set above the frontier.

use std::{collections::VecDeque, ops::Range};

use crate::Offset;

const WORDS: usize = 64;
const BLOCK_OFFSETS: u64 = 64 * WORDS as u64;

/// One stretch of the sparse set.
#[derive(Debug)]
struct Extent {
    /// The number of the first block: offset / 4096.
    block: u64,
    /// How many blocks: 1 for a bitmap.
    blocks: u64,
    /// `None`: every offset is settled.
    bits: Option<Box<Bits>>,
}

/// One block with some offsets settled.
#[derive(Debug)]
struct Bits {
    words: [u64; WORDS],
    set: u32,
}

/// The frontier and the sparse set above it.
#[derive(Debug)]
pub struct SettledSet {
    frontier: u64,
    /// Offsets settled above the frontier.
    sparse: u64,
    extents: VecDeque<Extent>,
    /// The extent last used: a guess for the next lookup.
    hint: usize,
}

impl SettledSet {
    /// Everything below `frontier` is settled, nothing above it.
    pub fn new(frontier: Offset) -> SettledSet {
        SettledSet {
            frontier: frontier.0,
            sparse: 0,
            extents: VecDeque::new(),
            hint: 0,
        }
    }

    /// Settles one offset. False when it already was.
    #[inline]
    pub fn settle(&mut self, offset: Offset) -> bool {
        if offset.0 == self.frontier {
            self.frontier += 1;
            if self.sparse > 0 {
                self.absorb();
            }
            return true;
        }
        if offset.0 < self.frontier {
            return false;
        }
        let bit = offset.0 % BLOCK_OFFSETS;
        let newly = self.settle_in_block(offset.0 / BLOCK_OFFSETS, bit..bit + 1);
        self.sparse += newly;
        newly == 1
    }

    /// Settles `count` offsets from `first` on, and answers how many of them were not settled before.
    pub fn settle_range(&mut self, first: Offset, count: u64) -> u64 {
        let end = first.advance(count).0;
        let mut at = first.0.max(self.frontier);
        if at >= end {
            return 0;
        }
        let mut newly = 0;
        if at == self.frontier {
            let already = if self.sparse > 0 {
                self.sparse_between(at, end)
            } else {
                0
            };
            newly = end - at - already;
            self.sparse -= already;
            self.frontier = end;
            self.absorb();
            return newly;
        }
        while at < end {
            let (block, bit) = (at / BLOCK_OFFSETS, at % BLOCK_OFFSETS);
            let bits = bit..(end - block * BLOCK_OFFSETS).min(BLOCK_OFFSETS);
            at += bits.end - bits.start;
            let newly_here = self.settle_in_block(block, bits);
            self.sparse += newly_here;
            newly += newly_here;
        }
        newly
    }

    /// The lowest offset that is not settled.
    #[inline]
    pub fn frontier(&self) -> Offset {
        Offset(self.frontier)
    }

    /// Whether `offset` is settled.
    pub fn is_settled(&self, offset: Offset) -> bool {
        if offset.0 <= self.frontier || self.sparse == 0 {
            return offset.0 < self.frontier;
        }
        match self.find(offset.0 / BLOCK_OFFSETS) {
            Ok(at) => self.extents[at].next_set(offset.0) == Some(offset.0),
            Err(_) => false,
        }
    }

    /// How many offsets above the frontier are settled.
    #[inline]
    pub fn sparse_len(&self) -> u64 {
        self.sparse
    }

    /// The settled ranges above the frontier, in order, none touching the next.
    pub fn ranges(&self) -> SettledRanges<'_> {
        let mut extents = self.extents.iter();
        SettledRanges {
            current: extents.next(),
            extents,
            at: self.frontier,
        }
    }

    /// Bytes on the heap.
    pub fn bytes_held(&self) -> usize {
        let bitmaps = self.extents.iter().filter(|extent| extent.bits.is_some()).count();
        self.extents.capacity() * size_of::<Extent>() + bitmaps * size_of::<Bits>()
    }

    /// Moves the frontier over what the sparse set holds from there on, and drops what it leaves behind. Each
    /// word and extent is passed once.
    fn absorb(&mut self) {
        while let Some(front) = self.extents.front() {
            if self.frontier < front.start() {
                break;
            }
            if self.frontier < front.end() {
                let run_end = front.next_unset(self.frontier);
                self.sparse -= run_end - self.frontier;
                self.frontier = run_end;
                if run_end < front.end() {
                    break;
                }
            }
            if self.sparse == 0 && self.extents.len() == 1 && front.bits.is_some() {
                break; // kept as a spare: `settle_in_block` takes it for the next block that it needs
            }
            self.extents.pop_front();
            self.hint = self.hint.saturating_sub(1);
        }
    }

    /// Settles offsets of one block, all of them above the frontier, and answers how many were not settled before.
    #[inline]
    fn settle_in_block(&mut self, block: u64, range: Range<u64>) -> u64 {
        let at = match self.find(block) {
            Ok(at) => at,
            Err(at) => self.insert_block(at, block),
        };
        self.hint = at;
        let Some(bits) = &mut self.extents[at].bits else {
            return 0;
        };
        let newly = bits.set_range(range);
        if u64::from(bits.set) == BLOCK_OFFSETS {
            self.merge_full(at);
        }
        newly
    }

    /// The extent with `block`, or where it would stand.
    #[inline]
    fn find(&self, block: u64) -> Result<usize, usize> {
        if let Some(extent) = self.extents.get(self.hint)
            && extent.block <= block
            && block - extent.block < extent.blocks
        {
            return Ok(self.hint);
        }
        let after = self.extents.partition_point(|extent| extent.block <= block);
        match after.checked_sub(1).map(|at| (at, &self.extents[at])) {
            Some((at, extent)) if block - extent.block < extent.blocks => Ok(at),
            _ => Err(after),
        }
    }

    /// Puts an empty bitmap for `block` in place and answers where it stands.
    #[cold]
    fn insert_block(&mut self, at: usize, block: u64) -> usize {
        let mut bits = None;
        let mut at = at;
        if self.sparse == 0 {
            bits = self.extents.pop_front().and_then(|spare| spare.bits);
            at = 0;
        }
        let bits = match bits {
            Some(mut spare) => {
                *spare = Bits::EMPTY;
                spare
            }
            None => Box::new(Bits::EMPTY),
        };
        self.extents.insert(
            at,
            Extent {
                block,
                blocks: 1,
                bits: Some(bits),
            },
        );
        at
    }

    /// Turns the bitmap at `at`, all of it set, into a full run, joined with the runs that it touches.
    #[cold]
    fn merge_full(&mut self, at: usize) {
        self.extents[at].bits = None;
        let touches = |left: &Extent, right: &Extent| {
            left.bits.is_none() && right.bits.is_none() && left.block + left.blocks == right.block
        };
        if at + 1 < self.extents.len() && touches(&self.extents[at], &self.extents[at + 1]) {
            self.extents[at].blocks += self.extents[at + 1].blocks;
            self.extents.remove(at + 1);
        }
        if at > 0 && touches(&self.extents[at - 1], &self.extents[at]) {
            self.extents[at - 1].blocks += self.extents[at].blocks;
            self.extents.remove(at);
        }
    }

    /// How many offsets of the sparse set lie in `from..to`.
    fn sparse_between(&self, from: u64, to: u64) -> u64 {
        self.ranges()
            .map(|range| (range.start.0.max(from), range.end.0.min(to)))
            .take_while(|(start, _)| *start < to)
            .map(|(start, end)| end.saturating_sub(start))
            .sum()
    }
}

impl Extent {
    fn start(&self) -> u64 {
        self.block * BLOCK_OFFSETS
    }

    fn end(&self) -> u64 {
        (self.block + self.blocks) * BLOCK_OFFSETS
    }

    /// The first settled offset from `at` on, which is in this extent.
    fn next_set(&self, at: u64) -> Option<u64> {
        let Some(bits) = &self.bits else { return Some(at) };
        bits.scan(at - self.start(), |word| word)
            .map(|bit| self.start() + bit)
    }

    /// The first offset from `at` on, which is in this extent, that is not settled, or the end of the extent.
    #[inline]
    fn next_unset(&self, at: u64) -> u64 {
        let Some(bits) = &self.bits else { return self.end() };
        bits.scan(at - self.start(), |word| !word)
            .map_or(self.end(), |bit| self.start() + bit)
    }
}

impl Bits {
    const EMPTY: Bits = Bits {
        words: [0; WORDS],
        set: 0,
    };

    /// Sets the bits and answers how many were not set.
    #[inline]
    fn set_range(&mut self, range: Range<u64>) -> u64 {
        let mut newly = 0;
        let mut at = range.start;
        while at < range.end {
            let (word, bit) = ((at / 64) as usize, at % 64);
            let count = (range.end - at).min(64 - bit);
            let mask = (u64::MAX >> (64 - count)) << bit;
            newly += (mask & !self.words[word]).count_ones();
            self.words[word] |= mask;
            at += count;
        }
        self.set += newly;
        u64::from(newly)
    }

    /// The first bit from `bit` on in the words as `view` shows them.
    #[inline]
    fn scan(&self, bit: u64, view: impl Fn(u64) -> u64) -> Option<u64> {
        let first = (bit / 64) as usize;
        let head = view(self.words[first]) & (u64::MAX << (bit % 64));
        if head != 0 {
            return Some(first as u64 * 64 + u64::from(head.trailing_zeros()));
        }
        let rest = self.words[first + 1..].iter().position(|word| view(*word) != 0)?;
        let word = first + 1 + rest;
        Some(word as u64 * 64 + u64::from(view(self.words[word]).trailing_zeros()))
    }
}

/// The settled ranges above a frontier; see [`SettledSet::ranges`].
#[derive(Clone, Debug)]
pub struct SettledRanges<'a> {
    current: Option<&'a Extent>,
    extents: std::collections::vec_deque::Iter<'a, Extent>,
    at: u64,
}

impl Iterator for SettledRanges<'_> {
    type Item = Range<Offset>;

    fn next(&mut self) -> Option<Range<Offset>> {
        loop {
            let extent = self.current?;
            let at = self.at.max(extent.start());
            let Some(first) = (at < extent.end()).then(|| extent.next_set(at)).flatten() else {
                self.current = self.extents.next();
                continue;
            };
            let mut end = extent.next_unset(first);
            while let Some(extent) = self.current
                && end == extent.end()
            {
                self.current = self.extents.next();
                if let Some(next) = self.current
                    && next.start() == end
                {
                    end = next.next_unset(end);
                }
            }
            self.at = end;
            return Some(Offset(first)..Offset(end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Miri runs a thousand times slower: there a few blocks must do.
    const MANY: u64 = if cfg!(miri) { 9_000 } else { 100_000 };

    fn ranges(set: &SettledSet) -> Vec<(u64, u64)> {
        set.ranges().map(|range| (range.start.0, range.end.0)).collect()
    }

    #[test]
    fn in_order_settling_needs_no_memory() {
        let mut set = SettledSet::new(Offset(7));
        for offset in 7..MANY {
            assert!(set.settle(Offset(offset)));
            assert!(!set.settle(Offset(offset)));
        }
        assert_eq!(
            (set.frontier(), set.sparse_len(), set.bytes_held()),
            (Offset(MANY), 0, 0)
        );
    }

    #[test]
    fn the_frontier_waits_for_the_oldest_and_then_jumps() {
        let mut set = SettledSet::new(Offset::ZERO);
        for offset in (1..MANY).rev() {
            assert!(set.settle(Offset(offset)));
            assert!(!set.settle(Offset(offset)));
        }
        assert_eq!((set.frontier(), set.sparse_len()), (Offset::ZERO, MANY - 1));
        assert_eq!(ranges(&set), [(1, MANY)]);
        assert!(
            set.is_settled(Offset(MANY - 1)) && !set.is_settled(Offset(MANY)) && !set.is_settled(Offset(0))
        );
        assert!(set.settle(Offset(0)));
        assert_eq!((set.frontier(), set.sparse_len()), (Offset(MANY), 0));
        assert_eq!(ranges(&set), []);
    }

    #[test]
    fn memory_follows_the_scatter_and_not_the_distance() {
        let distance = if cfg!(miri) { 50_000 } else { 100_000_000 };
        let mut set = SettledSet::new(Offset::ZERO);
        assert_eq!(set.settle_range(Offset(1), distance), distance);
        assert!(set.bytes_held() < 4096, "{} bytes", set.bytes_held());
        let lone = 1_000_000_000_000;
        assert!(set.settle(Offset(lone)));
        assert!(set.bytes_held() < 4096, "{} bytes", set.bytes_held());
        assert_eq!(ranges(&set), [(1, distance + 1), (lone, lone + 1)]);
        assert!(set.settle(Offset::ZERO));
        assert_eq!((set.frontier(), set.sparse_len()), (Offset(distance + 1), 1));
    }

    #[test]
    fn neighbours_that_settle_in_swapped_order_share_one_bitmap() {
        let mut set = SettledSet::new(Offset::ZERO);
        for pair in 0..MANY {
            assert!(set.settle(Offset(2 * pair + 1)));
            assert!(set.settle(Offset(2 * pair)));
            assert_eq!((set.frontier(), set.sparse_len()), (Offset(2 * pair + 2), 0));
        }
        assert_eq!(set.extents.len(), 1);
        assert_eq!(set.settle_range(Offset(0), 2 * MANY + 7), 7);
        assert_eq!(set.frontier(), Offset(2 * MANY + 7));
    }

    #[test]
    fn full_blocks_join_on_both_sides() {
        let mut set = SettledSet::new(Offset::ZERO);
        let block = |number| Offset(number * BLOCK_OFFSETS);
        set.settle_range(block(1), BLOCK_OFFSETS);
        set.settle_range(block(3), BLOCK_OFFSETS);
        assert_eq!(set.extents.len(), 2);
        set.settle_range(block(2), BLOCK_OFFSETS - 1);
        assert_eq!(set.extents.len(), 3);
        assert!(set.settle(Offset(block(3).0 - 1)));
        assert_eq!(set.extents.len(), 1);
        assert_eq!(ranges(&set), [(BLOCK_OFFSETS, 4 * BLOCK_OFFSETS)]);
        assert!(!set.settle(Offset(block(2).0 + 5)), "inside a run");
        assert_eq!(
            set.settle_range(Offset(BLOCK_OFFSETS - 1), 3 * BLOCK_OFFSETS + 3),
            3
        );
    }

    #[test]
    fn a_range_over_the_frontier_swallows_part_of_a_run() {
        let mut set = SettledSet::new(Offset::ZERO);
        set.settle_range(Offset(BLOCK_OFFSETS), 4 * BLOCK_OFFSETS);
        assert_eq!(
            set.settle_range(Offset(0), 2 * BLOCK_OFFSETS + 100),
            BLOCK_OFFSETS
        );
        assert_eq!((set.frontier(), set.sparse_len()), (Offset(5 * BLOCK_OFFSETS), 0));
        assert_eq!(set.settle_range(Offset(10), 10), 0);
        assert_eq!(set.settle_range(Offset(10), 0), 0);
    }
}
