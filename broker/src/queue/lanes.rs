//! The ready messages of a priority queue (`x-max-priority`): one lane a priority.
//!
//! Costs eight bytes a ready message, which a queue without priorities does not pay: there, the offsets alone tell the order.

use std::collections::{BTreeSet, VecDeque};

use ring::Offset;
use rustc_hash::FxHashMap;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Lanes {
    /// By priority, from 0.
    lanes: Vec<Lane>,
    /// Priorities of the messages that were taken and are not settled.
    taken: FxHashMap<Offset, u8>,
    /// One past the youngest message that ever was taken.
    taken_through: Offset,
}

/// Ready messages of one priority.
#[derive(Debug, Default)]
struct Lane {
    /// Never taken; ascending.
    fresh: VecDeque<Offset>,
    /// Taken and given back: these come first.
    again: BTreeSet<Offset>,
}

impl Lanes {
    /// For the priorities 0 to `max`.
    pub(super) fn new(max: u8) -> Lanes {
        Lanes {
            lanes: (0..=max).map(|_| Lane::default()).collect(),
            taken: FxHashMap::default(),
            taken_through: Offset::ZERO,
        }
    }

    /// Adds the youngest message; a priority above the highest counts as the highest.
    pub(super) fn push(&mut self, offset: Offset, priority: u8) {
        let lane = usize::from(priority).min(self.lanes.len() - 1);
        self.lanes[lane].fresh.push_back(offset);
    }

    /// The next message, and whether it was taken before.
    pub(super) fn head(&self) -> Option<(Offset, bool)> {
        self.lanes.iter().rev().find_map(|lane| {
            let again = lane.again.first().map(|&offset| (offset, true));
            again.or_else(|| Some((*lane.fresh.front()?, false)))
        })
    }

    /// Takes the head.
    pub(super) fn take(&mut self) {
        for (priority, lane) in self.lanes.iter_mut().enumerate().rev() {
            if let Some(offset) = lane.again.pop_first().or_else(|| lane.fresh.pop_front()) {
                self.taken.insert(offset, priority as u8);
                self.taken_through = self.taken_through.max(offset.next());
                return;
            }
        }
    }

    /// One past the youngest message that ever was taken.
    pub(super) fn taken_through(&self) -> Offset {
        self.taken_through
    }

    /// Gives a message back that was taken.
    pub(super) fn give_back(&mut self, offset: Offset) {
        let priority = self
            .taken
            .remove(&offset)
            .expect("given back once after it was taken");
        self.lanes[usize::from(priority)].again.insert(offset);
    }

    /// A message that was taken is settled.
    pub(super) fn forget(&mut self, offset: Offset) {
        self.taken.remove(&offset);
    }

    /// Removes every ready message and returns them, in no order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Offset> {
        let lanes = self.lanes.iter_mut().map(std::mem::take);
        let drained: Vec<Lane> = lanes.collect();
        drained
            .into_iter()
            .flat_map(|lane| lane.fresh.into_iter().chain(lane.again))
    }
}
