//! `/api/permissions`, `/api/topic-permissions`; for administrators.

use axum::extract::Path;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{gone, made};
use crate::http::answer::{Json, Refusal};
use crate::http::body::Object;
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::store::metadata::{Entity, PermissionRecord, TopicPermissionRecord};

pub(super) fn add(routes: Routes) -> Routes {
    routes
        .get("/api/permissions", list)
        .get("/api/permissions/{vhost}/{user}", show)
        .put("/api/permissions/{vhost}/{user}", put)
        .delete("/api/permissions/{vhost}/{user}", delete)
        .get("/api/vhosts/{vhost}/permissions", of_vhost)
        .get("/api/users/{user}/permissions", of_user)
        .get("/api/topic-permissions", list_topics)
        .get("/api/topic-permissions/{vhost}/{user}", show_topics)
        .put("/api/topic-permissions/{vhost}/{user}", put_topic)
        .delete("/api/topic-permissions/{vhost}/{user}", delete_topics)
        .delete("/api/topic-permissions/{vhost}/{user}/{exchange}", delete_topic)
        .get("/api/vhosts/{vhost}/topic-permissions", topics_of_vhost)
        .get("/api/users/{user}/topic-permissions", topics_of_user)
}

fn general(
    session: &Session,
    wanted: impl Fn(&PermissionRecord) -> bool,
) -> Result<Vec<PermissionRecord>, Refusal> {
    session.administrator()?;
    let records = session.broker.users.records().into_iter();
    let records = records.filter_map(|entity| match entity {
        Entity::Permission(record) if wanted(&record) => Some(record),
        _ => None,
    });
    Ok(records.collect())
}

fn topics(
    session: &Session,
    wanted: impl Fn(&TopicPermissionRecord) -> bool,
) -> Result<Vec<TopicPermissionRecord>, Refusal> {
    session.administrator()?;
    let records = session.broker.users.records().into_iter();
    let records = records.filter_map(|entity| match entity {
        Entity::TopicPermission(record) if wanted(&record) => Some(record),
        _ => None,
    });
    Ok(records.collect())
}

fn answer(listing: &Listing, records: Vec<PermissionRecord>) -> Result<Json, Refusal> {
    listing.answer(records, |record| record.user.clone(), render)
}

fn answer_topics(listing: &Listing, records: Vec<TopicPermissionRecord>) -> Result<Json, Refusal> {
    listing.answer(records, |record| record.user.clone(), render_topic)
}

async fn list(session: Session, listing: Listing) -> Result<Json, Refusal> {
    answer(&listing, general(&session, |_| true)?)
}

async fn of_vhost(session: Session, listing: Listing, Path(vhost): Path<String>) -> Result<Json, Refusal> {
    session.administrator()?;
    session.visible(&vhost)?;
    answer(&listing, general(&session, |record| record.vhost == vhost)?)
}

async fn of_user(session: Session, listing: Listing, Path(user): Path<String>) -> Result<Json, Refusal> {
    session.administrator()?;
    session
        .broker
        .users
        .account(&user)
        .ok_or_else(Refusal::not_found)?;
    answer(&listing, general(&session, |record| record.user == user)?)
}

async fn show(session: Session, Path((vhost, user)): Path<(String, String)>) -> Result<Json, Refusal> {
    let found = general(&session, |record| record.vhost == vhost && record.user == user)?;
    found
        .first()
        .map(|record| Json(render(record)))
        .ok_or_else(Refusal::not_found)
}

async fn put(
    session: Session,
    Path((vhost, user)): Path<(String, String)>,
    mut object: Object,
) -> Result<StatusCode, Refusal> {
    let known = general(&session, |record| record.vhost == vhost && record.user == user)?;
    let record = PermissionRecord {
        configure: object.text("configure")?,
        write: object.text("write")?,
        read: object.text("read")?,
        vhost,
        user,
    };
    let ticket = session
        .broker
        .set_permission(record)
        .map_err(Refusal::bad_request)?;
    made(&session, known.is_empty(), Some(ticket)).await
}

async fn delete(
    session: Session,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    let ticket = session
        .broker
        .clear_permission(&vhost, &user)
        .ok_or_else(Refusal::not_found)?;
    gone(&session, Some(ticket)).await
}

async fn list_topics(session: Session, listing: Listing) -> Result<Json, Refusal> {
    answer_topics(&listing, topics(&session, |_| true)?)
}

async fn topics_of_vhost(
    session: Session,
    listing: Listing,
    Path(vhost): Path<String>,
) -> Result<Json, Refusal> {
    answer_topics(&listing, topics(&session, |record| record.vhost == vhost)?)
}

async fn topics_of_user(
    session: Session,
    listing: Listing,
    Path(user): Path<String>,
) -> Result<Json, Refusal> {
    answer_topics(&listing, topics(&session, |record| record.user == user)?)
}

async fn show_topics(
    session: Session,
    listing: Listing,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<Json, Refusal> {
    let found = topics(&session, |record| record.vhost == vhost && record.user == user)?;
    if found.is_empty() {
        return Err(Refusal::not_found());
    }
    answer_topics(&listing, found)
}

async fn put_topic(
    session: Session,
    Path((vhost, user)): Path<(String, String)>,
    mut object: Object,
) -> Result<StatusCode, Refusal> {
    let record = TopicPermissionRecord {
        exchange: super::exchange_name(&object.name("exchange")?).to_owned(),
        write: object.text("write")?,
        read: object.text("read")?,
        vhost,
        user,
    };
    let same = |known: &TopicPermissionRecord| {
        (&known.vhost, &known.user, &known.exchange) == (&record.vhost, &record.user, &record.exchange)
    };
    let is_new = topics(&session, same)?.is_empty();
    let ticket = session
        .broker
        .set_topic_permission(record)
        .map_err(Refusal::bad_request)?;
    made(&session, is_new, Some(ticket)).await
}

async fn delete_topics(
    session: Session,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let found = topics(&session, |record| record.vhost == vhost && record.user == user)?;
    if found.is_empty() {
        return Err(Refusal::not_found());
    }
    let mut last = None;
    for record in &found {
        let cleared = session
            .broker
            .clear_topic_permission(&vhost, &user, &record.exchange);
        last = cleared.or(last);
    }
    gone(&session, last).await
}

async fn delete_topic(
    session: Session,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Result<StatusCode, Refusal> {
    session.administrator()?;
    let exchange = super::exchange_name(&exchange);
    let cleared = session.broker.clear_topic_permission(&vhost, &user, exchange);
    gone(&session, Some(cleared.ok_or_else(Refusal::not_found)?)).await
}

fn render(record: &PermissionRecord) -> Value {
    json!({
        "user": record.user, "vhost": record.vhost,
        "configure": record.configure, "write": record.write, "read": record.read,
    })
}

fn render_topic(record: &TopicPermissionRecord) -> Value {
    json!({
        "user": record.user, "vhost": record.vhost, "exchange": record.exchange,
        "write": record.write, "read": record.read,
    })
}
