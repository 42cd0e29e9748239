//! Connections.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{List, rate};
use crate::control::table::{Column, Row, column};
use crate::definitions::table_to_object;
use crate::observe::{ChannelView, Earlier, LinkView, Opened, links};
use crate::vhost::VirtualHost;

/// A connection that has opened a virtual host, and its earlier figures.
pub(in crate::control) struct ConnectionRow {
    view: LinkView,
    earlier: Option<Earlier>,
}

impl List for ConnectionRow {
    fn list(vhosts: &[Arc<VirtualHost>], earlier: Option<&Earlier>) -> Vec<ConnectionRow> {
        let views = vhosts.iter().flat_map(|vhost| links(vhost));
        let views = views.filter(|view| view.observed.opened().is_some());
        let row = |view| ConnectionRow {
            view,
            earlier: earlier.cloned(),
        };
        let mut rows: Vec<ConnectionRow> = views.map(row).collect();
        rows.sort_by_key(|row| row.view.id);
        rows
    }
}

impl ConnectionRow {
    fn opened<T: Into<Value>>(&self, of: impl FnOnce(&Opened) -> T) -> Value {
        self.view
            .observed
            .opened()
            .map_or(Value::Null, |opened| of(opened).into())
    }

    /// A counter of all channels.
    fn sum(&self, of: impl Fn(&ChannelView) -> u64) -> u64 {
        self.view.channels.iter().map(of).sum()
    }

    /// The rate of such a counter, over the channels that were there before.
    fn sum_rate(&self, of: impl Fn(&ChannelView) -> u64) -> Value {
        let link = self
            .earlier
            .as_ref()
            .and_then(|earlier| earlier.link(self.view.id));
        let then = |channel: &ChannelView| link?.channel(channel.number).map(&of);
        let then = self.view.channels.iter().filter_map(then).sum();
        rate(self.earlier.as_ref(), then, self.sum(&of))
    }

    fn bytes_rate(&self, is_in: bool) -> Value {
        let link = self
            .earlier
            .as_ref()
            .and_then(|earlier| earlier.link(self.view.id));
        let (then, now) = match is_in {
            true => (
                link.map_or(0, |link| link.bytes_in),
                self.view.observed.bytes_in.get(),
            ),
            false => (link.map_or(0, |link| link.bytes_out), self.view.bytes_out),
        };
        rate(self.earlier.as_ref(), then, now)
    }

    fn property(&self, name: &str) -> Value {
        let text = |opened: &Opened| {
            let value = opened.client.properties.get(name);
            json!(value.and_then(|value| value.as_str()))
        };
        self.opened(text)
    }
}

impl Row for ConnectionRow {
    const COLUMNS: &'static [Column<ConnectionRow>] = &[
        column("id", |row: &ConnectionRow| row.view.id.0.into()).shown(),
        column("name", |row: &ConnectionRow| row.opened(Opened::name)).shown(),
        column("vhost", |row: &ConnectionRow| {
            row.opened(|opened| opened.vhost.clone())
        })
        .shown(),
        column("user", |row: &ConnectionRow| {
            row.opened(|opened| opened.user.clone())
        })
        .shown(),
        column("state", |row: &ConnectionRow| {
            row.view.observed.state().name().into()
        })
        .shown(),
        column("protocol", |_: &ConnectionRow| "AMQP 0-9-1".into()),
        column("peer_host", |row: &ConnectionRow| {
            row.opened(|opened| opened.peer.host())
        }),
        column("peer_port", |row: &ConnectionRow| {
            row.opened(|opened| json!(opened.peer.port()))
        }),
        column("host", |row: &ConnectionRow| {
            row.opened(|opened| opened.local.host())
        }),
        column("port", |row: &ConnectionRow| {
            row.opened(|opened| json!(opened.local.port()))
        }),
        column("ssl", |row: &ConnectionRow| {
            row.opened(|opened| opened.encryption.is_some())
        }),
        column("ssl_protocol", |row: &ConnectionRow| {
            row.opened(|opened| json!(opened.encryption.as_ref().map(|tls| &tls.version)))
        }),
        column("ssl_cipher", |row: &ConnectionRow| {
            row.opened(|opened| json!(opened.encryption.as_ref().map(|tls| &tls.cipher)))
        }),
        column("auth_mechanism", |row: &ConnectionRow| {
            row.opened(|opened| opened.client.mechanism.clone())
        }),
        column("connected_at", |row: &ConnectionRow| {
            row.opened(|opened| opened.opened_ms)
        }),
        column("client_properties", |row: &ConnectionRow| {
            row.opened(|opened| json!(table_to_object(&opened.client.properties)))
        }),
        column("user_provided_name", |row: &ConnectionRow| {
            row.property("connection_name")
        }),
        column("product", |row: &ConnectionRow| row.property("product")),
        column("channel_max", |row: &ConnectionRow| {
            row.opened(|opened| opened.channel_max)
        }),
        column("frame_max", |row: &ConnectionRow| {
            row.opened(|opened| opened.frame_max)
        }),
        column("timeout", |row: &ConnectionRow| {
            row.opened(|opened| opened.heartbeat_s)
        }),
        column("channels", |row: &ConnectionRow| row.view.channels.len().into()).shown(),
        column("consumers", |row: &ConnectionRow| {
            row.sum(|channel| channel.consumers).into()
        }),
        column("messages_unacknowledged", |row: &ConnectionRow| {
            row.sum(|channel| channel.unsettled).into()
        })
        .shown(),
        column("messages_unconfirmed", |row: &ConnectionRow| {
            row.sum(|channel| channel.unconfirmed).into()
        }),
        column("oldest_unacknowledged_s", |row: &ConnectionRow| {
            row.view.observed.oldest_unsettled_s.get().into()
        }),
        column("recv_oct", |row: &ConnectionRow| {
            row.view.observed.bytes_in.get().into()
        }),
        column("recv_cnt", |row: &ConnectionRow| {
            row.view.observed.reads.get().into()
        }),
        column("send_oct", |row: &ConnectionRow| row.view.bytes_out.into()),
        column("send_cnt", |row: &ConnectionRow| row.view.writes.into()),
        column("send_pend", |row: &ConnectionRow| row.view.pending_bytes.into()).shown(),
        column("recv_oct_rate", |row: &ConnectionRow| row.bytes_rate(true)).compared(),
        column("send_oct_rate", |row: &ConnectionRow| row.bytes_rate(false)).compared(),
        column("publish_rate", |row: &ConnectionRow| {
            row.sum_rate(|channel| channel.published)
        })
        .shown()
        .compared(),
        column("deliver_rate", |row: &ConnectionRow| {
            row.sum_rate(ChannelView::delivered)
        })
        .shown()
        .compared(),
    ];
}
