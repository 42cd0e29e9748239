//! Queues.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{List, rate, rounded};
use crate::control::table::{Column, Row, column};
use crate::definitions::table_to_object;
use crate::observe::{Earlier, QueueLook, QueueView, now_ms, queue_views, queue_waits};
use crate::queue::QueueKind;
use crate::vhost::VirtualHost;

/// A queue, and what it was before.
pub(in crate::control) struct QueueRow {
    vhost: String,
    view: QueueView,
    then: QueueLook,
    earlier: Option<Earlier>,
}

impl List for QueueRow {
    fn list(vhosts: &[Arc<VirtualHost>], earlier: Option<&Earlier>) -> Vec<QueueRow> {
        let mut rows = Vec::new();
        for vhost in vhosts {
            for view in queue_views(std::slice::from_ref(vhost)) {
                rows.push(QueueRow {
                    vhost: vhost.name().to_owned(),
                    then: earlier
                        .and_then(|earlier| earlier.queue(view.queue.id()))
                        .unwrap_or_default(),
                    view,
                    earlier: earlier.cloned(),
                });
            }
        }
        rows.sort_by(|one, other| {
            (&one.vhost, one.view.queue.name()).cmp(&(&other.vhost, other.view.queue.name()))
        });
        rows
    }
}

impl QueueRow {
    fn rate(&self, then: u64, now: u64) -> Value {
        rate(self.earlier.as_ref(), then, now)
    }

    fn waits(&self) -> String {
        let waits = queue_waits(&self.view).into_iter();
        let waits: Vec<String> = waits.map(|(who, cause)| format!("{who}: {cause}")).collect();
        waits.join(", ")
    }
}

impl Row for QueueRow {
    const COLUMNS: &'static [Column<QueueRow>] = &[
        column("vhost", |row: &QueueRow| row.vhost.as_str().into()).shown(),
        column("name", |row: &QueueRow| row.view.queue.name().into()).shown(),
        column("type", |row: &QueueRow| match row.view.queue.options().kind {
            QueueKind::Classic => "classic".into(),
            QueueKind::Quorum => "quorum".into(),
        }),
        column("durable", |row: &QueueRow| {
            row.view.queue.declaration().durable.into()
        }),
        column("auto_delete", |row: &QueueRow| {
            row.view.queue.declaration().auto_delete.into()
        }),
        column("exclusive", |row: &QueueRow| {
            row.view.queue.declaration().owner.is_some().into()
        }),
        column("arguments", |row: &QueueRow| {
            json!(table_to_object(&row.view.queue.declaration().arguments))
        }),
        column("durability", |row: &QueueRow| {
            row.view.queue.log().durability().name().into()
        }),
        column("messages", |row: &QueueRow| row.view.messages().into()),
        column("messages_ready", |row: &QueueRow| row.view.ready.into()).shown(),
        column("messages_unacknowledged", |row: &QueueRow| {
            row.view.unsettled.into()
        })
        .shown(),
        column("messages_dead", |row: &QueueRow| row.view.dead.into()),
        column("messages_ram", |row: &QueueRow| row.view.in_memory.into()),
        column("messages_paged_out", |row: &QueueRow| row.view.in_log_only.into()),
        column("message_bytes_ram", |row: &QueueRow| row.view.memory_bytes.into()),
        column("memory", |row: &QueueRow| row.view.held_bytes.into()),
        column("ring_fill", |row: &QueueRow| rounded(100.0 * row.view.fill)),
        column("oldest_message_age_ms", |row: &QueueRow| {
            json!(row.view.oldest_ms.map(|ms| now_ms().saturating_sub(ms)))
        }),
        column("consumers", |row: &QueueRow| row.view.consumers.into()).shown(),
        column("consumer_capacity", |row: &QueueRow| {
            rounded(100.0 * row.view.consumer_capacity())
        }),
        column("publishers_waiting", |row: &QueueRow| {
            row.view.publishers_waiting.into()
        }),
        column("unreadable", |row: &QueueRow| row.view.unreadable.into()),
        column("published", |row: &QueueRow| row.view.published.into()),
        column("delivered", |row: &QueueRow| row.view.counts.delivered().into()),
        column("redelivered", |row: &QueueRow| {
            row.view.counts.delivered.redelivered.into()
        }),
        column("acknowledged", |row: &QueueRow| {
            row.view.counts.acknowledged.into()
        }),
        column("requeued", |row: &QueueRow| row.view.counts.requeued.into()),
        column("rejected", |row: &QueueRow| row.view.counts.rejected.into()),
        column("cold_reads", |row: &QueueRow| row.view.counts.cold_reads.into()),
        column("publish_rate", |row: &QueueRow| {
            row.rate(row.then.published, row.view.published)
        })
        .shown()
        .compared(),
        column("deliver_rate", |row: &QueueRow| {
            row.rate(row.then.counts.delivered(), row.view.counts.delivered())
        })
        .shown()
        .compared(),
        column("ack_rate", |row: &QueueRow| {
            row.rate(row.then.counts.acknowledged, row.view.counts.acknowledged)
        })
        .shown()
        .compared(),
        column("redeliver_rate", |row: &QueueRow| {
            let (then, now) = (&row.then.counts.delivered, &row.view.counts.delivered);
            row.rate(then.redelivered, now.redelivered)
        })
        .compared(),
        column("growth_rate", |row: &QueueRow| match &row.earlier {
            Some(earlier) => rounded(earlier.change(row.then.messages(), row.view.messages())),
            None => Value::Null,
        })
        .compared(),
        column("waits_for", |row: &QueueRow| row.waits().into()).shown(),
    ];
}
