//! What all connections together have done.

use super::Scrape;
use super::exposition::{Exposition, Kind};
use crate::observe::{LoginProtocol, Stage, limited, overview};

/// Both are the same queue here; RabbitMQ's dashboards expect the label.
const QUEUE_TYPE: (&str, &str) = ("queue_type", "rabbit_classic_queue");
const PROTOCOL: (&str, &str) = ("protocol", "amqp091");

pub(super) fn write(scrape: &Scrape<'_>, out: &mut Exposition) {
    let overview = overview(scrape.broker);
    let counts = overview.counts;
    for (name, help, value) in [
        (
            "rabbitmq_global_messages_received_total",
            "Messages received from publishers.",
            counts.received,
        ),
        (
            "rabbitmq_global_messages_received_confirm_total",
            "Messages received that are to be confirmed.",
            counts.received_confirm,
        ),
        (
            "rabbitmq_global_messages_confirmed_total",
            "Messages confirmed to publishers.",
            counts.confirmed,
        ),
        (
            "rabbitmq_global_messages_routed_total",
            "Messages routed to queues, once for each queue.",
            counts.routed,
        ),
        (
            "rabbitmq_global_messages_unroutable_dropped_total",
            "Messages without a queue that were dropped.",
            counts.unroutable_dropped,
        ),
        (
            "rabbitmq_global_messages_unroutable_returned_total",
            "Messages without a queue that went back.",
            counts.unroutable_returned,
        ),
    ] {
        out.family(Kind::Counter, name, help).sample(&[PROTOCOL], value);
    }
    for (name, help, value) in [
        (
            "rabbitmq_global_messages_delivered_total",
            "Messages delivered or got.",
            counts.delivered(),
        ),
        (
            "rabbitmq_global_messages_delivered_consume_auto_ack_total",
            "Messages delivered that need no acknowledgement.",
            counts.delivered_auto,
        ),
        (
            "rabbitmq_global_messages_delivered_consume_manual_ack_total",
            "Messages delivered that need one.",
            counts.delivered_manual,
        ),
        (
            "rabbitmq_global_messages_delivered_get_auto_ack_total",
            "Messages got that need no acknowledgement.",
            counts.got_auto,
        ),
        (
            "rabbitmq_global_messages_delivered_get_manual_ack_total",
            "Messages got that need one.",
            counts.got_manual,
        ),
        (
            "rabbitmq_global_messages_get_empty_total",
            "Gets that found nothing.",
            counts.got_empty,
        ),
        (
            "rabbitmq_global_messages_redelivered_total",
            "Messages delivered or got that had been delivered before.",
            counts.redelivered,
        ),
        (
            "rabbitmq_global_messages_acknowledged_total",
            "Messages acknowledged.",
            counts.acknowledged,
        ),
    ] {
        out.family(Kind::Counter, name, help)
            .sample(&[PROTOCOL, QUEUE_TYPE], value);
    }
    write_logins(scrape, out);
    write_dead_letters(scrape, out);
    write_limits(scrape, out);
    write_objects(scrape, out);
    for (name, help, value) in [
        (
            "broker_publish_pauses_total",
            "Times that a connection was not read for a while because it published more than it may.",
            counts.publish_pauses,
        ),
        (
            "broker_write_timeouts_total",
            "Connections given up because their peer took nothing.",
            counts.write_timeouts,
        ),
        (
            "broker_incoming_bytes_total",
            "Bytes read from clients' sockets.",
            counts.bytes_in,
        ),
        (
            "broker_socket_reads_total",
            "Socket calls that read something.",
            counts.reads,
        ),
        (
            "broker_reactor_turns_total",
            "Turns of the reactors' dispatchers.",
            counts.turns,
        ),
        (
            "broker_route_lookups_total",
            "Routes looked up because a channel did not remember them.",
            counts.route_lookups,
        ),
    ] {
        out.counter(name, help, value);
    }
    out.family(
        Kind::Histogram,
        "broker_stage_seconds",
        "Where one message in 1024 has spent its time, and how long one look-up of a route in 16 took.",
    );
    for stage in Stage::ALL {
        let view = scrape.broker.tallies.stages.histogram(stage).view();
        out.histogram(&[("stage", stage.name())], &view, 1e-6, (0, 26));
    }
}

/// What is counted against limits: an alert can be one line for all of them.
fn write_limits(scrape: &Scrape<'_>, out: &mut Exposition) {
    let all = limited(scrape.broker);
    out.family(
        Kind::Gauge,
        "broker_limited_used",
        "How many there are of what may be limited.",
    );
    for row in all {
        out.sample(&[("what", row.name)], row.used);
    }
    out.family(
        Kind::Gauge,
        "broker_limited_max",
        "How many there may be, where that is limited.",
    );
    for row in all {
        if let Some(max) = row.max {
            out.sample(&[("what", row.name)], max);
        }
    }
}

fn write_logins(scrape: &Scrape<'_>, out: &mut Exposition) {
    let of = |protocol| scrape.broker.tallies.logins(protocol).counts();
    let (amqp, http) = (of(LoginProtocol::Amqp), of(LoginProtocol::Http));
    for (name, help, values) in [
        (
            "rabbitmq_auth_attempts_total",
            "Logins that were tried.",
            [amqp, http].map(|(succeeded, failed)| succeeded + failed),
        ),
        (
            "rabbitmq_auth_attempts_succeeded_total",
            "Logins that succeeded.",
            [amqp.0, http.0],
        ),
        (
            "rabbitmq_auth_attempts_failed_total",
            "Logins that were refused.",
            [amqp.1, http.1],
        ),
    ] {
        out.family(Kind::Counter, name, help)
            .sample(&[PROTOCOL], values[0])
            .sample(&[("protocol", "http")], values[1]);
    }
}

fn write_dead_letters(scrape: &Scrape<'_>, out: &mut Exposition) {
    let dead = scrape.broker.tallies.dead_letters();
    // Every queue's letters stay until they are safe where they went.
    let labels = [QUEUE_TYPE, ("dead_letter_strategy", "at_least_once")];
    for (name, help, value) in [
        (
            "rabbitmq_global_messages_dead_lettered_expired_total",
            "Messages dead-lettered because they were too old.",
            dead.expired,
        ),
        (
            "rabbitmq_global_messages_dead_lettered_rejected_total",
            "Messages dead-lettered because a consumer rejected them.",
            dead.rejected,
        ),
        (
            "rabbitmq_global_messages_dead_lettered_maxlen_total",
            "Messages dead-lettered because there were too many.",
            dead.max_length,
        ),
        (
            "rabbitmq_global_messages_dead_lettered_delivery_limit_total",
            "Messages dead-lettered because they came back too often.",
            dead.delivery_limit,
        ),
    ] {
        out.family(Kind::Counter, name, help).sample(&labels, value);
    }
}

fn write_objects(scrape: &Scrape<'_>, out: &mut Exposition) {
    let overview = overview(scrape.broker);
    let counts = overview.counts;
    let (created, deleted) = scrape.broker.tallies.queues();
    let channels = || scrape.links.iter().flat_map(|link| &link.channels);
    let publishers = channels().filter(|channel| channel.published > 0).count();
    let consumers: u64 = scrape.queues.iter().map(|queue| queue.consumers).sum();
    out.family(
        Kind::Gauge,
        "rabbitmq_global_publishers",
        "Channels that have published.",
    )
    .sample(&[PROTOCOL], publishers);
    out.family(Kind::Gauge, "rabbitmq_global_consumers", "Consumers.")
        .sample(&[PROTOCOL], consumers);
    out.gauge("rabbitmq_connections", "Connections.", overview.connections);
    out.gauge("rabbitmq_channels", "Channels.", channels().count());
    out.gauge("rabbitmq_consumers", "Consumers.", consumers);
    out.gauge("rabbitmq_queues", "Queues.", scrape.queues.len());
    for (name, help, value) in [
        (
            "rabbitmq_connections_opened_total",
            "Connections that have opened a virtual host.",
            counts.connections_opened,
        ),
        (
            "rabbitmq_connections_closed_total",
            "Those among them that have ended.",
            counts.connections_closed,
        ),
        (
            "rabbitmq_channels_opened_total",
            "Channels opened.",
            counts.channels_opened,
        ),
        (
            "rabbitmq_channels_closed_total",
            "Channels closed.",
            counts.channels_closed,
        ),
        (
            "rabbitmq_queues_declared_total",
            "Queue declarations by clients.",
            counts.queues_declared,
        ),
        ("rabbitmq_queues_created_total", "Queues created.", created),
        ("rabbitmq_queues_deleted_total", "Queues deleted.", deleted),
    ] {
        out.counter(name, help, value);
    }
    let pending: usize = scrape.links.iter().map(|link| link.pending_bytes).sum();
    let sent: u64 = scrape.links.iter().map(|link| link.bytes_out).sum();
    let blocked: u64 = scrape.links.iter().map(|link| link.observed.blocked.get()).sum();
    let throttled: u64 = scrape
        .links
        .iter()
        .map(|link| link.observed.throttled.get())
        .sum();
    let oldest = scrape
        .links
        .iter()
        .map(|link| link.observed.oldest_unsettled_s.get());
    out.gauge(
        "broker_outbox_bytes",
        "Bytes that wait for clients' sockets.",
        pending,
    );
    out.gauge(
        "broker_unacked_bytes",
        "Bytes of deliveries that are not settled, on connections that are open now.",
        scrape.links.iter().map(|link| link.unacked_bytes).sum::<u64>(),
    );
    out.gauge(
        "broker_outgoing_bytes",
        "Bytes written to connections that are open now.",
        sent,
    );
    out.gauge(
        "broker_connections_blocked",
        "Connections whose publishes wait for room.",
        blocked,
    );
    out.gauge(
        "broker_connections_throttled",
        "Connections that publish more than they may, as of the last seconds.",
        throttled,
    );
    out.gauge(
        "broker_oldest_unacked_age_seconds",
        "Age of the oldest delivery that is not settled, to the second.",
        oldest.max().unwrap_or(0),
    );
}
