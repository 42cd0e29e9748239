//! Comma-separated values (RFC 4180): a run's series, a row a second, and the history, a row a run.
//!
//! Units stand in the columns' names. A value that was not measured is an empty field.

use std::fmt::Display;

use crate::history::Line;
use crate::live::{Interval, Quantiles};
use crate::result::LatencyUs;
use crate::sampler::Sample;

const SERIES_COLUMNS: &[&str] = &[
    "t_s",
    "length_s",
    "published",
    "confirmed",
    "consumed",
    "backlog",
    "response_count",
    "response_p50_us",
    "response_p90_us",
    "response_p99_us",
    "response_p99_9_us",
    "response_max_us",
    "service_p50_us",
    "service_p99_us",
    "service_max_us",
    "confirm_count",
    "confirm_p50_us",
    "confirm_p99_us",
    "confirm_max_us",
    "schedule_lag_p99_us",
    "broker_cpu_cores",
    "broker_rss_anon_bytes",
    "broker_rss_file_bytes",
    "generator_cpu_cores",
];

const HISTORY_COLUMNS: &[&str] = &[
    "id",
    "started",
    "seed",
    "commit",
    "modified",
    "cpu",
    "cores",
    "kernel",
    "scenario",
    "scenario_hash",
    "overrides",
    "target",
    "broker_commit",
    "driver",
    "server",
    "verdict",
    "reasons",
    "duration_s",
    "published",
    "consumed",
    "publish_rate_per_s",
    "consume_rate_per_s",
    "response_p50_us",
    "response_p90_us",
    "response_p99_us",
    "response_p99_9_us",
    "response_max_us",
    "response_count",
    "service_p99_us",
    "confirm_p99_us",
    "lost",
    "duplicated",
    "redelivered",
    "reordered",
    "corrupt",
    "broker_rss_anon_bytes_max",
    "broker_rss_bytes_max",
    "broker_cpu_cores",
    "broker_cpu_us_per_message",
    "generator_cpu_cores",
    "schedule_lag_p99_us",
];

/// The series of a run whose load began at `started_ns` on the clock of `samples`.
#[must_use]
pub fn series(intervals: &[Interval], samples: &[Sample], started_ns: u64) -> String {
    table(
        SERIES_COLUMNS,
        intervals.iter().map(|interval| {
            let to_ns = started_ns + (interval.t_s * 1e9) as u64;
            let from_ns = to_ns.saturating_sub((interval.length_s * 1e9) as u64);
            let used = used_between(samples, from_ns, to_ns);
            let broker = used.and_then(|(_, last, _)| last.broker);
            let Quantiles {
                count,
                p50_ns,
                p90_ns,
                p99_ns,
                p99_9_ns,
                max_ns,
            } = interval.response;
            let us = |count: u64, ns: u64| (count > 0).then(|| ns as f64 / 1e3);
            let (service, confirm, lag) = (interval.service, interval.confirm, interval.schedule_lag);
            vec![
                interval.t_s.to_string(),
                interval.length_s.to_string(),
                interval.published.to_string(),
                interval.confirmed.to_string(),
                interval.consumed.to_string(),
                interval.backlog.to_string(),
                count.to_string(),
                shown(us(count, p50_ns)),
                shown(us(count, p90_ns)),
                shown(us(count, p99_ns)),
                shown(us(count, p99_9_ns)),
                shown(us(count, max_ns)),
                shown(us(service.count, service.p50_ns)),
                shown(us(service.count, service.p99_ns)),
                shown(us(service.count, service.max_ns)),
                confirm.count.to_string(),
                shown(us(confirm.count, confirm.p50_ns)),
                shown(us(confirm.count, confirm.p99_ns)),
                shown(us(confirm.count, confirm.max_ns)),
                shown(us(lag.count, lag.p99_ns)),
                shown(used.and_then(|(first, last, seconds)| {
                    Some((last.broker?.cpu_s - first.broker?.cpu_s) / seconds)
                })),
                shown(broker.map(|it| it.rss_anon_bytes)),
                shown(broker.map(|it| it.rss_file_bytes)),
                shown(
                    used.map(|(first, last, seconds)| {
                        (last.generator.cpu_s - first.generator.cpu_s) / seconds
                    }),
                ),
            ]
        }),
    )
}

/// The first and the last sample within an interval, and the seconds between them.
fn used_between(samples: &[Sample], from_ns: u64, to_ns: u64) -> Option<(&Sample, &Sample, f64)> {
    let first = samples.partition_point(|sample| sample.at_ns < from_ns);
    let end = samples.partition_point(|sample| sample.at_ns <= to_ns);
    let (first, last) = (samples.get(first)?, samples.get(end.checked_sub(1)?)?);
    let seconds = last.at_ns.checked_sub(first.at_ns).filter(|ns| *ns > 0)? as f64 / 1e9;
    Some((first, last, seconds))
}

/// The history, oldest run first.
#[must_use]
pub fn history(lines: &[Line]) -> String {
    table(
        HISTORY_COLUMNS,
        lines.iter().map(|line| {
            let Line {
                environment, summary, ..
            } = line;
            let latency = |of: fn(&LatencyUs) -> f64| shown(summary.latency_us.as_ref().map(of));
            let p99 = |latency: Option<LatencyUs>| shown(latency.map(|latency| latency.p99));
            let (ledger, broker, generator) = (&summary.ledger, &summary.broker, &summary.generator);
            vec![
                line.id.clone(),
                line.started.clone(),
                line.seed.to_string(),
                environment.commit.clone(),
                environment.modified.to_string(),
                environment.cpu.clone(),
                environment.cores.to_string(),
                environment.kernel.clone(),
                summary.scenario.clone(),
                summary.scenario_hash.clone(),
                summary.overrides.join("; "),
                summary.target.clone(),
                shown(summary.broker_commit.as_ref()),
                summary.driver.name().to_owned(),
                summary.server.clone(),
                summary.verdict.name().to_owned(),
                summary.reasons.join("; "),
                summary.duration_s.to_string(),
                summary.published.to_string(),
                summary.consumed.to_string(),
                summary.publish_rate.to_string(),
                summary.consume_rate.to_string(),
                latency(|it| it.p50),
                latency(|it| it.p90),
                latency(|it| it.p99),
                latency(|it| it.p99_9),
                latency(|it| it.max),
                shown(summary.latency_us.map(|it| it.count)),
                p99(summary.service_latency_us),
                p99(summary.confirm_latency_us),
                ledger.lost.to_string(),
                ledger.duplicated.to_string(),
                ledger.redelivered.to_string(),
                ledger.reordered.to_string(),
                ledger.corrupt.to_string(),
                shown(broker.rss_anon_bytes_max),
                shown(broker.rss_bytes_max),
                shown(broker.cpu_cores),
                shown(broker.cpu_us_per_message),
                shown(generator.cpu_cores),
                shown(generator.schedule_lag_us_p99),
            ]
        }),
    )
}

fn shown(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns).expect("a Vec takes all bytes");
    for row in rows {
        writer
            .write_record(&row)
            .expect("every row has the header's columns");
    }
    let bytes = writer.into_inner().expect("a Vec takes all bytes");
    String::from_utf8(bytes).expect("all fields are text")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fixtures;
    use crate::result::tests::run_result;

    fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
        csv::Reader::from_reader(text.as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn a_series_has_a_row_a_second_with_what_the_processes_used_in_it() {
        let run = run_result("20p20c-latency");
        let rows = rows(&series(&run.intervals, &run.samples, run.started_ns));
        assert_eq!(rows.len(), run.intervals.len());
        let row = &rows[11];
        assert_eq!(row["t_s"], "12");
        assert_eq!(row["published"], run.intervals[11].published.to_string());
        let p99_us: f64 = row["response_p99_us"].parse().unwrap();
        assert_eq!(p99_us, run.intervals[11].response.p99_ns as f64 / 1e3);
        let cores: f64 = row["broker_cpu_cores"].parse().unwrap();
        assert!((cores - 0.85).abs() < 0.1, "{cores}");
        assert_eq!(row["confirm_p99_us"], "");
    }

    #[test]
    fn an_interval_without_samples_has_empty_fields() {
        let rows = rows(&series(&run_result("20p20c").intervals, &[], 0));
        assert_eq!(
            (
                rows[0]["broker_cpu_cores"].as_str(),
                rows[0]["broker_rss_anon_bytes"].as_str()
            ),
            ("", "")
        );
        let samples = fixtures::samples(3);
        assert!(used_between(&samples, 1, 2).is_none());
    }

    #[test]
    fn history_rows_survive_commas_and_quotes() {
        let mut run = run_result("20p20c");
        run.summary.overrides = vec!["producers = 3".into(), "a, \"b\"".into()];
        let rows = rows(&history(&[Line::from(&run), Line::from(&run_result("crash"))]));
        assert_eq!(rows[0]["overrides"], "producers = 3; a, \"b\"");
        assert_eq!(rows[0]["publish_rate_per_s"], "1600000");
        assert_eq!(rows[1]["scenario"], "crash");
        assert_eq!(
            rows[1]["response_count"],
            run_result("crash").summary.latency_us.unwrap().count.to_string()
        );
    }
}
