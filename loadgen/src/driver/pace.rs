//! When a producer may send: its schedule, tied to the instant at which the load began.

use crate::plan::Schedule;

/// A producer's schedule on the run's time line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// Send while fewer than `window` messages are in flight.
    Saturating {
        /// This producer's share of the messages in flight; of a flood without end.
        window: u64,
    },
    /// Send message *k* at `first_ns + k × interval_ns`.
    OpenLoop {
        /// Instant of message 0.
        first_ns: u64,
        /// Distance of two messages.
        interval_ns: f64,
    },
}

impl Pace {
    /// The schedule of a load that began at `started_ns`.
    pub(super) fn new(schedule: &Schedule, started_ns: u64) -> Self {
        match *schedule {
            Schedule::Saturating { in_flight } => Self::Saturating {
                window: u64::from(in_flight),
            },
            Schedule::Flood => Self::Saturating { window: u64::MAX },
            Schedule::OpenLoop {
                first_ns,
                interval_ns,
            } => Self::OpenLoop {
                first_ns: started_ns + first_ns,
                interval_ns,
            },
        }
    }

    /// The intended instant of message `index`, computed from the index so that nothing drifts; `None` when it depends
    /// on the broker.
    pub(super) fn intended_ns(&self, index: u64) -> Option<u64> {
        match *self {
            Self::Saturating { .. } => None,
            Self::OpenLoop {
                first_ns,
                interval_ns,
            } => Some(first_ns + (index as f64 * interval_ns) as u64),
        }
    }

    /// Messages of the whole schedule that are intended before `end_ns`; the drain is over only when all were sent.
    pub(super) fn due_before(&self, end_ns: u64) -> Option<u64> {
        let Self::OpenLoop {
            first_ns,
            interval_ns,
        } = *self
        else {
            return None;
        };
        let span_ns = end_ns.saturating_sub(first_ns);
        let mut count = (span_ns as f64 / interval_ns) as u64;
        // Rounding may put the quotient one off on either side.
        while self.intended_ns(count).is_some_and(|intended| intended < end_ns) {
            count += 1;
        }
        while count > 0
            && self
                .intended_ns(count - 1)
                .is_some_and(|intended| intended >= end_ns)
        {
            count -= 1;
        }
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intended_instants_do_not_drift() {
        let pace = Pace::new(
            &Schedule::OpenLoop {
                first_ns: 7,
                interval_ns: 1e9 / 3.0,
            },
            1_000,
        );
        assert_eq!(pace.intended_ns(0), Some(1_007));
        assert_eq!(
            pace.intended_ns(3_000_000),
            Some(1_007 + 1_000_000 * 1_000_000_000)
        );
    }

    #[test]
    fn counts_exactly_what_is_due() {
        for interval_ns in [1.0, 333.3, 80_000.0, 1e9 / 7.0] {
            let pace = Pace::new(
                &Schedule::OpenLoop {
                    first_ns: 13,
                    interval_ns,
                },
                1_000,
            );
            for end_ns in [0, 1_013, 1_014, 500_000, 3_000_000_000] {
                let due = pace.due_before(end_ns).unwrap();
                assert!(pace.intended_ns(due).unwrap() >= end_ns);
                assert!(due == 0 || pace.intended_ns(due - 1).unwrap() < end_ns);
            }
        }
    }

    #[test]
    fn a_saturating_schedule_has_no_instants() {
        let pace = Pace::new(&Schedule::Saturating { in_flight: 50 }, 1_000);
        assert_eq!((pace.intended_ns(0), pace.due_before(u64::MAX)), (None, None));
    }
}
