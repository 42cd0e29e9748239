//! What one reactor has done.

use super::count::Count;

/// Counted by the connections and the dispatcher of one reactor, which are one thread; in cache lines of their own. Totals since the
/// start.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ReactorCounts {
    /// Messages that publishers have sent, counted when they find their route; those of a transaction when it commits.
    pub received: Count,
    /// Those among them that are to be confirmed.
    pub received_confirm: Count,
    /// Messages confirmed.
    pub confirmed: Count,
    /// Routes looked up, because a channel did not remember them.
    pub route_lookups: Count,
    /// Queues that messages were routed to, each time.
    pub routed: Count,
    /// Messages without a queue that went back.
    pub unroutable_returned: Count,
    /// Messages without a queue that did not.
    pub unroutable_dropped: Count,
    /// Messages delivered to consumers that do not acknowledge.
    pub delivered_auto: Count,
    /// Messages delivered to consumers that do.
    pub delivered_manual: Count,
    /// Messages got that need no acknowledgement.
    pub got_auto: Count,
    /// Messages got that need one.
    pub got_manual: Count,
    /// Gets that found nothing.
    pub got_empty: Count,
    /// Messages delivered or got that had been delivered before.
    pub redelivered: Count,
    /// Messages acknowledged.
    pub acknowledged: Count,
    /// Connections that have opened a virtual host.
    pub connections_opened: Count,
    /// Those among them that have ended.
    pub connections_closed: Count,
    /// Channels opened.
    pub channels_opened: Count,
    /// Channels that are closed, with their connection or before.
    pub channels_closed: Count,
    /// Queue declarations, passive ones left out.
    pub queues_declared: Count,
    /// Times that a connection was not read for a while because it published too much.
    pub publish_pauses: Count,
    /// Connections given up because their peer took nothing.
    pub write_timeouts: Count,
    /// Bytes read from sockets.
    pub bytes_in: Count,
    /// Socket calls that read something.
    pub reads: Count,
    /// Turns of the dispatcher.
    pub turns: Count,
}
