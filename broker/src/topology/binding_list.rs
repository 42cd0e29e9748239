//! Things that belong to bindings, close together for routing and quick to find for removal.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::binding::{BindingId, Target};

/// Lists longer than this know the position of every entry; shorter ones are searched.
const SEARCHED_MAX: usize = 32;

/// Something of which a binding has one.
pub(super) trait OfBinding {
    fn binding(&self) -> BindingId;
}

impl OfBinding for Target {
    fn binding(&self) -> BindingId {
        self.binding
    }
}

/// Entries in no order. Adding and removing take constant time, however many bindings share a key or a pattern.
#[derive(Debug)]
pub(super) struct BindingList<T> {
    entries: SmallVec<[T; 1]>,
    /// Positions in `entries`, once it has outgrown a search.
    positions: Option<Box<FxHashMap<BindingId, u32>>>,
}

impl<T> Default for BindingList<T> {
    fn default() -> BindingList<T> {
        BindingList {
            entries: SmallVec::new(),
            positions: None,
        }
    }
}

impl<T: OfBinding> BindingList<T> {
    pub(super) fn push(&mut self, entry: T) {
        if let Some(positions) = &mut self.positions {
            positions.insert(entry.binding(), self.entries.len() as u32);
        }
        self.entries.push(entry);
        if self.positions.is_none() && self.entries.len() > SEARCHED_MAX {
            let positions = self.entries.iter().zip(0..);
            let positions = positions.map(|(entry, position)| (entry.binding(), position));
            self.positions = Some(Box::new(positions.collect()));
        }
    }

    /// Removes the entry of a binding, if it has one.
    pub(super) fn remove(&mut self, binding: BindingId) {
        let position = match &mut self.positions {
            Some(positions) => positions.remove(&binding).map(|position| position as usize),
            None => self.entries.iter().position(|entry| entry.binding() == binding),
        };
        let Some(position) = position else { return };
        self.entries.swap_remove(position);
        if self.entries.is_empty() {
            self.positions = None;
        }
        if let (Some(positions), Some(moved)) = (&mut self.positions, self.entries.get(position)) {
            positions.insert(moved.binding(), position as u32);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::binding::{Destination, QueueId};
    use super::*;

    #[test]
    fn any_order_of_removals_leaves_the_others() {
        for len in [1, 2, SEARCHED_MAX, SEARCHED_MAX + 1, 100] {
            let mut list = BindingList::default();
            let mut expected: Vec<u32> = (0..len as u32).collect();
            for &number in &expected {
                list.push(Target {
                    binding: BindingId(number),
                    destination: Destination::Queue(QueueId(number)),
                });
            }
            // 37 is prime to every length, so this meets each position once.
            for step in 0..len {
                let victim = (step * 37 % len) as u32;
                list.remove(BindingId(victim));
                list.remove(BindingId(victim));
                expected.retain(|&number| number != victim);
                let mut left: Vec<u32> = list.iter().map(|target| target.binding.0).collect();
                left.sort_unstable();
                assert_eq!(left, expected);
            }
            assert!(list.is_empty() && list.positions.is_none());
        }
    }
}
