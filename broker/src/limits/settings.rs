//! Limits as they are set.

use std::time::Duration;

use crate::alarms::Watermark;
use crate::meter::PublishRate;
use crate::topology::Sizes;

/// What may change while the broker runs, besides what [`Config`](crate::config::Config) has of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Resident memory above which publishers wait.
    pub memory_high_watermark: Watermark,
    /// How long a peer may leave its socket full; zero: for ever.
    pub write_timeout: Duration,
    /// What one connection may publish.
    pub publish_rate: PublishRate,
    /// What the connections of one user may publish together, where the user's own limits say nothing else.
    pub user_publish_rate: PublishRate,
    /// Bytes that one connection may leave unacknowledged; 0: no limit.
    pub unacked_bytes_max: u64,
    /// Channels of all connections together; 0: no limit.
    pub channels_max: usize,
    /// What all virtual hosts together may hold; 0: no limit.
    pub sizes: Sizes,
}

impl Default for LimitSettings {
    fn default() -> LimitSettings {
        LimitSettings {
            memory_high_watermark: Watermark::Percent(60),
            write_timeout: Duration::from_secs(60),
            publish_rate: PublishRate::default(),
            user_publish_rate: PublishRate::default(),
            unacked_bytes_max: 0,
            channels_max: 0,
            sizes: Sizes::default(),
        }
    }
}
