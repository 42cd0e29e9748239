//! When a producer may send: its schedule, tied to the instant at which the load began.

use crate::schedule::{Schedule, Timetable};

/// A producer's schedule on the run's time line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pace {
    /// Send while fewer than `window` messages are in flight.
    Saturating {
        /// This producer's share of the messages in flight; of a flood without end.
        window: u64,
    },
    /// Send each message when it is due.
    OpenLoop(Timetable),
}

impl Pace {
    /// The schedule of a load that began at `started_ns`.
    pub(super) fn new(schedule: &Schedule, started_ns: u64) -> Self {
        match schedule {
            Schedule::Saturating { in_flight } => Self::Saturating {
                window: u64::from(*in_flight),
            },
            Schedule::Flood => Self::Saturating { window: u64::MAX },
            Schedule::OpenLoop(timetable) => Self::OpenLoop(timetable.starting_at(started_ns)),
        }
    }

    /// The intended instant of the next message; `None` when it depends on the broker.
    #[inline]
    pub(super) fn next_ns(&self) -> Option<u64> {
        match self {
            Self::Saturating { .. } => None,
            Self::OpenLoop(timetable) => Some(timetable.next_ns()),
        }
    }

    /// The next message has been sent.
    #[inline]
    pub(super) fn advance(&mut self) {
        if let Self::OpenLoop(timetable) = self {
            timetable.advance();
        }
    }

    /// Messages of the whole schedule that are intended before `end_ns`; the drain is over only when all were sent.
    pub(super) fn due_before(&self, end_ns: u64) -> Option<u64> {
        match self {
            Self::Saturating { .. } => None,
            Self::OpenLoop(timetable) => Some(timetable.due_before(end_ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_timetable_has_instants() {
        for schedule in [Schedule::Saturating { in_flight: 50 }, Schedule::Flood] {
            let pace = Pace::new(&schedule, 1_000);
            assert_eq!((pace.next_ns(), pace.due_before(u64::MAX)), (None, None));
        }
    }
}
