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
    for _ in 0..TRIES_MAX {
        let before = fingerprint(directory)?;
        let entities = store.load();
        if fingerprint(directory)? != before {
            continue;
        }
        return entities.map_err(|error| match error {
            MetadataError::Unusable { .. } => anyhow::Error::from(error).context(
                "a description cannot be used; see `broker log verify` on the stopped broker's data directory",
            ),
            MetadataError::Storage(_) => error.into(),
        });
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
