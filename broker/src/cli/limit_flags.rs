//! The flags of limits that may change while the broker runs.

use std::time::Duration;

use clap::Args;

use super::values::{bytes_u64, duration, duration_text, size_text, whole_seconds};
use crate::alarms::Watermark;
use crate::limits::LimitSettings;
use crate::meter::PublishRate;
use crate::topology::Sizes;

/// What SIGHUP changes at once.
#[derive(Debug, Args)]
pub(super) struct LimitFlags {
    /// Memory of the process above which publishers wait: a size, a percentage of the machine's memory or of the control group's
    /// limit where that is less, or 0 for none. Pages of files do not count.
    #[arg(long, value_name = "SIZE|PERCENT%", default_value_t = LimitSettings::default().memory_high_watermark)]
    memory_high_watermark: Watermark,

    /// Time that a client, of AMQP or HTTP, may leave its socket full before it is closed: it takes nothing of what waits for it. 0 for
    /// ever.
    #[arg(long, value_name = "TIME", default_value = duration_text(LimitSettings::default().write_timeout),
          value_parser = write_timeout)]
    write_timeout: Duration,

    /// Messages that one connection may publish a second, a second's worth at once; beyond that it is not read for a while. 0 for
    /// no limit.
    #[arg(long, value_name = "COUNT", default_value_t = LimitSettings::default().publish_rate.messages,
          value_parser = clap::value_parser!(u64).range(..=RATE_MAX))]
    publish_rate_max: u64,

    /// Bytes that one connection may publish a second, frames and all; 0 for no limit.
    #[arg(long, value_name = "SIZE", default_value = size_text(LimitSettings::default().publish_rate.bytes), value_parser = bytes_u64)]
    publish_bytes_rate_max: u64,

    /// Messages that all connections of a user together may publish a second, unless the user has a limit of its own
    /// (max-publish-rate); 0 for no limit.
    #[arg(long, value_name = "COUNT", default_value_t = LimitSettings::default().user_publish_rate.messages,
          value_parser = clap::value_parser!(u64).range(..=RATE_MAX))]
    user_publish_rate_max: u64,

    /// Bytes that all connections of a user together may publish a second, unless the user has a limit of its own
    /// (max-publish-bytes-rate); 0 for no limit.
    #[arg(long, value_name = "SIZE", default_value = size_text(LimitSettings::default().user_publish_rate.bytes),
          value_parser = bytes_u64)]
    user_publish_bytes_rate_max: u64,

    /// Bytes that the consumers of one connection may leave unacknowledged before its deliveries pause; 0 for no limit. One
    /// message goes out however large it is.
    #[arg(long, value_name = "SIZE", default_value = size_text(LimitSettings::default().unacked_bytes_max), value_parser = bytes_u64)]
    unacked_bytes_max: u64,

    /// Channels of all connections together (RabbitMQ's channel_max_per_node); 0 for no limit.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    channels_max: u32,

    /// Queues of all virtual hosts together, exclusive and auto-delete ones too (RabbitMQ's cluster_queue_limit); 0 for no limit.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    queues_max: u32,

    /// Exchanges of all virtual hosts together, predeclared ones too (RabbitMQ's cluster_exchange_limit); 0 for no limit.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    exchanges_max: u32,

    /// Bindings of all virtual hosts together; 0 for no limit.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    bindings_max: u32,
}

/// No client comes near it.
const RATE_MAX: u64 = 1_000_000_000;

fn write_timeout(text: &str) -> Result<Duration, String> {
    whole_seconds(duration(text)?, 0, 3600)
}

impl From<LimitFlags> for LimitSettings {
    fn from(flags: LimitFlags) -> LimitSettings {
        LimitSettings {
            memory_high_watermark: flags.memory_high_watermark,
            write_timeout: flags.write_timeout,
            publish_rate: PublishRate {
                messages: flags.publish_rate_max,
                bytes: flags.publish_bytes_rate_max,
            },
            user_publish_rate: PublishRate {
                messages: flags.user_publish_rate_max,
                bytes: flags.user_publish_bytes_rate_max,
            },
            unacked_bytes_max: flags.unacked_bytes_max,
            channels_max: flags.channels_max as usize,
            sizes: Sizes {
                queues: flags.queues_max as usize,
                exchanges: flags.exchanges_max as usize,
                bindings: flags.bindings_max as usize,
            },
        }
    }
}
