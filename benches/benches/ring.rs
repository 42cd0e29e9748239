//! What one record costs in the ring, and the publish path beside what could stand in its place.
//!
//! `publish_path` reports the time of a record from publish to release. Its shapes: `turn` is one thread that publishes
//! and takes in turn, as a reactor does; `1p` and `4p` have producer threads and the consumer on its own. Every record
//! is checked on arrival, so a contender that loses, doubles, tears or reorders ends the bench.

use std::hint::black_box;

use benches::{
    contenders::{channels, claim_log, disruptor, locked_deque, locked_ring},
    contest::{self, Publish, Shape, Take},
};
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use ring::{ChunkPool, Offset, PoolConfig, Ring, RingConfig, SettledSet, handoff};

/// Records in one iteration of the operations below.
const RECORDS: u64 = 4096;
/// Records in one iteration of the contest.
const CONTEST_RECORDS: u64 = 1024;
const RECORD: [u8; 100] = [7; 100];

/// Which record comes at a position.
type Order = fn(u64) -> u64;

fn empty_ring() -> Ring {
    let pool = ChunkPool::new(PoolConfig {
        bytes_budget: 1 << 30,
        chunk_bytes: PoolConfig::CHUNK_BYTES,
    });
    Ring::new(RingConfig::default(), pool, Offset::ZERO)
}

fn append(ring: &mut Ring) {
    // In parts, as the broker gathers a record.
    let (head, body) = RECORD.split_at(32);
    for _ in 0..RECORDS {
        assert!(ring.try_append(&[black_box(head), black_box(body)]).is_ok());
    }
}

fn filled_ring() -> Ring {
    let mut ring = empty_ring();
    append(&mut ring);
    ring
}

fn ring_operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    group.throughput(Throughput::Elements(RECORDS));
    let mut ring = empty_ring();
    group.bench_function("append_then_release_range", |b| {
        b.iter(|| {
            let first = ring.next_offset();
            append(&mut ring);
            assert_eq!(ring.release_range(first, RECORDS), RECORDS);
        });
    });
    group.bench_function("append_then_release_each", |b| {
        b.iter(|| {
            let first = ring.next_offset();
            append(&mut ring);
            (first.0..first.0 + RECORDS).for_each(|offset| assert!(ring.release(Offset(offset))));
        });
    });
    group.bench_function("release_in_order", |b| {
        b.iter_batched_ref(
            filled_ring,
            |ring| (0..RECORDS).for_each(|offset| assert!(ring.release(Offset(offset)))),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("release_alternately", |b| {
        b.iter_batched_ref(
            filled_ring,
            |ring| (0..RECORDS).for_each(|offset| assert!(ring.release(Offset(offset ^ 0x1)))),
            BatchSize::SmallInput,
        );
    });
    let ring = filled_ring();
    group.bench_function("records_from", |b| {
        b.iter(|| {
            let walk = ring.records_from(Offset::ZERO);
            assert_eq!(
                walk.map(|(_, record)| record.len() as u64).sum::<u64>(),
                RECORDS * 100
            );
        });
    });
    group.bench_function("get", |b| {
        b.iter(|| {
            let record = |offset| ring.get(Offset(offset)).map_or(0, |record| record.len() as u64);
            assert_eq!((0..RECORDS).map(record).sum::<u64>(), RECORDS * 100);
        });
    });
    group.finish();
}

fn settled_set(c: &mut Criterion) {
    let mut group = c.benchmark_group("settled_set");
    group.throughput(Throughput::Elements(RECORDS));
    let mut set = SettledSet::new(Offset::ZERO);
    // Each order settles every offset of a stretch of `RECORDS` once.
    let orders: [(&str, Order); 3] = [
        ("in_order", |place| place),
        ("in_swapped_pairs", |place| place ^ 1),
        ("in_strides", |place| place * 61 % RECORDS),
    ];
    for (name, order) in orders {
        group.bench_function(name, |b| {
            b.iter(|| {
                let first = set.frontier();
                (0..RECORDS).for_each(|place| assert!(set.settle(first.advance(black_box(order(place))))));
                assert_eq!(set.frontier(), first.advance(RECORDS));
            });
        });
    }
    group.finish();
}

fn token_handoff(c: &mut Criterion) {
    let mut group = c.benchmark_group("handoff");
    group.throughput(Throughput::Elements(RECORDS));
    let (producer, mut consumer) = handoff::bounded(64);
    group.bench_function("push_and_drain", |b| {
        b.iter(|| {
            let mut sum = 0;
            for token in 0..RECORDS {
                if producer.try_push(black_box(token)).is_err() {
                    consumer.drain(64, |token| sum += token);
                    assert!(producer.try_push(token).is_ok());
                }
            }
            consumer.drain(64, |token| sum += token);
            assert_eq!(sum, RECORDS * (RECORDS - 1) / 2);
        });
    });
    group.finish();
}

fn publish_path(c: &mut Criterion) {
    for record_bytes in [16, 1024] {
        for (threads, producers) in [("turn", 0), ("1p", 1), ("4p", 4)] {
            for batch in [1, 64] {
                let shape = Shape {
                    producers,
                    batch,
                    record_bytes,
                };
                let mut group =
                    c.benchmark_group(format!("publish_path/{record_bytes}B/{threads}/batch_{batch}"));
                group
                    .throughput(Throughput::Elements(CONTEST_RECORDS))
                    .sample_size(15);
                enter(&mut group, shape, "locked_ring", locked_ring::open);
                enter(&mut group, shape, "claim_log", || claim_log::open(record_bytes));
                match record_bytes {
                    16 => enter(&mut group, shape, "disruptor", disruptor::open::<16>),
                    _ => enter(&mut group, shape, "disruptor", disruptor::open::<1024>),
                }
                enter(&mut group, shape, "array_queue", channels::open_array_queue);
                enter(
                    &mut group,
                    shape,
                    "crossbeam_channel",
                    channels::open_crossbeam_channel,
                );
                enter(&mut group, shape, "tokio_mpsc", channels::open_tokio_mpsc);
                enter(&mut group, shape, "locked_deque", locked_deque::open);
                group.finish();
            }
        }
    }
}

fn enter<P, T>(group: &mut BenchmarkGroup<'_, WallTime>, shape: Shape, name: &str, open: impl Fn() -> (P, T))
where
    P: Publish + Clone + Send,
    T: Take,
{
    group.bench_function(name, |b| {
        b.iter_custom(|iterations| {
            let count = iterations * CONTEST_RECORDS;
            let (elapsed, passed) = contest::run(shape, count, open());
            elapsed.mul_f64(count as f64 / passed as f64)
        });
    });
}

criterion_group!(benches, ring_operations, settled_set, token_handoff, publish_path);
criterion_main!(benches);
