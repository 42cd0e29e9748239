//! One publishing channel's unconfirmed messages, in runs of messages sent at the same instant.
//!
//! Invariant: every tag up to `frontier` is settled, as are those in `settled_above`; `runs` cover exactly the tags in
//! `frontier + 1 ..= last`, in order.

use std::collections::{BTreeSet, VecDeque};

use crate::recorder::LatencyRecorder;

/// Messages sent together: tags up to `last`, from one more than the previous run's last.
#[derive(Clone, Copy, Debug)]
struct Run {
    last: u64,
    sent_ns: u64,
    /// Whether they were intended within the measured window.
    measured: bool,
}

/// The confirm window of one publishing channel.
#[derive(Debug, Default)]
pub(super) struct ConfirmWindow {
    frontier: u64,
    last: u64,
    runs: VecDeque<Run>,
    /// Tags above the frontier that were settled one by one, out of order.
    settled_above: BTreeSet<u64>,
}

/// The broker settled a tag that is not outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownTag {
    /// The tag it named.
    pub(super) tag: u64,
    /// The highest tag published.
    pub(super) last: u64,
}

impl ConfirmWindow {
    /// Messages published and not yet settled.
    pub(super) fn outstanding(&self) -> u64 {
        self.last - self.frontier - self.settled_above.len() as u64
    }

    /// The highest tag up to which everything is settled.
    pub(super) fn frontier(&self) -> u64 {
        self.frontier
    }

    /// The highest tag that a cumulative confirm of `tag` settles: 0 stands for everything outstanding.
    pub(super) fn through(&self, tag: u64) -> u64 {
        if tag == 0 { self.last } else { tag }
    }

    /// Books `count` messages sent at `sent_ns`.
    pub(super) fn sent(&mut self, count: u64, sent_ns: u64, measured: bool) {
        if count == 0 {
            return;
        }
        self.last += count;
        match self.runs.back_mut() {
            Some(run) if run.sent_ns == sent_ns && run.measured == measured => run.last = self.last,
            _ => self.runs.push_back(Run {
                last: self.last,
                sent_ns,
                measured,
            }),
        }
    }

    /// Books an ack or nack at `now_ns`; returns how many messages it settled. Latencies go to `recorder`, if given
    /// (a refusal has none).
    pub(super) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        now_ns: u64,
        mut recorder: Option<&mut LatencyRecorder>,
    ) -> Result<u64, UnknownTag> {
        if multiple {
            let tag = self.through(tag);
            if tag > self.last {
                return Err(UnknownTag { tag, last: self.last });
            }
            return Ok(self.settle_through(tag, now_ns, recorder));
        }
        if tag == self.frontier + 1 && tag <= self.last {
            return Ok(self.settle_through(tag, now_ns, recorder));
        }
        if tag <= self.frontier || tag > self.last || !self.settled_above.insert(tag) {
            return Err(UnknownTag { tag, last: self.last });
        }
        let run = self.runs[self.runs.partition_point(|run| run.last < tag)];
        if let Some(recorder) = recorder.as_mut() {
            recorder.confirmed(1, run.sent_ns, run.measured, now_ns);
        }
        Ok(1)
    }

    fn settle_through(&mut self, tag: u64, now_ns: u64, mut recorder: Option<&mut LatencyRecorder>) -> u64 {
        let mut settled = 0;
        while self.frontier < tag {
            let run = *self
                .runs
                .front()
                .expect("runs cover every tag above the frontier");
            let through = run.last.min(tag);
            let mut count = through - self.frontier;
            if !self.settled_above.is_empty() {
                let above = self.settled_above.split_off(&(through + 1));
                count -= std::mem::replace(&mut self.settled_above, above).len() as u64;
            }
            if let Some(recorder) = recorder.as_mut().filter(|_| count > 0) {
                recorder.confirmed(count, run.sent_ns, run.measured, now_ns);
            }
            settled += count;
            self.advance(through);
        }
        while self.settled_above.remove(&(self.frontier + 1)) {
            self.advance(self.frontier + 1);
        }
        settled
    }

    fn advance(&mut self, through: u64) {
        self.frontier = through;
        while self.runs.front().is_some_and(|run| run.last <= through) {
            self.runs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Second;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Send(u64),
        Settle { tag: u64, multiple: bool },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1_u64..6).prop_map(Step::Send),
            (0_u64..60, any::<bool>()).prop_map(|(tag, multiple)| Step::Settle { tag, multiple }),
        ];
        proptest::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set_of_tags(steps in steps()) {
            let mut window = ConfirmWindow::default();
            let mut recorder = LatencyRecorder::new(true);
            recorder.set_window((0, u64::MAX));
            let mut model = BTreeSet::new();
            let (mut last, mut settled) = (0, 0);
            for (now, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Send(count) => {
                        window.sent(count, now as u64, now % 3 != 0);
                        model.extend(last + 1..=last + count);
                        last += count;
                    }
                    Step::Settle { tag, multiple } => {
                        let found = window.settle(tag, multiple, now as u64, Some(&mut recorder));
                        let expected = if multiple && tag <= last {
                            let through = if tag == 0 { last } else { tag };
                            let before = model.len();
                            model.retain(|&outstanding| outstanding > through);
                            Ok((before - model.len()) as u64)
                        } else if !multiple && model.remove(&tag) {
                            Ok(1)
                        } else {
                            Err(UnknownTag { tag, last })
                        };
                        prop_assert_eq!(found, expected);
                        settled += expected.unwrap_or(0);
                    }
                }
                prop_assert_eq!(window.outstanding(), model.len() as u64);
            }
            let mut second = Second::default();
            recorder.take_second(&mut second);
            prop_assert_eq!(second.confirmed_in_window, settled);
        }
    }

    #[test]
    fn a_cumulative_confirm_takes_in_what_was_settled_just_above_it() {
        let mut window = ConfirmWindow::default();
        window.sent(32, 0, true);
        assert_eq!(window.settle(32, false, 1, None), Ok(1));
        assert_eq!(window.settle(31, true, 2, None), Ok(31));
        assert_eq!(
            window.settle(32, false, 3, None),
            Err(UnknownTag { tag: 32, last: 32 })
        );
        assert_eq!(window.outstanding(), 0);
    }

    #[test]
    fn latency_runs_from_the_send_of_each_run() {
        let (mut window, mut recorder) = (ConfirmWindow::default(), LatencyRecorder::new(true));
        recorder.set_window((0, u64::MAX));
        window.sent(2, 0, true);
        window.sent(3, 5_000_000, true);
        window.sent(1, 6_000_000, false);
        assert_eq!(window.settle(6, true, 10_000_000, Some(&mut recorder)), Ok(6));
        let mut second = Second::default();
        recorder.take_second(&mut second);
        assert_eq!(second.confirm.len(), 5);
        assert_eq!(second.confirm.count_between(4_990_000, 5_010_000), 3);
        assert!(second.confirm.max().abs_diff(10_000_000) < 20_000);
    }
}
