//! What the management listener is started with, and the flags that say so.

use std::net::SocketAddr;

use clap::Args;

/// Addresses and limits of the management listener. Without an address there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagementConfig {
    /// Addresses to listen on; port 0 takes a free port.
    pub listen: Vec<SocketAddr>,
    /// Queues that `/metrics/per-object` tells of one by one.
    pub metrics_queues_max: usize,
}

impl Default for ManagementConfig {
    fn default() -> ManagementConfig {
        ManagementConfig {
            listen: Vec::new(),
            metrics_queues_max: 10_000,
        }
    }
}

/// The flags of the management listener.
#[derive(Clone, Debug, Args)]
pub struct ManagementFlags {
    /// Address for HTTP: health checks and metrics; repeat it for several. Port 0 takes a free
    /// port. Without it there is no HTTP.
    #[arg(long = "management-listen", value_name = "ADDRESS:PORT")]
    management_listen: Vec<SocketAddr>,

    /// Queues that /metrics/per-object tells of one by one, the first ones by name.
    #[arg(long = "metrics-queues-max", value_name = "COUNT",
          default_value_t = ManagementConfig::default().metrics_queues_max as u32,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    metrics_queues_max: u32,
}

impl From<ManagementFlags> for ManagementConfig {
    fn from(flags: ManagementFlags) -> ManagementConfig {
        ManagementConfig {
            listen: flags.management_listen,
            metrics_queues_max: flags.metrics_queues_max as usize,
        }
    }
}
