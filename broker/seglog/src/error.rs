//! What can go wrong with files, in sentences for an operator.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log, checkpoint or other file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeglogError {
    /// An operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "write", "sync" …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Bytes are not what was written, and a crash cannot explain it.
    #[error("{} is damaged at byte {position}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        position: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// An earlier write or sync failed; nothing more is written or confirmed until the broker starts again.
    #[error("the log stopped after an earlier failure: {reason}")]
    Poisoned {
        /// The first failure, in words.
        reason: String,
    },
    /// The log was removed while somebody still had it.
    #[error("the log {name} was removed")]
    Removed {
        /// The log.
        name: String,
    },
}

/// For `map_err`: what was tried on which path.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SeglogError {
    let path = path.to_owned();
    move |source| SeglogError::Io { action, path, source }
}

/// Bytes at `position` of `path` are not what was written.
pub(crate) fn damaged(path: &Path, position: u64, what: impl ToString) -> SeglogError {
    SeglogError::Damaged {
        path: path.to_owned(),
        position,
        what: what.to_string(),
    }
}
