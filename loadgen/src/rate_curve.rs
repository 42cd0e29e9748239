//! A rate over time, and its integral in both directions: how many messages are due by an instant, and when the *n*-th is.
//!
//! A pure function of a scenario's load. Pieces are linear, so the integral is a quadratic that is solved exactly; nothing is
//! summed up, nothing drifts. Times are seconds since the load began, rates messages a second.

/// A rate that changes step by step or linearly, for ever: after the last piece it stays what it was at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct RateCurve {
    /// In order of time; never empty, the first starts at 0.
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    start_s: f64,
    /// Messages due before it.
    start_count: f64,
    /// At its start.
    rate: f64,
    /// Messages a second gained each second.
    slope: f64,
}

impl Piece {
    fn rate_at(&self, at_s: f64) -> f64 {
        self.rate + self.slope * (at_s - self.start_s)
    }

    fn count_at(&self, at_s: f64) -> f64 {
        let into_s = at_s - self.start_s;
        self.start_count + into_s * (self.rate + 0.5 * self.slope * into_s)
    }

    /// When `count` messages are due, in the form of the quadratic's root that does not cancel; infinite when never.
    fn instant_s(&self, count: f64) -> f64 {
        let missing = count - self.start_count;
        if missing <= 0.0 {
            return self.start_s;
        }
        let root = (self.rate * self.rate + 2.0 * self.slope * missing)
            .max(0.0)
            .sqrt();
        self.start_s + 2.0 * missing / (self.rate + root)
    }
}

impl RateCurve {
    /// The same rate for ever.
    #[must_use]
    pub fn constant(rate: f64) -> Self {
        Self::new([(rate, rate, 0.0)])
    }

    /// Pieces of (rate at the start, rate at the end, length in seconds), in order.
    #[must_use]
    pub fn new(phases: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let (mut pieces, mut start_s, mut start_count, mut last) = (Vec::new(), 0.0, 0.0, 0.0);
        let mut push = |piece: Piece| match pieces.last() {
            // A step that changes nothing is no piece of its own.
            Some(Piece { rate, slope, .. }) if *slope == 0.0 && piece.slope == 0.0 && *rate == piece.rate => {
            }
            _ => pieces.push(piece),
        };
        for (from, to, length_s) in phases {
            last = to;
            if length_s <= 0.0 {
                continue;
            }
            push(Piece {
                start_s,
                start_count,
                rate: from,
                slope: (to - from) / length_s,
            });
            start_s += length_s;
            start_count += 0.5 * (from + to) * length_s;
        }
        push(Piece {
            start_s,
            start_count,
            rate: last,
            slope: 0.0,
        });
        Self { pieces }
    }

    /// This part of every rate.
    #[must_use]
    pub fn scaled(&self, part: f64) -> Self {
        let scale = |piece: &Piece| Piece {
            start_s: piece.start_s,
            start_count: piece.start_count * part,
            rate: piece.rate * part,
            slope: piece.slope * part,
        };
        Self {
            pieces: self.pieces.iter().map(scale).collect(),
        }
    }

    /// The rate at an instant; at a step, the new one.
    #[must_use]
    pub fn rate_at(&self, at_s: f64) -> f64 {
        self.piece_at(at_s).rate_at(at_s)
    }

    /// Messages due before an instant: the integral of the rate.
    #[must_use]
    pub fn count_at(&self, at_s: f64) -> f64 {
        self.piece_at(at_s).count_at(at_s)
    }

    /// When the integral reaches `count`, in seconds; infinite when it never does.
    #[must_use]
    pub fn instant_s(&self, count: f64) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.start_count <= count);
        self.pieces[after.saturating_sub(1)].instant_s(count)
    }

    fn piece_at(&self, at_s: f64) -> &Piece {
        let after = self.pieces.partition_point(|piece| piece.start_s <= at_s);
        &self.pieces[after.saturating_sub(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_and_ramps_add_up() {
        let curve = RateCurve::new([
            (100.0, 100.0, 2.0),
            (100.0, 300.0, 4.0),
            (0.0, 0.0, 1.0),
            (50.0, 50.0, 1.0),
        ]);
        let counts = [0.0, 1.0, 2.0, 4.0, 6.0, 7.0, 8.0, 10.0].map(|at_s| curve.count_at(at_s));
        assert_eq!(
            counts,
            [0.0, 100.0, 200.0, 500.0, 1_000.0, 1_000.0, 1_050.0, 1_150.0]
        );
        let rates = [0.0, 2.0, 4.0, 6.0, 7.0, 99.0].map(|at_s| curve.rate_at(at_s));
        assert_eq!(rates, [100.0, 100.0, 200.0, 0.0, 50.0, 50.0]);
        assert_eq!(curve.instant_s(500.0), 4.0);
        // In a pause nothing is due; what comes next is due when it is over.
        assert_eq!(curve.instant_s(1_025.0), 7.5);
    }

    #[test]
    fn a_constant_rate_is_one_piece_and_does_not_drift() {
        let curve = RateCurve::new([(3.0, 3.0, 10.0), (3.0, 3.0, 60.0)]);
        assert_eq!(curve, RateCurve::constant(3.0));
        assert_eq!(curve.instant_s(3e9), 1e9);
        assert_eq!(curve.scaled(0.5).instant_s(3e9), 2e9);
    }

    #[test]
    fn what_is_never_due_has_no_instant() {
        let curve = RateCurve::new([(10.0, 0.0, 2.0)]);
        assert_eq!(curve.instant_s(10.0), 2.0);
        assert_eq!(curve.instant_s(10.5), f64::INFINITY);
        assert_eq!(RateCurve::constant(0.0).instant_s(1.0), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn the_inverse_undoes_the_integral(
            phases in proptest::collection::vec((0_u32..1_000_000, 0_u32..1_000_000, 0.01_f64..100.0), 1..8),
            share in 0.0_f64..1.0,
        ) {
            let curve = RateCurve::new(phases.iter().map(|&(from, to, for_s)| (from.into(), to.into(), for_s)));
            let length_s: f64 = phases.iter().map(|phase| phase.2).sum();
            let count = curve.count_at(length_s) * share;
            let at_s = curve.instant_s(count);
            prop_assert!(at_s <= length_s * (1.0 + 1e-9));
            prop_assert!((curve.count_at(at_s) - count).abs() <= 1e-9 * (1.0 + curve.count_at(length_s)));
        }
    }
}
