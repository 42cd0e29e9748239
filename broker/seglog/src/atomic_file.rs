//! Small files that are replaced as a whole: a reader finds the old content or the new one, never a mixture.
//!
//! ```text
//! step                        a crash after it leaves            the reader takes
//! 1 write <name>.tmp          <name> old, .tmp torn              old
//! 2 sync <name>.tmp           <name> old, .tmp new               old
//! 3 <name> → <name>.previous  no <name>, .previous old           old, from .previous   (Generations::Two only)
//! 4 <name>.tmp → <name>       <name> new, .previous old          new
//! 5 sync the directory        the same, durably                  new
//! ```
//! Before step 5 either rename may be lost, also only the first of them: 4 without 3 is `<name>` new and `.previous`
//! older, which serves the reader as well. What is relied on: a rename happens or does not, and the bytes that step 2
//! made durable stay with the file under its new name.
//!
//! Whoever replaces a file is the only one to do so; readers need no lock.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{SeglogError, failed};
use crate::storage::{OpenMode, Storage};

/// Appended to the name of a file that is being written.
pub const TEMPORARY_SUFFIX: &str = ".tmp";
/// Appended to the name of the generation before, where it is kept.
pub const PREVIOUS_SUFFIX: &str = ".previous";
/// Longest file that [`read`] takes into memory: a checkpoint of more than ten million ranges.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// How many contents of a file are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generations {
    /// The old one goes.
    One,
    /// The old one becomes [`previous`]; the one before it goes.
    Two,
}

/// Replaces the file's content, or makes the file, durably.
///
/// # Errors
/// [`SeglogError::Io`]: readers find the old content or the new one, and it is open which.
pub fn replace(
    storage: &dyn Storage,
    path: &Path,
    bytes: &[u8],
    generations: Generations,
) -> Result<(), SeglogError> {
    replace_unsynced(storage, path, bytes, generations)?;
    sync_directory(storage, directory_of(path))
}

/// Like [`replace`], but which content survives a crash is open until [`sync_directory`]: for many files at once.
///
/// # Errors
/// As [`replace`].
pub fn replace_unsynced(
    storage: &dyn Storage,
    path: &Path,
    bytes: &[u8],
    generations: Generations,
) -> Result<(), SeglogError> {
    let temporary = with_suffix(path, TEMPORARY_SUFFIX);
    let replaced = write(storage, &temporary, bytes).and_then(|()| {
        if generations == Generations::Two {
            match storage.rename(path, &previous(path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed.map_err(failed("rename", path))?,
            }
        }
        storage
            .rename(&temporary, path)
            .map_err(failed("rename", &temporary))
    });
    if replaced.is_err() {
        // Gives its space back where it can; if not, the next replacement writes over it.
        storage.remove_file(&temporary).ok();
    }
    replaced
}

/// Makes the names in a directory durable.
///
/// # Errors
/// [`SeglogError::Io`].
pub fn sync_directory(storage: &dyn Storage, directory: &Path) -> Result<(), SeglogError> {
    storage.sync_dir(directory).map_err(failed("sync", directory))
}

/// The file's content; `None` when there is no such file.
///
/// # Errors
/// [`SeglogError::Io`], also for files longer than [`FILE_BYTES_MAX`].
pub fn read(storage: &dyn Storage, path: &Path) -> Result<Option<Vec<u8>>, SeglogError> {
    let file = match storage.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed("open", path))?,
    };
    let bytes_len = file.len().map_err(failed("measure", path))?;
    if bytes_len > FILE_BYTES_MAX {
        let text = format!("it has {bytes_len} bytes, more than the {FILE_BYTES_MAX} expected at most");
        return Err(failed("read", path)(io::Error::new(
            io::ErrorKind::FileTooLarge,
            text,
        )));
    }
    let mut bytes = vec![0; bytes_len as usize];
    file.read_exact_at(&mut bytes, 0).map_err(failed("read", path))?;
    Ok(Some(bytes))
}

/// Removes a file, if it is there. Not durable before [`sync_directory`].
///
/// # Errors
/// [`SeglogError::Io`].
pub fn remove_unsynced(storage: &dyn Storage, path: &Path) -> Result<(), SeglogError> {
    match storage.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(failed("remove", path)),
    }
}

/// Makes a directory where it is missing, removes what interrupted replacements of files named `…<extension>` left in
/// it, and returns the other names, in ascending order.
///
/// # Errors
/// [`SeglogError::Io`].
pub fn open_directory(
    storage: &dyn Storage,
    directory: &Path,
    extension: &str,
) -> Result<Vec<String>, SeglogError> {
    storage
        .create_dir_all(directory)
        .map_err(failed("create", directory))?;
    let leftover = format!("{extension}{TEMPORARY_SUFFIX}");
    let mut names = list(storage, directory)?;
    for name in names.extract_if(.., |name| name.ends_with(&leftover)) {
        remove_unsynced(storage, &directory.join(name))?;
    }
    Ok(names)
}

/// The names in a directory, in ascending order.
///
/// # Errors
/// [`SeglogError::Io`].
pub fn list(storage: &dyn Storage, directory: &Path) -> Result<Vec<String>, SeglogError> {
    storage.list(directory).map_err(failed("list", directory))
}

/// Where the generation before is, if it was kept.
pub fn previous(path: &Path) -> PathBuf {
    with_suffix(path, PREVIOUS_SUFFIX)
}

/// Writes and syncs.
fn write(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), SeglogError> {
    let file = storage
        .open(path, OpenMode::Truncate)
        .map_err(failed("create", path))?;
    file.write_all_at(bytes, 0).map_err(failed("write", path))?;
    file.sync_data().map_err(failed("sync", path))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::{CrashMode, SimStorage};

    const PATH: &str = "/d/file";

    fn disk_holding(contents: &[&str], generations: Generations) -> SimStorage {
        let storage = SimStorage::default();
        storage.create_dir_all(Path::new("/d")).unwrap();
        for content in contents {
            replace(&storage, Path::new(PATH), content.as_bytes(), generations).unwrap();
        }
        storage
    }

    /// What a reader takes: the content before where the current one is missing.
    fn found(storage: &SimStorage) -> Option<String> {
        let current = read(storage, Path::new(PATH)).unwrap();
        let found = current.or_else(|| read(storage, &previous(Path::new(PATH))).unwrap());
        found.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// What a reader may find after a power loss at this moment, or after the process was killed.
    fn found_after_crash(storage: &SimStorage) -> Vec<Option<String>> {
        let crashes = (0..16).map(|seed| storage.crash(seed, CrashMode::Tear));
        let plain = [CrashMode::KeepAll, CrashMode::LoseUnsynced].map(|mode| storage.crash(0, mode));
        crashes.chain(plain).map(|crashed| found(&crashed)).collect()
    }

    #[test]
    fn steps_come_in_the_order_that_the_module_promises() {
        let storage = disk_holding(&["old"], Generations::One);
        let before = storage.operations().len();
        replace(&storage, Path::new(PATH), b"new", Generations::Two).unwrap();
        let steps: Vec<String> = storage.operations()[before..]
            .iter()
            .map(|operation| format!("{:?} {}", operation.action, operation.path.display()))
            .collect();
        let expected = [
            "Create /d/file.tmp",
            "Write /d/file.tmp",
            "Sync /d/file.tmp",
            "Rename /d/file",
            "Rename /d/file.tmp",
            "SyncDirectory /d",
        ];
        assert_eq!(steps, expected);
        assert_eq!(storage.content(&previous(Path::new(PATH))).unwrap(), b"old");
        assert_eq!(storage.files().len(), 2);
    }

    #[test]
    fn a_crash_anywhere_leaves_the_old_content_or_the_new() {
        for generations in [Generations::One, Generations::Two] {
            for old in [&[][..], &["old"], &["oldest", "older", "old"]] {
                for steps in 0.. {
                    let storage = disk_holding(old, generations);
                    storage.stop_at(storage.count() + steps);
                    let replaced = replace(&storage, Path::new(PATH), b"new, and longer", generations);
                    let old = old.last().map(|&old| old.to_owned());
                    let new = Some("new, and longer".to_owned());
                    for found in found_after_crash(&storage) {
                        let expected = found == new || (replaced.is_err() && found == old);
                        assert!(expected, "{generations:?}, cut after {steps}: {found:?}");
                    }
                    if replaced.is_ok() {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn two_crashes_in_a_row_leave_a_whole_content_too() {
        for (first, second) in (0..6).flat_map(|first| (0..6).map(move |second| (first, second))) {
            for seed in 0..8 {
                let storage = disk_holding(&["older", "old"], Generations::Two);
                storage.stop_at(storage.count() + first);
                replace(&storage, Path::new(PATH), b"lost?", Generations::Two).ok();
                let storage = storage.crash(seed, CrashMode::Tear);
                let survived = found(&storage);
                storage.stop_at(storage.count() + second);
                replace(&storage, Path::new(PATH), b"new", Generations::Two).ok();
                for found in found_after_crash(&storage) {
                    assert!(
                        found == survived || found.as_deref() == Some("new"),
                        "{first} {second} {seed}: {found:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn leftovers_go_and_other_files_stay() {
        let storage = disk_holding(&["old"], Generations::Two);
        for name in ["a.json", "a.json.tmp", "b.tmp", "b.json.previous"] {
            storage.put(&Path::new("/d").join(name), b"?".to_vec()).unwrap();
        }
        let names = open_directory(&storage, Path::new("/d"), ".json").unwrap();
        assert_eq!(names, ["a.json", "b.json.previous", "b.tmp", "file"]);
        assert_eq!(names, list(&storage, Path::new("/d")).unwrap());
        assert_eq!(
            open_directory(&storage, Path::new("/new/one"), "").unwrap(),
            [] as [&str; 0]
        );
    }

    #[test]
    fn errors_name_action_and_path() {
        let storage = SimStorage::default();
        let path = Path::new("/missing/file");
        let error = replace(&storage, path, b"", Generations::One).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot create /missing/file.tmp: "),
            "{error}"
        );
        assert_eq!(read(&storage, path).unwrap(), None);
        remove_unsynced(&storage, path).unwrap();
    }
}
