//! Descriptors kept back, so that the broker can be asked, and can look into `/proc`, when there is no other left.
//!
//! Other threads may be faster when one is given up: it is taken again as soon as there is one.

use std::fs::File;

use parking_lot::Mutex;

/// To read from `/proc`: a directory, and a file in it.
const TO_LOOK: usize = 2;
/// Clients served when there is no other descriptor.
const CLIENTS: usize = 4;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct KeptBack(Mutex<Vec<File>>);

impl KeptBack {
    /// Takes what is missing, as far as there is any. True when it suffices to look: a client can be served.
    pub(super) fn refill(&self) -> bool {
        let mut held = self.0.lock();
        let missing = (TO_LOOK + CLIENTS).saturating_sub(held.len());
        held.extend((0..missing).map_while(|_| File::open("/").ok()));
        held.len() >= TO_LOOK
    }

    /// Gives one up for a client that is to be accepted.
    pub(super) fn give_up_one(&self) {
        self.0.lock().pop();
    }

    /// Gives all up while `read` opens some, and tells it how many they were.
    pub(super) fn lend<T>(&self, read: impl FnOnce(u64) -> T) -> T {
        let lent = std::mem::take(&mut *self.0.lock()).len() as u64;
        let found = read(lent);
        self.refill();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_or_lent_is_taken_again() {
        let kept_back = KeptBack::default();
        kept_back.give_up_one();
        assert!(kept_back.refill());
        (0..CLIENTS).for_each(|_| kept_back.give_up_one());
        assert_eq!(kept_back.0.lock().len(), TO_LOOK);
        let (lent, held) = kept_back.lend(|lent| (lent, kept_back.0.lock().len()));
        assert_eq!((lent, held), (TO_LOOK as u64, 0));
        assert_eq!(kept_back.0.lock().len(), TO_LOOK + CLIENTS);
    }
}
