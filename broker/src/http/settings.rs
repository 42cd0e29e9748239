//! What the management listener is started with, and the flags that say so.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::cli::{duration, duration_text};

/// Addresses and limits of the management listener. Without an address there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagementConfig {
    /// Addresses to listen on; port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Queues that `/metrics/per-object` tells of one by one.
    pub metrics_queues_max: usize,
    /// Time between two looks from which rates are made.
    pub sample_interval: Duration,
}

impl Default for ManagementConfig {
    fn default() -> ManagementConfig {
        ManagementConfig {
            listen: Vec::new(),
            metrics_queues_max: 10_000,
            sample_interval: Duration::from_secs(5),
        }
    }
}

/// The flags of the management listener.
#[derive(Clone, Debug, Args)]
pub struct ManagementFlags {
    /// Address for HTTP: health checks, metrics, RabbitMQ's management API and a status page; repeat it for several. Port 0 takes a free
    /// port. Without it there is no HTTP.
    #[arg(long = "management-listen", value_name = "ADDRESS:PORT")]
    management_listen: Vec<SocketAddr>,

    /// Queues that /metrics/per-object tells of one by one, the first ones by name.
    #[arg(long = "metrics-queues-max", value_name = "COUNT",
          default_value_t = ManagementConfig::default().metrics_queues_max as u32,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    metrics_queues_max: u32,

    /// Time between two looks from which the management API makes rates, from 100ms to 1min.
    #[arg(long, value_name = "TIME", default_value = duration_text(ManagementConfig::default().sample_interval),
          value_parser = sample_interval)]
    management_sample_interval: Duration,
}

impl From<ManagementFlags> for ManagementConfig {
    fn from(flags: ManagementFlags) -> ManagementConfig {
        ManagementConfig {
            listen: flags.management_listen,
            metrics_queues_max: flags.metrics_queues_max as usize,
            sample_interval: flags.management_sample_interval,
        }
    }
}

fn sample_interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(100) || interval > Duration::from_secs(60) {
        return Err("expected a time from 100ms to 1min".to_owned());
    }
    Ok(interval)
}
