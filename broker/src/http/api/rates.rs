//! `message_stats`: counters with their rates.

use serde_json::{Map, Value, json};

use crate::observe::{ChannelView, Earlier, GlobalCounts, QueueLook, QueueView};

/// A counter, `name`, and its rate, `name_details`.
pub(super) struct Stats<'a> {
    earlier: Option<&'a Earlier>,
    out: Map<String, Value>,
}

impl<'a> Stats<'a> {
    pub(super) fn new(earlier: Option<&'a Earlier>) -> Stats<'a> {
        Stats {
            earlier,
            out: Map::new(),
        }
    }

    /// Adds one that was `then` and is `now`.
    pub(super) fn add(mut self, name: &str, then: u64, now: u64) -> Stats<'a> {
        let rate = self.earlier.map_or(0.0, |earlier| earlier.rate(then, now));
        self.out.insert(name.to_owned(), now.into());
        self.out.insert(format!("{name}_details"), json!({"rate": rate}));
        self
    }

    pub(super) fn into_value(self) -> Value {
        self.out.into()
    }
}

/// Of the broker as a whole.
pub(super) fn of_all(earlier: Option<&Earlier>, now: &GlobalCounts) -> Value {
    let then = earlier.map(|earlier| *earlier.global()).unwrap_or_default();
    Stats::new(earlier)
        .add("publish", then.received, now.received)
        .add("confirm", then.confirmed, now.confirmed)
        .add(
            "return_unroutable",
            then.unroutable_returned,
            now.unroutable_returned,
        )
        .add("drop_unroutable", then.unroutable_dropped, now.unroutable_dropped)
        .add("deliver", then.delivered_manual, now.delivered_manual)
        .add("deliver_no_ack", then.delivered_auto, now.delivered_auto)
        .add("deliver_get", then.delivered(), now.delivered())
        .add("get", then.got_manual, now.got_manual)
        .add("get_no_ack", then.got_auto, now.got_auto)
        .add("get_empty", then.got_empty, now.got_empty)
        .add("ack", then.acknowledged, now.acknowledged)
        .add("redeliver", then.redelivered, now.redelivered)
        .into_value()
}

/// Of a queue.
pub(super) fn of_queue(earlier: Option<&Earlier>, then: &QueueLook, now: &QueueView) -> Value {
    let (published, then, now) = ((then.published, now.published), &then.counts, &now.counts);
    Stats::new(earlier)
        .add("publish", published.0, published.1)
        .add("deliver", then.delivered.manual, now.delivered.manual)
        .add("deliver_no_ack", then.delivered.auto, now.delivered.auto)
        .add("deliver_get", then.delivered(), now.delivered())
        .add("get", then.got_manual, now.got_manual)
        .add("get_no_ack", then.got_auto, now.got_auto)
        .add("get_empty", then.got_empty, now.got_empty)
        .add("ack", then.acknowledged, now.acknowledged)
        .add("redeliver", then.delivered.redelivered, now.delivered.redelivered)
        .into_value()
}

/// Of a channel.
pub(super) fn of_channel(earlier: Option<&Earlier>, then: &ChannelView, now: &ChannelView) -> Value {
    Stats::new(earlier)
        .add("publish", then.published, now.published)
        .add("confirm", then.confirmed, now.confirmed)
        .add("return_unroutable", then.returned, now.returned)
        .add("drop_unroutable", then.dropped, now.dropped)
        .add("deliver", then.delivered_manual, now.delivered_manual)
        .add("deliver_no_ack", then.delivered_auto, now.delivered_auto)
        .add("deliver_get", then.delivered(), now.delivered())
        .add("get", then.got_manual, now.got_manual)
        .add("get_no_ack", then.got_auto, now.got_auto)
        .add("get_empty", then.got_empty, now.got_empty)
        .add("ack", then.acknowledged, now.acknowledged)
        .add("redeliver", then.redelivered, now.redelivered)
        .into_value()
}
