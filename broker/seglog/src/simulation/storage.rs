//! [`SimStorage`]: the simulated disk behind the traits, with its counted operations.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{CrashMode, Disk};
use super::faults::{Action, Fault, Faults, Operation, Verdict};
use super::names::Inode;
use super::random::Random;
use crate::{Mapping, OpenMode, Storage, StorageFile};

/// Far beyond the sizes of tests; a position above it is a bug of the caller, not a reason to take that much memory.
const FILE_BYTES_MAX: u64 = 1 << 28;

/// A disk in memory. A clone is the same disk; [`Self::crash`] gives another one.
#[derive(Clone, Debug)]
pub struct SimStorage(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    disk: Disk,
    faults: Faults,
    free_bytes: u64,
}

#[derive(Debug)]
struct SimFile {
    storage: SimStorage,
    inode: Inode,
    path: PathBuf,
    is_writable: bool,
}

impl Default for SimStorage {
    fn default() -> Self {
        Self::holding(Disk::default())
    }
}

impl SimStorage {
    /// The disk as another process finds it after a crash at this moment; this one stays as it is. Nothing of the new
    /// one is open or mapped, none of its operations is counted yet, and none will fail.
    pub fn crash(&self, seed: u64, mode: CrashMode) -> Self {
        let state = self.0.lock();
        let crashed = Self::holding(state.disk.after_crash(&mut Random::new(seed), mode));
        crashed.set_free_bytes(state.free_bytes);
        crashed
    }

    /// How many operations were asked for so far. The first one has number 0.
    pub fn count(&self) -> u64 {
        self.0.lock().faults.operations.len() as u64
    }

    /// Which ones.
    pub fn operations(&self) -> Vec<Operation> {
        self.0.lock().faults.operations.clone()
    }

    /// How many failed by a fault.
    pub fn hits(&self) -> u64 {
        self.0.lock().faults.hits
    }

    /// Lets operation `number` fail, in place of an earlier plan.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.0.lock().faults.plan(number, fault, false);
    }

    /// Lets operation `number` and all later ones that the fault can hit fail, in place of an earlier plan.
    pub fn fail_from(&self, number: u64, fault: Fault) {
        self.0.lock().faults.plan(number, fault, true);
    }

    /// Ends the run: operation `number` and all later ones fail, so that the disk stays as it is. A write that is
    /// stopped may have been done in part.
    pub fn stop_at(&self, number: u64) {
        self.0.lock().faults.stop_at(number);
    }

    /// What [`Storage::free_bytes`] answers from now on.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.0.lock().free_bytes = bytes;
    }

    /// All files, in ascending order. Not an operation.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.lock().disk.names.paths().map(Path::to_owned).collect()
    }

    /// What a file holds. Not an operation.
    pub fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        let inode = state.disk.names.get(path)?;
        Ok(state.disk.node(inode).content().to_vec())
    }

    /// Gives a file other content, as a failing medium would: durable, and with no trace of a write. Not an operation.
    pub fn put(&self, path: &Path, content: Vec<u8>) -> io::Result<()> {
        self.0.lock().disk.put(path, content)
    }

    fn holding(disk: Disk) -> Self {
        Self(Arc::new(Mutex::new(State {
            disk,
            faults: Faults::default(),
            free_bytes: u64::MAX,
        })))
    }

    /// An operation that is done whole or not at all.
    fn run<T>(
        &self,
        action: Action,
        path: &Path,
        operation: impl FnOnce(&mut Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.lock();
        match state.faults.judge(Operation {
            action,
            path: path.to_owned(),
        }) {
            Verdict::Do => operation(&mut state.disk),
            Verdict::Refuse(error) | Verdict::DoInPart(error) | Verdict::GiveUp(error) => Err(error),
        }
    }
}

impl Storage for SimStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let is_writable = mode != OpenMode::Read;
        let creates = matches!(mode, OpenMode::CreateNew | OpenMode::Truncate);
        let action = if creates { Action::Create } else { Action::Open };
        let inode = self.run(action, path, |disk| disk.open(path, mode))?;
        Ok(Arc::new(SimFile {
            storage: self.clone(),
            inode,
            path: path.to_owned(),
            is_writable,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.run(Action::CreateDirectory, path, |disk| {
            disk.names.create_directories(path);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Action::Rename, from, |disk| disk.names.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.run(Action::Remove, path, |disk| disk.names.remove(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.run(Action::RemoveDirectory, path, |disk| {
            disk.names.remove_directory(path)
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.run(Action::List, path, |disk| Ok(disk.names.list(path)))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.run(Action::SyncDirectory, path, |disk| disk.names.sync(path))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.run(Action::FreeBytes, path, |_| Ok(()))?;
        Ok(self.0.lock().free_bytes)
    }
}

impl SimFile {
    fn expect_writable(&self) -> io::Result<()> {
        if self.is_writable {
            Ok(())
        } else {
            Err(rustix::io::Errno::BADF.into())
        }
    }

    fn run<T>(&self, action: Action, operation: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        self.storage.run(action, &self.path, operation)
    }
}

impl StorageFile for SimFile {
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.expect_writable()?;
        file_bytes(position + bytes.len() as u64)?;
        let position = file_bytes(position)?;
        let mut state = self.storage.0.lock();
        let verdict = state.faults.judge(Operation {
            action: Action::Write,
            path: self.path.clone(),
        });
        let number = state.faults.operations.len() as u64;
        let node = state.disk.node_mut(self.inode);
        match verdict {
            Verdict::Do => {
                node.write(&self.path, position, bytes);
                Ok(())
            }
            Verdict::DoInPart(error) => {
                let part = &bytes[..Random::new(number).index(bytes.len())];
                node.write(&self.path, position, part);
                Err(error)
            }
            Verdict::Refuse(error) | Verdict::GiveUp(error) => Err(error),
        }
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.run(Action::Read, |disk| {
            let content = disk.node(self.inode).content();
            let start = content.len().min(usize::try_from(position).unwrap_or(usize::MAX));
            let found = content[start..]
                .get(..buffer.len())
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(found);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.run(Action::Length, |disk| {
            Ok(disk.node(self.inode).content().len() as u64)
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.expect_writable()?;
        let bytes = file_bytes(bytes)?;
        self.run(Action::SetLength, |disk| {
            disk.node_mut(self.inode).set_length(&self.path, bytes);
            Ok(())
        })
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.expect_writable()?;
        let bytes = file_bytes(bytes)?;
        self.run(Action::Allocate, |disk| {
            disk.node_mut(self.inode).allocate(bytes);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.storage.0.lock();
        let verdict = state.faults.judge(Operation {
            action: Action::Sync,
            path: self.path.clone(),
        });
        let node = state.disk.node_mut(self.inode);
        match verdict {
            Verdict::Do => {
                node.sync();
                Ok(())
            }
            Verdict::GiveUp(error) => {
                node.fail_sync();
                Err(error)
            }
            Verdict::Refuse(error) | Verdict::DoInPart(error) => Err(error),
        }
    }

    fn map(&self) -> io::Result<Arc<dyn Mapping>> {
        self.run(Action::Map, |disk| {
            Ok(disk.node_mut(self.inode).map() as Arc<dyn Mapping>)
        })
    }
}

fn file_bytes(bytes: u64) -> io::Result<usize> {
    let fits = bytes <= FILE_BYTES_MAX;
    if fits {
        Ok(bytes as usize)
    } else {
        Err(rustix::io::Errno::FBIG.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::is_stop;
    use super::*;

    const PATH: &str = "/d/file";

    fn disk_with_file() -> (SimStorage, Arc<dyn StorageFile>) {
        let storage = SimStorage::default();
        storage.create_dir_all(Path::new("/d")).unwrap();
        let file = storage.open(Path::new(PATH), OpenMode::CreateNew).unwrap();
        storage.sync_dir(Path::new("/d")).unwrap();
        (storage, file)
    }

    #[test]
    fn does_what_files_do() {
        let (storage, file) = disk_with_file();
        assert!(storage.open(Path::new(PATH), OpenMode::CreateNew).is_err());
        assert!(storage.open(Path::new("/e/file"), OpenMode::CreateNew).is_err());
        assert!(storage.open(Path::new("/d/none"), OpenMode::Read).is_err());
        file.allocate(100).unwrap();
        file.write_all_at(b"hello", 10).unwrap();
        assert_eq!(file.len().unwrap(), 100);
        let reader = storage.open(Path::new(PATH), OpenMode::Read).unwrap();
        assert!(reader.write_all_at(b"!", 0).is_err());
        let mapping = reader.map().unwrap();
        storage.rename(Path::new(PATH), Path::new("/d/other")).unwrap();
        assert_eq!(storage.list(Path::new("/d")).unwrap(), ["other"]);
        storage.remove_file(Path::new("/d/other")).unwrap();
        assert_eq!(&mapping[9..16], b"\0hello\0");
        let mut buffer = [1; 3];
        reader.read_exact_at(&mut buffer, 97).unwrap();
        assert_eq!(buffer, [0; 3]);
        let error = reader.read_exact_at(&mut buffer, 98).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        storage.remove_dir(Path::new("/d")).unwrap();
        assert_eq!(storage.list(Path::new("/d")).unwrap(), [] as [&str; 0]);
        storage.set_free_bytes(7);
        assert_eq!(
            storage
                .crash(0, CrashMode::Tear)
                .free_bytes(Path::new("/"))
                .unwrap(),
            7
        );
    }

    #[test]
    fn synced_content_needs_a_synced_name() {
        let (storage, file) = disk_with_file();
        file.write_all_at(b"a", 0).unwrap();
        file.sync_data().unwrap();
        let other = storage.open(Path::new("/d/other"), OpenMode::CreateNew).unwrap();
        other.write_all_at(b"b", 0).unwrap();
        other.sync_data().unwrap();
        let crashed = storage.crash(0, CrashMode::LoseUnsynced);
        assert_eq!(crashed.files(), [Path::new(PATH)]);
        assert_eq!(crashed.content(Path::new(PATH)).unwrap(), b"a");
        let killed = storage.crash(0, CrashMode::KeepAll);
        assert_eq!(killed.files().len(), 2);
        assert_eq!(killed.crash(0, CrashMode::LoseUnsynced).files().len(), 1);
    }

    #[test]
    fn operations_fail_by_number() {
        let (storage, file) = disk_with_file();
        assert_eq!(storage.count(), 3);
        storage.fail_at(4, Fault::Eio);
        file.len().unwrap();
        assert_eq!(file.len().unwrap_err().raw_os_error(), Some(5));
        file.len().unwrap();
        storage.fail_from(0, Fault::Enospc);
        file.len().unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.write_all_at(b"a", 0).unwrap_err().raw_os_error(), Some(28));
        assert_eq!(file.allocate(1).unwrap_err().raw_os_error(), Some(28));
        assert_eq!(storage.hits(), 3);
        assert_eq!(storage.content(Path::new(PATH)).unwrap(), b"");
        storage.fail_from(0, Fault::ShortWrite);
        assert_eq!(
            file.write_all_at(&[1; 1000], 0).unwrap_err().raw_os_error(),
            Some(28)
        );
        let written = storage.content(Path::new(PATH)).unwrap();
        assert!((1..1000).contains(&written.len()), "{} bytes", written.len());
    }

    #[test]
    fn a_failed_sync_drops_what_it_should_have_written() {
        let (storage, file) = disk_with_file();
        file.write_all_at(b"lost", 0).unwrap();
        storage.fail_at(storage.count(), Fault::FailedSync);
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        file.sync_data().unwrap();
        assert_eq!(storage.content(Path::new(PATH)).unwrap(), b"lost");
        let crashed = storage.crash(0, CrashMode::Tear);
        assert_eq!(crashed.content(Path::new(PATH)).unwrap(), b"");
    }

    #[test]
    fn a_stopped_run_leaves_the_disk_as_it_is() {
        let (storage, file) = disk_with_file();
        storage.stop_at(storage.count() + 1);
        file.write_all_at(b"a", 0).unwrap();
        assert!(is_stop(&file.write_all_at(&[b'b'; 1000], 1).unwrap_err()));
        assert!(is_stop(&file.sync_data().unwrap_err()));
        assert!(is_stop(&storage.remove_file(Path::new(PATH)).unwrap_err()));
        let found = storage
            .crash(0, CrashMode::KeepAll)
            .content(Path::new(PATH))
            .unwrap();
        assert!(
            found.len() < 1001 && found.starts_with(b"abbb"),
            "{} bytes",
            found.len()
        );
        assert!(!is_stop(&io::Error::other("something else")));
    }

    #[test]
    fn the_same_seed_leaves_the_same_disk() {
        let (storage, file) = disk_with_file();
        for position in 0..20 {
            file.write_all_at(&[position; 700], u64::from(position) * 600)
                .unwrap();
        }
        for mode in CrashMode::ALL {
            let content = |seed| storage.crash(seed, mode).content(Path::new(PATH)).unwrap();
            assert_eq!(content(3), content(3));
            assert_eq!(
                content(3) == content(4),
                matches!(mode, CrashMode::KeepAll | CrashMode::LoseUnsynced)
            );
        }
    }
}
