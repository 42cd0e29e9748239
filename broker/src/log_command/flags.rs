//! The flags of `broker log`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use crate::config::Config;
use crate::vhost::DEFAULT_VHOST;

/// What to do with the logs of a data directory.
#[derive(Clone, Debug, Subcommand)]
pub enum LogCommand {
    /// Reads every description, checkpoint and record, and names what is wrong.
    ///
    /// Prints one line a queue and one line a problem. Exit codes: 0 nothing is wrong, 1 there are problems, 2 wrong
    /// usage, or the directory cannot be read.
    Verify(VerifyFlags),
    /// Prints the messages of one queue's log. Never changes anything.
    Dump(DumpFlags),
    /// Says what would make the directory usable again; with --apply, does it.
    ///
    /// Unfinished writes are cut. A damaged segment is replaced by a new one with all its records that can be verified,
    /// and kept beside it as NAME.damaged, which the broker ignores. A checkpoint that cannot be used is set aside in the
    /// same way: messages are delivered again then. Exit codes: 0 nothing is wrong, or not any more; 1 there is something to do, or
    /// something that only a person can decide is left; 2 wrong usage, or it cannot be done.
    Repair(RepairFlags),
}

/// Of which directory.
#[derive(Clone, Debug, Args)]
pub(super) struct DirectoryFlag {
    /// Data directory of a broker that does not run.
    #[arg(long, value_name = "PATH", default_value = Config::default().data_dir.into_os_string())]
    data_dir: PathBuf,
}

/// Flags of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyFlags {
    #[command(flatten)]
    directory: DirectoryFlag,
}

/// Flags of `repair`.
#[derive(Clone, Debug, Args)]
pub struct RepairFlags {
    #[command(flatten)]
    directory: DirectoryFlag,

    /// Do it.
    #[arg(long)]
    pub apply: bool,
}

/// Flags of `dump`.
#[derive(Clone, Debug, Args)]
pub struct DumpFlags {
    #[command(flatten)]
    directory: DirectoryFlag,

    /// The queue, or the name of its log's directory.
    #[arg(long, value_name = "NAME|ID")]
    pub queue: String,

    /// The virtual host that the queue is in.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_VHOST)]
    pub vhost: String,

    /// First offset to print.
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    pub from: u64,

    /// Most messages to print; 0 for all.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub count: u64,

    /// How to print bodies.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Bodies::Text)]
    pub bodies: Bodies,

    /// How to print messages.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Ways to print a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bodies {
    /// Only its size.
    None,
    /// As UTF-8, or in hex where it is none.
    Text,
    /// In hex.
    Hex,
}

/// Ways to print a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A few lines, for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogCommand {
    /// The directory that it is about.
    pub fn data_dir(&self) -> &Path {
        let directory = match self {
            LogCommand::Verify(flags) => &flags.directory,
            LogCommand::Dump(flags) => &flags.directory,
            LogCommand::Repair(flags) => &flags.directory,
        };
        &directory.data_dir
    }
}
