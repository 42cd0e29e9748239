//! The queue state machine: what one message costs between its publish and its settlement.
//!
//! One iteration publishes a batch, deals it to the consumers and settles it cumulatively; the figure to read is
//! elements per second. Socket and codec are not in it.

use std::hint::black_box;

use benches::queue::{Counter, frames, queue, record};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Messages in one iteration: about what one turn of a busy reactor sees.
const BATCH: usize = 1000;

fn publish_dispatch_settle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/publish_dispatch_settle");
    group.throughput(Throughput::Elements(BATCH as u64));
    for body_bytes in [16, 1024] {
        for consumers in [1, 20] {
            let frames = frames(&vec![7; body_bytes]);
            let mut state = queue();
            let counters: Vec<Counter> = (0..consumers).map(|_| Counter::default()).collect();
            let ids: Vec<_> = counters
                .iter()
                .map(|counter| state.subscribe(counter.clone(), 0, 0, false))
                .collect();
            let id = BenchmarkId::new(format!("{body_bytes}B"), format!("{consumers}_consumers"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    for _ in 0..BATCH {
                        state
                            .publish(black_box(&record(&frames)))
                            .expect("the ring is larger than a batch");
                    }
                    assert_eq!(state.dispatch(0, |_| {}).dealt, BATCH);
                    for (counter, &consumer) in counters.iter().zip(&ids) {
                        for (first, count) in counter.take_runs() {
                            state.settle(Some(consumer), first, count);
                        }
                    }
                });
            });
            assert_eq!((state.ready_len(), state.unsettled_len()), (0, 0));
            let bytes: u64 = counters.iter().map(Counter::body_bytes).sum();
            assert_eq!(
                bytes,
                state.frontier().0 * body_bytes as u64,
                "every body was delivered once"
            );
        }
    }
    group.finish();
}

criterion_group!(benches, publish_dispatch_settle);
criterion_main!(benches);
