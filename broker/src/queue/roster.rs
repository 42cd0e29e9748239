//! The consumers of a queue and whose turn it is.
//!
//! Consumers of the same priority form a group and take turns; a group gets something only when those above it can
//! take nothing. Most queues have one group. With a single active consumer there is one group of one: the consumer that
//! subscribed first, until it leaves.

use slab::Slab;

use super::consumer::{Consumer, ConsumerId, Credit};

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Roster<T> {
    consumers: Slab<Consumer<T>>,
    /// Highest priority first; none is empty.
    groups: Vec<Group>,
    serial: u64,
    single_active: bool,
    /// The one that is active when only one may be.
    active: Option<usize>,
}

#[derive(Debug)]
struct Group {
    priority: i32,
    /// Slots in subscription order.
    order: Vec<usize>,
    /// Index of the one whose turn is next.
    next: usize,
}

impl<T> Roster<T> {
    pub(super) fn new(single_active: bool) -> Roster<T> {
        Roster {
            consumers: Slab::new(),
            groups: Vec::new(),
            serial: 0,
            single_active,
            active: None,
        }
    }

    /// Number of consumers.
    pub(super) fn len(&self) -> usize {
        self.consumers.len()
    }

    /// Each consumer, and whether it may get messages: with a single active consumer one only may.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Consumer<T>, bool)> {
        let is_active = |slot| !self.single_active || self.active == Some(slot);
        self.consumers
            .iter()
            .map(move |(slot, consumer)| (consumer, is_active(slot)))
    }

    /// Number of consumers that could take a message now.
    pub(super) fn able_len(&self) -> usize {
        self.iter()
            .filter(|(consumer, active)| *active && consumer.can_take())
            .count()
    }

    /// True when a consumer asked to be the only one.
    pub(super) fn has_exclusive(&self) -> bool {
        self.consumers.iter().any(|(_, consumer)| consumer.exclusive)
    }

    /// Adds a consumer with `prefetch` messages of credit (0 = no limit).
    pub(super) fn add(&mut self, target: T, prefetch: u16, priority: i32, exclusive: bool) -> ConsumerId {
        let serial = self.serial;
        self.serial += 1;
        let credit = Credit::new(prefetch);
        let slot = self.consumers.insert(Consumer {
            serial,
            target,
            credit,
            priority,
            exclusive,
            stalled: false,
        });
        let place = self.groups.partition_point(|group| group.priority > priority);
        match self.groups.get_mut(place) {
            Some(group) if group.priority == priority => group.order.push(slot),
            _ => {
                let order = vec![slot];
                let group = Group {
                    priority,
                    order,
                    next: 0,
                };
                self.groups.insert(place, group);
            }
        }
        self.elect();
        ConsumerId { slot, serial }
    }

    /// Removes a consumer.
    pub(super) fn remove(&mut self, id: ConsumerId) -> Option<T> {
        let priority = self.get_mut(id)?.priority;
        let place = self.groups.iter().position(|group| group.priority == priority)?;
        let group = &mut self.groups[place];
        let position = group.order.iter().position(|&slot| slot == id.slot)?;
        group.order.remove(position);
        if position < group.next {
            group.next -= 1;
        }
        if group.order.is_empty() {
            self.groups.remove(place);
        }
        self.active.take_if(|active| *active == id.slot);
        self.elect();
        Some(self.consumers.remove(id.slot).target)
    }

    /// Removes every consumer and returns their targets, highest priority first, then in subscription order.
    pub(super) fn remove_all(&mut self) -> Vec<T> {
        self.active = None;
        let groups = std::mem::take(&mut self.groups);
        let slots = groups.into_iter().flat_map(|group| group.order);
        slots.map(|slot| self.consumers.remove(slot).target).collect()
    }

    /// The consumer, if it still is there.
    pub(super) fn get_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer<T>> {
        self.consumers
            .get_mut(id.slot)
            .filter(|consumer| consumer.serial == id.serial)
    }

    /// The consumer in a slot of some group.
    pub(super) fn at(&self, slot: usize) -> &Consumer<T> {
        &self.consumers[slot]
    }

    /// As `at`.
    pub(super) fn at_mut(&mut self, slot: usize) -> &mut Consumer<T> {
        &mut self.consumers[slot]
    }

    /// Number of groups.
    pub(super) fn groups(&self) -> usize {
        match self.single_active {
            true => usize::from(self.active.is_some()),
            false => self.groups.len(),
        }
    }

    /// Slots of a group.
    pub(super) fn members(&self, group: usize) -> &[usize] {
        match self.single_active {
            true => self.active.as_slice(),
            false => &self.groups[group].order,
        }
    }

    /// Slot of the one in `group` whose turn it is.
    pub(super) fn turn(&mut self, group: usize) -> usize {
        if let Some(active) = self.active {
            return active;
        }
        let group = &mut self.groups[group];
        if group.next >= group.order.len() {
            group.next = 0;
        }
        group.order[group.next]
    }

    /// The turn passes on.
    pub(super) fn pass_turn(&mut self, group: usize) {
        if self.active.is_none() {
            self.groups[group].next += 1;
        }
    }

    /// Messages that consumers which have room may take now; `usize::MAX` when one of them has no limit.
    pub(super) fn credit(&self) -> usize {
        (0..self.groups())
            .flat_map(|group| self.members(group))
            .map(|&slot| &self.consumers[slot])
            .filter(|consumer| consumer.can_take())
            .fold(0, |sum, consumer| consumer.credit.available().saturating_add(sum))
    }

    fn elect(&mut self) {
        if self.single_active && self.active.is_none() {
            self.active = self.groups.first().map(|group| group.order[0]);
        }
    }
}
