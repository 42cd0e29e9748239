//! `/api/users`; for administrators.

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::Value;

use super::{check_name, gone, made};
use crate::definitions::{user_object, user_record};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::store::metadata::{Entity, UserRecord};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/users", list)
        .get("/api/users/without-permissions", without_permissions)
        .get("/api/users/{user}", show)
        .put("/api/users/{user}", put)
        .delete("/api/users/{user}", delete)
        .post("/api/users/bulk-delete", delete_all)
}

fn users(session: &Session) -> Vec<UserRecord> {
    let records = session.broker.users.records().into_iter();
    let users = records.filter_map(|entity| match entity {
        Entity::User(user) => Some(user),
        _ => None,
    });
    users.collect()
}

async fn list(session: Session, listing: Listing) -> Result<Json, Refusal> {
    session.administrator()?;
    listing.answer(users(&session), |user| user.name.clone(), user_object)
}

async fn without_permissions(session: Session, listing: Listing) -> Result<Json, Refusal> {
    session.administrator()?;
    let mut users = users(&session);
    let vhosts = session.broker.vhosts();
    users.retain(|user| {
        let may_enter = |vhost: &str| session.broker.users.permissions(vhost, &user.name).may_enter();
        !vhosts.iter().any(|vhost| may_enter(vhost.name()))
    });
    listing.answer(users, |user| user.name.clone(), user_object)
}

async fn show(session: Session, listing: Listing, Path(name): Path<String>) -> Result<Json, Refusal> {
    session.administrator()?;
    let account = session
        .broker
        .users
        .account(&name)
        .ok_or_else(Refusal::not_found)?;
    Ok(Json(listing.selected(user_object(&account.record))))
}

async fn put(session: Session, Path(name): Path<String>, object: Object) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    check_name(&name)?;
    // A password is hashed slowly, which no other request is to wait for.
    let hashed = tokio::task::spawn_blocking(move || user_record(name, object.0));
    let hashed = hashed
        .await
        .map_err(|error| Refusal::unavailable(error.to_string()))?;
    let mut record = hashed.map_err(Refusal::bad_request)?;
    let known = session.broker.users.account(&record.name);
    if let Some(known) = &known {
        record.limits = known.record.limits;
    }
    let ticket = session.broker.put_user(record);
    made(&session, known.is_none(), Some(ticket)).await
}

async fn delete(session: Session, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    let ticket = session.broker.delete_user(&name).ok_or_else(Refusal::not_found)?;
    gone(&session, Some(ticket)).await
}

async fn delete_all(session: Session, mut object: Object) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    let names = match object.0.take("users") {
        Some(Value::Array(names)) => names,
        _ => return Err(Refusal::bad_request("users: expected a list of names")),
    };
    let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
    let names = names.ok_or_else(|| Refusal::bad_request("users: expected a list of names"))?;
    let mut last = None;
    for name in names {
        last = session.broker.delete_user(name).or(last);
    }
    gone(&session, last).await
}
