//! Consumers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::List;
use crate::control::table::{Column, Row, column};
use crate::observe::{ConsumerView, ConsumerWait, Earlier, Opened, consumers};
use crate::queue::Queue;
use crate::vhost::VirtualHost;

/// A consumer with its queue.
pub(in crate::control) struct ConsumerRow {
    vhost: String,
    queue: Arc<Queue>,
    view: ConsumerView,
}

impl List for ConsumerRow {
    fn list(vhosts: &[Arc<VirtualHost>], _: Option<&Earlier>) -> Vec<ConsumerRow> {
        let mut rows = Vec::new();
        for vhost in vhosts {
            for (queue, view) in consumers(vhost) {
                let vhost = vhost.name().to_owned();
                rows.push(ConsumerRow { vhost, queue, view });
            }
        }
        rows.sort_by(|one, other| one.key().cmp(&other.key()));
        rows
    }
}

impl ConsumerRow {
    fn key(&self) -> (&str, &str, &str) {
        (&self.vhost, self.queue.name(), &self.view.tag)
    }

    fn opened(&self, of: impl FnOnce(&Opened) -> String) -> Value {
        json!(self.view.link.observed().opened().map(of))
    }
}

impl Row for ConsumerRow {
    const COLUMNS: &'static [Column<ConsumerRow>] = &[
        column("vhost", |row: &ConsumerRow| row.vhost.as_str().into()).shown(),
        column("queue_name", |row: &ConsumerRow| row.queue.name().into()).shown(),
        column("consumer_tag", |row: &ConsumerRow| row.view.tag.as_str().into()).shown(),
        column("connection_id", |row: &ConsumerRow| row.view.link.id().0.into()),
        column("channel", |row: &ConsumerRow| {
            row.opened(|opened| format!("{} ({})", opened.name(), row.view.channel))
        })
        .shown(),
        column("user", |row: &ConsumerRow| {
            row.opened(|opened| opened.user.clone())
        }),
        column("ack_required", |row: &ConsumerRow| row.view.acknowledges.into()).shown(),
        column("exclusive", |row: &ConsumerRow| row.view.exclusive.into()),
        column("priority", |row: &ConsumerRow| row.view.priority.into()),
        column("prefetch_count", |row: &ConsumerRow| row.view.prefetch.into()).shown(),
        column("messages_unacknowledged", |row: &ConsumerRow| {
            json!(row.view.held)
        })
        .shown(),
        column("active", |row: &ConsumerRow| row.view.active.into()).shown(),
        column("waits_for", |row: &ConsumerRow| {
            row.view.waits_for().map_or("", ConsumerWait::name).into()
        })
        .shown(),
    ];
}
