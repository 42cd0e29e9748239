//! What an acknowledgement costs: in the set of settled offsets, and in the queue.

use std::hint::black_box;

use benches::queue::{Counter, frames, queue, record};
use benches::seglog::{shuffled, sized};
use broker::queue::{ConsumerId, QueueState};
use criterion::{BatchSize, Criterion, Throughput};
use ring::{Offset, SettledSet};

/// Offsets in one iteration.
const OFFSETS: u64 = 4096;

fn orders(count: u64) -> [(&'static str, Vec<u64>); 3] {
    [
        ("in_order", (0..count).collect()),
        ("backwards", (0..count).rev().collect()),
        ("shuffled", shuffled(count)),
    ]
}

/// Each offset of a stretch settled by itself. Read the figure by the element.
pub(crate) fn offset_update(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seglog/offset_update");
    group.throughput(Throughput::Elements(OFFSETS));
    for (name, order) in orders(OFFSETS) {
        let mut set = SettledSet::new(Offset::ZERO);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let first = set.frontier();
                for place in &order {
                    assert!(set.settle(first.advance(black_box(*place))));
                }
                assert_eq!(set.frontier(), first.advance(OFFSETS));
            });
        });
    }
    group.finish();
}

/// A queue of which all messages are delivered, and its only consumer.
fn delivered(messages: u64) -> (QueueState<Counter>, ConsumerId) {
    let frames = frames(&[7; 16]);
    let mut state = queue();
    let consumer = state.subscribe(Counter::default(), 0, 0, false);
    for _ in 0..messages {
        state
            .publish(&record(&frames))
            .expect("the ring holds more messages");
    }
    while state.ready_len() > 0 {
        assert!(state.dispatch(0, |_| {}).dealt > 0);
    }
    (state, consumer)
}

/// 10,000 messages acknowledged one by one.
pub(crate) fn acknowledgements(criterion: &mut Criterion) {
    let acks = sized(10_000, 1000);
    let mut group = criterion.benchmark_group(format!("seglog/acks_{acks}"));
    group.throughput(Throughput::Elements(acks));
    for (name, order) in orders(acks) {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || delivered(acks),
                |(state, consumer)| {
                    for place in &order {
                        state.settle(Some(*consumer), Offset(black_box(*place)), 1);
                    }
                    assert_eq!((state.frontier(), state.unsettled_len()), (Offset(acks), 0));
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}
