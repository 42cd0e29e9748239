//! Prometheus' text format, version 0.0.4, written by hand: a dozen lines of a stable format are no reason for a registry
//! of shared counters, which would have to be fed from the driver.

use std::fmt::{Display, Write as _};

use super::Posted;
use crate::live::Quantiles;

const PHASES: [&str; 6] = ["connect", "fill", "warm-up", "measure", "drain", "done"];

/// The content type that goes with it.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What stands on the board.
pub(super) fn text(posted: &Posted) -> String {
    let mut out = Exposition::default();
    let scenario = escape(&posted.scenario);
    out.family("loadgen_run_info", "gauge", "The scenario that runs.");
    out.sample("loadgen_run_info", &format!("scenario=\"{scenario}\""), 1);
    let Some(standing) = &posted.standing else {
        return out.0;
    };
    out.family("loadgen_phase", "gauge", "1 for the phase that the run is in.");
    for phase in PHASES {
        let is_in = u8::from(phase == standing.phase_name());
        out.sample("loadgen_phase", &format!("phase=\"{phase}\""), is_in);
    }
    let totals = &standing.totals;
    for (name, help, value) in [
        (
            "published",
            "Messages sent since the load began.",
            totals.published,
        ),
        (
            "confirmed",
            "Messages that the broker confirmed.",
            totals.confirmed,
        ),
        ("consumed", "Distinct deliveries received.", totals.consumed),
        ("acked", "Deliveries acknowledged.", totals.acked),
        (
            "faults",
            "Deliveries duplicated, reordered or corrupt, and messages refused.",
            standing.harm,
        ),
        (
            "injected_faults",
            "Faults that the scenario asked for and that were made.",
            standing.faults as u64,
        ),
    ] {
        let name = format!("loadgen_{name}_total");
        out.family(&name, "counter", help);
        out.sample(&name, "", value);
    }
    if let Some(last) = &standing.last {
        out.gauge(
            "loadgen_backlog",
            "Deliveries owed at the end of the last second.",
            last.backlog,
        );
        for (name, help, quantiles) in [
            (
                "response",
                "From the intended send instant to the delivery, of the last second.",
                &last.response,
            ),
            (
                "service",
                "From the actual send instant to the delivery, of the last second.",
                &last.service,
            ),
            (
                "confirm",
                "From the send to the confirm, of the last second.",
                &last.confirm,
            ),
            (
                "schedule_lag",
                "From the intended send instant to the actual one, of the last second.",
                &last.schedule_lag,
            ),
        ] {
            out.latency(name, help, quantiles);
        }
    }
    if let Some(usage) = &standing.usage {
        let cores = "Cores kept busy in the last second.";
        out.gauge("loadgen_generator_cpu_cores", cores, usage.generator_cpu_cores);
        if let Some(broker) = usage.broker_cpu_cores {
            out.gauge("loadgen_broker_cpu_cores", cores, broker);
        }
        let kinds = [
            ("anonymous", usage.broker_rss_anon_bytes),
            ("file", usage.broker_rss_file_bytes),
        ];
        if kinds.iter().any(|(_, bytes)| bytes.is_some()) {
            out.family(
                "loadgen_broker_resident_bytes",
                "gauge",
                "Resident memory of the broker.",
            );
            for (kind, bytes) in kinds {
                if let Some(bytes) = bytes {
                    out.sample(
                        "loadgen_broker_resident_bytes",
                        &format!("kind=\"{kind}\""),
                        bytes,
                    );
                }
            }
        }
    }
    out.0
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    /// Quantiles of one second are gauges: a summary's would have to be of all time.
    fn latency(&mut self, name: &str, help: &str, quantiles: &Quantiles) {
        if quantiles.count == 0 {
            return;
        }
        let name = format!("loadgen_{name}_seconds");
        self.family(&name, "gauge", help);
        for (quantile, ns) in [
            ("0.5", quantiles.p50_ns),
            ("0.9", quantiles.p90_ns),
            ("0.99", quantiles.p99_ns),
            ("0.999", quantiles.p99_9_ns),
            ("1", quantiles.max_ns),
        ] {
            self.sample(&name, &format!("quantile=\"{quantile}\""), ns as f64 / 1e9);
        }
    }
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::standing;

    fn posted() -> Posted {
        Posted {
            scenario: "a\"b".into(),
            standing: Some(standing()),
        }
    }

    #[test]
    fn every_sample_belongs_to_the_family_announced_before_it() {
        let text = text(&posted());
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(name.split('{').next().unwrap(), family);
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn says_what_the_standing_says() {
        let text = text(&posted());
        for expected in [
            "loadgen_run_info{scenario=\"a\\\"b\"} 1",
            "loadgen_phase{phase=\"measure\"} 1",
            "loadgen_phase{phase=\"drain\"} 0",
            "loadgen_published_total 33000000",
            "loadgen_backlog 3998",
            "loadgen_response_seconds{quantile=\"0.99\"} 0.00144",
            "loadgen_schedule_lag_seconds{quantile=\"0.99\"} 0.000012",
            "loadgen_broker_resident_bytes{kind=\"anonymous\"} 39845888",
        ] {
            assert!(
                text.lines().any(|line| line == expected),
                "{expected} is not in\n{text}"
            );
        }
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let mut posted = posted();
        if let Some(standing) = &mut posted.standing {
            (standing.last, standing.usage) = (None, None);
        }
        let text = text(&posted);
        assert!(!text.contains("seconds") && !text.contains("broker_resident"));
        assert_eq!(super::text(&Posted::default()).lines().count(), 3);
    }
}
