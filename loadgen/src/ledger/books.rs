//! The ledger itself: one stream for each (producer, queue) pair.

use std::sync::Arc;

use super::stream::{ConsumerLedger, ProducerLedger, Stream};
use super::summary::LedgerSummary;
use super::survival::Survival;
use crate::body::{STAMP_BYTES, Stamp};
use crate::perftest::is_head_of;
use crate::plan::Plan;
use crate::scenario::FaultKind;
use crate::sequence_bits::SequenceBits;
use crate::sequence_set::SequenceSet;
use crate::variety::Variety;

/// Human-readable examples kept of each run's faults.
pub(super) const EXAMPLES_MAX: usize = 8;

/// Whether a delivery was the first copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// First copy on its queue; the stamp is good.
    First(Stamp),
    /// A further copy, flagged or not; the stamp is good.
    Again(Stamp),
    /// Not a message of this run.
    Corrupt,
    /// Nobody in this run sends: a message of somebody else, which is counted and not judged.
    Foreign,
}

/// Books every message sent and received. Not shared: a driver with several threads keeps it behind a lock.
#[derive(Debug)]
pub struct Ledger {
    filler: Arc<[u8]>,
    pub(super) variety: Arc<Variety>,
    /// Bytes before the stamp.
    head_bytes: usize,
    pub(super) producers: Vec<ProducerLedger>,
    pub(super) consumers: Vec<ConsumerLedger>,
    pub(super) expected: u64,
    pub(super) summary: LedgerSummary,
    /// Only in runs with faults that end connections: nobody else pays for it.
    pub(super) survival: Option<Box<Survival>>,
}

impl Ledger {
    /// An empty ledger for the producers, queues and consumers of `plan`.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let producers = plan.producers.iter().map(|producer| {
            let mut queues = producer.queues.clone();
            queues.sort_unstable();
            if plan.variety.keys().is_some() {
                queues.truncate(1);
            }
            let streams = queues
                .into_iter()
                .map(|queue| Stream {
                    queue,
                    received: SequenceSet::new(),
                    flagged: SequenceBits::default(),
                    written_off: 0,
                    unordered_below: 0,
                })
                .collect();
            ProducerLedger {
                published: 0,
                streams,
            }
        });
        let consumers = plan.consumers.iter().map(|consumer| ConsumerLedger {
            queue: consumer.queue,
            next_sequence: vec![0; plan.producers.len()],
        });
        Self {
            filler: plan.filler.clone(),
            variety: Arc::clone(&plan.variety),
            head_bytes: plan.scenario.head_bytes(),
            producers: producers.collect(),
            consumers: consumers.collect(),
            expected: 0,
            summary: LedgerSummary::default(),
            survival: plan
                .scenario
                .has_fault(FaultKind::ends_connections)
                .then(|| Box::new(Survival::new(plan.producers.len()))),
        }
    }

    /// Books the next message of `producer` as sent and returns its sequence.
    pub fn publish(&mut self, producer: usize) -> u32 {
        let producer = &mut self.producers[producer];
        let sequence =
            u32::try_from(producer.published).expect("the plan refuses runs of 2^32 messages a producer");
        producer.published += 1;
        self.expected += producer.streams.len() as u64;
        self.summary.published += 1;
        sequence
    }

    /// Books a delivery to `consumer`.
    pub fn receive(&mut self, consumer: usize, redelivered: bool, body: &[u8]) -> Receipt {
        self.summary.redelivered_flags += u64::from(redelivered);
        if self.producers.is_empty() {
            self.summary.foreign += 1;
            return Receipt::Foreign;
        }
        let head_bytes = self.head_bytes.min(body.len());
        let Some(stamp) = Stamp::decode(&body[head_bytes..]).filter(|stamp| self.is_intact(stamp, body))
        else {
            return self.corrupt(consumer, body, "the body is damaged or has the wrong size");
        };
        let Self {
            variety,
            producers,
            consumers,
            summary,
            survival,
            ..
        } = self;
        let ConsumerLedger { queue, next_sequence } = &mut consumers[consumer];
        let Some(producer) = producers.get_mut(usize::from(stamp.producer)) else {
            return self.corrupt(consumer, body, "the producer is unknown");
        };
        if u64::from(stamp.sequence) >= producer.published {
            return self.corrupt(consumer, body, "the sequence was never published");
        }
        let stream = if variety.keys().is_some() {
            let wanted = variety.queue_of(usize::from(stamp.producer), stamp.sequence);
            producer.streams.first_mut().filter(|_| wanted == Some(*queue))
        } else {
            producer.stream_mut(*queue)
        };
        let Some(stream) = stream else {
            return self.corrupt(consumer, body, "the message belongs to another queue");
        };
        let next = &mut next_sequence[usize::from(stamp.producer)];
        let overtaken = stamp.sequence < *next;
        *next = (*next).max(stamp.sequence.saturating_add(1));
        if !stream.received.insert(stamp.sequence) {
            let (count, what) = if redelivered || stream.flagged.remove(stamp.sequence) {
                (&mut summary.redelivered, "redelivered")
            } else {
                (&mut summary.duplicated, "duplicated")
            };
            *count += 1;
            // After the end of a connection announced repetitions are no fault, and would hide those that are.
            if survival.is_none() || what == "duplicated" {
                self.example(what, &stamp, consumer);
            }
            return Receipt::Again(stamp);
        }
        if redelivered {
            stream.flagged.insert(stamp.sequence);
        }
        let unordered = u64::from(stamp.sequence) < stream.unordered_below;
        summary.received += 1;
        if let Some(survival) = survival {
            stream.survived(survival, stamp.producer, stamp.sequence);
        }
        if overtaken && !redelivered && !unordered {
            summary.reordered += 1;
            self.example("reordered", &stamp, consumer);
        }
        Receipt::First(stamp)
    }

    /// Whether a message is as long as it was sent, and filled as it was.
    #[inline]
    fn is_intact(&self, stamp: &Stamp, body: &[u8]) -> bool {
        let size = self.variety.size_of(usize::from(stamp.producer), stamp.sequence);
        // A message of an unknown producer is refused for that.
        let (head, stamped) = body.split_at(self.head_bytes);
        size.is_none_or(|size| {
            size == body.len()
                && stamped[STAMP_BYTES..] == self.filler[..size - self.head_bytes - STAMP_BYTES]
                && is_head_of(head, stamp.sequence)
        })
    }

    /// Books messages confirmed by the broker.
    pub fn confirm(&mut self, count: u64) {
        self.summary.confirmed += count;
    }

    /// Books messages refused by the broker.
    pub fn nack(&mut self, count: u64) {
        self.summary.nacked += count;
    }

    /// Closes the books: everything expected and not received is lost.
    #[must_use]
    pub fn close(mut self) -> LedgerSummary {
        self.summary.expected = self.expected;
        self.summary.lost = self.expected - self.summary.received;
        if let Some(survival) = self.survival.take() {
            self.tell_apart(&survival);
            return self.summary;
        }
        for (index, producer) in self.producers.iter().enumerate() {
            for stream in &producer.streams {
                let lost = producer.published - stream.received.count();
                if lost > 0 && self.summary.first_examples.len() < EXAMPLES_MAX {
                    let first = stream.received.first_missing();
                    let queue = self.variety.queue_of(index, first as u32).unwrap_or(stream.queue);
                    self.summary.first_examples.push(format!(
                        "lost: {lost} of producer {index}'s messages to queue {queue}, the first of them sequence {first}"
                    ));
                }
            }
        }
        self.summary
    }

    #[cold]
    fn corrupt(&mut self, consumer: usize, body: &[u8], why: &str) -> Receipt {
        self.summary.corrupt += 1;
        if self.summary.first_examples.len() < EXAMPLES_MAX {
            let start = &body[..body.len().min(STAMP_BYTES)];
            self.summary.first_examples.push(format!(
                "corrupt: {why}; consumer {consumer} got {} bytes, starting {start:02x?}",
                body.len()
            ));
        }
        Receipt::Corrupt
    }

    #[cold]
    fn example(&mut self, what: &str, stamp: &Stamp, consumer: usize) {
        if self.summary.first_examples.len() < EXAMPLES_MAX {
            self.summary.first_examples.push(format!(
                "{what}: producer {} sequence {} at consumer {consumer}",
                stamp.producer, stamp.sequence
            ));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use proptest::prelude::*;

    pub(crate) fn plan(routing: &str) -> Plan {
        let scenario = format!(
            r#"{{"name": "t", "description": "t", "producers": 3, "consumers": 3, "queues": 2, "routing": "{routing}",
                "size_bytes": 20, "load": {{"shape": "saturating", "in_flight": 10}}, "duration_s": 1, "warmup_s": 0,
                "prefetch": 10, "ack_every": 1}}"#
        );
        Plan::new(&Scenario::from_json("test", &scenario).unwrap(), 1, "t")
    }

    pub(crate) fn body(plan: &Plan, producer: u16, sequence: u32) -> Vec<u8> {
        let mut body = Stamp::new(64, 128, producer, sequence).encode().to_vec();
        body.extend_from_slice(&plan.filler);
        body
    }

    #[test]
    fn a_head_before_the_stamp_must_name_the_same_message() {
        let mut scenario = plan("queue").scenario;
        scenario.body = Some(crate::perftest::BodyLayout::Perftest);
        scenario.size_bytes = Some(32);
        let plan = Plan::new(&scenario, 1, "t");
        let mut ledger = Ledger::new(&plan);
        ledger.publish(0);
        ledger.publish(0);
        let with_head = |head: u32, sequence: u32| {
            let mut whole = [head.to_be_bytes().as_slice(), &[9; 8]].concat();
            whole.extend(body(&plan, 0, sequence));
            whole
        };
        assert!(matches!(
            ledger.receive(0, false, &with_head(0, 0)),
            Receipt::First(_)
        ));
        assert_eq!(ledger.receive(0, false, &with_head(0, 1)), Receipt::Corrupt);
        assert_eq!(ledger.receive(0, false, &body(&plan, 0, 1)), Receipt::Corrupt);
        assert_eq!(ledger.receive(0, false, &[1; 5]), Receipt::Corrupt);
    }

    /// What the ledger must find, computed from the whole list of deliveries in the plainest way.
    fn model(plan: &Plan, published: &[u64], deliveries: &[(usize, u16, u32, bool)]) -> LedgerSummary {
        let mut found = LedgerSummary {
            published: published.iter().sum(),
            ..LedgerSummary::default()
        };
        let mut seen: Vec<(usize, u16, u32, usize, bool)> = Vec::new();
        for &(consumer, producer, sequence, flag) in deliveries {
            let queue = plan.consumers[consumer].queue;
            found.redelivered_flags += u64::from(flag);
            let known = plan.producers.get(usize::from(producer));
            let expected = known.is_some_and(|known| known.queues.contains(&queue));
            if !expected || u64::from(sequence) >= published[usize::from(producer)] {
                found.corrupt += 1;
                continue;
            }
            let copies = seen
                .iter()
                .filter(|it| (it.0, it.1, it.2) == (queue, producer, sequence));
            let flags: Vec<_> = copies.map(|it| it.4).collect();
            if flags.is_empty() {
                found.received += 1;
                let overtaken = seen
                    .iter()
                    .any(|it| (it.3, it.1) == (consumer, producer) && it.2 > sequence);
                found.reordered += u64::from(overtaken && !flag);
            } else if flag || !flags.contains(&false) {
                found.redelivered += 1;
            } else {
                found.duplicated += 1;
            }
            seen.push((queue, producer, sequence, consumer, flag));
        }
        let copies = plan.producers.iter().map(|producer| producer.queues.len() as u64);
        found.expected = copies.zip(published).map(|(copies, count)| copies * count).sum();
        found.lost = found.expected - found.received;
        found
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list_of_deliveries(
            fanout in any::<bool>(),
            published in proptest::collection::vec(0_u64..12, 3),
            deliveries in proptest::collection::vec((0_usize..3, 0_u16..4, 0_u32..13, proptest::bool::weighted(0.1)), 0..150),
        ) {
            let plan = plan(if fanout { "fanout" } else { "queue" });
            let mut ledger = Ledger::new(&plan);
            for (producer, &count) in published.iter().enumerate() {
                for sequence in 0..count {
                    prop_assert_eq!(u64::from(ledger.publish(producer)), sequence);
                }
            }
            for &(consumer, producer, sequence, flag) in &deliveries {
                ledger.receive(consumer, flag, &body(&plan, producer, sequence));
            }
            let mut found = ledger.close();
            found.first_examples.clear();
            prop_assert_eq!(found, model(&plan, &published, &deliveries));
        }
    }

    #[test]
    fn a_repetition_moves_a_consumer_on_like_a_first_copy() {
        let plan = plan("queue");
        let mut ledger = Ledger::new(&plan);
        for _ in 0..8 {
            ledger.publish(2);
        }
        for (consumer, sequence) in [(2, 7), (0, 7), (0, 0)] {
            ledger.receive(consumer, false, &body(&plan, 2, sequence));
        }
        let summary = ledger.close();
        assert_eq!((summary.duplicated, summary.reordered), (1, 1));
    }

    #[test]
    fn a_message_is_in_flight_until_its_slowest_queue_has_delivered() {
        let plan = plan("fanout");
        let mut ledger = Ledger::new(&plan);
        assert_eq!((ledger.publish(1), ledger.publish(1)), (0, 1));
        assert_eq!(ledger.in_flight(1), 2);
        for sequence in [0, 1] {
            ledger.receive(0, false, &body(&plan, 1, sequence));
        }
        assert_eq!(ledger.in_flight(1), 2);
        ledger.receive(1, false, &body(&plan, 1, 0));
        assert_eq!((ledger.in_flight(1), ledger.in_flight(0)), (1, 0));
    }

    #[test]
    fn with_keys_and_sizes_each_message_must_come_as_it_was_and_where_its_key_belongs() {
        let scenario = r#"{"name": "t", "description": "t", "producers": 2, "consumers": 2, "queues": 2, "routing": "direct",
            "keys": {"count": 5, "distribution": "uniform"}, "sizes": {"choices": [[16, 1], [40, 1]]},
            "load": {"shape": "saturating", "in_flight": 10}, "duration_s": 1, "warmup_s": 0, "prefetch": 10, "ack_every": 1}"#;
        let plan = Plan::new(&Scenario::from_json("test", scenario).unwrap(), 1, "t");
        let mut ledger = Ledger::new(&plan);
        for _ in 0..100 {
            ledger.publish(1);
        }
        let of_size = |sequence, size: usize| body(&plan, 1, sequence)[..size].to_vec();
        for sequence in 0..100 {
            let (size, queue) = (
                plan.variety.size_of(1, sequence).unwrap(),
                plan.variety.queue_of(1, sequence).unwrap(),
            );
            let other_size = if size == 16 { 40 } else { 16 };
            assert_eq!(
                ledger.receive(queue, false, &of_size(sequence, other_size)),
                Receipt::Corrupt
            );
            assert_eq!(
                ledger.receive(1 - queue, false, &of_size(sequence, size)),
                Receipt::Corrupt
            );
            if sequence != 7 {
                let receipt = ledger.receive(queue, false, &of_size(sequence, size));
                assert!(matches!(receipt, Receipt::First(_)), "{sequence}: {receipt:?}");
            }
        }
        assert_eq!((ledger.in_flight(1), ledger.backlog()), (1, 1));
        let summary = ledger.close();
        assert_eq!((summary.corrupt, summary.lost, summary.reordered), (200, 1, 0));
    }

    #[test]
    fn where_nobody_sends_nothing_is_judged() {
        let mut plan = plan("queue");
        plan.producers.clear();
        let mut ledger = Ledger::new(&plan);
        assert_eq!(ledger.receive(0, true, b"anything"), Receipt::Foreign);
        assert!(ledger.is_complete());
        let summary = ledger.close();
        assert_eq!((summary.foreign, summary.received, summary.lost), (1, 0, 0));
        assert!(summary.is_clean());
    }

    #[test]
    fn what_nobody_consumes_is_kept_not_lost() {
        let plan = Plan::new(&crate::scenario::built_in("backlog-fill").unwrap(), 1, "t");
        let mut ledger = Ledger::new(&plan);
        for _ in 0..7 {
            ledger.publish(3);
        }
        assert_eq!(
            (ledger.in_flight(3), ledger.backlog(), ledger.is_complete()),
            (0, 7, true)
        );
        let summary = ledger.close();
        assert_eq!((summary.published, summary.expected, summary.lost), (7, 0, 0));
        assert!(summary.is_clean());
    }

    #[test]
    fn bodies_of_the_wrong_size_or_content_are_corrupt() {
        let plan = plan("queue");
        let mut ledger = Ledger::new(&plan);
        ledger.publish(0);
        let good = body(&plan, 0, 0);
        for bad in [&good[..19], &good[..3], &[], &[&good[..], &[0]].concat()] {
            assert_eq!(ledger.receive(0, false, bad), Receipt::Corrupt);
        }
        assert!(matches!(ledger.receive(0, false, &good), Receipt::First(_)));
        let summary = ledger.close();
        assert_eq!((summary.corrupt, summary.received, summary.lost), (4, 1, 0));
        assert!(!summary.is_clean() && summary.first_examples.len() == 4);
    }
}
