//! The order of the runs: all cells of the matrix in each round, shuffled anew for each.
//!
//! Whatever drifts on a machine (heat, other tenants, a disk that fills) then hits all entrants alike, and none profits
//! from always following the same one.

/// Keeps the shuffle apart from everything else that comes of the seed.
const ORDER_SEED: u64 = 0x6f72_6465_7221;

/// One cell's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Which scenario, by index.
    pub scenario: usize,
    /// Which entrant, by index.
    pub entrant: usize,
}

/// The order of round `round` (from 0): a pure function of its arguments (Fisher and Yates' shuffle, seeded).
#[must_use]
pub fn order(seed: u64, round: u32, scenarios: usize, entrants: usize) -> Vec<Slot> {
    let mut slots: Vec<Slot> = (0..scenarios)
        .flat_map(|scenario| (0..entrants).map(move |entrant| Slot { scenario, entrant }))
        .collect();
    // The rounds' seeds must not be neighbours: round 1 of seed 1 is another one than round 0 of seed 2.
    let mut random = fastrand::Rng::with_seed((seed ^ ORDER_SEED).wrapping_add(u64::from(round) << 32));
    random.shuffle(&mut slots);
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_holds_every_cell_in_an_order_that_the_seed_decides() {
        let rounds: Vec<_> = (0..5).map(|round| order(7, round, 3, 4)).collect();
        for (round, slots) in rounds.iter().enumerate() {
            let mut sorted = slots.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), 12, "round {round}");
            assert_eq!(slots, &order(7, round as u32, 3, 4), "round {round}");
        }
        assert!(rounds.windows(2).all(|pair| pair[0] != pair[1]), "{rounds:?}");
        assert_ne!(order(8, 0, 3, 4), rounds[0]);
    }
}
