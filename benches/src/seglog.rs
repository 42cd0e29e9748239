//! Logs on a real disk, and records to put into them.
//!
//! A record's body begins with its offset, so that a reader can tell whether it got what it asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seglog::{Batch, FLAG_KEEP, FsStorage, HEAD_BYTES, Log, LogOptions, LogStore, SyncPolicy};
use tempfile::TempDir;

/// About what the log thread writes at once.
pub const BATCH_BYTES: usize = 256 * 1024;
/// Bytes of an offset at the start of a body.
const OFFSET_BYTES: usize = 8;

/// True when figures are wanted, and not only whether the bench still runs.
pub fn is_measured() -> bool {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    has("--bench") && !has("--test")
}

/// The one for figures, or the tiny one.
pub fn sized<T>(measured: T, tiny: T) -> T {
    if is_measured() { measured } else { tiny }
}

/// A directory that is removed when dropped, and the logs in it.
#[derive(Debug)]
pub struct LogDirectory {
    directory: TempDir,
    options: LogOptions,
}

impl LogDirectory {
    /// Below `parent`, which is on a disk: in memory a sync costs nothing.
    ///
    /// # Panics
    /// When it is not on a disk.
    pub fn new(parent: &Path, options: LogOptions) -> LogDirectory {
        assert!(
            !is_in_memory(parent).expect("the build directory exists"),
            "{} is in memory: set CARGO_TARGET_DIR to a directory on a disk",
            parent.display()
        );
        let directory = tempfile::tempdir_in(parent).expect("the build directory can be written");
        LogDirectory { directory, options }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Opens its logs anew.
    pub fn open(&self) -> Arc<LogStore> {
        let (root, recycle) = (self.root(), self.path().join("recycle"));
        LogStore::open(Arc::new(FsStorage), root, recycle, self.options.clone()).expect("a new directory")
    }

    /// The files of a log, ascending.
    pub fn files(&self, log: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root().join(log)).expect("the log was written");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        paths.sort();
        paths
    }

    fn root(&self) -> PathBuf {
        self.path().join("queues")
    }
}

fn is_in_memory(path: &Path) -> io::Result<bool> {
    /// `TMPFS_MAGIC` of statfs(2).
    const TMPFS: u64 = 0x0102_1994;
    Ok(rustix::fs::statfs(path)?.f_type as u64 == TMPFS)
}

/// Fills a batch with equal records that begin at an offset.
#[derive(Debug)]
pub struct Filler {
    record: Vec<u8>,
}

impl Filler {
    /// Records of that many bytes, head included.
    pub fn new(record_bytes: usize) -> Filler {
        assert!(record_bytes >= HEAD_BYTES + OFFSET_BYTES);
        let mut record = vec![0x5a; record_bytes];
        record[4..8].copy_from_slice(&(record_bytes as u32).to_le_bytes());
        record[16..HEAD_BYTES].copy_from_slice(&FLAG_KEEP.to_le_bytes());
        Filler { record }
    }

    /// Puts `count` records into an empty batch.
    pub fn fill(&mut self, batch: &mut Batch, first: u64, count: usize) {
        for offset in first..first + count as u64 {
            self.record[HEAD_BYTES..HEAD_BYTES + OFFSET_BYTES].copy_from_slice(&offset.to_le_bytes());
            batch.push(offset, &self.record);
        }
    }

    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.record.len()
    }

    /// Records in a batch of about [`BATCH_BYTES`].
    pub fn batch_records(&self) -> usize {
        (BATCH_BYTES / self.record.len()).max(1)
    }

    /// Appends as many records as fit into `bytes`, and returns how many those were.
    pub fn append(&mut self, log: &Log, bytes: usize) -> u64 {
        let (mut batch, mut left) = (Batch::new(), bytes / self.record.len());
        while left > 0 {
            let count = self.batch_records().min(left);
            batch.clear();
            self.fill(&mut batch, log.written(), count);
            log.append(&mut batch, SyncPolicy::Sync)
                .expect("the disk has room");
            left -= count;
        }
        log.sync().expect("the disk works");
        log.written()
    }
}

/// Checks that a record which was read is the one with this offset.
#[inline]
pub fn check_record(record: &[u8], offset: u64, record_bytes: usize) {
    assert_eq!(record.len(), record_bytes);
    assert_eq!(
        record[HEAD_BYTES..HEAD_BYTES + OFFSET_BYTES],
        offset.to_le_bytes()
    );
}

/// The numbers below `count` in an order that no cache foresees (Steele, Lea and Flood's SplitMix64, and Fisher and Yates's
/// shuffle), always the same.
pub fn shuffled(count: u64) -> Vec<u64> {
    let mut state = 0x5eed_u64;
    let mut order: Vec<u64> = (0..count).collect();
    for last in (1..order.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(last, ((mixed ^ (mixed >> 31)) % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use seglog::Records;

    use super::*;

    #[test]
    fn a_log_holds_what_was_filled_in() {
        let test = std::env::current_exe().unwrap();
        let directory = LogDirectory::new(test.parent().unwrap(), LogOptions::default());
        let log = Log::create(&directory.open(), "q").unwrap();
        let mut filler = Filler::new(100);
        assert_eq!(filler.append(&log, 600_000), 6000);
        let (mut out, mut next) = (Vec::new(), 0);
        log.read(0, usize::MAX, &mut out).unwrap();
        for (offset, record) in Records::new(&out) {
            assert_eq!(offset, next);
            check_record(record, offset, 100);
            next += 1;
        }
        assert_eq!(next, 6000);
        assert_eq!(directory.files("q").len(), 1);
    }

    #[test]
    fn a_shuffled_order_has_each_number_once() {
        let mut order = shuffled(1000);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
