//! Durable entities: one JSON file each, which a person can read, in `metadata/` of the data directory.
//!
//! ```text
//! metadata/vhosts/%2f.json
//!          users/guest.json
//!          permissions/guest@%2f.json
//!          topic_permissions/guest+amq.topic@%2f.json
//!          exchanges/logs@%2f.json
//!          queues/orders@%2f.json
//!          bindings/logs+orders@%2f~0f…9a.json
//! ```
//! The maintenance thread owns the directory; the others ask it. Each file is replaced atomically, so it has the old
//! content or the new one after a crash; a change has been made once the call has returned.
//!
//! Invariants:
//! - an entity's file name follows from its identity alone, and no two identities have the same one;
//! - within one call, what is referred to is durable before what refers to it, and removed after it;
//! - what is found on disk is either understood entirely or reported with its path, never skipped.
//!
//! | file | what it holds |
//! |---|---|
//! | `entity` | the records and their identity |
//! | `arguments` | field tables as JSON |
//! | `key`, `file_name` | an entity's identity as the name of its file |
//! | `document` | a file's content |
//! | `metadata_store` | the directory |

mod arguments;
mod document;
mod entity;
mod error;
mod file_name;
pub(crate) mod hex;
mod key;
mod metadata_store;
#[cfg(test)]
mod tests;

pub use entity::{
    BindingRecord, DestinationKind, Entity, ExchangeRecord, PasswordHashing, PermissionRecord, QueueRecord,
    TopicPermissionRecord, UserLimits, UserRecord, VhostLimits, VhostRecord,
};
pub use error::MetadataError;
pub use metadata_store::MetadataStore;
