//! The queue state machine with options: times to live, limits, priorities, one active consumer, counts, dead letters.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use ring::{ChunkPool, Offset, PoolConfig, RingConfig};
use wire::{BasicProperties, ContentHeader};

use super::consumer::{Accepted, ConsumerId, DeliverySession, DeliveryTarget};
use super::dealing::Got;
use super::journal::SpillLimits;
use super::options::{DeadLetterTarget, Overflow, QueueKind, QueueOptions};
use super::special::DeathReason;
use super::state::{QueueConfig, QueueState, Refusal, Remains};
use crate::record::{Content, Record, RecordFields, join_names};

/// What a consumer got: offset, redelivered, `x-delivery-count`.
type Delivery = (u64, bool, Option<i64>);

#[derive(Clone, Debug, Default)]
struct Inbox {
    got: Rc<RefCell<Vec<Delivery>>>,
    no_ack: bool,
}

impl Inbox {
    fn take(&self) -> Vec<u64> {
        self.got.take().into_iter().map(|(offset, ..)| offset).collect()
    }
}

impl DeliveryTarget for Inbox {
    type Session<'a> = &'a Inbox;

    fn open(&self) -> Option<&Inbox> {
        Some(self)
    }

    fn no_ack(&self) -> bool {
        self.no_ack
    }
}

impl DeliverySession for &Inbox {
    fn deliver(&mut self, offset: Offset, redelivered: bool, record: &Record<'_>) -> Accepted {
        let count = delivery_count(record);
        self.got.borrow_mut().push((offset.0, redelivered, count));
        Accepted::Taken
    }
}

fn delivery_count(record: &Record<'_>) -> Option<i64> {
    let header = ContentHeader::decode(record.content.header()).unwrap();
    let headers = BasicProperties::decode(header.properties).unwrap().headers?;
    headers.get("x-delivery-count")?.as_i64()
}

struct Bench {
    queue: QueueState<Inbox>,
    now_ms: u64,
}

impl Bench {
    fn new(options: QueueOptions) -> Bench {
        let config = QueueConfig {
            ring: RingConfig {
                messages_max: 1000,
                bytes_max: 1 << 20,
                chunk_bytes_first: 256,
            },
            spill: SpillLimits::above(0.8),
            durable: false,
            options,
        };
        let pool = ChunkPool::new(PoolConfig {
            bytes_budget: 1 << 22,
            chunk_bytes: 1024,
        });
        Bench {
            queue: QueueState::recovered(config, pool, &Remains::default()),
            now_ms: 1_000_000,
        }
    }

    fn try_publish(&mut self, properties: &BasicProperties<'_>, body: &[u8]) -> Result<Offset, Refusal> {
        let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, body.len() as u8];
        properties.encode(&mut header);
        let (names, mut buffer) = (join_names("", "q"), Vec::new());
        let content = Content::build(&mut buffer, &header, body);
        self.queue
            .publish(&RecordFields::new(self.now_ms, &names, content))
    }

    fn publish(&mut self) -> Offset {
        self.try_publish(&BasicProperties::default(), b"body").unwrap()
    }

    fn publish_expiring(&mut self, expiration: &str) -> Offset {
        let properties = BasicProperties {
            expiration: Some(expiration),
            ..BasicProperties::default()
        };
        self.try_publish(&properties, b"body").unwrap()
    }

    fn publish_priority(&mut self, priority: u8) -> Offset {
        let properties = BasicProperties {
            priority: Some(priority),
            ..BasicProperties::default()
        };
        self.try_publish(&properties, b"body").unwrap()
    }

    fn subscribe(&mut self, prefetch: u16, priority: i32) -> (Inbox, ConsumerId) {
        let inbox = Inbox::default();
        let id = self.queue.subscribe(inbox.clone(), prefetch, priority, false);
        (inbox, id)
    }

    /// When the queue wants to be dispatched again.
    fn dispatch(&mut self) -> Option<u64> {
        let dispatched = self.queue.dispatch(self.now_ms * 1000, |_| {});
        assert_eq!(dispatched.cold, None);
        dispatched.wake_at_ms
    }

    fn get(&mut self) -> Option<u64> {
        match self.queue.get(true, self.now_ms, |offset, _, _, _| offset.0) {
            Got::Message(offset) => Some(offset),
            Got::Empty => None,
            Got::Cold(offset) => panic!("{offset} is in memory"),
        }
    }

    fn dead(&mut self) -> Vec<(u64, DeathReason)> {
        let mut dead = Vec::new();
        while let Some(Ok((offset, reason, _))) = self.queue.dead_head() {
            self.queue.post_dead_head();
            self.queue.bury(offset);
            dead.push((offset.0, reason));
        }
        dead
    }
}

fn with_dead_letters(options: QueueOptions) -> QueueOptions {
    QueueOptions {
        dead_letter: Some(DeadLetterTarget {
            exchange: "dlx".to_owned(),
            routing_key: None,
        }),
        ..options
    }
}

fn ttl(ttl_ms: u64) -> QueueOptions {
    QueueOptions {
        ttl_ms: Some(ttl_ms),
        ..QueueOptions::default()
    }
}

#[test]
fn messages_go_when_their_time_is_over_and_the_queue_says_when() {
    let mut bench = Bench::new(ttl(100));
    bench.publish();
    bench.now_ms += 60;
    bench.publish();
    assert_eq!(bench.dispatch(), Some(1_000_100));
    bench.now_ms += 40;
    assert_eq!(bench.dispatch(), Some(1_000_160), "the next one");
    assert_eq!(bench.queue.ready_len(), 1);
    bench.now_ms += 59;
    let (inbox, _) = bench.subscribe(0, 0);
    bench.dispatch();
    assert_eq!(inbox.take(), [1], "in time");
    assert_eq!(bench.dispatch(), None, "nothing waits any more");
}

#[test]
fn an_expired_message_is_never_delivered() {
    let mut bench = Bench::new(ttl(100));
    let (inbox, consumer) = bench.subscribe(1, 0);
    for _ in 0..3 {
        bench.publish();
    }
    bench.dispatch();
    bench.now_ms += 100;
    bench.publish();
    bench.queue.settle(Some(consumer), Offset(0), 1);
    bench.dispatch();
    assert_eq!(inbox.take(), [0, 3]);
    bench.now_ms += 100;
    bench.queue.requeue(Some(consumer), Offset(3), 1);
    assert_eq!(bench.get(), None, "it kept its age when it came back");
}

#[test]
fn the_shorter_of_both_lifetimes_counts_and_only_the_head_expires() {
    let mut bench = Bench::new(ttl(100));
    bench.publish_expiring("1000");
    bench.publish_expiring("10");
    bench.now_ms += 50;
    assert_eq!(bench.dispatch(), Some(1_000_100));
    assert_eq!(
        bench.queue.ready_len(),
        2,
        "the second one waits behind the first"
    );
    bench.now_ms += 50;
    bench.dispatch();
    assert_eq!(bench.queue.ready_len(), 0);
}

#[test]
fn a_plain_queue_takes_messages_with_an_expiration_too() {
    let mut bench = Bench::new(QueueOptions::default());
    bench.publish();
    bench.publish_expiring("10");
    bench.publish();
    bench.now_ms += 10;
    let (inbox, consumer) = bench.subscribe(0, 0);
    bench.dispatch();
    assert_eq!(inbox.take(), [0, 2]);
    bench.queue.settle(Some(consumer), Offset(0), 1);
    bench.queue.settle(Some(consumer), Offset(2), 1);
    bench.dispatch();
    assert!(!bench.queue.snapshot().expiring, "all of them are gone");
}

#[test]
fn a_lifetime_of_nothing_is_enough_for_a_consumer_that_waits() {
    let mut bench = Bench::new(ttl(0));
    let (inbox, _) = bench.subscribe(1, 0);
    bench.publish();
    bench.publish();
    bench.now_ms += 5;
    bench.dispatch();
    assert_eq!(inbox.take(), [0]);
    assert_eq!(bench.queue.ready_len(), 0, "nobody had room for the second one");
}

#[test]
fn the_oldest_make_room_for_the_new_ones() {
    let options = QueueOptions {
        length_max: Some(2),
        ..QueueOptions::default()
    };
    let mut bench = Bench::new(options.clone());
    for _ in 0..5 {
        bench.publish();
    }
    bench.dispatch();
    assert_eq!(bench.queue.ready_len(), 2);
    assert_eq!((bench.get(), bench.get(), bench.get()), (Some(3), Some(4), None));

    let mut bench = Bench::new(with_dead_letters(options));
    let (inbox, _) = bench.subscribe(2, 0);
    for _ in 0..6 {
        bench.publish();
    }
    bench.dispatch();
    assert_eq!(inbox.take(), [0, 1], "who waits is served first");
    assert_eq!(
        bench.dead(),
        [(2, DeathReason::MaxLength), (3, DeathReason::MaxLength)]
    );
    assert_eq!(bench.queue.ready_len(), 2);
}

#[test]
fn a_limit_in_bytes_counts_bodies_of_ready_messages() {
    let options = QueueOptions {
        bytes_max: Some(10),
        ..QueueOptions::default()
    };
    let mut bench = Bench::new(options);
    let (inbox, consumer) = bench.subscribe(1, 0);
    for _ in 0..4 {
        bench.publish();
    }
    bench.dispatch();
    assert_eq!(inbox.take(), [0]);
    assert_eq!(bench.queue.ready_len(), 2, "8 of 10 bytes");
    bench.queue.unsubscribe(consumer);
    bench.queue.requeue(Some(consumer), Offset(0), 1);
    bench.dispatch();
    assert_eq!((bench.get(), bench.get(), bench.get()), (Some(2), Some(3), None));
    bench.queue.purge();
    bench.publish();
    bench.dispatch();
    assert_eq!(bench.get(), Some(4));
}

#[test]
fn a_full_queue_may_refuse_instead() {
    let options = QueueOptions {
        length_max: Some(1),
        overflow: Overflow::RejectPublish,
        ..QueueOptions::default()
    };
    let mut bench = Bench::new(options);
    let plain = BasicProperties::default();
    assert_eq!(bench.try_publish(&plain, b""), Ok(Offset(0)));
    assert_eq!(bench.try_publish(&plain, b""), Err(Refusal::OverLimit));
    let (inbox, _) = bench.subscribe(2, 0);
    assert_eq!(
        bench.try_publish(&plain, b""),
        Ok(Offset(1)),
        "a consumer will take them"
    );
    assert_eq!(bench.try_publish(&plain, b""), Ok(Offset(2)), "or two");
    assert_eq!(bench.try_publish(&plain, b""), Err(Refusal::OverLimit));
    bench.dispatch();
    assert_eq!(inbox.take(), [0, 1]);
}

#[test]
fn higher_priorities_go_first_and_each_in_order() {
    let options = QueueOptions {
        priority_max: Some(5),
        ..QueueOptions::default()
    };
    let mut bench = Bench::new(options);
    for priority in [1, 3, 3, 9, 0] {
        bench.publish_priority(priority);
    }
    bench.publish();
    let (inbox, consumer) = bench.subscribe(3, 0);
    bench.dispatch();
    assert_eq!(inbox.take(), [3, 1, 2]);
    bench.queue.requeue(Some(consumer), Offset(1), 1);
    bench.publish_priority(5);
    bench.publish_priority(3);
    bench.dispatch();
    assert_eq!(inbox.take(), [6], "one credit came back");
    bench.queue.settle(Some(consumer), Offset(2), 1);
    bench.queue.settle(Some(consumer), Offset(3), 1);
    bench.queue.settle(Some(consumer), Offset(6), 1);
    bench.dispatch();
    assert_eq!(bench.queue.ready_len(), 2);
    let got = inbox.got.take();
    assert_eq!(got, [(1, true, None), (7, false, None), (0, false, None)]);
    assert_eq!(bench.queue.purge(), 2);
}

#[test]
fn consumers_of_a_lower_priority_get_what_the_higher_ones_leave() {
    let mut bench = Bench::new(QueueOptions::default());
    let (low, _) = bench.subscribe(0, -1);
    let (high, first) = bench.subscribe(2, 10);
    let (other, _) = bench.subscribe(2, 10);
    for _ in 0..6 {
        bench.publish();
    }
    bench.dispatch();
    assert_eq!((high.take().len(), other.take().len()), (2, 2));
    assert_eq!(low.take(), [4, 5]);
    bench.queue.settle(Some(first), Offset(0), 1);
    bench.publish();
    bench.dispatch();
    assert_eq!((high.take(), low.take()), (vec![6], Vec::new()));
}

#[test]
fn one_consumer_is_active_until_it_leaves() {
    let options = QueueOptions {
        single_active: true,
        ..QueueOptions::default()
    };
    let mut bench = Bench::new(options);
    let (first, id) = bench.subscribe(1, 0);
    let (second, _) = bench.subscribe(0, 0);
    for _ in 0..3 {
        bench.publish();
    }
    bench.dispatch();
    assert_eq!((first.take(), second.take()), (vec![0], Vec::new()));
    bench.queue.unsubscribe(id);
    bench.dispatch();
    assert_eq!(second.take(), [1, 2]);
    bench.queue.requeue(Some(id), Offset(0), 1);
    bench.dispatch();
    assert_eq!(second.take(), [0]);
}

#[test]
fn what_comes_back_too_often_dies() {
    let options = QueueOptions {
        kind: QueueKind::Quorum,
        delivery_limit: Some(2),
        ..QueueOptions::default()
    };
    let mut bench = Bench::new(with_dead_letters(options));
    let (inbox, consumer) = bench.subscribe(0, 0);
    bench.publish();
    for expected in [(0, false, None), (0, true, Some(1)), (0, true, Some(2))] {
        bench.dispatch();
        assert_eq!(inbox.got.take(), [expected]);
        bench.queue.requeue(Some(consumer), Offset(0), 1);
    }
    bench.dispatch();
    assert!(inbox.take().is_empty());
    assert_eq!(bench.dead(), [(0, DeathReason::DeliveryLimit)]);
    assert_eq!(bench.queue.frontier(), Offset(1));
}

#[test]
fn rejected_messages_are_dead_until_they_are_buried() {
    let mut bench = Bench::new(with_dead_letters(QueueOptions::default()));
    let (inbox, consumer) = bench.subscribe(0, 0);
    for _ in 0..4 {
        bench.publish();
    }
    bench.dispatch();
    assert_eq!(inbox.take().len(), 4);
    bench.queue.reject(Some(consumer), Offset(1), 2);
    bench.queue.settle(Some(consumer), Offset(0), 1);
    assert_eq!((bench.queue.ready_len(), bench.queue.unsettled_len()), (0, 1));
    assert_eq!(bench.queue.frontier(), Offset(1), "they are not settled yet");
    assert_eq!(
        bench.dead(),
        [(1, DeathReason::Rejected), (2, DeathReason::Rejected)]
    );
    assert_eq!(bench.queue.frontier(), Offset(3));

    let mut bench = Bench::new(QueueOptions::default());
    let (_, consumer) = bench.subscribe(0, 0);
    bench.publish();
    bench.dispatch();
    bench.queue.reject(Some(consumer), Offset(0), 1);
    assert_eq!(
        bench.queue.frontier(),
        Offset(1),
        "without an exchange nothing is kept"
    );
}

fn any_options() -> impl Strategy<Value = QueueOptions> {
    (
        prop::option::of(0_u64..30),
        prop::option::of(0_u64..8),
        prop::option::of(0_u64..40),
        prop::option::of(0_u8..4),
        any::<[bool; 4]>(),
    )
        .prop_map(|(ttl_ms, length_max, bytes_max, priority_max, flags)| {
            let [is_quorum, dies, single_active, refuses] = flags;
            let options = QueueOptions {
                kind: if is_quorum {
                    QueueKind::Quorum
                } else {
                    QueueKind::Classic
                },
                delivery_limit: is_quorum.then_some(1),
                ttl_ms,
                length_max,
                bytes_max,
                priority_max,
                single_active,
                overflow: if refuses {
                    Overflow::RejectPublish
                } else {
                    Overflow::DropHead
                },
                ..QueueOptions::default()
            };
            if dies { with_dead_letters(options) } else { options }
        })
}

proptest! {
    /// Whatever the options and whatever happens: every message ends once, limits hold after each dispatch, and
    /// nothing that is too old is delivered.
    #[test]
    fn every_message_ends_exactly_once(
        options in any_options(),
        steps in prop::collection::vec((0_u8..7, 0_u8..5), 1..80),
    ) {
        let mut bench = Bench::new(options.clone());
        let mut consumers: Vec<(Inbox, ConsumerId)> = Vec::new();
        let mut held: Vec<(u64, ConsumerId)> = Vec::new();
        let mut published = Vec::new();
        for (step, detail) in steps {
            match step {
                0 | 1 => {
                    let expiration = (u64::from(detail) * 7).to_string();
                    let properties = BasicProperties {
                        priority: Some(detail),
                        expiration: (detail == 4).then_some(expiration.as_str()),
                        ..BasicProperties::default()
                    };
                    if bench.try_publish(&properties, &vec![0; detail.into()]).is_ok() {
                        published.push(bench.now_ms);
                    }
                }
                2 => bench.now_ms += u64::from(detail) * 4,
                3 if consumers.len() < 3 => consumers.push(bench.subscribe(detail.into(), i32::from(detail) % 2)),
                3 => {
                    let (_, id) = consumers.remove(0);
                    bench.queue.unsubscribe(id);
                }
                4 => {
                    for (offset, id) in held.drain(..held.len().min(detail.into())) {
                        bench.queue.settle(Some(id), Offset(offset), 1);
                    }
                }
                5 => {
                    for (offset, id) in held.drain(..held.len().min(detail.into())) {
                        bench.queue.requeue(Some(id), Offset(offset), 1);
                    }
                }
                _ => {
                    for (offset, id) in held.drain(..held.len().min(detail.into())) {
                        bench.queue.reject(Some(id), Offset(offset), 1);
                    }
                }
            }
            bench.dispatch();
            let ready = bench.queue.ready_len() as u64;
            if options.overflow == Overflow::DropHead {
                prop_assert!(options.length_max.is_none_or(|max| ready <= max));
            }
            for (inbox, id) in &consumers {
                for (offset, ..) in inbox.got.take() {
                    let age = bench.now_ms - published[offset as usize];
                    prop_assert!(options.ttl_ms.is_none_or(|ttl| ttl == 0 || age < ttl));
                    prop_assert!(!held.iter().any(|&(other, _)| other == offset));
                    held.push((offset, *id));
                }
            }
        }
        for (offset, id) in held.drain(..) {
            bench.queue.settle(Some(id), Offset(offset), 1);
        }
        bench.queue.purge();
        bench.dead();
        prop_assert_eq!(bench.queue.frontier(), Offset(published.len() as u64));
    }
}
