//! The queue state machine with a log that is a plain list: spilling, dealing from the log, restarts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;
use ring::{ChunkPool, Offset, PoolConfig, RingConfig};

use super::consumer::{Accepted, ConsumerId, DeliverySession, DeliveryTarget};
use super::dealing::Got;
use super::journal::SpillLimits;
use super::options::QueueOptions;
use super::state::{QueueConfig, QueueState, Remains};
use crate::record::{Content, Record, RecordFields, join_names};

const MESSAGES_MAX: usize = 40;

#[derive(Clone, Debug, Default)]
struct Inbox(Rc<RefCell<Vec<(u64, bool, u64)>>>, bool);

impl DeliveryTarget for Inbox {
    type Session<'a> = &'a Inbox;

    fn open(&self) -> Option<&Inbox> {
        Some(self)
    }

    fn no_ack(&self) -> bool {
        self.1
    }
}

impl DeliverySession for &Inbox {
    fn deliver(&mut self, offset: Offset, redelivered: bool, record: &Record<'_>) -> Accepted {
        self.0.borrow_mut().push((offset.0, redelivered, number(record)));
        Accepted::Taken
    }
}

fn number(record: &Record<'_>) -> u64 {
    u64::from_be_bytes(record.content.body().try_into().expect("bodies are numbers"))
}

/// A queue with its log and everything that its owner would do for it.
struct Bench {
    queue: QueueState<Inbox>,
    log: BTreeMap<u64, Vec<u8>>,
    /// Records of the log that a read gives at once.
    read_max: usize,
    cold_reads: usize,
}

fn config(durable: bool) -> QueueConfig {
    QueueConfig {
        ring: RingConfig {
            messages_max: MESSAGES_MAX,
            bytes_max: 1 << 20,
            chunk_bytes_first: 256,
        },
        spill: SpillLimits::above(0.8),
        durable,
        options: QueueOptions::default(),
    }
}

fn pool() -> Arc<ChunkPool> {
    ChunkPool::new(PoolConfig {
        bytes_budget: 1 << 22,
        chunk_bytes: 1024,
    })
}

impl Bench {
    fn new(durable: bool) -> Bench {
        Bench {
            queue: QueueState::new(config(durable), pool()),
            log: BTreeMap::new(),
            read_max: 7,
            cold_reads: 0,
        }
    }

    fn publish(&mut self) -> u64 {
        let (names, mut buffer) = (join_names("", "q"), Vec::new());
        let number = self.queue.next_offset().0;
        let fields = RecordFields {
            timestamp_ms: 0,
            flags: 1,
            names: &names,
            content: Content::build(&mut buffer, &[0; 14], &number.to_be_bytes()),
        };
        self.queue.publish(&fields).expect("the log makes room in time").0
    }

    /// Hands up to `max` records to the log, which writes them at once.
    fn write(&mut self, max: usize) {
        let (log, mut room, mut last) = (&mut self.log, max, None);
        self.queue.stage(false, |offset, record| {
            if room == 0 {
                return false;
            }
            room -= 1;
            let mut record = record.to_vec();
            record[8..16].copy_from_slice(&offset.0.to_le_bytes());
            assert!(log.insert(offset.0, record).is_none(), "written twice");
            last = Some(offset.next());
            true
        });
        let written = last.unwrap_or(Offset(log.last_key_value().map_or(0, |(offset, _)| offset + 1)));
        self.queue.log_progressed(written, written);
    }

    fn read(&mut self, from: Offset) {
        let mut bytes = Vec::new();
        let mut next = Offset(self.log.last_key_value().map_or(0, |(offset, _)| offset + 1)).max(from);
        for (count, (&offset, record)) in self.log.range(from.0..).enumerate() {
            if count == self.read_max {
                next = Offset(offset);
                break;
            }
            bytes.extend_from_slice(record);
        }
        self.cold_reads += 1;
        self.queue.install_cold(from, next, bytes);
    }

    fn dispatch(&mut self) {
        let mut last = None;
        while let Some(from) = self.queue.dispatch(0, |_| {}).cold {
            assert_ne!(
                last,
                Some((from, self.queue.ready_len())),
                "a read that brings nothing"
            );
            last = Some((from, self.queue.ready_len()));
            self.read(from);
        }
    }

    fn get(&mut self) -> Option<(u64, bool)> {
        loop {
            match self.queue.get(false, 0, |offset, again, record, _| {
                assert_eq!(offset.0, number(record));
                (offset.0, again)
            }) {
                Got::Message(got) => return Some(got),
                Got::Empty => return None,
                Got::Cold(from) => self.read(from),
            }
        }
    }

    /// Ends the process and starts again with what the log has, minus what is settled.
    fn restart(&mut self, durable: bool) -> Remains {
        let settled = self.queue.snapshot();
        let is_settled = |offset: u64| {
            let holes = &settled.settled;
            Offset(offset) < settled.frontier || holes.iter().any(|hole| hole.contains(&Offset(offset)))
        };
        let mut live: Vec<Range<Offset>> = Vec::new();
        for &offset in self.log.keys().filter(|&&offset| !is_settled(offset)) {
            match live.last_mut() {
                Some(last) if last.end.0 == offset => last.end = Offset(offset + 1),
                _ => live.push(Offset(offset)..Offset(offset + 1)),
            }
        }
        let remains = Remains {
            next: settled.next,
            live,
            redeliver_below: settled.dispatched,
            ..Remains::default()
        };
        self.queue = QueueState::recovered(config(durable), pool(), &remains);
        remains
    }
}

#[test]
fn a_backlog_of_many_rings_is_delivered_whole_and_in_order() {
    for no_ack in [false, true] {
        let mut bench = Bench::new(false);
        for _ in 0..20 * MESSAGES_MAX {
            bench.publish();
            bench.write(usize::MAX);
        }
        assert_eq!(bench.queue.ready_len(), 20 * MESSAGES_MAX);
        assert!(bench.queue.fill_ratio() <= 0.8 + 1.0 / MESSAGES_MAX as f64);
        let inbox = Inbox(Rc::default(), no_ack);
        let consumer = bench.queue.subscribe(inbox.clone(), 0, 0, false);
        bench.dispatch();
        let got = inbox.0.take();
        let expected: Vec<_> = (0..20 * MESSAGES_MAX as u64).map(|n| (n, false, n)).collect();
        assert_eq!(got, expected);
        assert!(bench.cold_reads > 100);
        if !no_ack {
            bench.queue.settle(Some(consumer), Offset(0), got.len());
        }
        assert_eq!(bench.queue.frontier(), bench.queue.next_offset());
        bench.publish();
        bench.dispatch();
        assert_eq!(inbox.0.take().len(), 1, "and goes on from memory");
    }
}

#[test]
fn what_is_requeued_after_it_left_memory_comes_back_from_the_log() {
    let mut bench = Bench::new(false);
    let inbox = Inbox::default();
    let consumer = bench.queue.subscribe(inbox.clone(), 3, 0, false);
    for _ in 0..3 * MESSAGES_MAX {
        bench.publish();
        bench.dispatch();
        bench.write(usize::MAX);
    }
    assert_eq!(inbox.0.take(), [(0, false, 0), (1, false, 1), (2, false, 2)]);
    bench.queue.requeue(Some(consumer), Offset(0), 3);
    bench.dispatch();
    assert_eq!(inbox.0.take(), [(0, true, 0), (1, true, 1), (2, true, 2)]);
}

#[test]
fn a_restart_delivers_what_is_left_and_flags_what_may_have_been_delivered() {
    let mut bench = Bench::new(true);
    let inbox = Inbox::default();
    let consumer = bench.queue.subscribe(inbox.clone(), 6, 0, false);
    for _ in 0..10 {
        bench.publish();
    }
    bench.dispatch();
    for offset in [0, 3, 4] {
        bench.queue.settle(Some(consumer), Offset(offset), 1);
    }
    bench.write(usize::MAX);
    assert_eq!(
        bench.log.keys().copied().collect::<Vec<_>>(),
        [1, 2, 5, 6, 7, 8, 9]
    );
    let remains = bench.restart(true);
    assert_eq!(remains.live, [Offset(1)..Offset(3), Offset(5)..Offset(10)]);
    assert_eq!(bench.queue.ready_len(), 7);
    assert_eq!(bench.get(), Some((1, true)));
    bench.publish();
    let inbox = Inbox::default();
    bench.queue.subscribe(inbox.clone(), 0, 0, false);
    bench.dispatch();
    let got = inbox.0.take();
    let flags: Vec<_> = got.iter().map(|&(offset, again, _)| (offset, again)).collect();
    assert_eq!(
        flags,
        [
            (2, true),
            (5, true),
            (6, false),
            (7, false),
            (8, false),
            (9, false),
            (10, false)
        ]
    );
}

#[test]
fn the_cursor_passes_over_what_was_settled_before_a_restart() {
    let remains = Remains {
        next: Offset(9),
        live: vec![Offset(0)..Offset(1), Offset(6)..Offset(7), Offset(8)..Offset(9)],
        redeliver_below: Offset(1),
        ..Remains::default()
    };
    let mut bench = Bench::new(true);
    for _ in 0..9 {
        bench.publish();
    }
    bench.write(usize::MAX);
    bench.log.retain(|offset, _| [0, 6, 8].contains(offset));
    for no_ack in [false, true] {
        bench.queue = QueueState::recovered(config(true), pool(), &remains);
        bench.read_max = 1;
        let consumer = bench.queue.subscribe(Inbox(Rc::default(), no_ack), 1, 0, false);
        bench.dispatch();
        if !no_ack {
            bench.queue.settle(Some(consumer), Offset(0), 1);
            assert_eq!(bench.queue.snapshot().dispatched, Offset(6));
            bench.queue.unsubscribe(consumer);
            assert_eq!(bench.get(), Some((6, false)));
            bench.queue.settle(None, Offset(6), 1);
            bench.dispatch();
            assert_eq!(bench.queue.ready_len(), 1);
        }
    }
}

#[test]
fn a_queue_of_which_nothing_is_left_goes_on_counting() {
    let remains = Remains {
        next: Offset(77),
        live: Vec::new(),
        redeliver_below: Offset(77),
        ..Remains::default()
    };
    let queue = QueueState::<Inbox>::recovered(config(true), pool(), &remains);
    assert_eq!(
        (queue.ready_len(), queue.frontier(), queue.next_offset()),
        (0, Offset(77), Offset(77))
    );
}

proptest! {
    /// Whatever publishers, consumers, the log and restarts do: every message is delivered, in order unless requeued, and
    /// settled once; nothing that is settled comes again.
    #[test]
    fn nothing_is_lost_between_ring_and_log(
        durable in any::<bool>(),
        steps in proptest::collection::vec((0_u8..8, 1_usize..30), 1..60),
    ) {
        let mut bench = Bench::new(durable);
        let inbox = Inbox::default();
        let mut consumer: Option<ConsumerId> = None;
        let mut held: Vec<u64> = Vec::new();
        let mut settled = std::collections::BTreeSet::new();
        let mut published = 0;
        for (step, count) in steps {
            match step {
                0 | 1 => {
                    for _ in 0..count {
                        bench.publish();
                        published += 1;
                        bench.write(usize::MAX);
                    }
                }
                2 => bench.write(count),
                3 => {
                    let consumer = *consumer.get_or_insert_with(|| bench.queue.subscribe(inbox.clone(), 25, 0, false));
                    let _ = consumer;
                    bench.dispatch();
                }
                4 => {
                    for offset in held.drain(..count.min(held.len())) {
                        bench.queue.settle(consumer, Offset(offset), 1);
                        settled.insert(offset);
                    }
                }
                5 => {
                    for offset in held.drain(held.len() - count.min(held.len())..) {
                        bench.queue.requeue(consumer, Offset(offset), 1);
                    }
                }
                6 => {
                    for _ in 0..count.min(3) {
                        let Some((offset, _)) = bench.get() else { break };
                        bench.queue.settle(None, Offset(offset), 1);
                        prop_assert!(settled.insert(offset));
                        bench.dispatch();
                    }
                }
                _ if durable => {
                    bench.write(usize::MAX);
                    bench.restart(true);
                    held.clear();
                    inbox.0.take();
                    consumer = None;
                }
                _ => {
                    bench.queue.trim();
                }
            }
            for (offset, _, number) in inbox.0.take() {
                prop_assert_eq!(offset, number);
                prop_assert!(!settled.contains(&offset), "offset {} was settled", offset);
                prop_assert!(!held.contains(&offset));
                held.push(offset);
            }
            prop_assert_eq!(bench.queue.ready_len(), published - settled.len() - held.len());
        }
        for offset in held.drain(..) {
            bench.queue.requeue(consumer, Offset(offset), 1);
        }
        while let Some((offset, _)) = bench.get() {
            prop_assert!(settled.insert(offset));
            bench.queue.settle(None, Offset(offset), 1);
        }
        prop_assert_eq!(settled.len(), published);
    }
}
