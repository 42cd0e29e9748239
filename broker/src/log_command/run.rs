//! Runs a command: the lock before, the exit code after.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use super::flags::LogCommand;
use super::{dump, repair, verify};
use crate::data_dir::DataDir;

/// How it ended, when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing is wrong.
    Clean,
    /// Something is.
    Problems,
}

const EXIT_PROBLEMS: u8 = 1;
const EXIT_FAILED: u8 = 2;

/// Runs a command and prints what it finds.
pub(crate) fn run(command: &LogCommand) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = execute(command, &mut out).and_then(|outcome| {
        out.flush()?;
        Ok(outcome)
    });
    match outcome {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(EXIT_PROBLEMS),
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker log: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn execute(command: &LogCommand, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let path = command.data_dir();
    let _owned = DataDir::open_existing(path)?;
    execute_on(path, command, out)
}

fn execute_on(path: &Path, command: &LogCommand, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match command {
        LogCommand::Verify(_) => verify::verify(path, out),
        LogCommand::Dump(flags) => dump::dump(path, flags, out),
        LogCommand::Repair(flags) => repair::repair(path, flags.apply, out),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let source = error.downcast_ref::<io::Error>();
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}
