//! Whether a data directory is at rest, and stays so, without keeping anybody from it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::data_dir::{DataDir, DataDirError, LOCK_FILE};

/// Nobody had the directory, and the lock's file was this: every owner writes its own pid there before anything else.
#[derive(Debug)]
pub(super) struct Rest {
    lock: PathBuf,
    was: Option<State>,
}

/// The file's content, and when it was written.
type State = (Vec<u8>, (i64, i64));

impl Rest {
    /// `None` when somebody owns the directory. The lock is held for a moment only: a broker that starts is not refused.
    ///
    /// # Errors
    /// When it is no data directory, or cannot be used.
    pub(super) fn of(directory: &Path) -> Result<Option<Rest>, DataDirError> {
        match DataDir::open_existing(directory) {
            Ok(owned) => {
                let lock = directory.join(LOCK_FILE);
                let was = state(&lock);
                drop(owned);
                Ok(Some(Rest { lock, was }))
            }
            Err(DataDirError::InUse { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// True when somebody has owned it since.
    pub(super) fn is_over(&self) -> bool {
        self.was.is_none() || state(&self.lock) != self.was
    }
}

fn state(lock: &Path) -> Option<State> {
    let content = fs::read(lock).ok()?;
    let written = fs::metadata(lock).ok()?;
    Some((content, (written.mtime(), written.mtime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_somebody_has_come_even_if_they_have_gone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            Rest::of(directory.path()),
            Err(DataDirError::NotOne { .. })
        ));
        fs::create_dir(directory.path().join("metadata")).unwrap();
        let rest = Rest::of(directory.path()).unwrap().unwrap();
        assert!(!rest.is_over());
        let owner = DataDir::open(directory.path()).unwrap();
        // As another process would have it.
        fs::write(directory.path().join(LOCK_FILE), "1\n").unwrap();
        assert!(rest.is_over());
        assert!(Rest::of(directory.path()).unwrap().is_none());
        drop(owner);
        assert!(rest.is_over());
        assert!(Rest::of(directory.path()).unwrap().is_some());
    }
}
