//! `/api/vhost-limits`, `/api/user-limits`.

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::gone;
use crate::definitions::{PUBLISH_BYTES_RATE, PUBLISH_RATE, publish_limits, user_limits, vhost_limits};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::store::metadata::{UserLimits, UserRecord, VhostLimits};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/vhost-limits", list)
        .get("/api/vhost-limits/{vhost}", list)
        .put("/api/vhost-limits/{vhost}/{name}", put)
        .delete("/api/vhost-limits/{vhost}/{name}", delete)
        .get("/api/user-limits", list_users)
        .get("/api/user-limits/{user}", show_user)
        .put("/api/user-limits/{user}/{name}", put_user)
        .delete("/api/user-limits/{user}/{name}", delete_user)
}

async fn list(session: Session, listing: Listing, vhost: Option<Path<String>>) -> Result<Json, Refusal> {
    let vhosts = session.vhosts_of(vhost)?.into_iter();
    let rows: Vec<_> = vhosts
        .filter_map(|vhost| Some((vhost.name().to_owned(), vhost_limits(vhost.limits())?)))
        .collect();
    listing.answer(
        rows,
        |row| row.0.clone(),
        |(vhost, limits)| json!({"vhost": vhost, "value": limits}),
    )
}

async fn put(
    session: Session,
    Path((vhost, name)): Path<(String, String)>,
    mut object: Object,
) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    let value = value(&mut object)?;
    change(&session, &vhost, &name, value).await
}

async fn delete(
    session: Session,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    change(&session, &vhost, &name, None).await
}

async fn change(
    session: &Session,
    vhost: &str,
    name: &str,
    value: Option<u64>,
) -> Result<StatusCode, Refusal> {
    let mut limits: VhostLimits = session
        .broker
        .vhost(vhost)
        .ok_or_else(Refusal::not_found)?
        .limits();
    match name {
        "max-connections" => limits.connections_max = value,
        "max-queues" => limits.queues_max = value,
        other => return Err(unknown(other, "max-connections or max-queues")),
    }
    let ticket = session
        .broker
        .set_vhost_limits(vhost, limits)
        .ok_or_else(Refusal::not_found)?;
    gone(session, Some(ticket)).await
}

async fn list_users(session: Session, listing: Listing) -> Result<Json, Refusal> {
    session.administrator()?;
    let records = session.broker.users.records().into_iter();
    let users: Vec<UserRecord> = records
        .filter_map(|entity| match entity {
            crate::store::metadata::Entity::User(user) => Some(user),
            _ => None,
        })
        .filter(|user| !all_limits(user).is_empty())
        .collect();
    listing.answer(users, |user| user.name.clone(), render_user)
}

async fn show_user(session: Session, Path(user): Path<String>) -> Result<Json, Refusal> {
    session.administrator()?;
    let account = session
        .broker
        .users
        .account(&user)
        .ok_or_else(Refusal::not_found)?;
    Ok(Json(json!([render_user(&account.record)])))
}

fn render_user(user: &UserRecord) -> Value {
    json!({"user": user.name, "value": all_limits(user)})
}

/// RabbitMQ's, and those that only this broker has.
fn all_limits(user: &UserRecord) -> Map<String, Value> {
    let limits = user.limits.unwrap_or_default();
    let mut all = user_limits(limits);
    all.extend(publish_limits(limits));
    all
}

async fn put_user(
    session: Session,
    Path((user, name)): Path<(String, String)>,
    mut object: Object,
) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    let value = value(&mut object)?;
    change_user(&session, &user, &name, value).await
}

async fn delete_user(
    session: Session,
    Path((user, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    change_user(&session, &user, &name, None).await
}

async fn change_user(
    session: &Session,
    user: &str,
    name: &str,
    value: Option<u64>,
) -> Result<StatusCode, Refusal> {
    let account = session
        .broker
        .users
        .account(user)
        .ok_or_else(Refusal::not_found)?;
    let mut record = (*account.record).clone();
    let mut limits: UserLimits = record.limits.unwrap_or_default();
    match name {
        "max-connections" => limits.connections_max = value,
        "max-channels" => limits.channels_max = value,
        PUBLISH_RATE => limits.publish_rate_max = value,
        PUBLISH_BYTES_RATE => limits.publish_bytes_rate_max = value,
        other => {
            let known = "max-connections, max-channels, max-publish-rate or max-publish-bytes-rate";
            return Err(unknown(other, known));
        }
    }
    record.limits = Some(limits);
    let ticket = session.broker.put_user(record);
    gone(session, Some(ticket)).await
}

/// A negative number is no limit.
fn value(object: &mut Object) -> Result<Option<u64>, Refusal> {
    match object.number("value")? {
        Some(value) => Ok(u64::try_from(value).ok()),
        None => Err(Refusal::bad_request(
            "value: missing; expected a whole number, negative for no limit",
        )),
    }
}

fn unknown(name: &str, known: &str) -> Refusal {
    Refusal::bad_request(format!("'{name}' is no limit: expected {known}"))
}
