//! The data directory and its one owner.
//!
//! Ownership is an advisory lock on the file `LOCK`, held as long as the process lives: the kernel drops it however the
//! process ends, so a stale file never locks anybody out. The file holds the owner's pid, for people only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the lock file.
pub const LOCK_FILE: &str = "LOCK";
/// How often the lock is tried, because [`owner`] may look at it just then.
const TRIES_MAX: u32 = 5;
/// Time between two tries.
const TRY_PAUSE: Duration = Duration::from_millis(10);
/// Every data directory has this from its first start on.
const METADATA: &str = "metadata";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Creating or opening failed.
    #[error("cannot use data directory {}: {action} {}: {source}", directory.display(), path.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No broker ever ran on it.
    #[error("{} is no data directory of a broker: it has no directory {METADATA}; choose another --data-dir", directory.display())]
    NotOne {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process owns it.
    #[error("data directory {} is in use by process {owner}: stop it, or choose another --data-dir", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// Pid of the owner, or `(unknown)`.
        owner: String,
    },
}

/// An owned data directory; released when dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// As [`DataDir::open`], for one that a broker ran on: a mistyped path must not become one.
    ///
    /// # Errors
    /// Also when it is none.
    pub fn open_existing(path: &Path) -> Result<DataDir, DataDirError> {
        if !path.join(METADATA).is_dir() {
            return Err(DataDirError::NotOne {
                directory: path.to_owned(),
            });
        }
        DataDir::open(path)
    }

    /// Creates the directory where necessary and takes the lock.
    ///
    /// # Errors
    /// When it cannot be created, or another process owns it.
    pub fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let lock_path = path.join(LOCK_FILE);
        let failed = |action, at: &Path| {
            let (directory, at) = (path.to_owned(), at.to_owned());
            move |source| DataDirError::Io {
                directory,
                action,
                path: at,
                source,
            }
        };
        std::fs::create_dir_all(path).map_err(failed("create", path))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(&lock_path).map_err(failed("open", &lock_path))?;
        match try_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = read_owner(&mut lock);
                return Err(DataDirError::InUse {
                    directory: path.to_owned(),
                    owner,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        write_owner(&mut lock).map_err(failed("write", &lock_path))?;
        Ok(DataDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Pid of the process that owns a data directory, or `(unknown)`; none when nobody does, or it cannot be told.
pub fn owner(directory: &Path) -> Option<String> {
    let mut lock = File::open(directory.join(LOCK_FILE)).ok()?;
    let looked = lock.try_lock_shared();
    matches!(looked, Err(TryLockError::WouldBlock)).then(|| read_owner(&mut lock))
}

fn try_lock(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES_MAX {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_PAUSE),
            other => return other,
        }
    }
    lock.try_lock()
}

fn write_owner(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn read_owner(lock: &mut File) -> String {
    let mut owner = String::new();
    match lock.read_to_string(&mut owner) {
        Ok(_) if !owner.trim().is_empty() => owner.trim().to_owned(),
        _ => "(unknown)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_until_the_first_lets_go() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(first.path(), path);
        let refused = DataDir::open(&path).unwrap_err();
        assert!(
            matches!(&refused, DataDirError::InUse { owner, .. } if *owner == std::process::id().to_string())
        );
        assert!(refused.to_string().contains("in use by process"), "{refused}");
        drop(first);
        std::fs::write(path.join(LOCK_FILE), "4000000000 and more, left by a crash\n").unwrap();
        let second = DataDir::open(&path).unwrap();
        let owner = std::fs::read_to_string(path.join(LOCK_FILE)).unwrap();
        assert_eq!(owner, format!("{}\n", std::process::id()));
        drop(second);
    }

    #[test]
    fn a_file_in_its_place_is_reported_with_its_path() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "").unwrap();
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(
            refused.contains("create") && refused.contains(path.to_str().unwrap()),
            "{refused}"
        );
    }
}
