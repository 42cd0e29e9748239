//! When a producer's messages are due.
//!
//! The rate says how many messages are due by when ([`RateCurve`]); the arrivals say how they lie within that count: evenly, by
//! chance, or in bursts. Message *k* is due where the integral of the rate reaches its count *c(k)*. Both are a pure function of
//! scenario, seed, producer and *k*, so nothing drifts and nothing depends on the broker:
//!
//! * even: c(k) = phase + k, with a seeded phase in [0, 1), so that producers do not send in step;
//! * random: c(k) = the sum of k + 1 seeded exponential numbers of mean 1. That is a Poisson process of the curve's rate, also
//!   where it changes (time change of a unit-rate process; Çinlar, "Introduction to Stochastic Processes", 1975, theorem 7.4);
//! * bursts: c(k) = (phase + ⌊k ÷ part⌋) × burst on the curve of *all* producers, which burst together, each its part.

use std::sync::Arc;

use crate::random::SplitMix64;
use crate::rate_curve::RateCurve;

/// When a producer sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Whenever fewer than its share of the window is sent and not yet consumed.
    Saturating {
        /// This producer's share, at least 1.
        in_flight: u32,
    },
    /// Whenever the broker reads (and confirms).
    Flood,
    /// When it is due, whatever the broker does.
    OpenLoop(Timetable),
}

/// The instants of an open loop, one message after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    curve: Arc<RateCurve>,
    counts: Counts,
    started_ns: u64,
    index: u64,
    next_ns: u64,
}

/// c(k) for the message that is next.
#[derive(Clone, Debug, PartialEq)]
enum Counts {
    Even { phase: f64 },
    Random { random: SplitMix64, count: f64 },
    Bursts { phase: f64, burst: f64, part: u64 },
}

impl Timetable {
    /// Evenly over the rate `curve` of this producer; `phase` in [0, 1).
    #[must_use]
    pub fn even(curve: Arc<RateCurve>, phase: f64) -> Self {
        Self::new(curve, Counts::Even { phase })
    }

    /// A Poisson process of the rate `curve` of this producer.
    #[must_use]
    pub fn random(curve: Arc<RateCurve>, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let count = random.exponential();
        Self::new(curve, Counts::Random { random, count })
    }

    /// `part` messages (at least 1) of each burst of `burst` messages, on the rate `curve` of all producers.
    #[must_use]
    pub fn bursts(curve: Arc<RateCurve>, phase: f64, burst: u64, part: u64) -> Self {
        let burst = burst as f64;
        Self::new(
            curve,
            Counts::Bursts {
                phase,
                burst,
                part: part.max(1),
            },
        )
    }

    fn new(curve: Arc<RateCurve>, counts: Counts) -> Self {
        let mut timetable = Self {
            curve,
            counts,
            started_ns: 0,
            index: 0,
            next_ns: 0,
        };
        timetable.find_next();
        timetable
    }

    /// The same instants, counted from the one at which the load began.
    #[must_use]
    pub fn starting_at(&self, started_ns: u64) -> Self {
        let mut timetable = Self {
            started_ns,
            ..self.clone()
        };
        timetable.find_next();
        timetable
    }

    /// When the next message is due, in ns; `u64::MAX` when there is none.
    #[inline]
    #[must_use]
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// The message that was next has been sent.
    #[inline]
    pub fn advance(&mut self) {
        self.index += 1;
        match &mut self.counts {
            Counts::Random { random, count } => *count += random.exponential(),
            // The rest of a burst is due together with its first message.
            Counts::Bursts { part, .. } if !self.index.is_multiple_of(*part) => return,
            Counts::Even { .. } | Counts::Bursts { .. } => {}
        }
        self.find_next();
    }

    #[inline]
    fn find_next(&mut self) {
        let count = match self.counts {
            Counts::Even { phase } => phase + self.index as f64,
            Counts::Random { count, .. } => count,
            Counts::Bursts { phase, burst, part } => (phase + (self.index / part) as f64) * burst,
        };
        // A conversion saturates, so what is never due is due at the end of time.
        let after_ns = (self.curve.instant_s(count) * 1e9) as u64;
        self.next_ns = self.started_ns.saturating_add(after_ns);
    }

    /// Messages of the whole timetable, from its beginning, that are due before `end_ns`: those before the next one, which may
    /// have been due later if the end has moved, and those from it on.
    #[must_use]
    pub fn due_before(&self, end_ns: u64) -> u64 {
        let mut ahead = self.clone();
        if let Counts::Random { .. } = self.counts {
            while ahead.next_ns < end_ns {
                ahead.advance();
            }
            return ahead.index;
        }
        if self.next_ns >= end_ns {
            return self.index;
        }
        // The others' instants follow from the index. Billions may be due, and a driver waits for the answer: so they are not counted
        // one by one. The first that is not due is searched for, in ever larger steps, then by halves.
        let mut is_due = |index: u64| {
            ahead.index = index;
            ahead.find_next();
            ahead.next_ns < end_ns
        };
        let (mut due, mut step) = (self.index, 1_u64);
        while due < u64::MAX && is_due(due.saturating_add(step)) {
            due = due.saturating_add(step);
            step = step.saturating_mul(2);
        }
        let mut not_due = due.saturating_add(step);
        while not_due - due > 1 {
            let middle = due + (not_due - due) / 2;
            match is_due(middle) {
                true => due = middle,
                false => not_due = middle,
            }
        }
        not_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instants(timetable: &Timetable, count: usize) -> Vec<u64> {
        let mut timetable = timetable.clone();
        let next = || {
            let next_ns = timetable.next_ns();
            timetable.advance();
            next_ns
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn curve(phases: &[(f64, f64, f64)]) -> Arc<RateCurve> {
        Arc::new(RateCurve::new(phases.iter().copied()))
    }

    #[test]
    fn even_instants_do_not_drift() {
        let timetable = Timetable::even(Arc::new(RateCurve::constant(3.0)), 0.0).starting_at(1_000);
        let instants = instants(&timetable, 3_000_001);
        assert_eq!((instants[0], instants[3]), (1_000, 1_000_001_000));
        assert_eq!(instants[3_000_000], 1_000 + 1_000_000 * 1_000_000_000);
    }

    #[test]
    fn a_ramp_is_the_integral_of_its_rate() {
        // From 0 to 200/s in 10 s: 100 t²/10 messages by t.
        let timetable = Timetable::even(curve(&[(0.0, 200.0, 10.0)]), 0.0);
        let instants = instants(&timetable, 1_001);
        for (k, at_ns) in [(0, 0.0), (10, 1.0), (40, 2.0), (250, 5.0), (1_000, 10.0)] {
            assert!(
                (instants[k] as f64 / 1e9 - at_ns).abs() < 2e-9,
                "{k}: {}",
                instants[k]
            );
        }
        assert_eq!(timetable.due_before(5_000_000_000), 250);
    }

    #[test]
    fn bursts_come_together_and_at_the_rate() {
        let rate = Arc::new(RateCurve::constant(1_000.0));
        let parts = [2, 1].map(|part| instants(&Timetable::bursts(Arc::clone(&rate), 0.5, 3, part), 4));
        assert_eq!(parts[0], [1_500_000, 1_500_000, 4_500_000, 4_500_000]);
        assert_eq!(parts[1], [1_500_000, 4_500_000, 7_500_000, 10_500_000]);
    }

    #[test]
    fn random_gaps_have_the_mean_and_the_variance_of_a_poisson_process() {
        let timetable = Timetable::random(Arc::new(RateCurve::constant(1_000.0)), 7);
        const COUNT: usize = 200_000;
        let instants = instants(&timetable, COUNT + 1);
        let gaps_ms: Vec<f64> = instants
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64 / 1e6)
            .collect();
        let mean = gaps_ms.iter().sum::<f64>() / COUNT as f64;
        let variance = gaps_ms.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / COUNT as f64;
        // Four standard errors.
        assert!((mean - 1.0).abs() < 0.009, "{mean}");
        assert!((variance - 1.0).abs() < 0.026, "{variance}");
        // The counts of whole 10 ms have variance = mean = 10.
        let mut counts = vec![0_f64; 10_000];
        for at_ns in &instants {
            if let Some(count) = counts.get_mut((at_ns / 10_000_000) as usize) {
                *count += 1.0;
            }
        }
        let mean = counts.iter().sum::<f64>() / 1e4;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 1e4;
        assert!(
            (mean - 10.0).abs() < 0.13 && (variance - 10.0).abs() < 0.6,
            "{mean} {variance}"
        );
    }

    #[test]
    fn random_arrivals_follow_a_ramp() {
        let timetable = Timetable::random(curve(&[(0.0, 20_000.0, 10.0)]), 3);
        let by_5_s = timetable.due_before(5_000_000_000) as f64;
        assert!((by_5_s - 25_000.0).abs() < 4.0 * 25_000_f64.sqrt(), "{by_5_s}");
    }

    #[test]
    fn the_seed_decides() {
        let rate = Arc::new(RateCurve::constant(1_000.0));
        let of = |seed| instants(&Timetable::random(Arc::clone(&rate), seed), 100);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    fn timetables() -> impl Strategy<Value = Timetable> {
        let phase = (0_u32..600, 0_u32..600, 0.01_f64..2.0);
        let phases = proptest::collection::vec(phase, 1..5);
        (phases, 0..3, any::<u64>(), 0.0_f64..1.0, 1_u64..50).prop_map(|(phases, kind, seed, phase, part)| {
            let phases = phases
                .iter()
                .map(|&(from, to, for_s)| (from.into(), to.into(), for_s));
            let curve = Arc::new(RateCurve::new(phases));
            match kind {
                0 => Timetable::even(curve, phase),
                1 => Timetable::random(curve, seed),
                _ => Timetable::bursts(curve, phase, 2 * part, part),
            }
        })
    }

    #[test]
    fn billions_are_counted_at_once() {
        let even = Timetable::even(Arc::new(RateCurve::constant(1e6)), 0.0);
        let due = even.due_before(1_000_000_000_000_000);
        assert!(due.abs_diff(1_000_000_000_000) <= 1, "{due}");
    }

    proptest! {
        #[test]
        fn counts_exactly_what_is_due(timetable in timetables(), started_ns in 0_u64..1_000_000, end_ns in 0_u64..3_000_000_000,
                                      sent in 0_usize..500) {
            let mut timetable = timetable.starting_at(started_ns);
            let instants = instants(&timetable, 2_500);
            prop_assert!(instants.is_sorted());
            let due = timetable.due_before(end_ns);
            prop_assert_eq!(due, instants.iter().filter(|&&at_ns| at_ns < end_ns).count() as u64);
            // However many of them have been sent.
            for _ in 0..sent.min(due as usize) {
                timetable.advance();
            }
            prop_assert_eq!(timetable.due_before(end_ns), due);
            prop_assert_eq!(timetable.next_ns(), instants[sent.min(due as usize)]);
        }

        #[test]
        fn the_load_begins_when_it_begins(timetable in timetables(), started_ns in 0_u64..1 << 40) {
            let (from_0, later) = (instants(&timetable, 50), instants(&timetable.starting_at(started_ns), 50));
            prop_assert!(from_0.iter().zip(&later).all(|(&a, &b)| b == a.saturating_add(started_ns)));
        }
    }
}
