//! What a broker is started with: limits, addresses, users. Plain data, shared read-only by all threads.
//!
//! [`Config::check`] refuses combinations that could never work, before any socket is opened. The flags that
//! fill it are in [`crate::cli`].

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::auth::{GUEST, User};
use crate::broker::CHUNK_BYTES;
use crate::definitions::Definitions;
use crate::http::ManagementConfig;
use crate::limits::LimitSettings;
use crate::store::{CompactionRate, Durability};
use crate::tls::{TlsSettings, Verify};

/// Port registered for AMQP.
pub const PORT: u16 = 5672;
/// Smallest and largest `frame_max`. The lower bound is the protocol's; the upper one keeps the read buffer
/// of a reactor, which holds one frame, reasonable.
pub const FRAME_MAX_RANGE: (u32, u32) = (wire::FRAME_MIN_SIZE as u32, 16 << 20);
/// Smallest and largest `segment_bytes`: positions in a segment are 32-bit numbers.
pub const SEGMENT_BYTES_RANGE: (u64, u64) = (64 << 10, 1 << 30);
/// What a stored message has besides body and content header: exchange, routing key and fixed fields.
const ENVELOPE_BYTES_MAX: u64 = 1024;

/// How a broker runs. Sizes are bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Addresses for HTTP, and its limits.
    pub management: ManagementConfig,
    /// Addresses to listen on for TLS.
    pub listen_tls: Vec<SocketAddr>,
    /// Paths of Unix-domain sockets to listen on.
    pub listen_unix: Vec<PathBuf>,
    /// Permissions of those sockets.
    pub unix_mode: u32,
    /// What TLS listeners go by.
    pub tls: TlsSettings,
    /// Directory that this broker owns.
    pub data_dir: PathBuf,
    /// Reactor threads.
    pub reactors: usize,
    /// Further limits.
    pub limits: LimitSettings,
    /// Consumers of one channel.
    pub consumers_per_channel_max: usize,
    /// Connections open at the same time; more are closed right after accept.
    pub connections_max: usize,
    /// Highest channel number a client may use.
    pub channel_max: u16,
    /// Largest frame, its 8 bytes of overhead included.
    pub frame_max: u32,
    /// What the broker calls itself in `connection.start`.
    pub product: Product,
    /// Largest message body.
    pub message_bytes_max: u64,
    /// Time from accept to `connection.open`.
    pub handshake_timeout: Duration,
    /// How long a consumer may hold a delivery before its channel is closed, where its queue does not say; zero: for ever.
    pub consumer_timeout: Duration,
    /// Heartbeat interval proposed to clients, in whole seconds; zero proposes none.
    pub heartbeat: Duration,
    /// Encoded output that may wait for one connection's socket.
    pub outbox_bytes: usize,
    /// Rings, outboxes and partial bodies of all connections together.
    pub memory_budget: usize,
    /// Messages that one queue holds in memory.
    pub ring_messages: usize,
    /// Bytes that one queue holds in memory.
    pub ring_bytes: usize,
    /// Percentage of a ring from which its oldest part leaves memory for the log.
    pub spill_above: u8,
    /// What a confirm of a persistent message on a durable queue promises, unless the queue says otherwise.
    pub durability: Durability,
    /// Time between two checkpoints of what is settled; zero writes them at shutdown and on demand only.
    pub checkpoint_interval: Duration,
    /// Largest segment of a queue's log; its first ones are smaller.
    pub segment_bytes: u64,
    /// Less free space on the disk of the data directory than this makes publishers wait.
    pub disk_free_min: u64,
    /// How much compaction may copy.
    pub compaction_rate: CompactionRate,
    /// Time between two lines of figures in the log; zero for none.
    pub statistics_interval: Duration,
    /// Time from a login to the answer that refuses it.
    pub auth_failure_delay: Duration,
    /// Users besides `guest`, or `guest` with another password.
    pub users: Vec<User>,
    /// What to import before anything is restored.
    pub definitions: Option<Definitions>,
    /// Users who may come from a loopback address only.
    pub loopback_users: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))],
            management: ManagementConfig::default(),
            listen_tls: Vec::new(),
            listen_unix: Vec::new(),
            unix_mode: 0o660,
            tls: TlsSettings::default(),
            data_dir: PathBuf::from("./data"),
            reactors: (cores / 2).max(1),
            limits: LimitSettings::default(),
            consumers_per_channel_max: usize::MAX,
            connections_max: 10_000,
            channel_max: 2047,
            frame_max: 128 << 10,
            product: Product::default(),
            message_bytes_max: 16 << 20,
            handshake_timeout: Duration::from_secs(10),
            consumer_timeout: Duration::from_secs(30 * 60),
            heartbeat: Duration::from_secs(60),
            outbox_bytes: 1 << 20,
            memory_budget: 512 << 20,
            ring_messages: 65_536,
            ring_bytes: 128 << 20,
            spill_above: 80,
            durability: Durability::Sync,
            checkpoint_interval: Duration::from_secs(5),
            segment_bytes: 64 << 20,
            disk_free_min: 1 << 30,
            compaction_rate: CompactionRate(32 << 20),
            statistics_interval: Duration::from_secs(60),
            auth_failure_delay: Duration::from_secs(1),
            users: Vec::new(),
            definitions: None,
            loopback_users: vec![GUEST.to_owned()],
        }
    }
}

/// Two settings that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {value} {problem}")]
pub struct ConfigError {
    /// The flag to change.
    pub flag: &'static str,
    /// Its value.
    pub value: String,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

impl Config {
    /// The heartbeat as `connection.tune` carries it.
    pub fn heartbeat_s(&self) -> u16 {
        u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX)
    }

    /// Refuses limits that contradict each other.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.contradictions().into_iter().next() {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }

    /// The most bytes that a message takes in a ring.
    pub fn record_bytes_max(&self) -> u64 {
        self.message_bytes_max + u64::from(self.frame_max) + ENVELOPE_BYTES_MAX
    }

    /// All settings that are out of bounds or contradict each other.
    pub fn contradictions(&self) -> Vec<ConfigError> {
        let (frame_min, frame_max) = FRAME_MAX_RANGE;
        let (segment_min, segment_max) = SEGMENT_BYTES_RANGE;
        let (outbox, ring, budget) = (
            self.outbox_bytes as u64,
            self.ring_bytes as u64,
            self.memory_budget as u64,
        );
        let ring_min = self.record_bytes_max() + 2 * CHUNK_BYTES as u64;
        let mut found = Vec::new();
        let mut refuse = |flag, value: u64, problem| {
            let value = value.to_string();
            found.push(ConfigError { flag, value, problem });
        };
        if !(frame_min..=frame_max).contains(&self.frame_max) {
            let problem = format!("is outside {frame_min} to {frame_max} bytes");
            refuse("--frame-max", self.frame_max.into(), problem);
        }
        if outbox < u64::from(self.frame_max) {
            let problem = format!(
                "is less than --frame-max {}: no full frame would fit",
                self.frame_max
            );
            refuse("--outbox-bytes", outbox, problem);
        }
        if ring > budget {
            let problem = format!("is more than --memory-budget {budget}, which all queues share");
            refuse("--ring-bytes", ring, problem);
        }
        if ring < ring_min {
            let problem = format!(
                "is too small for a message of --message-bytes-max {} beside others: at least {ring_min} bytes",
                self.message_bytes_max
            );
            refuse("--ring-bytes", ring, problem);
        }
        if !(1..=95).contains(&self.spill_above) {
            let problem = "is outside 1 to 95 percent".to_owned();
            refuse("--spill-above", self.spill_above.into(), problem);
        }
        if !(segment_min..=segment_max).contains(&self.segment_bytes) {
            let problem = format!("is outside {segment_min} to {segment_max} bytes");
            refuse("--segment-bytes", self.segment_bytes, problem);
        }
        let counts = [
            ("--reactors", self.reactors),
            ("--connections-max", self.connections_max),
            ("--ring-messages", self.ring_messages),
            ("--channel-max", self.channel_max.into()),
        ];
        for (flag, value) in counts {
            if value == 0 {
                refuse(flag, 0, "must be at least 1".to_owned());
            }
        }
        found.extend(self.listener_contradictions());
        found
    }

    fn listener_contradictions(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        let mut refuse = |flag, value: &str, problem: &str| {
            let (value, problem) = (value.to_owned(), problem.to_owned());
            found.push(ConfigError { flag, value, problem });
        };
        if self.listen.is_empty() && self.listen_tls.is_empty() && self.listen_unix.is_empty() {
            refuse(
                "--listen",
                "\"\"",
                "leaves nowhere to listen: give it, --listen-tls or --listen-unix",
            );
        }
        let tls = &self.tls;
        match (&tls.certfile, &tls.keyfile) {
            (Some(certfile), None) => {
                let path = certfile.display().to_string();
                refuse("--tls-certfile", &path, "needs --tls-keyfile");
            }
            (None, Some(keyfile)) => {
                let path = keyfile.display().to_string();
                refuse("--tls-keyfile", &path, "needs --tls-certfile");
            }
            (None, None) => {
                if let Some(address) = self.listen_tls.first() {
                    let problem = "needs --tls-certfile and --tls-keyfile";
                    refuse("--listen-tls", &address.to_string(), problem);
                }
            }
            (Some(_), Some(_)) => {}
        }
        if tls.verify == Verify::Peer && tls.cacertfile.is_none() {
            refuse("--tls-verify", "peer", "needs --tls-cacertfile to verify with");
        }
        if tls.fail_if_no_peer_cert && tls.verify == Verify::None {
            let problem = "needs --tls-verify peer: nobody is asked for a certificate otherwise";
            refuse("--tls-fail-if-no-peer-cert", "true", problem);
        }
        found
    }
}

/// Product and version in `server-properties`. Client libraries look there to learn how a broker behaves: kombu, for one,
/// takes `basic.qos` for what RabbitMQ makes of it only where it reads "RabbitMQ". So that is what the default says; the
/// broker's own name and version are in `implementation` and `implementation_version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Name.
    pub name: String,
    /// Version, numbers and dots.
    pub version: String,
}

impl Default for Product {
    /// RabbitMQ in its last version with a prefetch for a whole channel, which this broker keeps: from 4.0 on kombu does without.
    fn default() -> Product {
        Product {
            name: "RabbitMQ".to_owned(),
            version: "3.13.7".to_owned(),
        }
    }
}

impl std::fmt::Display for Product {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

impl std::str::FromStr for Product {
    type Err = String;

    fn from_str(text: &str) -> Result<Product, String> {
        match text.split_once('/') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => Ok(Product {
                name: name.to_owned(),
                version: version.to_owned(),
            }),
            _ => Err("expected NAME/VERSION, for example RabbitMQ/3.13.7".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_their_own_check() {
        let config = Config::default();
        config.check().unwrap();
        assert_eq!(config.heartbeat_s(), 60);
        assert_eq!(config.listen[0].to_string(), "127.0.0.1:5672");
        assert!(config.reactors >= 1);
    }

    #[test]
    fn contradictions_name_the_flag_and_the_bound() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|c| c.frame_max = 4095),
            "--frame-max 4095 is outside 4096 to 16777216 bytes"
        );
        assert_eq!(
            refused(|c| c.outbox_bytes = 65_536),
            "--outbox-bytes 65536 is less than --frame-max 131072: no full frame would fit"
        );
        assert_eq!(
            refused(|c| c.memory_budget = 64 << 20),
            "--ring-bytes 134217728 is more than --memory-budget 67108864, which all queues share"
        );
        assert_eq!(
            refused(|c| c.ring_bytes = 16 << 20),
            "--ring-bytes 16777216 is too small for a message of --message-bytes-max 16777216 beside others: at least 17433600 bytes"
        );
        assert_eq!(refused(|c| c.reactors = 0), "--reactors 0 must be at least 1");
        assert_eq!(
            refused(|c| c.channel_max = 0),
            "--channel-max 0 must be at least 1"
        );
    }
}
