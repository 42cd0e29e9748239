//! How far the broker has come, and what those share who tell of it and ask things of it while it runs: HTTP and the control
//! socket, which both answer before the data directory is read and until the last connection is closed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::alarms::Alarm;
use crate::broker::Broker;
use crate::reload::Reloaded;

/// What is spoken where clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AMQP.
    Amqp,
    /// AMQP over TLS.
    Amqps,
}

impl Protocol {
    /// As RabbitMQ calls it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Amqp => "amqp",
            Protocol::Amqps => "amqp/ssl",
        }
    }
}

/// How far the broker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The data directory is being read.
    Starting,
    /// Clients are served.
    Serving,
    /// Nothing more is accepted.
    Stopping,
}

impl Phase {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Serving => "running",
            Phase::Stopping => "stopping",
        }
    }
}

/// Whoever wants to know what came of a reload.
pub(crate) type ReloadRequest = oneshot::Sender<Reloaded>;

/// Where a broker serves, and how to make it read its configuration again.
#[derive(Debug)]
pub struct Serving {
    /// Where AMQP is spoken.
    pub addresses: Vec<(Protocol, SocketAddr)>,
    /// Unix-domain sockets where it is, too.
    pub unix_sockets: Vec<PathBuf>,
    /// Where HTTP is spoken.
    pub management: Vec<SocketAddr>,
    pub(crate) reloads: mpsc::Sender<ReloadRequest>,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Stage {
    /// When the process began to be a broker.
    pub started: Instant,
    phase: AtomicU8,
    broker: OnceLock<Arc<Broker>>,
    serving: OnceLock<Serving>,
    stop: Notify,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage {
            started: Instant::now(),
            phase: AtomicU8::new(Phase::Starting as u8),
            broker: OnceLock::new(),
            serving: OnceLock::new(),
            stop: Notify::new(),
        }
    }
}

impl Stage {
    /// How far the broker has come.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Stopping,
        }
    }

    /// Clients are served from here on.
    pub fn serve(&self, broker: &Arc<Broker>, serving: Serving) {
        // Set once: a process has one broker.
        let _ = self.serving.set(serving);
        let _ = self.broker.set(Arc::clone(broker));
        self.phase.store(Phase::Serving as u8, Ordering::Release);
    }

    /// Nothing more is accepted from here on; requests are still answered.
    pub fn stop(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Release);
    }

    /// The broker, once it has read its data directory.
    pub fn opened(&self) -> Option<&Arc<Broker>> {
        self.broker.get()
    }

    /// Where and how clients are served, once they are.
    pub fn serving(&self) -> Option<&Serving> {
        self.serving.get()
    }

    /// Where clients are served, Unix-domain sockets aside.
    pub fn addresses(&self) -> &[(Protocol, SocketAddr)] {
        self.serving().map_or(&[], |serving| &serving.addresses)
    }

    /// Asks for an orderly stop, as SIGTERM does. Asking again changes nothing.
    pub fn request_stop(&self) {
        self.stop.notify_one();
    }

    /// Waits until somebody asks for an orderly stop.
    pub async fn stop_requested(&self) {
        self.stop.notified().await;
    }

    /// The same in RabbitMQ's words.
    pub fn listeners(&self, node: &str) -> Vec<Value> {
        let addresses = self.addresses().iter();
        addresses
            .map(|(protocol, address)| json!({"node": node, "protocol": protocol.name(), "ip_address": address.ip().to_string(), "port": address.port()}))
            .collect()
    }

    /// Why clients cannot publish and consume as they should: name of the check, and a sentence.
    pub fn obstacles(&self) -> Vec<(&'static str, String)> {
        let mut obstacles = Vec::new();
        match self.phase() {
            Phase::Serving => {}
            Phase::Starting => obstacles.push((
                "started",
                "the broker is starting: it reads its data directory".to_owned(),
            )),
            Phase::Stopping => obstacles.push(("running", "the broker is stopping".to_owned())),
        }
        let Some(broker) = self.opened() else {
            return obstacles;
        };
        if let Some(reason) = broker.store.poison_reason() {
            obstacles.push(("log", format!("the message log has failed: {reason}")));
        }
        let alarms = &broker.alarms;
        if alarms.has(Alarm::Disk) {
            let limit = broker.limits.disk_free_min();
            obstacles.push((
                "disk",
                format!("less than {limit} bytes are free on the disk: publishers wait"),
            ));
        }
        if alarms.has(Alarm::Memory) {
            let (used, limit) = (alarms.memory_used(), alarms.memory_limit().unwrap_or(0));
            obstacles.push((
                "memory",
                format!(
                    "the process has {used} bytes of memory, {limit} is the high watermark: publishers wait"
                ),
            ));
        }
        if alarms.has(Alarm::Budget) {
            let budget = broker.pool.bytes_budget();
            obstacles.push((
                "memory",
                format!("the memory budget of {budget} bytes has been spent for seconds: publishers wait"),
            ));
        }
        obstacles
    }
}
