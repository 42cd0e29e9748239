//! From what was measured to the figures of the summary.

use super::figures::{BrokerFigures, GeneratorFigures, LatencyUs, LedgerCounts, MachineFigures};
use super::run::Given;
use super::summary::{Summary, message_rate};
use crate::churn::ChurnFigures;
use crate::conductor::Conducted;
use crate::cost::Cost;
use crate::durability::Durability;
use crate::recovery;
use crate::scenario::Overridden;
use crate::usage::Usage;
use crate::verdict::Outcome;

/// The summary of a run that is still to be judged.
pub(super) fn sum_up(given: &Given<'_>, conducted: &Conducted, usage: Option<&Usage>) -> Summary {
    let Overridden { scenario, changes } = given.overridden;
    let recording = &conducted.recording;
    let per_second = |count: u64| {
        if recording.window_s > 0.0 {
            count as f64 / recording.window_s
        } else {
            0.0
        }
    };
    let publish_rate = per_second(recording.published_in_window);
    let consume_rate = per_second(recording.consumed_in_window);
    let message_rate = message_rate(scenario, publish_rate, consume_rate);
    let ceiling = given.ceiling.as_ref().map(|ceiling| ceiling.msgs_per_s);
    let cost = Cost::of(usage, message_rate, &recording.intervals);
    let broker = usage.and_then(|usage| usage.broker);
    let generator = usage.map(|usage| usage.generator);
    let per_call = |messages: u64, calls: u64| (calls > 0).then(|| messages as f64 / calls as f64);
    let ledger = &recording.ledger;
    let server = &recording.server;
    Summary {
        scenario: scenario.name.clone(),
        scenario_hash: scenario.hash(),
        overrides: changes.clone(),
        target: given.subject.name(),
        broker_commit: given.subject.commit(&given.environment.commit_short()),
        driver: scenario.driver,
        server: format!("{} {}", server.product, server.version)
            .trim()
            .to_string(),
        tls: recording.tls.clone(),
        durability: Durability::of(scenario, server),
        verdict: Outcome::Pass,
        reasons: Vec::new(),
        hopeless: conducted.hopeless.clone(),
        duration_s: recording.window_s,
        published: recording.published_in_window,
        consumed: recording.consumed_in_window,
        publish_rate,
        consume_rate,
        latency_us: LatencyUs::of(&recording.response),
        service_latency_us: LatencyUs::of(&recording.service),
        confirm_latency_us: recording.confirm.as_ref().and_then(LatencyUs::of),
        ledger: LedgerCounts {
            published: ledger.published,
            expected: ledger.expected,
            received: ledger.received,
            confirmed: ledger.confirmed,
            lost: ledger.lost,
            confirmed_lost: ledger.confirmed_lost,
            unconfirmed_lost: ledger.unconfirmed_lost,
            duplicated: ledger.duplicated,
            redelivered: ledger.redelivered,
            reordered: ledger.reordered,
            corrupt: ledger.corrupt,
            foreign: ledger.foreign,
            nacked: ledger.nacked,
            examples: ledger.first_examples.clone(),
        },
        faults: recovery::rows(&conducted.strikes, recording, conducted.started_ns),
        kills: Vec::new(),
        churn: recording.churn.iter().map(ChurnFigures::from).collect(),
        workers: recording.workers.clone(),
        broker: BrokerFigures {
            rss_anon_bytes_max: broker.map(|it| it.rss_anon_bytes_max),
            rss_file_bytes_max: broker.map(|it| it.rss_file_bytes_max),
            rss_bytes_max: broker.map(|it| it.rss_bytes_max),
            cpu_cores: broker.map(|it| it.cpu_cores),
            cpu_us_per_message: cost.broker_cpu_us,
        },
        generator: GeneratorFigures {
            cpu_cores: generator.map(|it| it.cpu_cores),
            cpu_us_per_message: cost.generator_cpu_us,
            schedule_lag_us_p99: LatencyUs::of(&recording.schedule_lag).map(|lag| lag.p99),
            unsent: recording.unsent,
            messages_per_read: per_call(ledger.received, recording.reads),
            messages_per_write: per_call(ledger.published, recording.writes),
            ceiling_msgs_per_s: ceiling,
            ceiling_share: ceiling.map(|ceiling| message_rate / ceiling),
        },
        machine: MachineFigures {
            steal: usage.map(|usage| usage.steal),
            foreign_cpu: usage.and_then(|usage| usage.foreign_cpu),
            hiccup_us: conducted.hiccups.window,
        },
        cost,
    }
}
