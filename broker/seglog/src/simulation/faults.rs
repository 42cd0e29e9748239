//! Which operations are counted, and which of them fail and how.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// How an operation fails. One that a fault cannot hit (a read when the disk is full) is done as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done: EIO.
    Eio,
    /// Nothing is done: ENOSPC. Hits what needs space.
    Enospc,
    /// A part of the bytes is written, then ENOSPC. Hits writes.
    ShortWrite,
    /// A sync fails with EIO, and what it should have written is dropped as Linux does: still to be read, but no later
    /// sync writes it. Hits syncs of files.
    FailedSync,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 4] = [Self::Eio, Self::Enospc, Self::ShortWrite, Self::FailedSync];

    fn hits(self, action: Action) -> bool {
        match self {
            Self::Eio => true,
            Self::Enospc => action.needs_space(),
            Self::ShortWrite => action == Action::Write,
            Self::FailedSync => action == Action::Sync,
        }
    }
}

/// One call of a [`Storage`](crate::Storage) or [`StorageFile`](crate::StorageFile).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is the method of that name; Create is `open` that makes or empties a file"
)]
pub enum Action {
    Open,
    Create,
    CreateDirectory,
    Rename,
    Remove,
    RemoveDirectory,
    List,
    SyncDirectory,
    FreeBytes,
    Write,
    Read,
    Length,
    SetLength,
    Allocate,
    Sync,
    Map,
}

impl Action {
    /// Whether the disk, or what of it is durable, may be another afterwards.
    pub fn changes_disk(self) -> bool {
        !matches!(
            self,
            Self::Open | Self::List | Self::FreeBytes | Self::Read | Self::Length | Self::Map
        )
    }

    fn needs_space(self) -> bool {
        use Action::{Allocate, Create, CreateDirectory, Rename, SetLength, Write};
        matches!(
            self,
            Create | CreateDirectory | Rename | Write | SetLength | Allocate
        )
    }
}

/// An operation that was asked for, done or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub action: Action,
    /// On what; a file by the name under which it was opened.
    pub path: PathBuf,
}

/// What has to be done with an operation.
#[derive(Debug)]
pub(super) enum Verdict {
    Do,
    Refuse(io::Error),
    /// Writes a part, then fails.
    DoInPart(io::Error),
    /// Gives up what a sync should write.
    GiveUp(io::Error),
}

/// The operations so far, and which of those to come will fail.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) operations: Vec<Operation>,
    /// Of them, how many failed by a fault.
    pub(super) hits: u64,
    planned: Option<(u64, Fault)>,
    /// Whether the planned fault stays.
    is_lasting: bool,
    stop: Option<u64>,
}

impl Faults {
    pub(super) fn plan(&mut self, operation: u64, fault: Fault, is_lasting: bool) {
        (self.planned, self.is_lasting) = (Some((operation, fault)), is_lasting);
    }

    pub(super) fn stop_at(&mut self, operation: u64) {
        self.stop = Some(operation);
    }

    pub(super) fn judge(&mut self, operation: Operation) -> Verdict {
        let (number, action) = (self.operations.len() as u64, operation.action);
        self.operations.push(operation);
        match (self.stop, self.planned) {
            (Some(stop), _) if stop == number && action == Action::Write => Verdict::DoInPart(stopped()),
            (Some(stop), _) if stop <= number => Verdict::Refuse(stopped()),
            (_, Some((from, fault))) if fault.hits(action) && self.reaches(from, number) => {
                self.hits += 1;
                match fault {
                    Fault::Eio => Verdict::Refuse(Errno::IO.into()),
                    Fault::Enospc => Verdict::Refuse(Errno::NOSPC.into()),
                    Fault::ShortWrite => Verdict::DoInPart(Errno::NOSPC.into()),
                    Fault::FailedSync => Verdict::GiveUp(Errno::IO.into()),
                }
            }
            _ => Verdict::Do,
        }
    }

    fn reaches(&self, from: u64, number: u64) -> bool {
        if self.is_lasting {
            from <= number
        } else {
            from == number
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the simulated process stopped here")]
struct Stopped;

fn stopped() -> io::Error {
    io::Error::other(Stopped)
}

/// Whether an operation failed because the run was stopped there, not by a fault.
pub fn is_stop(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
}
