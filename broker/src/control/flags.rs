//! The flags of the commands that ask a broker that runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};

use super::protocol::{INTERVAL_MAX, PATIENCE_MAX};
use super::rows::{ChannelRow, ConnectionRow, ConsumerRow, QueueRow};
use super::table::Row;
use crate::cli::duration;
use crate::vhost::DEFAULT_VHOST;

/// What to ask a broker that runs. The user must be the one that it runs as, or root.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ControlCommand {
    /// Tells how the broker that runs is: memory, disk, alarms, rates, and what publishers and consumers wait for.
    Status(StatusFlags),
    /// Lists the queues of the broker that runs.
    Queues(QueuesFlags),
    /// Lists the connections of the broker that runs.
    Connections(ConnectionsFlags),
    /// Lists the channels of the broker that runs.
    Channels(ChannelsFlags),
    /// Lists the consumers of the broker that runs, and what each waits for.
    Consumers(ConsumersFlags),
    /// Closes a connection with reply code 320.
    Close(CloseFlags),
    /// Drops the ready messages of a queue.
    Purge(PurgeFlags),
    /// Writes which messages are settled, and ends when the disk has it.
    Checkpoint(CommonFlags),
    /// Writes everything that the broker that runs defines, in RabbitMQ's format, with password hashes.
    ///
    /// `broker definitions export` does the same about one that does not run.
    Export(ExportFlags),
    /// Imports definitions into the broker that runs; one with a mistake changes nothing.
    Import(ImportFlags),
    /// Has the configuration read again, as SIGHUP does, and tells what has changed, what waits for a restart, or what is wrong.
    Reload(CommonFlags),
    /// Stops the broker in good order, as SIGTERM does.
    Stop(StopFlags),
}

/// Which broker.
#[derive(Clone, Debug, Args)]
pub(crate) struct CommonFlags {
    /// Data directory of the broker. Without it: what BROKER_DATA_DIR or the configuration file says, else ./data.
    #[arg(long, value_name = "PATH")]
    pub(super) data_dir: Option<PathBuf>,

    /// Configuration file of the broker, for its data_dir; else BROKER_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Time to wait for each answer of the broker, 60s when it is not given; also for its end with stop --wait, else as long as that
    /// takes.
    #[arg(long, value_name = "TIME", value_parser = patience)]
    pub(super) timeout: Option<Duration>,
}

/// Flags of `status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatusFlags {
    #[command(flatten)]
    pub(super) common: CommonFlags,
    #[command(flatten)]
    pub(super) looks: LookFlags,
}

/// How to look.
#[derive(Clone, Debug, Args)]
pub(crate) struct LookFlags {
    /// How to print it.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) format: Format,

    /// Time over which rates are taken, which is how long the first answer takes; 0 for none.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(super) interval: Duration,

    /// Look again after so many seconds, until Ctrl-C. Each time replaces the last on a terminal and follows it elsewhere.
    #[arg(long, value_name = "SECONDS", value_parser = period)]
    pub(super) watch: Option<Duration>,
}

/// Which rows.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListFlags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Only what is in this virtual host.
    #[arg(long, value_name = "NAME")]
    pub(super) vhost: Option<String>,

    /// Only the first rows.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,

    #[command(flatten)]
    pub(super) looks: LookFlags,
}

/// Makes the flags of a list, whose columns are those of its rows.
macro_rules! list_flags {
    ($(#[$about:meta])* $flags:ident of $row:ident) => {
        $(#[$about])*
        #[derive(Clone, Debug, Args)]
        pub(crate) struct $flags {
            #[command(flatten)]
            pub(super) list: ListFlags,

            /// Columns to show, separated by commas.
            #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = columns::<$row>())]
            columns: Vec<String>,

            /// Column to sort by: numbers from the largest down, texts from A to Z.
            #[arg(long, value_name = "COLUMN", value_parser = columns::<$row>(), hide_possible_values = true)]
            sort: Option<String>,
        }

        impl $flags {
            /// Columns, and the one to sort by.
            pub(super) fn selection(&self) -> (Vec<String>, Option<String>) {
                (self.columns.clone(), self.sort.clone())
            }
        }
    };
}

list_flags! {
    /// Flags of `queues`.
    QueuesFlags of QueueRow
}
list_flags! {
    /// Flags of `connections`.
    ConnectionsFlags of ConnectionRow
}
list_flags! {
    /// Flags of `channels`.
    ChannelsFlags of ChannelRow
}
list_flags! {
    /// Flags of `consumers`.
    ConsumersFlags of ConsumerRow
}

/// Flags of `close`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CloseFlags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Its id or its name, as `broker connections` shows them.
    pub(super) connection: String,

    /// What its client is told, at most 200 bytes.
    #[arg(long, value_name = "TEXT", default_value = "closed by the operator")]
    pub(super) reason: String,
}

/// Flags of `purge`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PurgeFlags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Its name.
    pub(super) queue: String,

    /// The virtual host that it is in.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_VHOST)]
    pub(super) vhost: String,
}

/// Flags of `export`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExportFlags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Where to; readable for its owner only. Without it: standard output.
    pub(super) file: Option<PathBuf>,

    /// Only exchanges, queues, bindings and limits of this virtual host, without its name.
    #[arg(long, value_name = "NAME")]
    pub(super) vhost: Option<String>,
}

/// Flags of `import`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportFlags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Where from.
    pub(super) file: PathBuf,

    /// Where exchanges, queues, bindings and limits go, whatever the file says.
    #[arg(long, value_name = "NAME")]
    pub(super) vhost: Option<String>,
}

/// Flags of `stop`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StopFlags {
    #[command(flatten)]
    pub(super) common: CommonFlags,

    /// Wait for the end of its process; exit code 1 when something could not be written, 4 when --timeout was over before.
    #[arg(long)]
    pub(super) wait: bool,
}

/// Ways to print an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs: a list has one object a row; with --watch one document a line.
    Json,
}

impl ControlCommand {
    pub(super) fn common(&self) -> &CommonFlags {
        match self {
            ControlCommand::Status(flags) => &flags.common,
            ControlCommand::Queues(flags) => &flags.list.common,
            ControlCommand::Connections(flags) => &flags.list.common,
            ControlCommand::Channels(flags) => &flags.list.common,
            ControlCommand::Consumers(flags) => &flags.list.common,
            ControlCommand::Close(flags) => &flags.common,
            ControlCommand::Purge(flags) => &flags.common,
            ControlCommand::Checkpoint(common) | ControlCommand::Reload(common) => common,
            ControlCommand::Export(flags) => &flags.common,
            ControlCommand::Import(flags) => &flags.common,
            ControlCommand::Stop(flags) => &flags.common,
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            ControlCommand::Status(_) => "status",
            ControlCommand::Queues(_) => "queues",
            ControlCommand::Connections(_) => "connections",
            ControlCommand::Channels(_) => "channels",
            ControlCommand::Consumers(_) => "consumers",
            ControlCommand::Close(_) => "close",
            ControlCommand::Purge(_) => "purge",
            ControlCommand::Checkpoint(_) => "checkpoint",
            ControlCommand::Export(_) => "export",
            ControlCommand::Import(_) => "import",
            ControlCommand::Reload(_) => "reload",
            ControlCommand::Stop(_) => "stop",
        }
    }
}

fn columns<R: Row>() -> PossibleValuesParser {
    PossibleValuesParser::new(R::COLUMNS.iter().map(|column| column.name))
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        interval if interval <= INTERVAL_MAX => Ok(interval),
        _ => Err(format!("expected a time from 0 to {}s", INTERVAL_MAX.as_secs())),
    }
}

fn period(text: &str) -> Result<Duration, String> {
    match interval(text)? {
        period if period >= Duration::from_millis(100) => Ok(period),
        _ => Err(format!(
            "expected a time from 100ms to {}s",
            INTERVAL_MAX.as_secs()
        )),
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        patience if !patience.is_zero() && patience <= PATIENCE_MAX => Ok(patience),
        _ => Err(format!(
            "expected a time above 0, at most {} h",
            PATIENCE_MAX.as_secs() / 3600
        )),
    }
}
