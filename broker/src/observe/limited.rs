//! What is counted against a limit.

use crate::broker::Broker;

/// Something of which there may be only so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// What it is, in the plural.
    pub name: &'static str,
    /// So many there are.
    pub used: usize,
    /// So many there may be, if that is limited.
    pub max: Option<usize>,
}

/// All of it, over all virtual hosts.
pub fn limited(broker: &Broker) -> [Limited; 5] {
    let (sizes, settings) = (broker.census.sizes(), broker.limits.settings());
    let row = |name, used, max: usize| Limited {
        name,
        used,
        max: (max > 0).then_some(max),
    };
    [
        row(
            "connections",
            broker.connection_count(),
            broker.limits.connections_max(),
        ),
        row("channels", broker.channel_count(), settings.channels_max),
        row("queues", sizes.queues, settings.sizes.queues),
        row("exchanges", sizes.exchanges, settings.sizes.exchanges),
        row("bindings", sizes.bindings, settings.sizes.bindings),
    ]
}
