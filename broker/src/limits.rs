//! Limits that may change while the broker runs. Read where they apply, never remembered for longer than that.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::config::Config;

mod settings;

pub use settings::LimitSettings;

/// See the module documentation. Every value stands for itself, so relaxed loads and stores do; what is not looked at often is behind
/// a lock.
#[derive(Debug)]
pub struct Limits {
    connections_max: AtomicUsize,
    consumers_per_channel_max: AtomicUsize,
    handshake_timeout_ms: AtomicU64,
    consumer_timeout_ms: AtomicU64,
    heartbeat_s: AtomicU64,
    auth_failure_delay_ms: AtomicU64,
    disk_free_min: AtomicU64,
    settings: RwLock<LimitSettings>,
}

impl Limits {
    /// As the broker starts.
    pub fn new(config: &Config) -> Limits {
        let limits = Limits {
            connections_max: AtomicUsize::new(0),
            consumers_per_channel_max: AtomicUsize::new(0),
            handshake_timeout_ms: AtomicU64::new(0),
            consumer_timeout_ms: AtomicU64::new(0),
            heartbeat_s: AtomicU64::new(0),
            auth_failure_delay_ms: AtomicU64::new(0),
            disk_free_min: AtomicU64::new(0),
            settings: RwLock::default(),
        };
        limits.set(config);
        limits
    }

    /// What holds from here on; what is open already stays.
    pub fn set(&self, config: &Config) {
        let relaxed = Ordering::Relaxed;
        self.connections_max.store(config.connections_max, relaxed);
        self.consumers_per_channel_max
            .store(config.consumers_per_channel_max, relaxed);
        self.handshake_timeout_ms
            .store(milliseconds(config.handshake_timeout), relaxed);
        self.consumer_timeout_ms
            .store(milliseconds(config.consumer_timeout), relaxed);
        self.heartbeat_s.store(config.heartbeat_s().into(), relaxed);
        self.auth_failure_delay_ms
            .store(milliseconds(config.auth_failure_delay), relaxed);
        self.disk_free_min.store(config.disk_free_min, relaxed);
        *self.settings.write() = config.limits;
    }

    /// Connections open at the same time.
    pub fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    /// Consumers of one channel.
    pub fn consumers_per_channel_max(&self) -> usize {
        self.consumers_per_channel_max.load(Ordering::Relaxed)
    }

    /// Time from accept to `connection.open`.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms.load(Ordering::Relaxed))
    }

    /// How long a consumer may hold a delivery; zero: for ever.
    pub fn consumer_timeout(&self) -> Duration {
        Duration::from_millis(self.consumer_timeout_ms.load(Ordering::Relaxed))
    }

    /// Time from a login to the answer that refuses it.
    pub fn auth_failure_delay(&self) -> Duration {
        Duration::from_millis(self.auth_failure_delay_ms.load(Ordering::Relaxed))
    }

    /// Those that are looked at once a second, or when something is declared or opened.
    pub fn settings(&self) -> LimitSettings {
        *self.settings.read()
    }

    /// Free bytes on the disk below which publishers wait.
    pub fn disk_free_min(&self) -> u64 {
        self.disk_free_min.load(Ordering::Relaxed)
    }

    /// The heartbeat as `connection.tune` carries it.
    pub fn heartbeat_s(&self) -> u16 {
        u16::try_from(self.heartbeat_s.load(Ordering::Relaxed)).unwrap_or(u16::MAX)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
