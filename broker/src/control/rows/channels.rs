//! Channels.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{List, rate};
use crate::control::table::{Column, Row, column};
use crate::observe::{ChannelView, Earlier, LinkObserved, Opened, links};
use crate::vhost::VirtualHost;

/// A channel with its connection, and its earlier figures.
pub(in crate::control) struct ChannelRow {
    connection_id: u64,
    connection: Arc<LinkObserved>,
    channel: ChannelView,
    then: ChannelView,
    earlier: Option<Earlier>,
}

impl List for ChannelRow {
    fn list(vhosts: &[Arc<VirtualHost>], earlier: Option<&Earlier>) -> Vec<ChannelRow> {
        let mut rows = Vec::new();
        for link in vhosts.iter().flat_map(|vhost| links(vhost)) {
            let before = earlier.and_then(|earlier| earlier.link(link.id));
            for channel in link.channels {
                let then = before.and_then(|before| before.channel(channel.number));
                rows.push(ChannelRow {
                    connection_id: link.id.0,
                    connection: Arc::clone(&link.observed),
                    then: then.copied().unwrap_or_default(),
                    channel,
                    earlier: earlier.cloned(),
                });
            }
        }
        rows.sort_by_key(|row| (row.connection_id, row.channel.number));
        rows
    }
}

impl ChannelRow {
    fn opened(&self, of: impl FnOnce(&Opened) -> String) -> Value {
        json!(self.connection.opened().map(of))
    }

    fn rate(&self, of: impl Fn(&ChannelView) -> u64) -> Value {
        rate(self.earlier.as_ref(), of(&self.then), of(&self.channel))
    }
}

impl Row for ChannelRow {
    const COLUMNS: &'static [Column<ChannelRow>] = &[
        column("connection_id", |row: &ChannelRow| row.connection_id.into()),
        column("connection", |row: &ChannelRow| row.opened(Opened::name)),
        column("name", |row: &ChannelRow| {
            row.opened(|opened| format!("{} ({})", opened.name(), row.channel.number))
        })
        .shown(),
        column("number", |row: &ChannelRow| row.channel.number.into()),
        column("vhost", |row: &ChannelRow| {
            row.opened(|opened| opened.vhost.clone())
        })
        .shown(),
        column("user", |row: &ChannelRow| {
            row.opened(|opened| opened.user.clone())
        })
        .shown(),
        column("confirm", |row: &ChannelRow| row.channel.confirm.into()),
        column("transactional", |row: &ChannelRow| {
            row.channel.transactional.into()
        }),
        column("consumer_count", |row: &ChannelRow| row.channel.consumers.into()).shown(),
        column("prefetch_count", |row: &ChannelRow| row.channel.prefetch.into()).shown(),
        column("global_prefetch_count", |row: &ChannelRow| {
            row.channel.prefetch_global.into()
        }),
        column("messages_unacknowledged", |row: &ChannelRow| {
            row.channel.unsettled.into()
        })
        .shown(),
        column("messages_unconfirmed", |row: &ChannelRow| {
            row.channel.unconfirmed.into()
        })
        .shown(),
        column("published", |row: &ChannelRow| row.channel.published.into()),
        column("confirmed", |row: &ChannelRow| row.channel.confirmed.into()),
        column("returned", |row: &ChannelRow| row.channel.returned.into()),
        column("dropped", |row: &ChannelRow| row.channel.dropped.into()),
        column("delivered", |row: &ChannelRow| row.channel.delivered().into()),
        column("redelivered", |row: &ChannelRow| row.channel.redelivered.into()),
        column("acknowledged", |row: &ChannelRow| row.channel.acknowledged.into()),
        column("publish_rate", |row: &ChannelRow| {
            row.rate(|channel| channel.published)
        })
        .shown()
        .compared(),
        column("confirm_rate", |row: &ChannelRow| {
            row.rate(|channel| channel.confirmed)
        })
        .compared(),
        column("deliver_rate", |row: &ChannelRow| {
            row.rate(ChannelView::delivered)
        })
        .shown()
        .compared(),
        column("ack_rate", |row: &ChannelRow| {
            row.rate(|channel| channel.acknowledged)
        })
        .shown()
        .compared(),
    ];
}
