//! The content of one file: as the program sees it, as the medium holds it, and the changes between the two.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Weak};

use super::disk::CrashMode;
use super::random::Random;

/// What a disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;

/// A file's content, whatever its names.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// With every change, as the program reads it.
    cached: Arc<Vec<u8>>,
    /// As it is found after a power loss at worst.
    durable: Arc<Vec<u8>>,
    /// Made since the last sync, in order: `durable` and then these is `cached`, unless a sync failed.
    unsynced: Vec<Change>,
    /// Those that a failed sync gave up: they stay in `cached`, and no later sync will write them.
    abandoned: Vec<Change>,
    mappings: Vec<Weak<Snapshot>>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetLength(usize),
    Allocate(usize),
}

/// A mapping: the content as it was.
#[derive(Debug)]
pub(super) struct Snapshot(Arc<Vec<u8>>);

impl Deref for Snapshot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Node {
    /// A file that has always held `content`.
    pub(super) fn holding(content: Vec<u8>) -> Self {
        let content = Arc::new(content);
        Self {
            cached: Arc::clone(&content),
            durable: content,
            ..Self::default()
        }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.cached
    }

    /// # Panics
    /// When the file is mapped: a real mapping would change under its readers.
    pub(super) fn write(&mut self, path: &Path, position: usize, bytes: &[u8]) {
        self.assert_unmapped(path, "written to");
        self.change(Change::Write {
            position,
            bytes: bytes.to_vec(),
        });
    }

    /// # Panics
    /// When the file is mapped: readers of a real mapping would get SIGBUS.
    pub(super) fn set_length(&mut self, path: &Path, bytes: usize) {
        self.assert_unmapped(path, "cut or extended");
        self.change(Change::SetLength(bytes));
    }

    pub(super) fn allocate(&mut self, bytes: usize) {
        self.change(Change::Allocate(bytes));
    }

    pub(super) fn sync(&mut self) {
        let durable = Arc::make_mut(&mut self.durable);
        self.unsynced.drain(..).for_each(|change| change.apply(durable));
        self.abandoned.clear();
    }

    /// A sync that fails as Linux's does: the pages count as clean afterwards, though nobody wrote them.
    pub(super) fn fail_sync(&mut self) {
        self.abandoned.append(&mut self.unsynced);
    }

    pub(super) fn map(&mut self) -> Arc<Snapshot> {
        self.mappings.retain(|mapping| mapping.strong_count() > 0);
        let snapshot = Arc::new(Snapshot(Arc::clone(&self.cached)));
        self.mappings.push(Arc::downgrade(&snapshot));
        snapshot
    }

    /// What a process that starts after a crash finds.
    pub(super) fn after_crash(&self, random: &mut Random, mode: CrashMode) -> Self {
        if mode == CrashMode::KeepAll {
            return Self {
                mappings: Vec::new(),
                ..self.clone()
            };
        }
        let mut durable = Arc::clone(&self.durable);
        if mode != CrashMode::LoseUnsynced {
            for change in self.abandoned.iter().chain(&self.unsynced) {
                let content = Arc::make_mut(&mut durable);
                match change {
                    _ if random.chance(50) => {}
                    Change::Write { position, bytes } if mode == CrashMode::Tear && random.chance(50) => {
                        tear(content, *position, bytes, random);
                    }
                    _ => change.apply(content),
                }
            }
        }
        Self {
            cached: Arc::clone(&durable),
            durable,
            ..Self::default()
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.cached));
        self.unsynced.push(change);
    }

    fn assert_unmapped(&self, path: &Path, what: &str) {
        let mappings = self
            .mappings
            .iter()
            .filter(|mapping| mapping.strong_count() > 0)
            .count();
        assert!(
            mappings == 0,
            "{} is {what} while {mappings} mappings of it are held",
            path.display()
        );
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { position, bytes } => overwrite(content, *position, bytes),
            Change::SetLength(bytes) => content.resize(*bytes, 0),
            Change::Allocate(bytes) => extend(content, *bytes),
        }
    }
}

/// Applies a part of a write: all up to some byte, or some of its sectors. The length may be that of the whole write
/// all the same: it is kept elsewhere than the bytes.
fn tear(content: &mut Vec<u8>, position: usize, bytes: &[u8], random: &mut Random) {
    if random.chance(50) {
        overwrite(content, position, &bytes[..random.index(bytes.len() + 1)]);
    } else {
        let mut start = 0;
        while start < bytes.len() {
            let end = bytes
                .len()
                .min(start + SECTOR_BYTES - (position + start) % SECTOR_BYTES);
            if random.chance(50) {
                overwrite(content, position + start, &bytes[start..end]);
            }
            start = end;
        }
    }
    if random.chance(50) {
        extend(content, position + bytes.len());
    }
}

fn overwrite(content: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    if !bytes.is_empty() {
        extend(content, position + bytes.len());
        content[position..][..bytes.len()].copy_from_slice(bytes);
    }
}

fn extend(content: &mut Vec<u8>, bytes: usize) {
    content.resize(content.len().max(bytes), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(node: &Node, seed: u64, mode: CrashMode) -> Vec<u8> {
        node.after_crash(&mut Random::new(seed), mode).content().to_vec()
    }

    #[test]
    fn a_crash_takes_no_synced_byte() {
        let path = Path::new("file");
        let mut node = Node::default();
        node.write(path, 2, b"durable");
        node.sync();
        node.write(path, 9, b"not");
        for seed in 0..32 {
            for mode in CrashMode::ALL {
                assert_eq!(crash(&node, seed, mode)[..9], *b"\0\0durable");
            }
        }
        assert_eq!(crash(&node, 0, CrashMode::LoseUnsynced), b"\0\0durable");
        assert_eq!(crash(&node, 0, CrashMode::KeepAll), b"\0\0durablenot");
    }

    #[test]
    fn later_writes_may_survive_earlier_ones() {
        let path = Path::new("file");
        let mut node = Node::default();
        node.write(path, 0, b"a");
        node.write(path, 1, b"b");
        let mut found: Vec<Vec<u8>> = (0..64)
            .map(|seed| crash(&node, seed, CrashMode::Reorder))
            .collect();
        found.sort();
        found.dedup();
        assert_eq!(found, [&b""[..], b"\0b", b"a", b"ab"]);
    }

    #[test]
    fn torn_writes_end_anywhere_or_miss_sectors() {
        let mut node = Node::default();
        node.write(Path::new("file"), 100, &[7; 2000]);
        let found: Vec<Vec<u8>> = (0..200).map(|seed| crash(&node, seed, CrashMode::Tear)).collect();
        let whole = crash(&node, 0, CrashMode::KeepAll);
        let is_cut = |content: &&Vec<u8>| (101..2100).contains(&content.len()) && whole.starts_with(content);
        let misses_sector =
            |content: &&Vec<u8>| content[512..1024] == [0; 512] && content[1024..1536] == [7; 512];
        assert!(found.iter().filter(is_cut).count() > 5);
        assert!(
            found
                .iter()
                .filter(|content| content.len() > 1536)
                .filter(misses_sector)
                .count()
                > 5
        );
        assert!(found.contains(&whole) && found.contains(&Vec::new()));
    }

    #[test]
    fn a_killed_process_leaves_its_writes_unsynced() {
        let mut node = Node::default();
        node.write(Path::new("file"), 0, b"a");
        let killed = node.after_crash(&mut Random::new(0), CrashMode::KeepAll);
        assert_eq!(killed.content(), b"a");
        assert_eq!(crash(&killed, 0, CrashMode::LoseUnsynced), b"");
    }

    #[test]
    fn no_sync_brings_back_what_a_failed_one_gave_up() {
        let path = Path::new("file");
        let mut node = Node::default();
        node.write(path, 0, b"lost");
        node.fail_sync();
        assert_eq!(node.content(), b"lost");
        node.write(path, 4, b"kept");
        node.sync();
        assert_eq!(node.content(), b"lostkept");
        assert_eq!(crash(&node, 0, CrashMode::LoseUnsynced), b"\0\0\0\0kept");
    }

    #[test]
    #[should_panic(expected = "while 1 mappings of it are held")]
    fn a_mapped_file_must_not_be_overwritten() {
        let path = Path::new("file");
        let mut node = Node::holding(b"mapped".to_vec());
        drop(node.map());
        node.write(path, 0, b"M");
        let mapping = node.map();
        node.allocate(20);
        assert_eq!(**mapping, *b"Mapped");
        node.write(path, 0, b"m");
    }
}
