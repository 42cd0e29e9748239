//! What ends the phases of a run: the clock, or work that is done.

use crate::control::{Control, Phase};
use crate::scenario::Scenario;

/// A run's way through its phases; the driver tells it what has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// By the clock alone.
    Timed,
    /// The window closes when all messages are sent and taken over.
    Counted,
    /// The window opens when all messages are sent and taken over, and closes when all are received.
    BacklogFirst {
        /// Whether the consumers have been started.
        started: bool,
    },
}

impl Course {
    pub(super) fn new(scenario: &Scenario) -> Self {
        match (scenario.messages, scenario.backlog_first) {
            (None, _) => Self::Timed,
            (Some(_), false) => Self::Counted,
            (Some(_), true) => Self::BacklogFirst { started: false },
        }
    }

    /// Whether the driver must say what has been done.
    pub(super) fn is_counted(self) -> bool {
        self != Self::Timed
    }

    /// Where the load ends when this is the measured window: a backlog is sent before it.
    pub(super) fn load_end_ns(self, (start_ns, end_ns): (u64, u64)) -> u64 {
        match self {
            Self::Timed | Self::Counted => end_ns,
            Self::BacklogFirst { .. } => start_ns,
        }
    }

    /// Opens or closes the window when the work is done: `sent`: the broker has taken over all messages; `received`:
    /// all that were sent have arrived. Whether the consumers are to be started now.
    pub(super) fn advance(&mut self, control: &Control, phase: Phase, sent: bool, received: bool) -> bool {
        match self {
            Self::Timed => false,
            Self::Counted => {
                if phase == Phase::Measure && sent {
                    control.close_window();
                }
                false
            }
            Self::BacklogFirst { started: true } => {
                if phase == Phase::Measure && received {
                    control.close_window();
                }
                false
            }
            Self::BacklogFirst { started } => {
                if phase == Phase::WarmUp && sent {
                    control.open_window();
                    *started = true;
                } else if phase >= Phase::Measure {
                    // The fill took too long. What there is is drained all the same.
                    *started = true;
                }
                *started
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::built_in;

    fn begun() -> Control {
        let (control, limit) = (Control::new(), Duration::from_secs(600));
        control.begin(limit, limit, limit);
        control
    }

    #[test]
    fn a_backlog_is_filled_then_drained() {
        let (mut course, control) = (Course::new(&built_in("backlog-drain").unwrap()), begun());
        let limits = control.measure_window();
        assert_eq!(course.load_end_ns(limits), limits.0);
        assert!(!course.advance(&control, control.phase(), false, false));
        assert_eq!(control.phase(), Phase::WarmUp);
        assert!(course.advance(&control, control.phase(), true, false));
        assert_eq!(control.phase(), Phase::Measure);
        assert!(!course.advance(&control, control.phase(), true, false));
        assert_eq!(control.phase(), Phase::Measure);
        assert!(!course.advance(&control, control.phase(), true, true));
        assert_eq!(control.phase(), Phase::Drain);
    }

    #[test]
    fn a_fill_that_takes_too_long_starts_the_consumers_all_the_same() {
        let (mut course, control) = (Course::new(&built_in("backlog-drain").unwrap()), begun());
        assert!(course.advance(&control, Phase::Measure, false, false));
        assert!(!course.advance(&control, Phase::Measure, false, false));
    }

    #[test]
    fn a_counted_window_closes_when_all_is_sent_and_a_timed_one_never() {
        let mut control = begun();
        control.open_window();
        let mut course = Course::new(&built_in("backlog-fill").unwrap());
        assert!(course.is_counted());
        course.advance(&control, control.phase(), false, true);
        assert_eq!(control.phase(), Phase::Measure);
        course.advance(&control, control.phase(), true, true);
        assert_eq!(control.phase(), Phase::Drain);
        control = begun();
        let mut timed = Course::new(&built_in("20p20c").unwrap());
        assert!(!timed.advance(&control, Phase::Measure, true, true) && !timed.is_counted());
        assert_eq!(control.phase(), Phase::WarmUp);
    }
}
