//! Something that is wrong with a data directory: where, what, and what it means for a start.

use std::fmt;
use std::path::PathBuf;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A write that nobody was told of broke off.
    Torn,
    /// Bytes that were durable are not there any more.
    Damaged,
    /// A checkpoint cannot be used.
    Checkpoint,
    /// A description cannot be used.
    Description,
    /// Files that belong to nothing.
    Orphan,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Torn => "torn",
            Kind::Damaged => "damaged",
            Kind::Checkpoint => "checkpoint",
            Kind::Description => "description",
            Kind::Orphan => "orphan",
        }
    }
}

/// See the module. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    /// Byte and offsets, where it has a place in the file.
    pub(crate) place: Option<String>,
    pub(crate) what: String,
    pub(crate) meaning: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.path.display())?;
        if let Some(place) = &self.place {
            write!(f, " {place}")?;
        }
        let line = format!(": {}; {}", self.what, self.meaning);
        f.write_str(&line.replace('\n', " "))
    }
}
