//! What a confirm of a persistent message on a durable queue promises.

use std::fmt;
use std::str::FromStr;

/// How safe a persistent message is before its publisher gets the confirm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// It is in memory; the log gets it soon after. Survives a clean stop.
    None,
    /// The operating system has it: survives the end of the process, however it comes.
    Write,
    /// The disk has it: survives the loss of power.
    #[default]
    Sync,
}

impl Durability {
    /// All levels, the weakest first.
    pub const ALL: [Durability; 3] = [Durability::None, Durability::Write, Durability::Sync];

    /// Its name in flags, queue arguments and results.
    pub fn name(self) -> &'static str {
        match self {
            Durability::None => "none",
            Durability::Write => "write",
            Durability::Sync => "sync",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Durability, String> {
        let found = Durability::ALL.into_iter().find(|level| level.name() == text);
        found.ok_or_else(|| "expected none, write or sync".to_owned())
    }
}
