//! A directory that gets its name when everything in it is complete and durable.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Appended to the name while it is incomplete.
const SUFFIX: &str = ".partial";
/// Messages are nobody else's business.
const MODE: u32 = 0o700;

/// See the module documentation. Dropped before [`Destination::complete`], it is removed.
#[derive(Debug)]
pub(super) struct Destination {
    name: PathBuf,
    partial: Option<PathBuf>,
}

impl Destination {
    /// Makes the directory under its preliminary name.
    ///
    /// # Errors
    /// When there is one already, or it cannot be made.
    pub(super) fn new(name: &Path) -> anyhow::Result<Destination> {
        if fs::symlink_metadata(name).is_ok() {
            bail!(
                "--to {}: it exists; a backup is made anew each time",
                name.display()
            );
        }
        let mut partial = name.as_os_str().to_owned();
        partial.push(SUFFIX);
        let partial = PathBuf::from(partial);
        fs::DirBuilder::new()
            .mode(MODE)
            .create(&partial)
            .with_context(|| match partial.exists() {
                true => format!(
                    "--to {}: {} is there, of a backup that was interrupted or still runs; remove it",
                    name.display(),
                    partial.display()
                ),
                false => format!("--to {}: cannot make {}", name.display(), partial.display()),
            })?;
        Ok(Destination {
            name: name.to_owned(),
            partial: Some(partial),
        })
    }

    /// Where files are to be put.
    pub(super) fn path(&self) -> &Path {
        self.partial.as_deref().unwrap_or(&self.name)
    }

    /// Makes all names below durable, then gives the directory its own.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn complete(mut self) -> anyhow::Result<()> {
        let sync = || -> io::Result<()> {
            sync_directories(self.path())?;
            fs::rename(self.path(), &self.name)?;
            let parent = self.name.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        };
        sync().with_context(|| format!("cannot complete {}", self.name.display()))?;
        self.partial = None;
        Ok(())
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // What is left of it, if anything, has a name that nobody takes for a backup.
            let _ = fs::remove_dir_all(partial);
        }
    }
}

fn sync_directories(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}
