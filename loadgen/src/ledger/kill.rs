//! What the ledger does in runs that kill the broker: it books which messages were confirmed, not only how many, and tells
//! in the end what a kill may have cost from what it must not.

use std::ops::RangeInclusive;

use super::books::{EXAMPLES_MAX, Ledger};
use super::survival::{Missing, Survival};

impl Ledger {
    /// Whether the ledger must know which messages are confirmed, not only how many.
    #[must_use]
    pub fn wants_sequences(&self) -> bool {
        self.survival.is_some()
    }

    /// Books which messages of `producer` the broker confirmed or refused; beside [`Ledger::confirm`] and
    /// [`Ledger::nack`], which count them. Those that were settled before stay as they are.
    pub fn settle_sequences(&mut self, producer: usize, sequences: RangeInclusive<u32>, nack: bool) {
        let Some(survival) = &mut self.survival else {
            return;
        };
        if nack {
            survival.refuse(producer, sequences);
        } else {
            let streams = &self.producers[producer].streams;
            survival.confirm(producer, sequences, |sequence| {
                let missing = streams
                    .iter()
                    .filter(|stream| !stream.received.contains(sequence));
                missing.count() as u64
            });
        }
    }

    /// Books a kill of the broker, after everything that it still said was booked and before anybody connects anew:
    /// what is on its way is written off, and consumers and redelivered flags start afresh.
    pub fn kill(&mut self) {
        let Some(survival) = &mut self.survival else {
            return;
        };
        for (index, producer) in self.producers.iter_mut().enumerate() {
            survival.kill(index, producer.published);
            for stream in &mut producer.streams {
                stream.flagged.clear();
                stream.written_off = producer.published - stream.received.count();
            }
        }
        for consumer in &mut self.consumers {
            consumer.next_sequence.fill(0);
        }
    }

    /// Copies of confirmed messages that have not arrived yet; 0 when nothing is killed.
    #[must_use]
    pub fn owed(&self) -> u64 {
        self.survival.as_ref().map_or(0, |survival| survival.owed())
    }

    /// First copies that arrived after a kill, of messages sent before it.
    #[must_use]
    pub fn recovered(&self) -> u64 {
        self.survival.as_ref().map_or(0, |survival| survival.recovered())
    }

    /// Which of the missing copies were confirmed, and which ones a kill explains.
    pub(super) fn tell_apart(&mut self, survival: &Survival) {
        let (mut confirmed, mut unconfirmed) = (0, 0);
        let examples = &mut self.summary.first_examples;
        for (index, producer) in self.producers.iter().enumerate() {
            for stream in &producer.streams {
                let sequences = (0..producer.published).map(|sequence| sequence as u32);
                for sequence in sequences.filter(|&sequence| !stream.received.contains(sequence)) {
                    let what = match survival.judge(index, sequence) {
                        Missing::Unconfirmed => {
                            unconfirmed += 1;
                            continue;
                        }
                        Missing::Confirmed => {
                            confirmed += 1;
                            "confirmed and lost"
                        }
                        Missing::Other => "lost",
                    };
                    if examples.len() < EXAMPLES_MAX {
                        let queue = self.variety.queue_of(index, sequence).unwrap_or(stream.queue);
                        examples.push(format!(
                            "{what}: producer {index} sequence {sequence}, queue {queue}"
                        ));
                    }
                }
            }
        }
        self.summary.lost -= unconfirmed;
        self.summary.confirmed_lost = Some(confirmed);
        self.summary.unconfirmed_lost = Some(unconfirmed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::books::tests::{body, plan};
    use crate::plan::Plan;

    fn publish(ledger: &mut Ledger, producer: usize, count: usize) {
        for _ in 0..count {
            ledger.publish(producer);
        }
    }

    /// Two queues (and consumers), three producers, and a kill.
    fn crash_ledger() -> (Plan, Ledger) {
        let mut plan = plan("queue");
        plan.kills_ns = vec![1];
        let ledger = Ledger::new(&plan);
        (plan, ledger)
    }

    #[test]
    fn a_kill_costs_nothing_but_what_was_not_confirmed() {
        let (plan, mut ledger) = crash_ledger();
        publish(&mut ledger, 0, 6);
        ledger.settle_sequences(0, 0..=3, false);
        ledger.receive(0, false, &body(&plan, 0, 0));
        assert_eq!(ledger.in_flight(0), 5);
        assert!(!ledger.is_complete());
        ledger.kill();
        assert_eq!(ledger.in_flight(0), 0);
        assert_eq!(ledger.publish(0), 6);
        // The broker sends what it kept, in order, flagged or not as it had been delivered or not.
        for (sequence, flag) in [
            (0, true),
            (1, true),
            (2, false),
            (3, false),
            (5, false),
            (6, false),
        ] {
            assert!(!ledger.is_complete(), "before {sequence}");
            ledger.receive(0, flag, &body(&plan, 0, sequence));
        }
        assert!(ledger.is_complete());
        assert_eq!(
            (ledger.recovered(), ledger.in_flight(0), ledger.backlog()),
            (4, 0, 1)
        );
        let summary = ledger.close();
        assert_eq!(
            (summary.lost, summary.confirmed_lost, summary.unconfirmed_lost),
            (0, Some(0), Some(1))
        );
        assert_eq!(
            (summary.redelivered, summary.duplicated, summary.reordered),
            (1, 0, 0)
        );
        assert!(summary.first_examples.is_empty(), "{summary:?}");
    }

    #[test]
    fn confirmed_messages_that_a_kill_cost_are_told_apart() {
        let (plan, mut ledger) = crash_ledger();
        publish(&mut ledger, 1, 5);
        ledger.settle_sequences(1, 1..=1, true);
        ledger.settle_sequences(1, 0..=2, false);
        ledger.kill();
        ledger.publish(1);
        ledger.receive(1, false, &body(&plan, 1, 0));
        let summary = ledger.close();
        // 1 was refused and 5 came after the kill; 3 and 4 nobody was promised.
        assert_eq!(
            (summary.lost, summary.confirmed_lost, summary.unconfirmed_lost),
            (3, Some(1), Some(2))
        );
        assert_eq!(summary.expected, summary.received + summary.lost + 2);
        assert!(
            summary
                .first_examples
                .contains(&"confirmed and lost: producer 1 sequence 2, queue 1".into()),
            "{summary:?}"
        );
    }

    #[test]
    fn after_a_kill_a_repetition_needs_the_flag_whatever_the_first_copy_had() {
        let (plan, mut ledger) = crash_ledger();
        publish(&mut ledger, 0, 2);
        ledger.receive(0, false, &body(&plan, 0, 0));
        ledger.receive(0, true, &body(&plan, 0, 1));
        ledger.kill();
        for sequence in [1, 0] {
            ledger.receive(0, false, &body(&plan, 0, sequence));
        }
        let summary = ledger.close();
        assert_eq!((summary.duplicated, summary.redelivered), (2, 0));
    }

    #[test]
    fn order_is_judged_within_an_incarnation() {
        let (plan, mut ledger) = crash_ledger();
        publish(&mut ledger, 0, 9);
        ledger.receive(0, false, &body(&plan, 0, 8));
        ledger.kill();
        for sequence in [3, 5, 4] {
            ledger.receive(0, false, &body(&plan, 0, sequence));
        }
        assert_eq!(ledger.close().reordered, 1);
    }
}
