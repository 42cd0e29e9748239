//! The command line: flags, environment and file to [`Config`], then logging, the data directory and the server; or, with
//! a subcommand, something that is done without serving.
//!
//! Exit codes: 0 after an orderly stop, 1 when the broker failed, 2 for wrong usage. `broker log` has its own.
//!
//! | file | what it holds |
//! |---|---|
//! | `layers` | flags over environment over file |
//! | `file` | TOML as settings |
//! | `problem` | what is wrong, and where |
//! | `config_command`, `example` | `broker config` |
//! | `tls_flags` | the flags about TLS |
//! | `values` | sizes and times |

mod config_command;
mod example;
mod file;
mod layers;
mod limit_flags;
mod problem;
#[cfg(test)]
mod tests;
mod tls_flags;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::auth::{GUEST, User};
use crate::backup::{self, BackupCommand};
use crate::config::{Config, Product};
use crate::control::{self, ControlCommand};
use crate::data_dir::DataDir;
use crate::definitions::{self, Definitions, DefinitionsCommand};
use crate::http::ManagementFlags;
use crate::log_command::{self, LogCommand};
use crate::logging::{self, LogFilter, LogFormat};
use crate::shovel::{self, ShovelCommand};
use crate::store::{CompactionRate, Durability};
use crate::unix_socket;
use config_command::ConfigCommand;
pub(crate) use layers::{Loaded, Setting, Sources, shown};
use limit_flags::LimitFlags;
use problem::Problems;
use tls_flags::TlsFlags;
use values::{bytes, bytes_u32, whole_seconds};
pub(crate) use values::{bytes_u64, duration, duration_text, size_text};

/// A single-node AMQP 0-9-1 broker.
///
/// Prints one line for every address it listens on, "broker listening on ADDRESS". SIGINT or SIGTERM closes all
/// connections and stops it. The user guest (password guest) may connect from loopback addresses.
#[derive(Debug, Parser)]
#[command(
    name = "broker",
    version,
    max_term_width = 110,
    args_conflicts_with_subcommands = true
)]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    settings: Settings,
}

/// What a broker runs with. Each is a flag, a key of the configuration file and a variable of the environment.
#[derive(Debug, Args)]
struct Settings {
    /// TOML file with settings; flags and BROKER_... variables beat it. See `broker config --example`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address to listen on; repeat it for several, leave it empty for none. Port 0 takes a free port.
    #[arg(long, value_name = "ADDRESS:PORT", default_values = listen_default(), value_parser = Listen::from_str)]
    listen: Vec<Listen>,

    /// Address to listen on for TLS; repeat it for several. Needs a certificate and its key.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = Listen::from_str)]
    listen_tls: Vec<Listen>,

    /// Path of a Unix-domain socket to listen on; repeat it for several. Whoever may connect counts as coming from loopback.
    #[arg(long, value_name = "PATH", value_parser = unix_socket::path)]
    listen_unix: Vec<PathBuf>,

    /// Permissions of Unix-domain sockets, in octal digits: who may connect.
    #[arg(long, value_name = "MODE", default_value = "660", value_parser = unix_socket::mode)]
    unix_mode: u32,

    #[command(flatten)]
    tls: TlsFlags,

    #[command(flatten)]
    management: ManagementFlags,

    /// Directory that this broker owns; created when missing. Two brokers cannot share one.
    #[arg(long, value_name = "PATH", default_value = Config::default().data_dir.into_os_string())]
    data_dir: PathBuf,

    /// Reactor threads that serve connections; by default half the cores.
    #[arg(long, value_name = "THREADS", default_value_t = Config::default().reactors as u32,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    reactors: u32,

    #[command(flatten)]
    limits: LimitFlags,

    /// Most connections at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = Config::default().connections_max as u32,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections_max: u32,

    /// Consumers of one channel; 0 for no limit.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    consumers_per_channel_max: u32,

    /// Highest channel number on a connection.
    #[arg(long, value_name = "COUNT", default_value_t = Config::default().channel_max,
          value_parser = clap::value_parser!(u16).range(1..))]
    channel_max: u16,

    /// Largest frame, from 4KiB to 16MiB.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().frame_max.into()), value_parser = bytes_u32)]
    frame_max: u32,

    /// Largest message body.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().message_bytes_max), value_parser = bytes_u64)]
    message_bytes_max: u64,

    /// Product and version told to clients, some of which choose their behaviour by it.
    #[arg(long, value_name = "NAME/VERSION", default_value_t)]
    product: Product,

    /// Time a client has from connecting to an open connection; also for the rest of a large message, when others wait for memory.
    #[arg(long, value_name = "TIME", default_value = duration_text(Config::default().handshake_timeout),
          value_parser = handshake_timeout)]
    handshake_timeout: Duration,

    /// Time a consumer may hold a delivery before its channel is closed; 0 for ever. A queue may say otherwise (x-consumer-timeout).
    #[arg(long, value_name = "TIME", default_value = duration_text(Config::default().consumer_timeout),
          value_parser = consumer_timeout)]
    consumer_timeout: Duration,

    /// Heartbeat interval proposed to clients; 0 for none.
    #[arg(long, value_name = "TIME", default_value = duration_text(Config::default().heartbeat), value_parser = heartbeat)]
    heartbeat: Duration,

    /// Output that may wait for one connection's socket before its deliveries pause.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().outbox_bytes as u64), value_parser = bytes)]
    outbox_bytes: usize,

    /// Memory for all messages and buffers together; publishers wait when it is spent.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().memory_budget as u64), value_parser = bytes)]
    memory_budget: usize,

    /// Most messages that one queue holds in memory; the oldest of more go to its log.
    #[arg(long, value_name = "COUNT", default_value_t = Config::default().ring_messages as u32,
          value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    ring_messages: u32,

    /// Most bytes that one queue holds in memory; the oldest of more go to its log.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().ring_bytes as u64), value_parser = bytes)]
    ring_bytes: usize,

    /// Percentage of a full ring from which the oldest messages leave memory, 1 to 95; a lower one applies where the rest of a
    /// ring would be too small for a message of --message-bytes-max.
    #[arg(long, value_name = "PERCENT", default_value_t = Config::default().spill_above,
          value_parser = clap::value_parser!(u8).range(1..=95))]
    spill_above: u8,

    /// What a confirm of a persistent message on a durable queue promises: none (it is in memory), write (it survives
    /// the end of the process), sync (it survives the loss of power). The queue argument x-durability overrides it.
    #[arg(long, value_name = "none|write|sync", default_value_t = Config::default().durability)]
    durability: Durability,

    /// Time between checkpoints of which messages are settled; 0 writes them only at shutdown and on SIGUSR1. After a crash
    /// what was settled since the last one is delivered again, flagged as redelivered.
    #[arg(long, value_name = "TIME", default_value = duration_text(Config::default().checkpoint_interval), value_parser = duration)]
    offset_checkpoint_interval: Duration,

    /// Largest segment file of a queue's log, from 64KiB to 1GiB; a queue begins with smaller ones.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().segment_bytes), value_parser = bytes_u64)]
    segment_bytes: u64,

    /// Free space on the data directory's disk below which publishers wait.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().disk_free_min), value_parser = bytes_u64)]
    disk_free_min: u64,

    /// Bytes a second that compaction may copy; 0 deletes settled segments but rewrites none.
    #[arg(long, value_name = "SIZE", default_value = size_text(Config::default().compaction_rate.0), value_parser = bytes_u64)]
    compaction_rate: u64,

    /// Time between lines of figures in the log; 0 for none.
    #[arg(long, value_name = "TIME", default_value = duration_text(Config::default().statistics_interval), value_parser = duration)]
    statistics_interval: Duration,

    /// Time until a login that is refused gets its answer, at most a minute; the handshake timeout ends it all the same.
    #[arg(long, value_name = "TIME", default_value = duration_text(Config::default().auth_failure_delay), value_parser = auth_failure_delay)]
    auth_failure_delay: Duration,

    /// A user besides guest, or another password for guest; repeat it for several. Who is new is an administrator and may do
    /// everything in the virtual host "/".
    #[arg(long = "user", value_name = "NAME:PASSWORD")]
    users: Vec<User>,

    /// Definitions in RabbitMQ's format (JSON) to import at the start: users, virtual hosts, permissions, limits, exchanges, queues and
    /// bindings.
    #[arg(long, value_name = "FILE", value_parser = |path: &str| Definitions::read(path.as_ref()))]
    definitions: Option<Definitions>,

    /// Users who may come from a loopback address only, separated by commas; empty for none.
    #[arg(long, value_name = "NAMES", default_value = GUEST, value_delimiter = ',')]
    loopback_users: Vec<String>,

    /// What to log on standard error: off, error, warn, info, debug, trace, or a filter such as broker=debug.
    /// Without it RUST_LOG counts, else info.
    #[arg(long, value_name = "LEVEL|FILTER")]
    log: Option<LogFilter>,

    /// How lines of the log look: text for people, json for one object a line.
    #[arg(long, value_name = "text|json", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
enum Command {
    /// Looks into the logs of a data directory while no broker runs on it, and repairs them.
    #[command(subcommand)]
    Log(LogCommand),
    /// Copies a data directory, whose broker may run, into a new one that a broker starts on.
    Backup(BackupCommand),
    /// Writes what a data directory defines as a document that this broker and RabbitMQ import.
    #[command(subcommand)]
    Definitions(DefinitionsCommand),
    /// Prints an example of a configuration file, checks one, or shows what is in force. Takes all flags of a start.
    Config(Box<ConfigCommand>),
    /// Moves messages from a queue of one broker to another broker, until it is stopped or has moved what it was to.
    Shovel(Box<ShovelCommand>),
    #[command(flatten)]
    Control(ControlCommand),
}

/// What the command line asks for.
#[derive(Debug)]
enum Order {
    Serve(Box<Loaded>, Sources),
    Log(LogCommand),
    Backup(BackupCommand),
    Definitions(DefinitionsCommand),
    Config(config_command::Task, Sources),
    Shovel(Box<ShovelCommand>),
    Control(ControlCommand, Sources),
}

/// Why there is no order.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// Help and version are errors too, to clap; their exit code is 0.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    #[error("{0}")]
    Configuration(#[from] Problems),
}

/// Exit code for wrong usage, a wrong configuration among it.
const EXIT_USAGE: u8 = 2;

/// An address, or the lack of one.
#[derive(Clone, Copy, Debug)]
struct Listen(Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        match text {
            "" => Ok(Listen(None)),
            text => match text.parse() {
                Ok(address) => Ok(Listen(Some(address))),
                Err(error) => Err(format!(
                    "{error}; expected ADDRESS:PORT, for example 127.0.0.1:5672"
                )),
            },
        }
    }
}

fn addresses(given: Vec<Listen>) -> Vec<SocketAddr> {
    given.into_iter().filter_map(|listen| listen.0).collect()
}

fn listen_default() -> Vec<String> {
    Config::default()
        .listen
        .iter()
        .map(SocketAddr::to_string)
        .collect()
}

impl Settings {
    fn config(self) -> Config {
        Config {
            listen: addresses(self.listen),
            listen_tls: addresses(self.listen_tls),
            listen_unix: self.listen_unix,
            unix_mode: self.unix_mode,
            tls: self.tls.settings(),
            management: self.management.into(),
            data_dir: self.data_dir,
            reactors: self.reactors as usize,
            limits: self.limits.into(),
            connections_max: self.connections_max as usize,
            consumers_per_channel_max: match self.consumers_per_channel_max {
                0 => usize::MAX,
                max => max as usize,
            },
            channel_max: self.channel_max,
            frame_max: self.frame_max,
            product: self.product,
            message_bytes_max: self.message_bytes_max,
            handshake_timeout: self.handshake_timeout,
            consumer_timeout: self.consumer_timeout,
            heartbeat: self.heartbeat,
            outbox_bytes: self.outbox_bytes,
            memory_budget: self.memory_budget,
            ring_messages: self.ring_messages as usize,
            ring_bytes: self.ring_bytes,
            spill_above: self.spill_above,
            durability: self.durability,
            checkpoint_interval: self.offset_checkpoint_interval,
            segment_bytes: self.segment_bytes,
            disk_free_min: self.disk_free_min,
            compaction_rate: CompactionRate(self.compaction_rate),
            statistics_interval: self.statistics_interval,
            auth_failure_delay: self.auth_failure_delay,
            users: self.users,
            definitions: self.definitions,
            loopback_users: self
                .loopback_users
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
        }
    }
}

/// Runs a broker as the command line says, the program's name first, and returns when it has stopped; or does what a
/// subcommand says.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (loaded, sources) = match parse(args, std::env::vars_os()) {
        Ok(Order::Serve(loaded, sources)) => (*loaded, sources),
        Ok(Order::Log(command)) => return log_command::run(&command),
        Ok(Order::Backup(command)) => return backup::run(&command),
        Ok(Order::Definitions(command)) => return definitions::run(&command),
        Ok(Order::Config(task, sources)) => return config_command::run(task, &sources),
        Ok(Order::Shovel(command)) => return shovel::run(&command),
        Ok(Order::Control(command, sources)) => {
            return control::run(&command, |file| {
                sources.data_dir(file).map_err(|problems| problems.to_string())
            });
        }
        Err(Refused::Usage(error)) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
        Err(Refused::Configuration(problems)) => {
            eprintln!("{problems}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    logging::init(&loaded.log);
    for note in &loaded.notes {
        tracing::warn!("{note}");
    }
    let served = serve(loaded, sources);
    logging::flush_limits();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::fail(&error);
            ExitCode::FAILURE
        }
    }
}

fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Order, Refused> {
    let matches = Flags::command().try_get_matches_from(args)?;
    Ok(match Flags::from_arg_matches(&matches)?.command {
        Some(Command::Log(command)) => Order::Log(command),
        Some(Command::Backup(command)) => Order::Backup(command),
        Some(Command::Definitions(command)) => Order::Definitions(command),
        Some(Command::Shovel(command)) => Order::Shovel(command),
        Some(Command::Control(command)) => Order::Control(command, Sources::of_environment(environment)),
        Some(Command::Config(command)) => {
            let own = matches.subcommand().map_or(&matches, |(_, own)| own);
            Order::Config(command.task(), Sources::new(own, environment))
        }
        None => {
            let sources = Sources::new(&matches, environment);
            Order::Serve(Box::new(sources.load()?), sources)
        }
    })
}

fn serve(loaded: Loaded, sources: Sources) -> anyhow::Result<()> {
    let data_dir = DataDir::open(&loaded.config.data_dir)?;
    tracing::info!(path = %data_dir.path().display(), "data directory locked");
    crate::server::run(loaded, sources)
}

fn handshake_timeout(text: &str) -> Result<Duration, String> {
    whole_seconds(duration(text)?, 1, 3600)
}

fn auth_failure_delay(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_secs(60);
    match duration(text)? {
        delay if delay <= MAX => Ok(delay),
        _ => Err("expected a time from 0 to 60s".to_owned()),
    }
}

fn consumer_timeout(text: &str) -> Result<Duration, String> {
    whole_seconds(duration(text)?, 0, 365 * 24 * 3600)
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    whole_seconds(duration(text)?, 0, u16::MAX.into())
}
