//! `/api/channels`: what is done on each channel.

use axum::extract::Path;
use serde_json::{Value, json};

use super::connections::{find, visible};
use super::rates;
use crate::http::answer::{Json, Refusal};
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::node_name;
use crate::observe::{ChannelView, Earlier, LinkView, Opened};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/channels", list)
        .get("/api/vhosts/{vhost}/channels", list)
        .get("/api/connections/{name}/channels", list_of_connection)
        .get("/api/channels/{name}", show)
}

/// A channel with its connection.
struct Row {
    link: LinkView,
    channel: ChannelView,
}

async fn list(session: Session, listing: Listing, vhost: Option<Path<String>>) -> Result<Json, Refusal> {
    let rows = rows(visible(&session, &session.vhosts_of(vhost)?));
    answer(&session, &listing, rows)
}

async fn list_of_connection(
    session: Session,
    listing: Listing,
    Path(name): Path<String>,
) -> Result<Json, Refusal> {
    let link = LinkView::of(&*find(&session, &name)?);
    answer(&session, &listing, rows(vec![link]))
}

async fn show(session: Session, listing: Listing, Path(name): Path<String>) -> Result<Json, Refusal> {
    let (connection, _) = name.rsplit_once(" (").ok_or_else(Refusal::not_found)?;
    let link = LinkView::of(&*find(&session, connection)?);
    let mut rows = rows(vec![link]).into_iter();
    let row = rows
        .find(|row| row.name() == name)
        .ok_or_else(Refusal::not_found)?;
    let earlier = session.shared.sampler.earlier();
    Ok(Json(listing.selected(row.render(earlier.as_ref()))))
}

fn rows(links: Vec<LinkView>) -> Vec<Row> {
    let of_link = |mut link: LinkView| {
        let channels = std::mem::take(&mut link.channels);
        let row = move |channel| Row {
            link: link.clone(),
            channel,
        };
        channels.into_iter().map(row).collect::<Vec<_>>()
    };
    links.into_iter().flat_map(of_link).collect()
}

fn answer(session: &Session, listing: &Listing, rows: Vec<Row>) -> Result<Json, Refusal> {
    let earlier = session.shared.sampler.earlier();
    listing.answer(rows, Row::name, |row| row.render(earlier.as_ref()))
}

impl Row {
    fn name(&self) -> String {
        let connection = self.link.observed.opened().map(Opened::name).unwrap_or_default();
        format!("{connection} ({})", self.channel.number)
    }

    fn render(&self, earlier: Option<&Earlier>) -> Value {
        let (channel, opened) = (&self.channel, self.link.observed.opened());
        let then = earlier
            .and_then(|earlier| earlier.link(self.link.id)?.channel(channel.number))
            .copied()
            .unwrap_or_default();
        json!({
            "name": self.name(),
            "number": channel.number,
            "node": node_name(),
            "state": "running",
            "user": opened.map(|opened| &opened.user),
            "user_who_performed_action": opened.map(|opened| &opened.user),
            "vhost": opened.map(|opened| &opened.vhost),
            "connection_details": {
                "name": opened.map(Opened::name),
                "peer_host": opened.map(|opened| opened.peer.host()),
                "peer_port": opened.and_then(|opened| opened.peer.port()),
            },
            "confirm": channel.confirm,
            "transactional": channel.transactional,
            "prefetch_count": channel.prefetch,
            "global_prefetch_count": channel.prefetch_global,
            "consumer_count": channel.consumers,
            "messages_unacknowledged": channel.unsettled,
            "messages_unconfirmed": channel.unconfirmed,
            "message_stats": rates::of_channel(earlier, &then, channel),
        })
    }
}
