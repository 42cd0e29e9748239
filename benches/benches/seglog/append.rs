//! Appends with and without sync, and what a sync costs by itself.
//!
//! Batches are filled, and settled segments recycled, outside of the measured time, as other threads do; a new segment every
//! 64 MiB is inside.

use std::path::Path;
use std::time::{Duration, Instant};

use benches::seglog::{Filler, LogDirectory, check_record, sized};
use criterion::{BenchmarkId, Criterion, Throughput};
use seglog::{Batch, FsStorage, Log, LogOptions, OpenMode, Settled, Storage as _, SyncPolicy};

use crate::PARENT;

/// Records of these sizes, heads included.
const RECORD_BYTES: [usize; 4] = [100, 1024, 10 * 1024, 1 << 20];
/// Written between two collections of settled segments.
const COLLECT_BYTES: u64 = 128 << 20;
/// The file of the disk's own figure; written from its start again when full.
const BARE_BYTES: u64 = 64 << 20;

/// A log whose records are settled as soon as they are written.
struct Appender {
    log: Log,
    filler: Filler,
    batch: Batch,
    count: usize,
    appended_bytes: u64,
    is_synced: bool,
}

impl Appender {
    fn new(directory: &LogDirectory, record_bytes: usize, count: Option<usize>, is_synced: bool) -> Appender {
        let filler = Filler::new(record_bytes);
        Appender {
            log: Log::create(&directory.open(), "q").expect("a new directory"),
            count: count.unwrap_or(filler.batch_records()),
            filler,
            batch: Batch::new(),
            appended_bytes: 0,
            is_synced,
        }
    }

    fn throughput(&self) -> Throughput {
        Throughput::ElementsAndBytes {
            elements: self.count as u64,
            bytes: (self.count * self.filler.record_bytes()) as u64,
        }
    }

    fn append(&mut self, iterations: u64) -> Duration {
        let policy = if self.is_synced {
            SyncPolicy::Sync
        } else {
            SyncPolicy::None
        };
        let mut elapsed = Duration::ZERO;
        for _ in 0..iterations {
            let first = self.log.written();
            self.batch.clear();
            self.filler.fill(&mut self.batch, first, self.count);
            let start = Instant::now();
            self.log
                .append(&mut self.batch, policy)
                .expect("the disk has room");
            if self.is_synced {
                self.log.sync().expect("the disk works");
            }
            elapsed += start.elapsed();
            self.appended_bytes += self.batch.bytes() as u64;
            if self.appended_bytes >= COLLECT_BYTES {
                self.collect();
            }
        }
        self.check();
        elapsed
    }

    /// Gives the files of full segments back, to be written again.
    fn collect(&mut self) {
        self.appended_bytes = 0;
        let settled = Settled {
            frontier: self.log.written(),
            ranges: Vec::new(),
        };
        self.log.collect(&settled, 0).expect("the disk works");
    }

    fn check(&self) {
        let (last, mut out) = (self.log.written() - 1, Vec::new());
        self.log.read(last, 0, &mut out).expect("it was written");
        check_record(&out, last, self.filler.record_bytes());
        assert!(!self.is_synced || self.log.synced() == self.log.written());
    }
}

/// One batch of 256 KiB, or of one record, an iteration.
pub(crate) fn batches(criterion: &mut Criterion) {
    for (name, is_synced) in [("append", false), ("append_and_sync", true)] {
        let mut group = criterion.benchmark_group(format!("seglog/{name}"));
        group.sample_size(sized(50, 10));
        for record_bytes in RECORD_BYTES {
            let directory = LogDirectory::new(Path::new(PARENT), LogOptions::default());
            let mut appender = Appender::new(&directory, record_bytes, None, is_synced);
            group.throughput(appender.throughput());
            group.bench_function(BenchmarkId::from_parameter(record_bytes), |bencher| {
                bencher.iter_custom(|iterations| appender.append(iterations));
            });
        }
        group.finish();
    }
}

/// How long a lone persistent message waits for its confirm, and how much of that is the disk.
pub(crate) fn group_commit(criterion: &mut Criterion) {
    const BYTES: usize = 1024;
    let mut group = criterion.benchmark_group("seglog/group_commit");
    group.sample_size(sized(50, 10));
    let directory = LogDirectory::new(Path::new(PARENT), LogOptions::default());
    let mut appender = Appender::new(&directory, BYTES, Some(1), true);
    group.bench_function("one_record", |bencher| {
        bencher.iter_custom(|iterations| appender.append(iterations));
    });
    for (name, is_written_before) in [("bare_disk_allocated", false), ("bare_disk_overwritten", true)] {
        let directory = LogDirectory::new(Path::new(PARENT), LogOptions::default());
        let file = FsStorage
            .open(&directory.path().join(name), OpenMode::CreateNew)
            .expect("a new directory");
        let length = sized(BARE_BYTES, 1 << 20);
        file.allocate(length).expect("the disk has room");
        if is_written_before {
            file.write_all_at(&vec![1; length as usize], 0)
                .expect("the disk has room");
            file.sync_data().expect("the disk works");
        }
        let mut position = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                file.write_all_at(&[7; BYTES], position)
                    .expect("the disk has room");
                file.sync_data().expect("the disk works");
                position = (position + BYTES as u64) % length;
            });
        });
    }
    group.finish();
}
