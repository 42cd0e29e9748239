//! The queue state machine without threads, sockets or clocks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use ring::{ChunkPool, Offset, PoolConfig, RingConfig};

use super::consumer::{Accepted, ConsumerId, DeliverySession, DeliveryTarget};
use super::dealing::Got;
use super::journal::SpillLimits;
use super::options::QueueOptions;
use super::state::{QueueConfig, QueueState};
use crate::record::{Content, Record, RecordFields, join_names};

const MESSAGES_MAX: usize = 64;

/// A consumer that keeps what it gets.
#[derive(Clone, Debug)]
struct Inbox {
    got: Rc<RefCell<Vec<(u64, bool)>>>,
    bodies: Rc<RefCell<Vec<Vec<u8>>>>,
    /// Deliveries it still has room for.
    room: Rc<Cell<usize>>,
    no_ack: bool,
}

impl Inbox {
    fn new() -> Inbox {
        Inbox {
            got: Rc::default(),
            bodies: Rc::default(),
            room: Rc::new(Cell::new(usize::MAX)),
            no_ack: false,
        }
    }

    fn take(&self) -> Vec<(u64, bool)> {
        self.got.take()
    }

    fn offsets(&self) -> Vec<u64> {
        self.take().into_iter().map(|(offset, _)| offset).collect()
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
        let Some(room) = self.room.get().checked_sub(1) else {
            return Accepted::Full;
        };
        self.room.set(room);
        self.got.borrow_mut().push((offset.0, redelivered));
        self.bodies.borrow_mut().push(record.content.body().to_vec());
        Accepted::Taken
    }
}

fn pool() -> Arc<ChunkPool> {
    ChunkPool::new(PoolConfig {
        bytes_budget: 64 << 20,
        chunk_bytes: 4096,
    })
}

fn config(messages_max: usize, durable: bool) -> QueueConfig {
    QueueConfig {
        ring: RingConfig {
            messages_max,
            bytes_max: 1 << 20,
            chunk_bytes_first: 1024,
        },
        spill: SpillLimits::above(0.8),
        durable,
        options: QueueOptions::default(),
    }
}

fn queue_of(messages_max: usize) -> QueueState<Inbox> {
    QueueState::new(config(messages_max, false), pool())
}

fn queue() -> QueueState<Inbox> {
    queue_of(MESSAGES_MAX)
}

fn publish(queue: &mut QueueState<Inbox>, body: &[u8]) -> bool {
    let (names, mut buffer) = (join_names("", "q"), Vec::new());
    let content = Content::build(&mut buffer, &[0; 14], body);
    let fields = RecordFields {
        timestamp_ms: 0,
        flags: 0,
        names: &names,
        content,
    };
    queue.publish(&fields).is_ok()
}

fn publish_many(queue: &mut QueueState<Inbox>, count: usize) {
    for index in 0..count {
        assert!(publish(queue, &(index as u64).to_be_bytes()));
    }
}

fn settle_each(queue: &mut QueueState<Inbox>, consumer: ConsumerId, offsets: impl IntoIterator<Item = u64>) {
    for offset in offsets {
        queue.settle(Some(consumer), Offset(offset), 1);
    }
}

#[test]
fn flows_for_many_times_its_capacity() {
    let mut queue = queue();
    let inbox = Inbox::new();
    let consumer = queue.subscribe(inbox.clone(), 0, 0, false);
    let mut next = 0;
    for _ in 0..50 {
        publish_many(&mut queue, MESSAGES_MAX);
        queue.dispatch(0, |_| {});
        let got = inbox.offsets();
        assert_eq!(got, (next..next + MESSAGES_MAX as u64).collect::<Vec<_>>());
        queue.settle(Some(consumer), Offset(next), got.len());
        next += MESSAGES_MAX as u64;
    }
    assert_eq!(queue.frontier(), Offset(next));
    assert_eq!((queue.ready_len(), queue.unsettled_len()), (0, 0));
}

#[test]
fn bodies_arrive_as_published() {
    let mut queue = queue();
    let inbox = Inbox::new();
    queue.subscribe(inbox.clone(), 0, 0, false);
    let bodies: Vec<Vec<u8>> = (0..40).map(|size| vec![size as u8; size * 37]).collect();
    for body in &bodies {
        assert!(publish(&mut queue, body));
    }
    queue.dispatch(0, |_| {});
    assert_eq!(inbox.bodies.take(), bodies);
}

#[test]
fn a_full_ring_refuses_until_something_is_settled() {
    let mut queue = queue();
    publish_many(&mut queue, MESSAGES_MAX);
    assert!(!publish(&mut queue, b"one too many"));
    let inbox = Inbox::new();
    let consumer = queue.subscribe(inbox.clone(), 1, 0, false);
    queue.dispatch(0, |_| {});
    assert!(!publish(&mut queue, b"delivered is not settled"));
    settle_each(&mut queue, consumer, inbox.offsets());
    assert!(publish(&mut queue, b"room again"));
}

#[test]
fn competing_consumers_settle_out_of_order() {
    let mut queue = queue();
    let inboxes = [Inbox::new(), Inbox::new(), Inbox::new()];
    let consumers: Vec<_> = inboxes
        .iter()
        .map(|inbox| queue.subscribe(inbox.clone(), 10, 0, false))
        .collect();
    publish_many(&mut queue, 30);
    queue.dispatch(0, |_| {});
    assert_eq!(queue.unsettled_len(), 30);
    let mut seen = Vec::new();
    for (inbox, &consumer) in inboxes.iter().zip(&consumers).rev() {
        let got = inbox.offsets();
        assert_eq!(got.len(), 10, "each has credit for ten");
        settle_each(&mut queue, consumer, got.iter().rev().copied());
        seen.extend(got);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    assert_eq!(queue.frontier(), Offset(30));
}

#[test]
fn a_shallow_backlog_is_dealt_one_message_each() {
    let mut queue = queue();
    let inboxes = [Inbox::new(), Inbox::new(), Inbox::new()];
    for inbox in &inboxes {
        queue.subscribe(inbox.clone(), 0, 0, false);
    }
    for _ in 0..2 {
        publish_many(&mut queue, 3);
        queue.dispatch(0, |_| {});
    }
    assert_eq!(inboxes[0].offsets(), [0, 3]);
    assert_eq!(inboxes[1].offsets(), [1, 4]);
    assert_eq!(inboxes[2].offsets(), [2, 5]);
}

#[test]
fn a_fast_queue_deals_short_runs_and_a_slow_one_single_messages() {
    let mut queue = queue_of(10_000);
    let inboxes: Vec<_> = (0..4)
        .map(|_| Inbox {
            no_ack: true,
            ..Inbox::new()
        })
        .collect();
    for inbox in &inboxes {
        queue.subscribe(inbox.clone(), 0, 0, false);
    }
    let mut offsets = Vec::new();
    for now_ms in 0..=20 {
        publish_many(&mut queue, 12);
        queue.dispatch(now_ms * 1000, |_| {});
        offsets = inboxes.iter().map(|inbox| inbox.offsets().len()).collect();
    }
    assert_eq!(offsets, [3, 3, 3, 3], "12 a millisecond for 4 consumers");
    publish_many(&mut queue, 2);
    queue.dispatch(5_000_000, |_| {});
    let counts: Vec<_> = inboxes.iter().map(|inbox| inbox.offsets().len()).collect();
    assert_eq!(counts, [1, 1, 0, 0], "after an idle time");
}

#[test]
fn prefetch_holds_deliveries_back_and_settling_frees_them() {
    let mut queue = queue();
    let inbox = Inbox::new();
    let consumer = queue.subscribe(inbox.clone(), 2, 0, false);
    publish_many(&mut queue, 5);
    queue.dispatch(0, |_| {});
    assert_eq!(inbox.offsets(), [0, 1]);
    queue.dispatch(0, |_| {});
    assert_eq!(inbox.offsets(), [] as [u64; 0]);
    settle_each(&mut queue, consumer, [1]);
    queue.dispatch(0, |_| {});
    assert_eq!(inbox.offsets(), [2]);
    assert_eq!(queue.frontier(), Offset(0), "message 0 is still out");
}

#[test]
fn requeued_messages_come_back_first_in_order_and_flagged() {
    let mut queue = queue();
    let inbox = Inbox::new();
    let consumer = queue.subscribe(inbox.clone(), 4, 0, false);
    publish_many(&mut queue, 6);
    queue.dispatch(0, |_| {});
    inbox.take();
    for offset in [2, 0, 3] {
        queue.requeue(Some(consumer), Offset(offset), 1);
    }
    queue.dispatch(0, |_| {});
    assert_eq!(inbox.take(), [(0, true), (2, true), (3, true)]);
    settle_each(&mut queue, consumer, [0, 1, 2, 3]);
    queue.dispatch(0, |_| {});
    assert_eq!(inbox.take(), [(4, false), (5, false)]);
}

#[test]
fn a_consumer_that_leaves_gives_its_deliveries_to_the_others() {
    let mut queue = queue();
    let leaver = Inbox::new();
    let consumer = queue.subscribe(leaver.clone(), 3, 0, false);
    publish_many(&mut queue, 3);
    queue.dispatch(0, |_| {});
    leaver.take();
    assert!(queue.unsubscribe(consumer).is_some());
    assert!(queue.unsubscribe(consumer).is_none(), "gone once");
    let stayer = Inbox::new();
    queue.subscribe(stayer.clone(), 0, 0, false);
    queue.dispatch(0, |_| {});
    assert_eq!(stayer.take(), [], "still the leaver's until its channel lets go");
    queue.requeue(Some(consumer), Offset(0), 3);
    queue.dispatch(0, |_| {});
    assert_eq!(stayer.take(), [(0, true), (1, true), (2, true)]);
}

#[test]
fn a_settlement_after_cancel_does_not_credit_the_next_owner_of_the_slot() {
    let mut queue = queue();
    let first = queue.subscribe(Inbox::new(), 1, 0, false);
    publish_many(&mut queue, 3);
    queue.dispatch(0, |_| {});
    queue.unsubscribe(first);
    let inbox = Inbox::new();
    queue.subscribe(inbox.clone(), 1, 0, false);
    queue.dispatch(0, |_| {});
    settle_each(&mut queue, first, [0]);
    queue.dispatch(0, |_| {});
    assert_eq!(inbox.offsets(), [1], "one credit, not two");
}

#[test]
fn no_ack_deliveries_settle_themselves() {
    let mut queue = queue();
    let inbox = Inbox {
        no_ack: true,
        ..Inbox::new()
    };
    queue.subscribe(inbox.clone(), 1, 0, false);
    for _ in 0..3 {
        publish_many(&mut queue, MESSAGES_MAX);
        queue.dispatch(0, |_| {});
        assert_eq!(inbox.offsets().len(), MESSAGES_MAX, "prefetch does not apply");
    }
    assert_eq!(queue.frontier(), Offset(3 * MESSAGES_MAX as u64));
}

#[test]
fn a_stalled_consumer_is_skipped_until_it_has_room() {
    let mut queue = queue();
    let (slow, fast) = (Inbox::new(), Inbox::new());
    slow.room.set(1);
    let slow_id = queue.subscribe(slow.clone(), 0, 0, false);
    let fast_id = queue.subscribe(fast.clone(), 0, 0, false);
    publish_many(&mut queue, 20);
    queue.dispatch(0, |_| {});
    assert_eq!((slow.offsets(), fast.offsets().len()), (vec![0], 19));
    queue.unsubscribe(fast_id);
    publish_many(&mut queue, 1);
    slow.room.set(1);
    queue.dispatch(0, |_| {});
    assert_eq!(slow.offsets(), [] as [u64; 0], "nobody said that it has room");
    queue.unstall(slow_id);
    queue.dispatch(0, |_| {});
    assert_eq!(slow.offsets(), [20]);
}

#[test]
fn get_takes_the_oldest_and_says_how_many_stay() {
    let mut queue = queue();
    publish_many(&mut queue, 2);
    let seen = |offset: Offset, redelivered, _: &Record<'_>, remaining| (offset.0, redelivered, remaining);
    assert_eq!(queue.get(false, 0, seen), Got::Message((0, false, 1)));
    queue.requeue(None, Offset(0), 1);
    assert_eq!(queue.get(true, 0, seen), Got::Message((0, true, 1)));
    assert_eq!(queue.get(true, 0, seen), Got::Message((1, false, 0)));
    assert_eq!(queue.get(true, 0, seen), Got::Empty);
    assert_eq!(queue.frontier(), Offset(2));
}

#[test]
fn purge_drops_what_is_ready_and_keeps_what_is_out() {
    let mut queue = queue();
    let inbox = Inbox::new();
    let consumer = queue.subscribe(inbox.clone(), 3, 0, false);
    publish_many(&mut queue, 10);
    queue.dispatch(0, |_| {});
    queue.requeue(Some(consumer), Offset(1), 1);
    assert_eq!(queue.purge(), 8);
    assert_eq!((queue.ready_len(), queue.unsettled_len()), (0, 2));
    settle_each(&mut queue, consumer, [0, 2]);
    assert_eq!(queue.frontier(), Offset(10));
}

#[test]
fn memory_follows_the_flow_while_the_oldest_message_stays_unsettled() {
    let mut queue = queue_of(100_000);
    let inbox = Inbox::new();
    let consumer = queue.subscribe(inbox.clone(), 0, 0, false);
    publish_many(&mut queue, 1);
    queue.dispatch(0, |_| {});
    let held = queue.bytes_held();
    inbox.take();
    for _ in 0..200 {
        publish_many(&mut queue, 50);
        queue.dispatch(0, |_| {});
        settle_each(&mut queue, consumer, inbox.offsets());
    }
    assert_eq!(queue.frontier(), Offset(0));
    assert!(
        queue.bytes_held() <= held + 2 * 4096,
        "{} bytes held for one message",
        queue.bytes_held()
    );
}

#[test]
#[should_panic(expected = "settled twice")]
fn settling_twice_is_a_defect_that_shows() {
    let mut queue = queue();
    let consumer = queue.subscribe(Inbox::new(), 0, 0, false);
    publish_many(&mut queue, 2);
    queue.dispatch(0, |_| {});
    settle_each(&mut queue, consumer, [0, 0]);
}
