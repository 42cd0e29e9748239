//! Who runs when.

use super::engine::Arm;

/// The order of each round: a shuffled order and then its mirror image, so that of every two rounds each arm has the same
/// mean place and a steady drift of the machine cancels (A B, B A; or, with the control, A B A′, A′ B A). Two arms follow the
/// Thue–Morse sequence, ABBA BAAB, in which a drift that bends cancels as well.
#[derive(Clone, Debug)]
pub struct Orders {
    control: bool,
    round: u32,
    starts_with_b: bool,
    random: fastrand::Rng,
    last: Vec<Arm>,
}

impl Orders {
    /// Orders with or without the control, fixed by `seed`.
    #[must_use]
    pub fn new(control: bool, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            control,
            round: 0,
            starts_with_b: random.bool(),
            random,
            last: vec![Arm::A, Arm::B, Arm::Control],
        }
    }
}

impl Iterator for Orders {
    type Item = Vec<Arm>;

    fn next(&mut self) -> Option<Vec<Arm>> {
        let round = self.round;
        self.round += 1;
        if !self.control {
            let b_first = (round.count_ones() % 2 == 1) != self.starts_with_b;
            return Some(if b_first {
                vec![Arm::B, Arm::A]
            } else {
                vec![Arm::A, Arm::B]
            });
        }
        if round.is_multiple_of(2) {
            self.random.shuffle(&mut self.last);
        } else {
            self.last.reverse();
        }
        Some(self.last.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_arms_alternate_as_abba_baab() {
        let starts: Vec<String> = [1, 2, 3, 4, 5, 6, 7, 8]
            .map(|seed| {
                let arms = Orders::new(false, seed).take(4).flatten();
                arms.map(|arm| if arm == Arm::A { 'A' } else { 'B' }).collect()
            })
            .into();
        assert!(
            starts
                .iter()
                .all(|order| order == "ABBABAAB" || order == "BAABABBA"),
            "{starts:?}"
        );
        assert!(starts.iter().any(|order| *order != starts[0]), "the seed decides");
    }

    #[test]
    fn with_the_control_every_second_round_mirrors_the_one_before() {
        let rounds: Vec<_> = Orders::new(true, 3).take(8).collect();
        for pair in rounds.chunks(2) {
            let mut mirrored = pair[1].clone();
            mirrored.reverse();
            assert_eq!(pair[0], mirrored);
            assert!(
                [Arm::A, Arm::B, Arm::Control]
                    .iter()
                    .all(|arm| pair[0].contains(arm))
            );
        }
        assert!(rounds.iter().any(|round| round[0] == Arm::B), "{rounds:?}");
    }
}
