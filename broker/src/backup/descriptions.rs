//! Descriptions of all entities, as they were at one moment.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use seglog::Storage;

use crate::log_command::ReadOnly;
use crate::store::metadata::{Entity, MetadataError, MetadataStore};

/// Times that they are read before it is given up: each time, something was declared or deleted meanwhile.
const TRIES_MAX: usize = 20;

/// What tells one content of a file from another: they are never written in place.
type Fingerprint = BTreeMap<PathBuf, (u64, i64, i64)>;

/// Reads them all. Nothing has changed between the first file and the last.
///
/// # Errors
/// When one cannot be used, or they change all the time.
pub(super) fn read(directory: &Path) -> anyhow::Result<Vec<Entity>> {
    let store = MetadataStore::open(Arc::new(ReadOnly), directory.to_owned())?;
    read_by(directory, &mut || store.load())
}

/// A file that cannot be used may be one that came and went while they were read, which the comparison does not see: it is
/// believed when the last try says so, too.
fn read_by(
    directory: &Path,
    load: &mut dyn FnMut() -> Result<Vec<Entity>, MetadataError>,
) -> anyhow::Result<Vec<Entity>> {
    for left in (0..TRIES_MAX).rev() {
        let before = fingerprint(directory)?;
        let entities = load();
        if fingerprint(directory)? != before {
            continue;
        }
        match entities {
            Err(MetadataError::Unusable { .. }) if left > 0 => {}
            Err(error @ MetadataError::Unusable { .. }) => {
                return Err(anyhow::Error::from(error).context(
                    "a description cannot be used; see `broker log verify` on the stopped broker's data directory",
                ));
            }
            entities => return Ok(entities?),
        }
    }
    bail!(
        "durable queues, exchanges, bindings or users have changed each of the {TRIES_MAX} times that {} was read: try again when \
         fewer are declared and deleted",
        directory.display()
    )
}

fn fingerprint(directory: &Path) -> anyhow::Result<Fingerprint> {
    let read = || -> io::Result<Fingerprint> {
        let mut files = Fingerprint::new();
        for kind in ReadOnly.list(directory)? {
            let kind = directory.join(kind);
            for name in ReadOnly.list(&kind)? {
                let path = kind.join(name);
                // One that has gone since is missed by the comparison.
                if let Ok(file) = fs::metadata(&path) {
                    files.insert(path, (file.ino(), file.mtime(), file.mtime_nsec()));
                }
            }
        }
        Ok(files)
    };
    read().with_context(|| format!("cannot list {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to so many tries, each as told.
    fn read_with(mut answer: impl FnMut(usize, &Path) -> bool) -> (usize, anyhow::Result<Vec<Entity>>) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("queues")).unwrap();
        let mut tries = 0;
        let read = read_by(directory.path(), &mut || {
            tries += 1;
            match answer(tries, directory.path()) {
                true => Ok(Vec::new()),
                false => Err(MetadataError::Unusable {
                    path: "one".into(),
                    what: "it was removed while it was read".to_owned(),
                }),
            }
        });
        (tries, read)
    }

    #[test]
    fn one_that_came_and_went_is_read_again() {
        let (tries, read) = read_with(|tries, _| tries == 3);
        assert!(tries == 3 && read.unwrap().is_empty());
    }

    #[test]
    fn one_that_stays_unusable_is_told() {
        let (tries, read) = read_with(|_, _| false);
        let told = format!("{:#}", read.unwrap_err());
        assert_eq!(tries, TRIES_MAX);
        assert!(
            told.contains("broker log verify") && told.contains("one"),
            "{told}"
        );
    }

    #[test]
    fn what_changes_each_time_is_told_as_that() {
        let (tries, read) = read_with(|tries, directory| {
            fs::write(directory.join("queues").join(tries.to_string()), "").unwrap();
            tries % 2 == 0
        });
        let told = format!("{:#}", read.unwrap_err());
        assert_eq!(tries, TRIES_MAX);
        assert!(told.contains("try again when fewer"), "{told}");
    }
}
