//! Reads of sealed segments through their mappings, with everything in the page cache.
//!
//! One at a time: `in_order` goes on where the last read stopped, as one that follows; `random` looks each record up.

use std::hint::black_box;
use std::path::Path;

use benches::seglog::{BATCH_BYTES, Filler, LogDirectory, check_record, shuffled, sized};
use criterion::{BenchmarkId, Criterion, Throughput};
use seglog::{Log, LogOptions, Records};

use crate::PARENT;

const RECORD_BYTES: [usize; 4] = [100, 1024, 10 * 1024, 1 << 20];

/// A log of sealed segments.
struct Sealed {
    log: Log,
    record_bytes: usize,
    records: u64,
    out: Vec<u8>,
    _directory: LogDirectory,
}

impl Sealed {
    fn new(record_bytes: usize) -> Sealed {
        let directory = LogDirectory::new(Path::new(PARENT), LogOptions::default());
        let log = Log::create(&directory.open(), "q").expect("a new directory");
        let records = Filler::new(record_bytes).append(&log, sized(64 << 20, 2 << 20));
        drop(log);
        let (log, recovered) = Log::recover(&directory.open(), "q").expect("it is whole");
        assert_eq!((recovered.next, recovered.cuts.len()), (records, 0));
        Sealed {
            log,
            record_bytes,
            records,
            out: Vec::new(),
            _directory: directory,
        }
    }

    /// Reads one record.
    fn read_one(&mut self, offset: u64) {
        self.out.clear();
        let next = self
            .log
            .read(black_box(offset), 0, &mut self.out)
            .expect("it is whole");
        assert_eq!(next, offset + 1);
        check_record(&self.out, offset, self.record_bytes);
    }
}

fn with_each_size(
    criterion: &mut Criterion,
    name: &str,
    run: impl Fn(&mut Sealed, &mut criterion::Bencher<'_>),
) {
    let mut group = criterion.benchmark_group(format!("seglog/read_{name}"));
    for record_bytes in RECORD_BYTES {
        let mut sealed = Sealed::new(record_bytes);
        group.throughput(Throughput::ElementsAndBytes {
            elements: 1,
            bytes: record_bytes as u64,
        });
        group.bench_function(BenchmarkId::from_parameter(record_bytes), |bencher| {
            run(&mut sealed, bencher);
        });
    }
    group.finish();
}

/// The time of a record when 256 KiB are read at once, each record looked at.
pub(crate) fn sequential(criterion: &mut Criterion) {
    with_each_size(criterion, "sequential", |sealed, bencher| {
        bencher.iter_custom(|iterations| {
            // Whole batches; then what they cost by the record.
            let (mut next, mut passed) = (0, 0);
            let start = std::time::Instant::now();
            while passed < iterations {
                if next == sealed.records {
                    next = 0;
                }
                sealed.out.clear();
                let end = sealed
                    .log
                    .read(next, BATCH_BYTES, &mut sealed.out)
                    .expect("it is whole");
                for (offset, record) in Records::new(&sealed.out) {
                    check_record(record, next, sealed.record_bytes);
                    assert_eq!(offset, next);
                    next += 1;
                    passed += 1;
                }
                assert_eq!(next, end);
            }
            start.elapsed().mul_f64(iterations as f64 / passed as f64)
        });
    });
}

/// One record, the one behind the last.
pub(crate) fn in_order(criterion: &mut Criterion) {
    with_each_size(criterion, "in_order", |sealed, bencher| {
        let mut next = 0;
        bencher.iter(|| {
            sealed.read_one(next);
            next = (next + 1) % sealed.records;
        });
    });
}

/// One record, any.
pub(crate) fn random(criterion: &mut Criterion) {
    with_each_size(criterion, "random", |sealed, bencher| {
        let order = shuffled(sealed.records);
        let mut offsets = order.iter().copied().cycle();
        bencher.iter(|| {
            let offset = offsets.next().unwrap_or_default();
            sealed.read_one(offset);
        });
    });
}
