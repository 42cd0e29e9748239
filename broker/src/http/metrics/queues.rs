//! Queues: their sums, or each by itself.

use super::Scrape;
use super::exposition::{Exposition, Kind};
use crate::observe::{QueueTotals, QueueView, now_ms};

/// A figure that each queue has, and their sum.
type Figure = (Kind, &'static str, &'static str, fn(&QueueView) -> u64);

const FIGURES: [Figure; 12] = [
    (
        Kind::Gauge,
        "rabbitmq_queue_messages_ready",
        "Messages that wait for a consumer.",
        |q| q.ready,
    ),
    (
        Kind::Gauge,
        "rabbitmq_queue_messages_unacked",
        "Messages delivered and not settled.",
        |q| q.unsettled,
    ),
    (
        Kind::Gauge,
        "rabbitmq_queue_messages",
        "Messages of all kinds.",
        QueueView::messages,
    ),
    (
        Kind::Gauge,
        "rabbitmq_queue_messages_ram",
        "Messages in memory.",
        |q| q.in_memory,
    ),
    (
        Kind::Gauge,
        "rabbitmq_queue_messages_ram_bytes",
        "Bytes of messages in memory.",
        |q| q.memory_bytes,
    ),
    (
        Kind::Gauge,
        "rabbitmq_queue_messages_paged_out",
        "Messages in the log only.",
        |q| q.in_log_only,
    ),
    (
        Kind::Counter,
        "rabbitmq_queue_messages_published_total",
        "Messages published into queues that are there.",
        |q| q.published,
    ),
    (Kind::Gauge, "rabbitmq_queue_consumers", "Consumers.", |q| {
        q.consumers
    }),
    (
        Kind::Gauge,
        "rabbitmq_queue_process_memory_bytes",
        "Memory that rings and what was read back hold.",
        |q| q.held_bytes,
    ),
    (
        Kind::Counter,
        "rabbitmq_queue_disk_reads_total",
        "Stretches read from the log.",
        |q| q.counts.cold_reads,
    ),
    (
        Kind::Gauge,
        "broker_queue_messages_dead",
        "Messages on their way to a dead-letter exchange.",
        |q| q.dead,
    ),
    (
        Kind::Gauge,
        "broker_queue_publishers_waiting",
        "Publishers that wait for room.",
        |q| q.publishers_waiting,
    ),
];

/// The sums.
pub(super) fn write_totals(scrape: &Scrape<'_>, out: &mut Exposition) {
    for (kind, name, help, figure) in FIGURES {
        let sum: u64 = scrape.queues.iter().map(figure).sum();
        out.family(kind, name, help).sample(&[], sum);
    }
    write_extremes(scrape, out);
}

/// The queues, by virtual host and name, as far as the limit allows; the sums of `broker_…` that have no place there.
pub(super) fn write_each(scrape: &Scrape<'_>, out: &mut Exposition) {
    let mut queues: Vec<(String, &QueueView)> = scrape
        .queues
        .iter()
        .filter_map(|view| Some((view.queue.vhost()?.name().to_owned(), view)))
        .collect();
    queues.sort_by(|one, other| (&one.0, one.1.queue.name()).cmp(&(&other.0, other.1.queue.name())));
    let told = queues.len().min(scrape.stage.config.metrics_queues_max);
    let left_out = queues.len() - told;
    queues.truncate(told);
    for (kind, name, help, figure) in FIGURES {
        out.family(kind, name, help);
        for (vhost, view) in &queues {
            out.sample(&labels(vhost, view), figure(view));
        }
    }
    out.family(
        Kind::Gauge,
        "broker_queue_ring_fill_ratio",
        "Share of the ring in use.",
    );
    for (vhost, view) in &queues {
        out.sample(&labels(vhost, view), view.fill);
    }
    out.family(
        Kind::Gauge,
        "broker_queue_oldest_message_age_seconds",
        "Age of the oldest message that is not settled.",
    );
    for (vhost, view) in &queues {
        if let Some(ms) = view.oldest_ms {
            out.sample(&labels(vhost, view), age_s(ms));
        }
    }
    out.gauge(
        "broker_metrics_queues_left_out",
        "Queues beyond --metrics-queues-max.",
        left_out,
    );
    write_extremes(scrape, out);
}

fn labels<'a>(vhost: &'a str, view: &'a QueueView) -> [(&'static str, &'a str); 2] {
    [("vhost", vhost), ("queue", view.queue.name())]
}

fn write_extremes(scrape: &Scrape<'_>, out: &mut Exposition) {
    let totals = QueueTotals::of(&scrape.queues);
    out.gauge(
        "broker_ring_fill_ratio_max",
        "Fill of the fullest ring, 0 to 1.",
        totals.fill_max,
    );
    out.gauge(
        "broker_oldest_message_age_seconds",
        "Age of the oldest message that is not settled; 0 where there is none.",
        totals.oldest_ms.map_or(0.0, age_s),
    );
}

fn age_s(published_ms: u64) -> f64 {
    now_ms().saturating_sub(published_ms) as f64 / 1000.0
}
