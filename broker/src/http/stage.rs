//! What all requests share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::{Value, json};

use super::answer::Refusal;
use super::sampler::Sampler;
use super::settings::ManagementConfig;
use crate::broker::Broker;

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
    fn name(self) -> &'static str {
        match self {
            Protocol::Amqp => "amqp",
            Protocol::Amqps => "amqp/ssl",
        }
    }
}

/// How far the broker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The data directory is being read.
    Starting,
    /// Clients are served.
    Serving,
    /// Nothing more is accepted.
    Stopping,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) config: ManagementConfig,
    pub(super) started: Instant,
    phase: AtomicU8,
    broker: OnceLock<Arc<Broker>>,
    /// Where clients are served.
    addresses: OnceLock<Vec<(Protocol, SocketAddr)>>,
    pub(super) sampler: Sampler,
}

/// As handlers get it.
pub(super) type Shared = Arc<Stage>;

impl Stage {
    pub(super) fn new(config: ManagementConfig) -> Shared {
        Arc::new(Stage {
            config,
            started: Instant::now(),
            phase: AtomicU8::new(Phase::Starting as u8),
            broker: OnceLock::new(),
            addresses: OnceLock::new(),
            sampler: Sampler::default(),
        })
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Stopping,
        }
    }

    /// Clients are served from here on.
    pub(super) fn serve(&self, broker: &Arc<Broker>, addresses: Vec<(Protocol, SocketAddr)>) {
        // Set once: a process has one broker.
        let _ = self.addresses.set(addresses);
        let _ = self.broker.set(Arc::clone(broker));
        self.phase.store(Phase::Serving as u8, Ordering::Release);
    }

    pub(super) fn stop(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Release);
    }

    /// The broker, once it has read its data directory.
    pub(super) fn opened(&self) -> Option<&Arc<Broker>> {
        self.broker.get()
    }

    /// Where clients are served, Unix-domain sockets aside.
    pub(super) fn addresses(&self) -> &[(Protocol, SocketAddr)] {
        self.addresses.get().map_or(&[], Vec::as_slice)
    }

    /// The same in RabbitMQ's words.
    pub(super) fn listeners(&self, node: &str) -> Vec<Value> {
        let addresses = self.addresses().iter();
        addresses
            .map(|(protocol, address)| json!({"node": node, "protocol": protocol.name(), "ip_address": address.ip().to_string(), "port": address.port()}))
            .collect()
    }

    /// The broker, or 503.
    pub(super) fn broker(&self) -> Result<&Arc<Broker>, Refusal> {
        self.opened()
            .ok_or_else(|| Refusal::unavailable("the broker is starting: it reads its data directory"))
    }
}
