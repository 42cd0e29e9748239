//! What was moved, and saying so.

use super::flags::DeleteAfter;

/// Counts over all sessions of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Confirmed by the destination.
    pub(super) moved: u64,
    /// Refused by the destination and given back to the source.
    pub(super) given_back: u64,
    /// Acknowledged to the source early, and then refused by the destination or not confirmed.
    pub(super) unconfirmed: u64,
    /// How many may yet be moved; `None` = any number.
    pub(super) remaining: Option<u64>,
    length_counted: bool,
    quiet: bool,
    shown: u64,
}

impl Tally {
    pub(super) fn new(delete_after: DeleteAfter, quiet: bool) -> Self {
        Self {
            remaining: match delete_after {
                DeleteAfter::Count(count) => Some(count),
                DeleteAfter::Never | DeleteAfter::QueueLength => None,
            },
            length_counted: delete_after != DeleteAfter::QueueLength,
            quiet,
            ..Self::default()
        }
    }

    /// Takes the length of the source's queue, which only the first look at it decides.
    pub(super) fn see_length(&mut self, length: u64) {
        if !self.length_counted {
            self.length_counted = true;
            self.remaining = Some(length);
        }
    }

    /// Whether one more may be on its way beside `flying` others.
    pub(super) fn has_room(&self, flying: usize) -> bool {
        self.remaining.is_none_or(|remaining| remaining > flying as u64)
    }

    /// One is settled with the source for good.
    pub(super) fn settle(&mut self) {
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(1));
    }

    /// Something for people.
    pub(super) fn say(&self, what: &str) {
        if !self.quiet {
            eprintln!("broker shovel: {what}");
        }
    }

    /// Says how far it is, when it has come further.
    pub(super) fn progress(&mut self) {
        if self.shown != self.moved {
            self.shown = self.moved;
            self.say(&self.text());
        }
    }

    /// `moved 5, 3 to go`
    pub(super) fn text(&self) -> String {
        let mut text = format!("moved {}", self.moved);
        if let Some(remaining) = self.remaining.filter(|&remaining| remaining > 0) {
            text += &format!(", {remaining} to go");
        }
        if self.given_back > 0 {
            text += &format!(", {} refused and given back", self.given_back);
        }
        if self.unconfirmed > 0 {
            text += &format!(", {} not confirmed after their acknowledgement", self.unconfirmed);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_length_counts_at_the_start_only() {
        let mut tally = Tally::new(DeleteAfter::QueueLength, true);
        tally.see_length(2);
        tally.see_length(9);
        assert!(tally.has_room(1));
        assert!(!tally.has_room(2));
        tally.settle();
        tally.moved += 1;
        assert_eq!(tally.text(), "moved 1, 1 to go");
        tally.settle();
        assert!(!tally.has_room(0));
        assert!(Tally::new(DeleteAfter::Never, true).has_room(usize::MAX));
    }
}
