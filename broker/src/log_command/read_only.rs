//! Files that nobody writes: whatever opens its directories through this finds them as a start would, and leaves them as they are.
//!
//! Making directories, removing what interrupted writes left and syncing are passed over, as if done; leftovers are
//! therefore not listed. Everything else that would write is refused.

use std::io;
use std::path::Path;
use std::sync::Arc;

use seglog::atomic_file::TEMPORARY_SUFFIX;
use seglog::{FsStorage, OpenMode, Storage, StorageFile};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadOnly;

impl Storage for ReadOnly {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        match mode {
            OpenMode::Read => FsStorage.open(path, mode),
            OpenMode::ReadWrite | OpenMode::CreateNew | OpenMode::Truncate => Err(refused()),
        }
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let is_leftover = path.to_str().is_some_and(|path| path.ends_with(TEMPORARY_SUFFIX));
        if is_leftover { Ok(()) } else { Err(refused()) }
    }

    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        Err(refused())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = FsStorage.list(path)?;
        names.retain(|name| !name.ends_with(TEMPORARY_SUFFIX));
        Ok(names)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        FsStorage.free_bytes(path)
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "nothing is changed here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_files_and_changes_none() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("a.json"), "a").unwrap();
        std::fs::write(at("b.json.tmp"), "b").unwrap();
        assert_eq!(ReadOnly.list(directory.path()).unwrap(), ["a.json"]);
        assert_eq!(
            ReadOnly
                .open(&at("a.json"), OpenMode::Read)
                .unwrap()
                .len()
                .unwrap(),
            1
        );
        for mode in [OpenMode::ReadWrite, OpenMode::CreateNew, OpenMode::Truncate] {
            assert!(ReadOnly.open(&at("a.json"), mode).is_err());
        }
        ReadOnly.create_dir_all(&at("c")).unwrap();
        ReadOnly.remove_file(&at("b.json.tmp")).unwrap();
        ReadOnly.remove_file(&at("a.json")).unwrap_err();
        ReadOnly.rename(&at("a.json"), &at("d")).unwrap_err();
        assert_eq!(
            FsStorage.list(directory.path()).unwrap(),
            ["a.json", "b.json.tmp"]
        );
    }
}
