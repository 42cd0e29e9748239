//! Why stored entities cannot be used.

use std::path::PathBuf;

use seglog::SeglogError;

/// Why a metadata file cannot be written, read or understood.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// An operation on a file failed.
    #[error(transparent)]
    Storage(#[from] SeglogError),
    /// A file is not what this program writes. It is left as it is.
    #[error("cannot use {}: {what}; put it right, or move it out of the directory", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}
