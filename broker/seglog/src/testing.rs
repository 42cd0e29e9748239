//! What this crate's unit tests share: small records and logs in a temporary directory.

use std::path::PathBuf;
use std::sync::Arc;

use crate::record::{HEAD_BYTES, Head};
use crate::{Batch, FLAG_KEEP, FsStorage, Log, LogOptions, LogStore, Records, SeglogError, SyncPolicy};

/// A record ready to be pushed into a batch.
pub(crate) fn record(flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes[4..8].copy_from_slice(&((HEAD_BYTES + body.len()) as u32).to_le_bytes());
    bytes[16..].copy_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A body that tells its offset, of about `bytes`.
pub(crate) fn body(offset: u64, bytes: usize) -> Vec<u8> {
    format!("{offset:08}")
        .into_bytes()
        .into_iter()
        .cycle()
        .take(bytes)
        .collect()
}

/// Segments so small that a test fills many.
pub(crate) fn small() -> LogOptions {
    LogOptions {
        segment_bytes_first: 4096,
        segment_bytes_max: 8192,
        mappings_max: 4,
        open_files_max: 2,
        recycled_max: 2,
    }
}

/// A data directory that can be opened again and again.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) temporary: tempfile::TempDir,
    pub(crate) options: LogOptions,
}

impl Directory {
    pub(crate) fn new(options: LogOptions) -> Directory {
        Directory {
            temporary: tempfile::tempdir().unwrap(),
            options,
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.temporary.path().join("queues")
    }

    pub(crate) fn open(&self) -> Arc<LogStore> {
        let recycle = self.temporary.path().join("recycled");
        LogStore::open(Arc::new(FsStorage), self.root(), recycle, self.options.clone()).unwrap()
    }

    /// Paths of a log's files, ascending.
    pub(crate) fn files(&self, log: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.root().join(log)) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

/// Appends kept records of `bytes` each as one batch.
pub(crate) fn append(log: &Log, offsets: impl IntoIterator<Item = u64>, bytes: usize, policy: SyncPolicy) {
    append_flagged(log, offsets, bytes, FLAG_KEEP, policy);
}

pub(crate) fn append_flagged(
    log: &Log,
    offsets: impl IntoIterator<Item = u64>,
    bytes: usize,
    flags: u16,
    policy: SyncPolicy,
) {
    let mut batch = Batch::new();
    for offset in offsets {
        batch.push(offset, &record(flags, &body(offset, bytes)));
    }
    log.append(&mut batch, policy).unwrap();
}

/// Offsets of all that can be read from `from` on, with each body checked.
pub(crate) fn try_offsets(log: &Log, from: u64, bytes_max: usize) -> Result<Vec<u64>, SeglogError> {
    let (mut next, mut offsets) = (from, Vec::new());
    loop {
        let mut out = Vec::new();
        let reached = log.read(next, bytes_max, &mut out)?;
        if out.is_empty() {
            assert!(reached >= next);
            return Ok(offsets);
        }
        for (offset, record) in Records::new(&out) {
            assert_eq!(Head::parse(record).unwrap().bytes(), record.len());
            assert_eq!(
                record[HEAD_BYTES..],
                body(offset, record.len() - HEAD_BYTES),
                "{offset}"
            );
            assert!(offset >= next && offset < reached);
            offsets.push(offset);
        }
        next = reached;
    }
}

pub(crate) fn offsets(log: &Log, from: u64) -> Vec<u64> {
    try_offsets(log, from, 1000).unwrap()
}
