//! The logs: group commit, segments, compaction.

use super::Scrape;
use super::exposition::{Exposition, Kind};

/// Bounds of histograms over microseconds: 16 µs to 67 s.
const US_BOUNDS: (usize, usize) = (4, 26);
/// Bounds of histograms over bytes: 64 B to 1 GiB.
const BYTES_BOUNDS: (usize, usize) = (6, 30);

pub(super) fn write(scrape: &Scrape<'_>, out: &mut Exposition) {
    let store = &scrape.broker.store;
    let (logs, spill) = (store.queues().counters(), store.spill().counters());
    let thread = store.log_thread().shared();
    let times = thread.times();
    out.counter("broker_log_commits_total", "Group commits.", thread.commits());
    out.gauge(
        "broker_log_staged_bytes",
        "Bytes that wait for the log thread.",
        thread.staged_bytes(),
    );
    out.family(
        Kind::Histogram,
        "broker_log_commit_bytes",
        "Bytes of a group commit.",
    )
    .histogram(&[], &times.bytes.view(), 1.0, BYTES_BOUNDS);
    out.family(
        Kind::Histogram,
        "broker_log_commit_queues",
        "Queues written by a group commit.",
    )
    .histogram(&[], &times.queues.view(), 1.0, (0, 14));
    out.family(
        Kind::Histogram,
        "broker_log_write_seconds",
        "Time to write a group commit.",
    )
    .histogram(&[], &times.write_us.view(), 1e-6, US_BOUNDS);
    out.family(
        Kind::Histogram,
        "broker_log_sync_seconds",
        "Time to make a group commit as safe as its queues ask for.",
    )
    .histogram(&[], &times.keep_us.view(), 1e-6, US_BOUNDS);
    let both = |out: &mut Exposition, kind, name, help, of: fn(&seglog::LogCounters) -> u64| {
        out.family(kind, name, help)
            .sample(&[("log", "durable")], of(&logs))
            .sample(&[("log", "spill")], of(&spill));
    };
    both(
        out,
        Kind::Counter,
        "broker_log_bytes_written_total",
        "Bytes written to segments.",
        |c| c.bytes_written,
    );
    both(
        out,
        Kind::Counter,
        "broker_log_writes_total",
        "Writes to segments.",
        |c| c.writes,
    );
    both(
        out,
        Kind::Counter,
        "broker_log_syncs_total",
        "Syncs of segments.",
        |c| c.syncs,
    );
    both(out, Kind::Gauge, "broker_log_segments", "Segments.", |c| {
        c.segments
    });
    both(
        out,
        Kind::Gauge,
        "broker_log_disk_bytes",
        "Bytes of all segment files.",
        |c| c.bytes_on_disk,
    );
    both(out, Kind::Gauge, "broker_log_mappings", "Mapped segments.", |c| {
        c.mappings
    });
    both(
        out,
        Kind::Counter,
        "broker_log_segments_removed_total",
        "Settled segments that are gone.",
        |c| c.segments_removed,
    );
    both(
        out,
        Kind::Counter,
        "broker_log_segments_rewritten_total",
        "Sparse segments rewritten by compaction.",
        |c| c.segments_rewritten,
    );
    both(
        out,
        Kind::Counter,
        "broker_log_bytes_rewritten_total",
        "Bytes copied by compaction.",
        |c| c.bytes_rewritten,
    );
    both(
        out,
        Kind::Counter,
        "broker_log_bytes_reclaimed_total",
        "Bytes of disk given back.",
        |c| c.bytes_reclaimed,
    );
    out.counter(
        "rabbitmq_io_write_bytes_total",
        "Bytes written to segments of all logs.",
        logs.bytes_written + spill.bytes_written,
    );
    out.counter(
        "rabbitmq_io_write_ops_total",
        "Writes to segments of all logs.",
        logs.writes + spill.writes,
    );
    out.counter(
        "rabbitmq_io_sync_ops_total",
        "Syncs of segments of all logs.",
        logs.syncs + spill.syncs,
    );
}
