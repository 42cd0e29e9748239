//! What the ledger does in runs that end connections, with the broker (a kill, a restart) or without it (a cut): it books
//! which messages were confirmed, not only how many, and tells in the end what that may have cost from what it must not.

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

    /// Books an end of the broker, the plan's fault `fault`, after everything that it still said was booked and before
    /// anybody connects anew: what is on its way is written off, and consumers and redelivered flags start afresh.
    pub fn kill(&mut self, fault: usize) {
        let Some(survival) = &mut self.survival else {
            return;
        };
        for (index, producer) in self.producers.iter_mut().enumerate() {
            survival.strike(index, fault, producer.published);
            survival.end_connection(index, producer.published);
            for stream in &mut producer.streams {
                stream.flagged.clear();
                stream.written_off = producer.published - stream.received.count();
            }
        }
        for consumer in &mut self.consumers {
            consumer.next_sequence.fill(0);
        }
    }

    /// Books a cut, the plan's fault `fault`, of these producers' and consumers' connections, likewise: what the producers
    /// had on their way is written off, and what the consumers had not acknowledged comes again, or for the first time, to
    /// whoever reads their queues, in any order.
    pub fn cut(&mut self, fault: usize, producers: &[usize], consumers: &[usize]) {
        let Some(survival) = &mut self.survival else {
            return;
        };
        let queues: Vec<usize> = consumers
            .iter()
            .map(|&index| self.consumers[index].queue)
            .collect();
        for (index, producer) in self.producers.iter_mut().enumerate() {
            survival.strike(index, fault, producer.published);
            let is_cut = producers.contains(&index);
            if is_cut {
                survival.end_connection(index, producer.published);
            }
            for stream in &mut producer.streams {
                if is_cut {
                    stream.written_off = producer.published - stream.received.count();
                }
                if queues.contains(&stream.queue) {
                    stream.flagged.clear();
                }
                if is_cut || queues.contains(&stream.queue) {
                    stream.unordered_below = producer.published;
                }
            }
        }
        for &index in consumers {
            self.consumers[index].next_sequence.fill(0);
        }
    }

    /// Copies of confirmed messages that have not arrived yet; 0 when no connection ends.
    #[must_use]
    pub fn owed(&self) -> u64 {
        self.survival.as_ref().map_or(0, |survival| survival.owed())
    }

    /// First copies that arrived after the end of the connection on which they were sent.
    #[must_use]
    pub fn recovered(&self) -> u64 {
        self.survival.as_ref().map_or(0, |survival| survival.recovered())
    }

    /// Which of the missing copies were confirmed, and which ones the end of a connection explains.
    pub(super) fn tell_apart(&mut self, survival: &Survival) {
        let (mut confirmed, mut unconfirmed) = (0, 0);
        let mut by_fault = Vec::new();
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
                            if let Some(fault) = survival.next_fault(index, sequence) {
                                by_fault.resize(by_fault.len().max(fault + 1), 0);
                                by_fault[fault] += 1;
                            }
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
        self.summary.confirmed_lost_by_fault = by_fault;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::books::tests::{body, plan};
    use crate::plan::Plan;
    use crate::scenario::InjectedFault;

    fn publish(ledger: &mut Ledger, producer: usize, count: usize) {
        for _ in 0..count {
            ledger.publish(producer);
        }
    }

    /// Two queues, three producers and consumers, and a fault that ends connections.
    fn crash_ledger() -> (Plan, Ledger) {
        let mut plan = plan("queue");
        plan.scenario.faults = vec![InjectedFault::Kill { after_s: (0.0, 0.0) }];
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
        ledger.kill(0);
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
        ledger.kill(0);
        ledger.publish(1);
        ledger.receive(1, false, &body(&plan, 1, 0));
        let summary = ledger.close();
        // 1 was refused and 5 came after the kill; 3 and 4 nobody was promised.
        assert_eq!(
            (summary.lost, summary.confirmed_lost, summary.unconfirmed_lost),
            (3, Some(1), Some(2))
        );
        assert_eq!(summary.expected, summary.received + summary.lost + 2);
        assert_eq!(summary.confirmed_lost_by_fault, [1]);
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
        ledger.kill(0);
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
        ledger.kill(0);
        for sequence in [3, 5, 4] {
            ledger.receive(0, false, &body(&plan, 0, sequence));
        }
        assert_eq!(ledger.close().reordered, 1);
    }

    #[test]
    fn a_cut_is_no_excuse_for_those_that_it_spared() {
        let (plan, mut ledger) = crash_ledger();
        // Producers 0 and 2 feed queue 0, which consumers 0 and 2 read; 1 is alone on queue 1.
        publish(&mut ledger, 0, 4);
        publish(&mut ledger, 2, 4);
        publish(&mut ledger, 1, 2);
        ledger.settle_sequences(0, 0..=1, false);
        ledger.receive(0, false, &body(&plan, 0, 0));
        ledger.receive(2, false, &body(&plan, 2, 3));
        ledger.cut(0, &[0], &[0]);
        assert_eq!((ledger.in_flight(0), ledger.in_flight(2)), (0, 3));
        // What consumer 0 held comes again, flagged, or for the first time, behind later ones: nobody promised an order.
        ledger.receive(2, true, &body(&plan, 0, 0));
        for sequence in [2, 1, 0] {
            ledger.receive(2, false, &body(&plan, 2, sequence));
        }
        ledger.receive(2, false, &body(&plan, 0, 1));
        assert!(!ledger.is_complete());
        let summary = ledger.close();
        assert_eq!(
            (summary.reordered, summary.duplicated, summary.redelivered),
            (0, 0, 1)
        );
        // Producer 0's last two were not confirmed; producer 1's connection stands, so its two are lost.
        assert_eq!(
            (summary.lost, summary.confirmed_lost, summary.unconfirmed_lost),
            (2, Some(0), Some(2))
        );
    }

    #[test]
    fn after_a_cut_a_repetition_needs_the_flag() {
        let (plan, mut ledger) = crash_ledger();
        publish(&mut ledger, 0, 2);
        ledger.receive(0, false, &body(&plan, 0, 0));
        ledger.receive(0, true, &body(&plan, 0, 1));
        ledger.cut(0, &[], &[0]);
        for sequence in [0, 1] {
            ledger.receive(2, false, &body(&plan, 0, sequence));
        }
        let summary = ledger.close();
        assert_eq!((summary.duplicated, summary.redelivered), (2, 0));
    }

    #[test]
    fn order_is_judged_again_behind_a_cut() {
        let (plan, mut ledger) = crash_ledger();
        publish(&mut ledger, 0, 2);
        ledger.cut(0, &[], &[0]);
        publish(&mut ledger, 0, 2);
        for sequence in [1, 0, 3, 2] {
            ledger.receive(2, false, &body(&plan, 0, sequence));
        }
        assert_eq!(ledger.close().reordered, 1);
    }
}
