//! Which files and directories there are, and the changes of that which are not durable yet.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::CrashMode;
use super::random::Random;

/// Which content a name stands for.
pub(super) type Inode = u64;

/// The names, as the program sees them and as the medium holds them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    cached: Tree,
    durable: Tree,
    /// `durable` and then these is `cached`.
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug, Default)]
struct Tree {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Inode>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create { path: PathBuf, inode: Inode },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    RemoveDirectory { path: PathBuf },
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> io::Result<Inode> {
        self.cached
            .files
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.cached.files.keys().map(PathBuf::as_path)
    }

    pub(super) fn create(&mut self, path: &Path, inode: Inode) -> io::Result<()> {
        self.expect_directory_of(path)?;
        if self.cached.files.contains_key(path) || self.cached.directories.contains(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.change(NameChange::Create {
            path: path.to_owned(),
            inode,
        });
        Ok(())
    }

    /// As the contract has it, the directories are durable at once; so is what was pending of their names.
    pub(super) fn create_directories(&mut self, path: &Path) {
        for directory in path.ancestors() {
            if self.cached.directories.insert(directory.to_owned()) {
                self.settle(|change| change.touches(directory));
                self.durable.directories.insert(directory.to_owned());
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.get(from)?;
        self.expect_directory_of(to)?;
        self.change(NameChange::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.get(path)?;
        self.change(NameChange::Remove {
            path: path.to_owned(),
        });
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        if !self.cached.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.cached.children(path).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(NameChange::RemoveDirectory {
            path: path.to_owned(),
        });
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> Vec<String> {
        let mut names: Vec<String> = self
            .cached
            .children(path)
            .map(|child| child.to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    pub(super) fn sync(&mut self, directory: &Path) -> io::Result<()> {
        if !self.cached.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.settle(|change| change.paths().any(|path| path.parent() == Some(directory)));
        Ok(())
    }

    /// What a process that starts after a crash finds.
    pub(super) fn after_crash(&self, random: &mut Random, mode: CrashMode) -> Self {
        let mut names = self.clone();
        match mode {
            CrashMode::KeepAll => return names,
            CrashMode::LoseUnsynced => {}
            CrashMode::Reorder | CrashMode::Tear => names.settle(|_| random.chance(50)),
        }
        Self {
            cached: names.durable.clone(),
            durable: names.durable,
            pending: Vec::new(),
        }
    }

    fn expect_directory_of(&self, path: &Path) -> io::Result<()> {
        let found = path
            .parent()
            .is_some_and(|directory| self.cached.directories.contains(directory));
        if found {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn change(&mut self, change: NameChange) {
        self.cached.apply(&change);
        self.pending.push(change);
    }

    /// Makes the chosen changes durable, and with each all those before it that it builds upon.
    fn settle(&mut self, mut chosen: impl FnMut(&NameChange) -> bool) {
        let (mut settled, mut pending) = (Vec::<NameChange>::new(), Vec::new());
        for change in self.pending.drain(..).rev() {
            let is_needed = settled.iter().any(|later| later.builds_on(&change));
            if chosen(&change) || is_needed {
                &mut settled
            } else {
                &mut pending
            }
            .push(change);
        }
        pending.reverse();
        self.pending = pending;
        settled.iter().rev().for_each(|change| self.durable.apply(change));
    }
}

impl Tree {
    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Create { path, inode } => {
                self.files.insert(path.clone(), *inode);
            }
            NameChange::Rename { from, to } => {
                let inode = self
                    .files
                    .remove(from)
                    .expect("a rename settles after what made its source");
                self.files.insert(to.clone(), inode);
            }
            NameChange::Remove { path } => {
                self.files.remove(path);
            }
            NameChange::RemoveDirectory { path } => {
                self.directories.remove(path);
            }
        }
    }

    fn children(&self, directory: &Path) -> impl Iterator<Item = &std::ffi::OsStr> {
        let paths = self.directories.iter().chain(self.files.keys());
        paths
            .filter(move |path| path.parent() == Some(directory))
            .filter_map(|path| path.file_name())
    }
}

impl NameChange {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let (first, second) = match self {
            NameChange::Rename { from, to } => (from, Some(to)),
            NameChange::Create { path, .. }
            | NameChange::Remove { path }
            | NameChange::RemoveDirectory { path } => (path, None),
        };
        std::iter::once(first).chain(second).map(PathBuf::as_path)
    }

    fn touches(&self, path: &Path) -> bool {
        self.paths().any(|own| own == path)
    }

    /// Whether `earlier` changed a name that this one changes, or a name in the directory that this one removes.
    fn builds_on(&self, earlier: &NameChange) -> bool {
        let empties = |path: &Path| matches!(self, NameChange::RemoveDirectory { path: directory } if path.starts_with(directory));
        earlier.paths().any(|path| self.touches(path) || empties(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Names {
        let mut names = Names::default();
        names.create_directories(Path::new("/d"));
        names
    }

    /// Every outcome of a crash, each with the inodes behind its names.
    fn outcomes(names: &Names) -> BTreeSet<Vec<(String, Inode)>> {
        let listing = |names: Names| {
            let paths = names.cached.files.iter();
            paths
                .map(|(path, inode)| (path.display().to_string(), *inode))
                .collect()
        };
        (0..200)
            .map(|seed| listing(names.after_crash(&mut Random::new(seed), CrashMode::Reorder)))
            .collect()
    }

    fn listing(files: &[(&str, Inode)]) -> Vec<(String, Inode)> {
        files
            .iter()
            .map(|(path, inode)| (path.to_string(), *inode))
            .collect()
    }

    #[test]
    fn names_may_vanish_and_come_back_until_synced() {
        let mut names = directory();
        names.create(Path::new("/d/a"), 1).unwrap();
        assert_eq!(
            outcomes(&names),
            BTreeSet::from([listing(&[]), listing(&[("/d/a", 1)])])
        );
        names.sync(Path::new("/d")).unwrap();
        assert_eq!(outcomes(&names), BTreeSet::from([listing(&[("/d/a", 1)])]));
        names.remove(Path::new("/d/a")).unwrap();
        assert_eq!(
            outcomes(&names),
            BTreeSet::from([listing(&[]), listing(&[("/d/a", 1)])])
        );
    }

    #[test]
    fn a_rename_leaves_the_old_or_the_new_name() {
        let mut names = directory();
        names.create(Path::new("/d/a"), 1).unwrap();
        names.create(Path::new("/d/b"), 2).unwrap();
        names.sync(Path::new("/d")).unwrap();
        names.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
        names.create(Path::new("/d/a"), 3).unwrap();
        let expected = [
            &[("/d/a", 1), ("/d/b", 2)][..],
            &[("/d/b", 1)],
            &[("/d/a", 3), ("/d/b", 1)],
        ];
        assert_eq!(outcomes(&names), expected.map(listing).into_iter().collect());
    }

    #[test]
    fn a_removed_directory_was_empty() {
        let mut names = directory();
        names.create_directories(Path::new("/d/e"));
        names.create(Path::new("/d/e/a"), 1).unwrap();
        assert!(names.remove_directory(Path::new("/d/e")).is_err());
        names.sync(Path::new("/d/e")).unwrap();
        names.remove(Path::new("/d/e/a")).unwrap();
        names.remove_directory(Path::new("/d/e")).unwrap();
        for seed in 0..32 {
            let names = names.after_crash(&mut Random::new(seed), CrashMode::Reorder);
            assert!(names.list(Path::new("/d")) == ["e"] || names.get(Path::new("/d/e/a")).is_err());
        }
        names.create_directories(Path::new("/d/e"));
        assert_eq!(outcomes(&names), BTreeSet::from([listing(&[])]));
    }
}
