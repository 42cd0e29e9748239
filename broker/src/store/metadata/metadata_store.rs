//! The directory of durable entities.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seglog::atomic_file::{self, Generations};
use seglog::{SeglogError, Storage};

use super::document;
use super::entity::Entity;
use super::error::MetadataError;
use super::key::{EXTENSION, EntityKind, Key};

/// See [the module](super). One thread at a time changes it.
#[derive(Debug)]
pub struct MetadataStore {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
}

impl MetadataStore {
    /// Opens the directory, making it where necessary, and removes what interrupted writes left.
    ///
    /// # Errors
    /// [`SeglogError::Io`].
    pub fn open(storage: Arc<dyn Storage>, directory: PathBuf) -> Result<MetadataStore, SeglogError> {
        for kind in EntityKind::ALL {
            atomic_file::open_directory(&*storage, &directory.join(kind.directory()), EXTENSION)?;
        }
        Ok(MetadataStore { storage, directory })
    }

    /// Stores an entity, in place of the one with the same identity.
    ///
    /// # Errors
    /// [`SeglogError::Io`]: the entity is stored as before, or as given.
    pub fn put(&self, entity: &Entity) -> Result<(), SeglogError> {
        self.put_all(std::slice::from_ref(entity))
    }

    /// Stores entities in the order of their kinds, and syncs each directory once: a crash leaves no entity
    /// without those of the same call that it refers to.
    ///
    /// # Errors
    /// As [`MetadataStore::put`], for each of them.
    pub fn put_all(&self, entities: &[Entity]) -> Result<(), SeglogError> {
        self.change(EntityKind::ALL, entities, |path, entity| {
            let bytes = document::encode(entity);
            atomic_file::replace_unsynced(&*self.storage, path, &bytes, Generations::One)
        })
    }

    /// Removes the entity with the same identity. One that is not there is as good as removed.
    ///
    /// # Errors
    /// [`SeglogError::Io`]: it may be back after a crash.
    pub fn remove(&self, entity: &Entity) -> Result<(), SeglogError> {
        self.remove_all(std::slice::from_ref(entity))
    }

    /// Removes entities in the opposite order of their kinds, bindings first, and syncs each directory once.
    ///
    /// # Errors
    /// As [`MetadataStore::remove`], for each of them.
    pub fn remove_all(&self, entities: &[Entity]) -> Result<(), SeglogError> {
        let mut kinds = EntityKind::ALL;
        kinds.reverse();
        self.change(kinds, entities, |path, _| {
            atomic_file::remove_unsynced(&*self.storage, path)
        })
    }

    /// All entities, in an order in which they can be declared; those of one kind, in the order of their files' names.
    ///
    /// # Errors
    /// [`MetadataError::Unusable`] for the first file that cannot be understood, has another entity than its name
    /// says, or is none of this store's.
    pub fn load(&self) -> Result<Vec<Entity>, MetadataError> {
        self.survey()?.into_iter().collect()
    }

    /// What each file holds, in the order of [`MetadataStore::load`], or why it cannot be used.
    ///
    /// # Errors
    /// [`SeglogError::Io`] when a directory cannot be listed.
    pub fn survey(&self) -> Result<Vec<Result<Entity, MetadataError>>, SeglogError> {
        let mut entities = Vec::new();
        for kind in EntityKind::ALL {
            let directory = self.directory.join(kind.directory());
            for name in atomic_file::list(&*self.storage, &directory)? {
                entities.push(self.read(kind, &directory.join(&name), &name));
            }
        }
        Ok(entities)
    }

    fn read(&self, kind: EntityKind, path: &Path, name: &str) -> Result<Entity, MetadataError> {
        let unusable = |what| MetadataError::Unusable {
            path: path.to_owned(),
            what,
        };
        if !name.ends_with(EXTENSION) {
            return Err(unusable(format!(
                "only files named …{EXTENSION} are expected here"
            )));
        }
        let bytes = atomic_file::read(&*self.storage, path)?
            .ok_or_else(|| unusable("it was removed while it was read".to_owned()))?;
        let entity = document::decode(kind, &bytes).map_err(unusable)?;
        let expected = entity.key().file_name();
        if name != expected {
            return Err(unusable(format!(
                "what it holds belongs into a file named {expected}"
            )));
        }
        Ok(entity)
    }

    /// Changes the files of entities, kind by kind; each directory is synced before the next one is touched.
    fn change(
        &self,
        kinds: [EntityKind; EntityKind::ALL.len()],
        entities: &[Entity],
        change: impl Fn(&Path, &Entity) -> Result<(), SeglogError>,
    ) -> Result<(), SeglogError> {
        let files: Vec<(Key, &Entity)> = entities.iter().map(|entity| (entity.key(), entity)).collect();
        for kind in kinds {
            let mut is_changed = false;
            for (key, entity) in files.iter().filter(|(key, _)| key.kind() == kind) {
                change(&self.directory.join(key.path()), entity)?;
                is_changed = true;
            }
            if is_changed {
                atomic_file::sync_directory(&*self.storage, &self.directory.join(kind.directory()))?;
            }
        }
        Ok(())
    }
}
