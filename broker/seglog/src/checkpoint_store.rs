//! The checkpoints of all queues: `<id>.json` and, one generation older, `<id>.json.previous`.
//!
//! ```text
//! <id>.json   .previous   read
//! good        any         Current
//! damaged     good        Previous
//! missing     good        Previous: a crash came between two renames
//! missing     missing     None
//! damaged     missing     SeglogError::Damaged, naming <id>.json
//! damaged     damaged     the same
//! missing     damaged     SeglogError::Damaged, naming <id>.json.previous
//! ```
//! One thread at a time writes or removes; whoever owns the data directory is the only process.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::atomic_file::{self, Generations, PREVIOUS_SUFFIX};
use crate::checkpoint::{Checkpoint, Unbelievable};
use crate::error::{SeglogError, damaged, failed};
use crate::storage::Storage;

const EXTENSION: &str = ".json";

/// What [`CheckpointStore::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The checkpoint written last.
    Current(Checkpoint),
    /// The one before, since the last one cannot be used; the text says why. It is never clean: something may have
    /// been delivered after it.
    Previous(Checkpoint, String),
    /// There is none.
    None,
}

/// See the module.
#[derive(Debug)]
pub struct CheckpointStore {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    /// Identifiers whose current file was found damaged: it must not take the place of the previous one, which is all
    /// there is until the next write is complete.
    damaged: Mutex<BTreeSet<String>>,
}

impl CheckpointStore {
    /// Opens the directory, making it where necessary, and removes what interrupted writes left.
    ///
    /// # Errors
    /// [`SeglogError::Io`].
    pub fn open(storage: Arc<dyn Storage>, directory: PathBuf) -> Result<CheckpointStore, SeglogError> {
        atomic_file::open_directory(&*storage, &directory, EXTENSION)?;
        Ok(CheckpointStore {
            storage,
            directory,
            damaged: Mutex::default(),
        })
    }

    /// Replaces the checkpoint of a queue, durably, and keeps the one before.
    ///
    /// `id` is not empty, has only ASCII letters, digits and `_-.~%@+`, and does not begin with a dot.
    ///
    /// # Errors
    /// [`SeglogError::Io`], also for an identifier that is no file name and for numbers that do not fit together;
    /// [`CheckpointStore::read`] finds the old checkpoint or the new one then.
    pub fn write(&self, id: &str, checkpoint: &Checkpoint) -> Result<(), SeglogError> {
        let path = self.path(id)?;
        let bytes = checkpoint
            .encode()
            .map_err(|what| invalid("write", &path, what))?;
        let generations = match self.damaged.lock().contains(id) {
            true => Generations::One,
            false => Generations::Two,
        };
        atomic_file::replace(&*self.storage, &path, &bytes, generations)?;
        self.damaged.lock().remove(id);
        Ok(())
    }

    /// The checkpoint of a queue.
    ///
    /// # Errors
    /// [`SeglogError::Damaged`] when there are files, but none that can be believed; [`SeglogError::Io`].
    pub fn read(&self, id: &str) -> Result<Found, SeglogError> {
        let path = self.path(id)?;
        let current = self.decode(&path)?;
        if let Some(Ok(checkpoint)) = current {
            return Ok(Found::Current(checkpoint));
        }
        let previous_path = atomic_file::previous(&path);
        let previous = self.decode(&previous_path)?;
        let (bad_path, bad) = match (current, previous) {
            (Some(Err(bad)), Some(Ok(checkpoint))) => {
                self.damaged.lock().insert(id.to_owned());
                let why = damaged(&path, bad.position, bad.what).to_string();
                return Ok(Found::Previous(unclean(checkpoint), why));
            }
            (_, Some(Ok(checkpoint))) => {
                let why = format!("{} is missing", path.display());
                return Ok(Found::Previous(unclean(checkpoint), why));
            }
            (Some(Err(bad)), _) => (path, bad),
            (_, Some(Err(bad))) => (previous_path, bad),
            (_, None) => return Ok(Found::None),
        };
        let what = format!(
            "{}; no older checkpoint can be used in its place. Without its files the queue starts with all messages \
             that are in its log",
            bad.what
        );
        Err(damaged(&bad_path, bad.position, what))
    }

    /// Forgets the checkpoint of a queue, durably. One that does not exist is as good as removed.
    ///
    /// # Errors
    /// [`SeglogError::Io`].
    pub fn remove(&self, id: &str) -> Result<(), SeglogError> {
        let path = self.path(id)?;
        atomic_file::remove_unsynced(&*self.storage, &atomic_file::previous(&path))?;
        atomic_file::remove_unsynced(&*self.storage, &path)?;
        atomic_file::sync_directory(&*self.storage, &self.directory)?;
        self.damaged.lock().remove(id);
        Ok(())
    }

    /// The identifiers that have a checkpoint, current or previous, in ascending order.
    ///
    /// # Errors
    /// [`SeglogError::Io`].
    pub fn ids(&self) -> Result<Vec<String>, SeglogError> {
        let names = atomic_file::list(&*self.storage, &self.directory)?;
        let ids: BTreeSet<String> = names
            .iter()
            .filter_map(|name| {
                let name = name.strip_suffix(PREVIOUS_SUFFIX).unwrap_or(name);
                name.strip_suffix(EXTENSION).map(str::to_owned)
            })
            .collect();
        Ok(ids.into_iter().collect())
    }

    fn path(&self, id: &str) -> Result<PathBuf, SeglogError> {
        let path = self.directory.join(format!("{id}{EXTENSION}"));
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~%@+".contains(&byte);
        if id.is_empty() || id.starts_with('.') || !id.bytes().all(safe) {
            let text = format!("'{}' is no identifier of a queue's files", id.escape_debug());
            return Err(invalid("use", &path, text));
        }
        Ok(path)
    }

    fn decode(&self, path: &Path) -> Result<Option<Result<Checkpoint, Unbelievable>>, SeglogError> {
        let bytes = atomic_file::read(&*self.storage, path)?;
        Ok(bytes.map(|bytes| Checkpoint::decode(&bytes)))
    }
}

fn unclean(mut checkpoint: Checkpoint) -> Checkpoint {
    checkpoint.clean = false;
    checkpoint
}

fn invalid(action: &'static str, path: &Path, what: String) -> SeglogError {
    failed(action, path)(io::Error::new(io::ErrorKind::InvalidInput, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settled::Settled;
    use crate::simulation::{CrashMode, SimStorage};

    const PATH: &str = "/offsets/a.json";

    fn checkpoint(generation: u64) -> Checkpoint {
        Checkpoint {
            queue: "orders".to_owned(),
            generation,
            next: 10,
            dispatched: 5,
            clean: true,
            settled: Settled {
                frontier: 3,
                ranges: vec![4..5, 6..8],
            },
            attempts: Vec::new(),
            expiring: false,
        }
    }

    fn open(storage: &SimStorage) -> CheckpointStore {
        CheckpointStore::open(Arc::new(storage.clone()), PathBuf::from("/offsets")).unwrap()
    }

    fn crashes(storage: &SimStorage) -> impl Iterator<Item = SimStorage> {
        let modes = [CrashMode::KeepAll, CrashMode::LoseUnsynced, CrashMode::Tear];
        (0..8).flat_map(move |seed| modes.map(|mode| storage.crash(seed, mode)))
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Content {
        Good,
        Damaged,
        Missing,
    }
    use Content::{Damaged, Good, Missing};

    fn put(storage: &SimStorage, path: &Path, content: Content, generation: u64) {
        let bytes = checkpoint(generation).encode().unwrap();
        match content {
            Missing => {}
            Good => storage.put(path, bytes).unwrap(),
            Damaged => storage.put(path, bytes[1..].to_vec()).unwrap(),
        }
    }

    #[test]
    fn the_table_of_the_module_holds() {
        let all = [Good, Damaged, Missing];
        for (current, previous) in all
            .into_iter()
            .flat_map(|current| all.map(|previous| (current, previous)))
        {
            let storage = SimStorage::default();
            let store = open(&storage);
            put(&storage, Path::new(PATH), current, 2);
            put(&storage, &atomic_file::previous(Path::new(PATH)), previous, 1);
            let found = store.read("a");
            match (current, previous) {
                (Good, _) => assert_eq!(found.unwrap(), Found::Current(checkpoint(2))),
                (_, Good) => match found.unwrap() {
                    Found::Previous(older, why) => {
                        assert_eq!(older, unclean(checkpoint(1)));
                        assert!(why.starts_with("/offsets/a.json is "), "{why}");
                    }
                    other => panic!("{other:?}"),
                },
                (Missing, Missing) => assert_eq!(found.unwrap(), Found::None),
                (bad, _) => {
                    let text = found.unwrap_err().to_string();
                    let suffix = if bad == Damaged { "" } else { ".previous" };
                    assert!(
                        text.starts_with(&format!("{PATH}{suffix} is damaged at byte")),
                        "{text}"
                    );
                }
            }
            // However it was, the next write puts it right, and removal leaves nothing.
            store.write("a", &checkpoint(3)).unwrap();
            assert_eq!(store.read("a").unwrap(), Found::Current(checkpoint(3)));
            assert_eq!(store.ids().unwrap(), ["a"]);
            store.remove("a").unwrap();
            let reopened = open(&storage.crash(0, CrashMode::LoseUnsynced));
            assert_eq!(reopened.read("a").unwrap(), Found::None);
            assert_eq!(reopened.ids().unwrap(), [] as [&str; 0]);
        }
    }

    #[test]
    fn a_damaged_current_one_never_takes_the_place_of_the_previous_one() {
        for steps in 0.. {
            let storage = SimStorage::default();
            let store = open(&storage);
            put(&storage, Path::new(PATH), Damaged, 2);
            put(&storage, &atomic_file::previous(Path::new(PATH)), Good, 1);
            assert!(matches!(store.read("a").unwrap(), Found::Previous(..)));
            storage.stop_at(storage.count() + steps);
            let written = store.write("a", &checkpoint(3));
            for crashed in crashes(&storage) {
                let found = open(&crashed).read("a").unwrap();
                match found {
                    Found::Current(now) => assert_eq!(now, checkpoint(3)),
                    Found::Previous(older, _) if written.is_err() => {
                        assert_eq!(older, unclean(checkpoint(1)));
                    }
                    other => panic!("cut after {steps} steps: {other:?}"),
                }
            }
            if written.is_ok() {
                break;
            }
        }
    }

    #[test]
    fn a_crash_anywhere_leaves_a_checkpoint_that_was_written() {
        for steps in 0.. {
            let storage = SimStorage::default();
            let store = open(&storage);
            store.write("a", &checkpoint(1)).unwrap();
            store.write("a", &checkpoint(2)).unwrap();
            storage.stop_at(storage.count() + steps);
            let written = store.write("a", &checkpoint(3));
            for crashed in crashes(&storage) {
                let reopened = open(&crashed);
                assert_eq!(reopened.ids().unwrap(), ["a"]);
                match reopened.read("a").unwrap() {
                    Found::Current(now) if now == checkpoint(3) => {}
                    Found::Current(now) if written.is_err() => assert_eq!(now, checkpoint(2)),
                    Found::Previous(older, _) if written.is_err() => {
                        assert_eq!(older, unclean(checkpoint(2)));
                    }
                    other => panic!("cut after {steps} steps: {other:?}"),
                }
            }
            if written.is_ok() {
                break;
            }
        }
    }

    #[test]
    fn ten_thousand_ranges_are_one_small_file() {
        let storage = SimStorage::default();
        let store = open(&storage);
        let mut many = checkpoint(1);
        many.settled.ranges = (0..10_000)
            .map(|number| 10 + 3 * number..12 + 3 * number)
            .collect();
        many.next = 40_000;
        store.write("a", &many).unwrap();
        assert_eq!(store.read("a").unwrap(), Found::Current(many));
        let bytes = storage.content(Path::new(PATH)).unwrap().len();
        assert!(bytes < 120_000, "{bytes}");
    }

    #[test]
    fn identifiers_stay_in_the_directory_and_leftovers_go() {
        let storage = SimStorage::default();
        let store = open(&storage);
        for id in ["", ".", "..", "../a", "a/b", ".a", "ä", "a\0"] {
            store.write(id, &checkpoint(1)).expect_err(id);
            store.read(id).expect_err(id);
        }
        for id in ["a", "a.json", "a.json.previous", "%2fa~0-_@+"] {
            store.write(id, &checkpoint(1)).unwrap();
            store.write(id, &checkpoint(2)).unwrap();
        }
        storage
            .put(Path::new("/offsets/b.json.tmp"), b"{".to_vec())
            .unwrap();
        let ids = open(&storage).ids().unwrap();
        assert_eq!(ids, ["%2fa~0-_@+", "a", "a.json", "a.json.previous"]);
        assert_eq!(storage.files().len(), 8);
    }
}
