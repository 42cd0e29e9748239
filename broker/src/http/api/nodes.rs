//! `/api/nodes`: the one node, with what RabbitMQ says of one and, under `broker`, what only this one has.

use axum::extract::Path;
use serde_json::{Map, Value, json};

use super::overview::exchange_types;
use crate::alarms::Alarm;
use crate::auth::MECHANISMS;
use crate::http::answer::{Json, Refusal};
use crate::http::listing::Listing;
use crate::http::login::Session;
use crate::http::routes::Routes;
use crate::node::Node;
use crate::observe::{HistogramView, Process, QueueTotals, Stage, limited, now_ms, queue_views};

pub(super) fn add(routes: Routes) -> Routes {
    routes.get("/api/nodes", list).get("/api/nodes/{name}", show)
}

async fn list(session: Session, listing: Listing) -> Result<Json, Refusal> {
    session.monitor()?;
    let name = Node::of(&session.broker).name;
    listing.answer(vec![name], String::clone, |_| document(&session))
}

async fn show(session: Session, listing: Listing, Path(name): Path<String>) -> Result<Json, Refusal> {
    session.monitor()?;
    if name != Node::of(&session.broker).name {
        return Err(Refusal::not_found());
    }
    Ok(Json(listing.selected(document(&session))))
}

fn document(session: &Session) -> Value {
    let broker = &session.broker;
    let (node, process, store) = (Node::of(broker), Process::read(), &broker.store);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mechanisms: Vec<Value> = MECHANISMS
        .split(' ')
        .map(|name| json!({"name": name, "description": "", "enabled": true}))
        .collect();
    json!({
        "name": node.name,
        "type": "disc",
        "running": true,
        "uptime": session.shared.started.elapsed().as_millis() as u64,
        "os_pid": std::process::id().to_string(),
        "processors": processors,
        "proc_used": process.threads,
        "fd_used": process.open_files,
        "fd_total": process.open_files_max,
        "mem_used": broker.alarms.memory_used(),
        "mem_limit": broker.alarms.memory_limit().unwrap_or(0),
        "mem_alarm": broker.alarms.is_short_of_memory(),
        "disk_free": store.storage().free_bytes(store.directory()).ok(),
        "disk_free_limit": broker.limits.disk_free_min(),
        "disk_free_alarm": broker.alarms.has(Alarm::Disk),
        "db_dir": store.directory().display().to_string(),
        "exchange_types": exchange_types(),
        "auth_mechanisms": mechanisms,
        "rates_mode": "basic",
        "partitions": [],
        "applications": [],
        "contexts": [],
        "broker": own(session),
    })
}

fn own(session: &Session) -> Value {
    let broker = &session.broker;
    let (store, tallies) = (&broker.store, &broker.tallies);
    let totals = QueueTotals::of(&queue_views(&broker.vhosts()));
    let (logs, spill) = (store.queues().counters(), store.spill().counters());
    let thread = store.log_thread().shared();
    let stages: Map<String, Value> = Stage::ALL
        .iter()
        .map(|&stage| {
            (
                stage.name().to_owned(),
                histogram(&tallies.stages.histogram(stage).view()),
            )
        })
        .collect();
    let (checkpoints, last_ms) = tallies.checkpoints();
    let limits: Map<String, Value> = limited(broker)
        .into_iter()
        .map(|row| (row.name.to_owned(), json!({"used": row.used, "max": row.max})))
        .collect();
    json!({
        "limits": limits,
        "reactors": broker.inboxes().len(),
        "memory_counted": broker.alarms.memory_used(),
        "memory_budget": broker.pool.bytes_budget(),
        "memory_used": broker.pool.bytes_used(),
        "memory_pressed": broker.starved.is_pressed(&broker.pool),
        "ring_fill_max": totals.fill_max,
        "messages_in_memory": totals.in_memory,
        "messages_in_log_only": totals.in_log_only,
        "oldest_message_age_ms": totals.oldest_ms.map(|ms| now_ms().saturating_sub(ms)),
        "publishers_waiting": totals.publishers_waiting,
        "durability": store.durability().name(),
        "log_failed": store.poison_reason(),
        "log_commits": thread.commits(),
        "log_staged_bytes": thread.staged_bytes(),
        "log_bytes_written": logs.bytes_written + spill.bytes_written,
        "log_disk_bytes": logs.bytes_on_disk + spill.bytes_on_disk,
        "log_segments": logs.segments + spill.segments,
        "log_mappings": logs.mappings + spill.mappings,
        "commit_bytes": histogram(&thread.times().bytes.view()),
        "sync_us": histogram(&thread.times().keep_us.view()),
        "checkpoints": checkpoints,
        "checkpoint_age_ms": last_ms.map(|ms| now_ms().saturating_sub(ms)),
        "stages_us": stages,
    })
}

/// Counts by power of two, as far as there are any: `[[upper bound, count], …]`.
fn histogram(view: &HistogramView) -> Value {
    let buckets = view.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
    let buckets: Vec<Value> = buckets
        .map(|(index, count)| json!([1u64 << index, count]))
        .collect();
    json!({"count": view.count(), "sum": view.sum, "buckets": buckets})
}
