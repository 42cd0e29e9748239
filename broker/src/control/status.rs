//! `status`: how the broker is, and what anybody waits for.
//!
//! Two looks at everything, an interval apart: the difference gives rates, how busy each thread was, and what was waited for
//! both times. Without an interval there is one look, and nothing of that but what is waited for at that moment.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::kept_back::KeptBack;
use crate::broker::Broker;
use crate::node::Node;
use crate::observe::{
    Earlier, GlobalCounts, HistogramView, LinkView, Look, Process, QueueTotals, Threads, Views, Wait, Waits,
    now_ms,
};
use crate::stage::Stage;

/// Share of a core from which a thread is called busy.
const BUSY: f64 = 0.9;
/// Share of the time that a reactor or the log thread may spend waiting for a core.
const CROWDED: f64 = 0.2;
/// Share of the time that syncs may take before they are called what confirms wait for.
const SYNCING: f64 = 0.5;
/// Share of the descriptors that may be open.
const DESCRIPTORS: f64 = 0.9;

/// The earlier of two looks.
#[derive(Debug)]
pub(super) struct Moment {
    look: Arc<Look>,
    threads: Threads,
    syncs: HistogramView,
    waits: Waits,
}

impl Moment {
    pub(super) fn take(broker: &Broker, kept_back: &KeptBack) -> Moment {
        let views = Views::take(broker);
        Moment {
            waits: Waits::of(&views.queues, &views.links),
            look: Arc::new(views.look()),
            threads: kept_back.lend(|_| Threads::read()),
            syncs: syncs(broker),
        }
    }
}

fn syncs(broker: &Broker) -> HistogramView {
    broker.store.log_thread().shared().times().keep_us.view()
}

/// What is known however far the broker has come.
pub(super) fn brief(stage: &Stage, directory: &Path) -> Value {
    json!({
        "state": stage.phase().name(),
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_ms": stage.started.elapsed().as_millis() as u64,
        "data_directory": directory.display().to_string(),
    })
}

/// All of it; compared with an earlier moment, if there is one.
pub(super) fn full(
    stage: &Stage,
    broker: &Broker,
    directory: &Path,
    then: Option<&Moment>,
    kept_back: &KeptBack,
) -> Value {
    let views = Views::take(broker);
    let (process, node) = (process(kept_back), Node::of(broker));
    let earlier = then.map(|then| Earlier::since(Arc::clone(&then.look)));
    let busy = then.map_or_else(Vec::new, |then| {
        kept_back.lend(|_| Threads::read()).since(&then.threads)
    });
    let now = Waits::of(&views.queues, &views.links);
    let mut waits = now.since(then.map_or(&now, |then| &then.waits), broker);
    let syncing = then.zip(earlier.as_ref());
    let syncing = syncing.map(|(then, earlier)| Syncing::between(&then.syncs, &syncs(broker), earlier));
    waits.extend(syncing.as_ref().and_then(|syncing| syncing.wait(&views.links)));
    for thread in &busy {
        waits.extend(thread_wait(&thread.name, thread.ran, thread.waited));
    }
    waits.extend(descriptors_wait(&process));
    let busy: Vec<Value> = busy
        .iter()
        .map(|thread| json!({"name": thread.name, "busy": percent(thread.ran), "waits_for_core": percent(thread.waited)}))
        .collect();
    let waits: Vec<Value> = waits
        .iter()
        .map(|wait| json!({"who": wait.who, "cause": wait.cause, "count": wait.count, "text": wait.text}))
        .collect();
    let obstacles = stage.obstacles();
    let alarms: Vec<Value> = obstacles
        .iter()
        .map(|(name, text)| json!({"name": name, "text": text}))
        .collect();
    let mut status = brief(stage, directory);
    let more = json!({
        "node": node.name,
        "rabbitmq_version": node.rabbitmq_version,
        "durability": broker.store.durability().name(),
        "listeners": listeners(stage),
        "memory": {
            "resident_bytes": process.resident_bytes,
            "budget_bytes": broker.pool.bytes_budget(),
            "budget_used_bytes": broker.pool.bytes_used(),
        },
        "disk": disk(broker),
        "file_descriptors": {"open": process.open_files, "max": process.open_files_max},
        "alarms": alarms,
        "totals": totals(broker, &views),
        "rates": earlier.as_ref().map(|earlier| rates(&views.global, earlier)),
        "interval_ms": earlier.map(|earlier| earlier.elapsed().as_millis() as u64),
        "log": syncing.map(|syncing| syncing.value()),
        "threads": busy,
        "waits": waits,
    });
    if let (Value::Object(status), Value::Object(more)) = (&mut status, more) {
        status.extend(more);
    }
    status
}

fn listeners(stage: &Stage) -> Vec<Value> {
    let Some(serving) = stage.serving() else {
        return Vec::new();
    };
    let one = |protocol: &str, address: String| json!({"protocol": protocol, "address": address});
    let amqp = serving
        .addresses
        .iter()
        .map(|(protocol, address)| one(protocol.name(), address.to_string()));
    let unix = serving
        .unix_sockets
        .iter()
        .map(|path| one("amqp", path.display().to_string()));
    let http = serving
        .management
        .iter()
        .map(|address| one("http", address.to_string()));
    amqp.chain(unix).chain(http).collect()
}

fn disk(broker: &Broker) -> Value {
    let store = &broker.store;
    let (logs, spill) = (store.queues().counters(), store.spill().counters());
    let (checkpoints, last_ms) = broker.tallies.checkpoints();
    json!({
        "free_bytes": store.storage().free_bytes(store.directory()).ok(),
        "free_min_bytes": broker.limits.disk_free_min(),
        "log_bytes": logs.bytes_on_disk + spill.bytes_on_disk,
        "log_segments": logs.segments + spill.segments,
        "checkpoints": checkpoints,
        "checkpoint_age_ms": last_ms.map(|ms| now_ms().saturating_sub(ms)),
    })
}

fn totals(broker: &Broker, views: &Views) -> Value {
    let totals = QueueTotals::of(&views.queues);
    let channels: usize = views.links.iter().map(|link| link.channels.len()).sum();
    json!({
        "vhosts": broker.vhosts().len(),
        "connections": broker.connection_count(),
        "connections_max": broker.limits.connections_max(),
        "channels": channels,
        "queues": totals.queues,
        "consumers": totals.consumers,
        "messages": totals.messages(),
        "messages_ready": totals.ready,
        "messages_unacknowledged": totals.unsettled,
        "messages_dead": totals.dead,
        "messages_unconfirmed": unconfirmed(&views.links),
        "messages_ram": totals.in_memory,
        "messages_paged_out": totals.in_log_only,
        "oldest_message_age_ms": totals.oldest_ms.map(|ms| now_ms().saturating_sub(ms)),
    })
}

fn unconfirmed(links: &[LinkView]) -> u64 {
    let channels = links.iter().flat_map(|link| &link.channels);
    channels.map(|channel| channel.unconfirmed).sum()
}

fn rates(now: &GlobalCounts, earlier: &Earlier) -> Value {
    let then = earlier.global();
    let rate = |of: fn(&GlobalCounts) -> u64| (earlier.rate(of(then), of(now)) * 10.0).round() / 10.0;
    json!({
        "publish": rate(|counts| counts.received),
        "confirm": rate(|counts| counts.confirmed),
        "deliver": rate(GlobalCounts::delivered),
        "ack": rate(|counts| counts.acknowledged),
        "redeliver": rate(|counts| counts.redelivered),
        "return_unroutable": rate(|counts| counts.unroutable_returned),
        "drop_unroutable": rate(|counts| counts.unroutable_dropped),
        "connection_opened": rate(|counts| counts.connections_opened),
        "channel_opened": rate(|counts| counts.channels_opened),
    })
}

fn percent(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

/// What the log did between two looks.
struct Syncing {
    commits_per_s: f64,
    /// Of one commit, until it was as safe as its queues ask for.
    mean_us: u64,
    /// Of the time.
    share: f64,
}

impl Syncing {
    fn between(then: &HistogramView, now: &HistogramView, earlier: &Earlier) -> Syncing {
        let (commits, us) = (now.count() - then.count(), now.sum - then.sum);
        Syncing {
            commits_per_s: (earlier.rate(then.count(), now.count()) * 10.0).round() / 10.0,
            mean_us: us.checked_div(commits).unwrap_or(0),
            share: us as f64 / earlier.elapsed().as_micros().max(1) as f64,
        }
    }

    fn value(&self) -> Value {
        json!({"commits": self.commits_per_s, "sync_mean_us": self.mean_us, "syncing": percent(self.share)})
    }

    fn wait(&self, links: &[LinkView]) -> Option<Wait> {
        let count = unconfirmed(links) as usize;
        (self.share >= SYNCING && count > 0).then(|| Wait {
            who: "publishers",
            cause: "sync",
            count,
            text: format!(
                "messages wait for their confirm, and the disk syncs {} % of the time, {} µs for each of {} commits a second",
                percent(self.share),
                self.mean_us,
                self.commits_per_s
            ),
        })
    }
}

fn thread_wait(name: &str, ran: f64, waited: f64) -> Option<Wait> {
    // The others do nothing that a message waits for.
    if !(name.starts_with("reactor-") || name == "log") {
        return None;
    }
    let text = if waited >= CROWDED {
        let waited = percent(waited);
        format!(
            "thread {name} waited {waited} % of the time for a core, which other threads or processes had"
        )
    } else if ran >= BUSY {
        let ran = percent(ran);
        format!("thread {name} is busy {ran} % of the time: it does what one core can")
    } else {
        return None;
    };
    Some(Wait {
        who: "messages",
        cause: "processor",
        count: 1,
        text,
    })
}

/// This process. What is lent to look at it is in use: no connection may have it for long.
fn process(kept_back: &KeptBack) -> Process {
    kept_back.lend(|lent| {
        let mut process = Process::read();
        let all = process.open_files.map(|open| open + lent);
        // A connection may have taken one in between.
        process.open_files = all.min(process.open_files_max.or(all));
        process
    })
}

fn descriptors_wait(process: &Process) -> Option<Wait> {
    if process.open_files.is_none() && cfg!(target_os = "linux") {
        return Some(Wait {
            who: "clients",
            cause: "file_descriptors",
            count: 0,
            text: "no file descriptor is left to count them with: new connections are refused".to_owned(),
        });
    }
    let (open, max) = (process.open_files?, process.open_files_max?);
    (open as f64 >= max as f64 * DESCRIPTORS).then(|| Wait {
        who: "clients",
        cause: "file_descriptors",
        count: open as usize,
        text: format!(
            "{open} of {max} file descriptors are open: new connections are refused when there is none left"
        ),
    })
}
