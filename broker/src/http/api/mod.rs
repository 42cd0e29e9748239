//! RabbitMQ's management API: its paths, fields and rules, over this broker.
//!
//! Every file holds what is about one kind of thing. What a user may see and change is said in `login`; permissions are checked as for a
//! client that does the same. Refusals of AMQP become statuses as there: 404 stays 404, 403 becomes 401, all others 400.

mod bindings;
mod channels;
mod checks;
mod connections;
mod consumers;
mod definitions;
mod exchanges;
mod get;
mod limits;
mod nodes;
mod nothing;
mod overview;
mod permissions;
mod properties;
mod publish;
mod queues;
mod rates;
mod users;
mod vhosts;

use axum::http::StatusCode;

use super::answer::Refusal;
use super::login::Session;
use super::routes::Routes;
use crate::store::Ticket;

/// All of it.
pub(super) fn add(routes: Routes) -> Routes {
    [
        overview::add,
        nodes::add,
        connections::add,
        channels::add,
        consumers::add,
        exchanges::add,
        publish::add,
        queues::add,
        get::add,
        bindings::add,
        vhosts::add,
        users::add,
        permissions::add,
        limits::add,
        definitions::add,
        checks::add,
        nothing::add,
    ]
    .into_iter()
    .fold(routes, |routes, add| add(routes))
}

/// 201 for what is new, 204 for what was there; once it is stored.
async fn made(session: &Session, is_new: bool, ticket: Option<Ticket>) -> Result<StatusCode, Refusal> {
    stored(session, ticket).await?;
    Ok(match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    })
}

/// 204, once it is stored.
async fn gone(session: &Session, ticket: Option<Ticket>) -> Result<StatusCode, Refusal> {
    made(session, false, ticket).await
}

/// Waits until everything up to `ticket` is stored.
async fn stored(session: &Session, ticket: Option<Ticket>) -> Result<(), Refusal> {
    let store = &session.broker.store;
    if let Some(ticket) = ticket {
        store.stored(ticket).await;
    }
    match store.poison_reason() {
        Some(reason) if ticket.is_some() => {
            Err(Refusal::unavailable(format!("the log has failed: {reason}")))
        }
        _ => Ok(()),
    }
}

/// Longest name in bytes: names travel as short strings.
const NAME_BYTES_MAX: usize = 255;

/// Refuses a name that AMQP could not carry.
fn check_name(name: &str) -> Result<(), Refusal> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "name: longer than {NAME_BYTES_MAX} bytes"
    )))
}

/// RabbitMQ's name for the default exchange in paths.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// The exchange that a path names.
fn exchange_name(path: &str) -> &str {
    match path {
        DEFAULT_EXCHANGE => "",
        name => name,
    }
}
