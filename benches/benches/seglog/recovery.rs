//! What a restart costs, and what makes it cheap: checkpoints, footers, and the scan of what has neither.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::seglog::{Filler, LogDirectory, sized};
use criterion::{BenchmarkId, Criterion, Throughput};
use seglog::{Checkpoint, CheckpointStore, Found, FsStorage, Log, LogOptions, Settled};

use crate::PARENT;

fn checkpoint(ranges: u64) -> Checkpoint {
    let ranges: Vec<_> = (0..ranges).map(|range| range * 3 + 1..range * 3 + 2).collect();
    let next = ranges.last().map_or(0, |range| range.end) + 1;
    Checkpoint {
        queue: "bench".to_owned(),
        generation: 1,
        next,
        dispatched: next,
        clean: false,
        settled: Settled { frontier: 0, ranges },
        attempts: Vec::new(),
        expiring: false,
    }
}

/// A checkpoint written, synced and renamed, with that many settled ranges above its frontier.
pub(crate) fn checkpoint_write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seglog/checkpoint_write");
    group.sample_size(sized(50, 10));
    for ranges in [0, 1000, sized(100_000, 5000)] {
        let directory = LogDirectory::new(Path::new(PARENT), LogOptions::default());
        let store = CheckpointStore::open(Arc::new(FsStorage), directory.path().join("offsets"))
            .expect("a new directory");
        let checkpoint = checkpoint(ranges);
        group.bench_function(BenchmarkId::from_parameter(ranges), |bencher| {
            bencher.iter(|| store.write("bench", &checkpoint).expect("the disk has room"));
        });
        assert_eq!(
            store.read("bench").expect("it is whole"),
            Found::Current(checkpoint)
        );
    }
    group.finish();
}

/// An empty log with segments of one size.
fn new_log(segment_bytes: u64) -> (LogDirectory, Log) {
    let options = LogOptions {
        segment_bytes_first: segment_bytes,
        segment_bytes_max: segment_bytes,
        ..LogOptions::default()
    };
    let directory = LogDirectory::new(Path::new(PARENT), options);
    let log = Log::create(&directory.open(), "q").expect("a new directory");
    (directory, log)
}

/// A segment that a crash left without a footer: every record is read, then the segment is sealed.
pub(crate) fn unsealed(criterion: &mut Criterion) {
    const RECORD_BYTES: usize = 100;
    let segment_bytes = sized(64 << 20, 1 << 20);
    let (directory, log) = new_log(segment_bytes);
    // Leaves room for the footer, whose size goes with the segment's.
    let records = Filler::new(RECORD_BYTES).append(&log, segment_bytes as usize / 64 * 62);
    drop(log);
    let files = directory.files("q");
    let [file] = files.as_slice() else {
        panic!("one segment is filled: {files:?}");
    };
    let pristine = directory.path().join("pristine");
    fs::rename(file, &pristine).expect("on the same disk");
    let recover = || {
        fs::copy(&pristine, file).expect("the disk has room");
        // Else recovery's own sync writes it.
        File::open(file)
            .and_then(|file| file.sync_all())
            .expect("the disk works");
        let store = directory.open();
        let start = Instant::now();
        let (_log, recovered) = Log::recover(&store, "q").expect("it is whole");
        let elapsed = start.elapsed();
        assert_eq!(
            (recovered.next, recovered.kept.len(), recovered.cuts.len()),
            (records, 1, 0)
        );
        assert!(recovered.scanned_bytes >= records * RECORD_BYTES as u64);
        elapsed
    };
    let mut group = criterion.benchmark_group("seglog/recovery_unsealed");
    group.sample_size(10).throughput(Throughput::ElementsAndBytes {
        elements: records,
        bytes: records * RECORD_BYTES as u64,
    });
    group.bench_function(BenchmarkId::from_parameter(segment_bytes), |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| recover()).sum::<Duration>());
    });
    group.finish();
}

/// A log of sealed segments: only their footers are read.
pub(crate) fn sealed(criterion: &mut Criterion) {
    const SEGMENTS: usize = 16;
    let segment_bytes = sized(4 << 20, 64 << 10);
    let (directory, log) = new_log(segment_bytes);
    let records = Filler::new(1024).append(
        &log,
        segment_bytes as usize * SEGMENTS - segment_bytes as usize / 2,
    );
    drop(log);
    // Seals the last one.
    Log::recover(&directory.open(), "q").expect("it is whole");
    assert_eq!(directory.files("q").len(), SEGMENTS);
    let mut group = criterion.benchmark_group("seglog/recovery_sealed");
    group.sample_size(sized(50, 10));
    group.bench_function(BenchmarkId::new("segments", SEGMENTS), |bencher| {
        let store = directory.open();
        bencher.iter(|| {
            let (_log, recovered) = Log::recover(&store, "q").expect("it is whole");
            assert_eq!((recovered.next, recovered.scanned_bytes), (records, 0));
            assert_eq!((recovered.kept.len(), recovered.segments), (1, SEGMENTS));
        });
    });
    group.finish();
}
