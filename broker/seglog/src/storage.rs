//! The file operations that everything durable goes through, so that tests can cut, tear, delay and fail each of them.
//!
//! What a caller may rely on, and a simulation has to reproduce: bytes of a file are durable once `sync_data` has
//! returned; a name (creation, rename, removal) is durable once `sync_dir` of its directory has. Until then any subset
//! of the bytes written, in any order, may survive a crash; of the names, too.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to be read.
    Read,
    /// An existing file, to be read and written.
    ReadWrite,
    /// A file that must not exist yet, to be read and written.
    CreateNew,
    /// A file that is made when missing and emptied when not.
    Truncate,
}

/// The bytes of a file as they were when it was mapped; they stay as long as the mapping is held, also when the file is
/// renamed or removed. Nobody truncates or overwrites a file that may be mapped.
pub trait Mapping: Deref<Target = [u8]> + Debug + Send + Sync {}

impl<T: Deref<Target = [u8]> + Debug + Send + Sync> Mapping for T {}

/// A directory tree of files.
pub trait Storage: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;

    /// Makes a directory and all above it. The new names are durable when it returns.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name; mappings and open files stay usable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in ascending order; empty when there is no such directory.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Bytes that may still be written to the file system of `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Positional, so that readers and the one writer share it.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file's size is asked for, not whether it has one"
)]
pub trait StorageFile: Debug + Send + Sync {
    /// Writes all of `bytes`. After an error any part of them may have been written.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Fills `buffer`; an error of kind `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Reserves blocks so that the file has at least `bytes`, new ones reading as zeros, and later writes within it
    /// cannot run out of space.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes everything written so far durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Maps the whole file, to be read.
    fn map(&self) -> io::Result<Arc<dyn Mapping>>;
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsStorage;

#[derive(Debug)]
struct FsFile(File);

impl Storage for FsStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::ReadWrite => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Truncate => options.write(true).create(true).truncate(true),
        };
        Ok(Arc::new(FsFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_dir_all(parent)?;
        }
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync_dir(parent.unwrap_or(Path::new("."))),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            names.push(name.into_string().map_err(|name| {
                let text = format!(
                    "{}: {name:?} is not a name that this program writes",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let file_system = rustix::fs::statvfs(path)?;
        Ok(file_system.f_bavail * file_system.f_frsize)
    }
}

impl StorageFile for FsFile {
    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, position)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can; then the blocks come as they are written.
            Err(rustix::io::Errno::OPNOTSUPP) if self.len()? < bytes => self.set_len(bytes),
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn map(&self) -> io::Result<Arc<dyn Mapping>> {
        // SAFETY: nobody writes to or truncates a file that may be mapped: segments are mapped only after they were
        // sealed (recovery unmaps before it cuts), a sealed segment is replaced by rename and removed by unlink, and it is recycled only when no mapping
        // of it is held (`Mapping`'s contract). Another process is kept out by the data directory's lock.
        let map = unsafe { memmap2::Mmap::map(&self.0)? };
        Ok(Arc::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/file");
        let storage = FsStorage;
        assert_eq!(
            storage.list(&directory.path().join("a")).unwrap(),
            [] as [&str; 0]
        );
        storage.create_dir_all(path.parent().unwrap()).unwrap();
        let file = storage.open(&path, OpenMode::CreateNew).unwrap();
        assert!(storage.open(&path, OpenMode::CreateNew).is_err());
        file.allocate(4096).unwrap();
        file.write_all_at(b"hello", 10).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 4096);
        let mapping = file.map().unwrap();
        storage.remove_file(&path).unwrap();
        assert_eq!(&mapping[9..16], b"\0hello\0");
        let mut buffer = [1; 3];
        assert!(file.read_exact_at(&mut buffer, 4094).is_err());
        assert!(storage.free_bytes(directory.path()).unwrap() > 0);
        assert_eq!(storage.list(path.parent().unwrap()).unwrap(), [] as [&str; 0]);
    }
}
