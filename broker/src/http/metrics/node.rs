//! The process, its limits and alarms.

use super::Scrape;
use super::exposition::{Exposition, Kind};
use crate::alarms::Alarm;
use crate::node::Node;
use crate::observe::{Process, now_ms};
use crate::tls::Expiry;

pub(super) fn write(scrape: &Scrape<'_>, out: &mut Exposition) {
    let broker = scrape.broker;
    let (node, process, store) = (Node::of(broker), Process::read(), &broker.store);
    let free = store.storage().free_bytes(store.directory()).ok();
    out.family(Kind::Gauge, "rabbitmq_build_info", "Versions; 1.")
        .sample(
            &[
                ("rabbitmq_version", &node.rabbitmq_version),
                ("product_name", &node.product_name),
                ("product_version", &node.product_version),
            ],
            1,
        );
    out.family(Kind::Gauge, "rabbitmq_identity_info", "Node and cluster; 1.")
        .sample(
            &[
                ("rabbitmq_node", &node.name),
                ("rabbitmq_cluster", &node.name),
                ("rabbitmq_cluster_permanent_id", &node.name),
                ("rabbitmq_endpoint", scrape.endpoint),
            ],
            1,
        );
    out.gauge_if(
        "rabbitmq_process_resident_memory_bytes",
        "Resident memory.",
        process.resident_bytes,
    );
    out.gauge(
        "rabbitmq_resident_memory_limit_bytes",
        "Memory above which publishers wait; 0 where there is no limit.",
        broker.alarms.memory_limit().unwrap_or(0),
    );
    out.gauge(
        "broker_memory_counted_bytes",
        "Resident memory without pages of files, which is what that limit is for.",
        broker.alarms.memory_used(),
    );
    out.gauge(
        "broker_parked_bytes",
        "Bytes of publishes that wait, and of what waits behind them.",
        broker.alarms.parked_bytes(),
    );
    out.family(
        Kind::Gauge,
        "broker_tls_certificate_not_after_seconds",
        "When the first certificate in a file of the broker's own ends: Unix time.",
    );
    for Expiry { path, not_after_s } in broker.tallies.certificates() {
        let file = path.display().to_string();
        out.sample(&[("certfile", &file)], not_after_s);
    }
    out.gauge_if(
        "rabbitmq_process_open_fds",
        "Open file descriptors.",
        process.open_files,
    );
    out.gauge_if(
        "rabbitmq_process_max_fds",
        "Limit of open file descriptors.",
        process.open_files_max,
    );
    out.gauge_if(
        "rabbitmq_disk_space_available_bytes",
        "Free space on the disk of the data directory.",
        free,
    );
    out.gauge(
        "rabbitmq_disk_space_available_limit_bytes",
        "Free space below which publishers wait.",
        broker.limits.disk_free_min(),
    );
    let flag = |alarm: bool| u8::from(alarm);
    let files_left = process
        .open_files_max
        .zip(process.open_files)
        .is_some_and(|(max, open)| open >= max);
    out.gauge(
        "rabbitmq_alarms_memory_used_watermark",
        "1 while publishers wait for memory.",
        flag(broker.alarms.is_short_of_memory()),
    );
    out.gauge(
        "rabbitmq_alarms_free_disk_space_watermark",
        "1 while publishers wait for disk space.",
        flag(broker.alarms.has(Alarm::Disk)),
    );
    out.gauge(
        "rabbitmq_alarms_file_descriptor_limit",
        "1 while no file can be opened.",
        flag(files_left),
    );
    out.gauge(
        "rabbitmq_erlang_uptime_seconds",
        "Time since the start; the name is RabbitMQ's.",
        scrape.stage.started.elapsed().as_secs(),
    );
    out.gauge_if("broker_threads", "Threads of the process.", process.threads);
    if let Some(us) = process.cpu_us {
        out.family(
            Kind::Counter,
            "broker_cpu_seconds_total",
            "CPU time of all threads that run.",
        )
        .sample(&[], us as f64 / 1e6);
    }
    out.gauge(
        "broker_memory_budget_bytes",
        "Memory budget for messages and buffers.",
        broker.pool.bytes_budget(),
    );
    out.gauge(
        "broker_memory_used_bytes",
        "What of it is used.",
        broker.pool.bytes_used(),
    );
    let pressed = broker.starved.is_pressed(&broker.pool);
    out.gauge(
        "broker_memory_pressed",
        "1 while queues spill because all memory is short.",
        flag(pressed),
    );
    out.gauge(
        "broker_log_failed",
        "1 once a write has failed: nothing is confirmed any more.",
        flag(store.poison_reason().is_some()),
    );
    out.family(
        Kind::Histogram,
        "broker_snapshot_seconds",
        "Time of one look at all queues and connections.",
    )
    .histogram(&[], &broker.tallies.snapshot_us.view(), 1e-6, (6, 22));
    let (checkpoints, last_ms) = broker.tallies.checkpoints();
    out.counter("broker_checkpoints_total", "Checkpoints written.", checkpoints);
    let age = last_ms.map(|ms| now_ms().saturating_sub(ms) as f64 / 1000.0);
    out.gauge_if(
        "broker_checkpoint_age_seconds",
        "Time since the last round of checkpoints.",
        age,
    );
}
