//! The summary table for people.

use std::fmt::Write as _;
use std::path::Path;

use crate::churn::ChurnFigures;
use crate::conditions;
use crate::cost::Cost;
use crate::result::{LatencyUs, RunResult, Summary};
use crate::units::{bytes, count, latency_us, percent, rate};
use crate::verdict::{Check, Outcome};

const NOT_MEASURED: &str = "not measured";
const NONE: &str = "–";

/// The table of a run whose files lie in `directory`.
#[must_use]
pub fn table(run: &RunResult, directory: &Path) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, run, directory);
    out
}

fn write(out: &mut String, run: &RunResult, directory: &Path) -> std::fmt::Result {
    let summary = &run.summary;
    let server = if summary.server.is_empty() {
        "unnamed broker"
    } else {
        &summary.server
    };
    writeln!(
        out,
        "\n{}: {}",
        summary.scenario, run.effective_scenario.description
    )?;
    writeln!(
        out,
        "{server} ({}) · {} driver · {:.1} s measured · {}",
        summary.target,
        summary.driver.name(),
        summary.duration_s,
        run.environment.machine(),
    )?;
    writeln!(out, "{}", summary.describe_setting())?;
    if !summary.overrides.is_empty() {
        writeln!(out, "overridden: {}", summary.overrides.join(", "))?;
    }
    writeln!(out, "\n  {:<12}{:>12}{:>18}", "", "rate", "messages")?;
    writeln!(
        out,
        "  {:<12}{:>12}{:>18}",
        "published",
        rate(summary.publish_rate),
        count(summary.published)
    )?;
    writeln!(
        out,
        "  {:<12}{:>12}{:>18}",
        "consumed",
        rate(summary.consume_rate),
        count(summary.consumed)
    )?;
    write_latencies(out, summary)?;
    write_ledger(out, summary)?;
    write_faults(out, summary)?;
    write_churn(out, &summary.churn)?;
    write_usage(out, run)?;
    write_workers(out, summary)?;
    write_cost(out, &summary.cost)?;
    write_checks(out, &run.checks)?;
    writeln!(out, "\n  verdict: {}", summary.verdict.name().to_uppercase())?;
    for reason in &summary.reasons {
        writeln!(out, "    {reason}")?;
    }
    if summary.verdict == Outcome::Invalid {
        writeln!(
            out,
            "    an invalid run says nothing about the broker and enters no history"
        )?;
    }
    writeln!(out, "  files: {}", directory.display())
}

/// The generators that shared the run, one line each.
fn write_workers(out: &mut String, summary: &Summary) -> std::fmt::Result {
    for worker in &summary.workers {
        let cores = worker
            .cpu_cores
            .map_or_else(|| NOT_MEASURED.to_owned(), |cores| format!("{cores:.2} cores"));
        writeln!(
            out,
            "  worker      {}: {} producers, {} consumers · {} sent, {} received · {cores}",
            worker.name,
            worker.producers,
            worker.consumers,
            count(worker.published),
            count(worker.received),
        )?;
    }
    Ok(())
}

fn write_latencies(out: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(
        out,
        "\n  {:<12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>18}",
        "latency", "p50", "p90", "p99", "p99.9", "max", "count"
    )?;
    let mut row = |name: &str, latency: &Option<LatencyUs>| match latency {
        None => Ok(()),
        Some(it) => writeln!(
            out,
            "  {name:<12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>18}",
            latency_us(it.p50),
            latency_us(it.p90),
            latency_us(it.p99),
            latency_us(it.p99_9),
            latency_us(it.max),
            count(it.count),
        ),
    };
    row("response", &summary.latency_us)?;
    row("service", &summary.service_latency_us)?;
    row("confirm", &summary.confirm_latency_us)
}

fn write_ledger(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let ledger = &summary.ledger;
    if ledger.foreign > 0 {
        let foreign = count(ledger.foreign);
        return writeln!(
            out,
            "\n  ledger      judges nothing: {foreign} messages that others had sent were received"
        );
    }
    writeln!(
        out,
        "\n  ledger      lost {} · duplicated {} · redelivered {} · reordered {} · corrupt {} · of {} expected",
        count(ledger.lost),
        count(ledger.duplicated),
        count(ledger.redelivered),
        count(ledger.reordered),
        count(ledger.corrupt),
        count(ledger.expected),
    )?;
    if let (Some(confirmed), Some(unconfirmed)) = (ledger.confirmed_lost, ledger.unconfirmed_lost) {
        writeln!(
            out,
            "              confirmed and lost {} · sent before the end of a connection, neither confirmed nor received {}",
            count(confirmed),
            count(unconfirmed),
        )?;
    }
    for example in &ledger.examples {
        writeln!(out, "              {example}")?;
    }
    Ok(())
}

fn write_faults(out: &mut String, summary: &Summary) -> std::fmt::Result {
    if summary.faults.is_empty() {
        return Ok(());
    }
    let ms = |ms: Option<f64>| ms.map_or(NONE.into(), |ms| latency_us(ms * 1e3));
    let messages = |messages: Option<u64>| messages.map_or(NONE.into(), count);
    writeln!(
        out,
        "\n  {:<20}{:>10}{:>11}{:>15}{:>16}{:>16}{:>15}",
        "fault", "over", "connected", "first confirm", "first delivery", "worst response", "good response"
    )?;
    for fault in &summary.faults {
        writeln!(
            out,
            "  {:<20}{:>10}{:>11}{:>15}{:>16}{:>16}{:>15}",
            format!("{} at {:.3} s", fault.kind.name(), fault.at_s),
            ms(fault.ended_ms),
            ms(fault.connected_ms),
            ms(fault.first_confirm_ms),
            ms(fault.first_delivery_ms),
            ms(fault.response_worst_ms),
            ms(fault.response_good_ms),
        )?;
    }
    writeln!(
        out,
        "\n  {:<20}{:>10}{:>11}{:>15}{:>16}{:>31}",
        "", "at stake", "queued", "recovered", "repeated", "confirmed and lost"
    )?;
    for fault in &summary.faults {
        writeln!(
            out,
            "  {:<20}{:>10}{:>11}{:>15}{:>16}{:>31}",
            format!("{} at {:.3} s", fault.kind.name(), fault.at_s),
            messages(fault.at_stake),
            messages(fault.queued),
            messages(fault.recovered),
            messages(fault.repeated),
            messages(fault.confirmed_lost),
        )?;
    }
    writeln!(out)
}

fn write_churn(out: &mut String, churn: &[ChurnFigures]) -> std::fmt::Result {
    if churn.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n  {:<12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>18}",
        "churn", "p50", "p90", "p99", "p99.9", "max", "errors", "made of due"
    )?;
    for figures in churn {
        let took = |quantile: fn(&LatencyUs) -> f64| {
            let took = figures.took_us.as_ref();
            took.map_or(NONE.into(), |it| latency_us(quantile(it)))
        };
        writeln!(
            out,
            "  {:<12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>18}",
            figures.kind.name(),
            took(|it| it.p50),
            took(|it| it.p90),
            took(|it| it.p99),
            took(|it| it.p99_9),
            took(|it| it.max),
            count(figures.errors),
            format!("{} of {}", count(figures.made), count(figures.due)),
        )?;
        if let Some(error) = &figures.first_error {
            writeln!(out, "              first error: {error}")?;
        }
    }
    writeln!(out)
}

fn write_usage(out: &mut String, run: &RunResult) -> std::fmt::Result {
    let summary = &run.summary;
    let broker = &summary.broker;
    let mut broker_parts = Vec::new();
    if let (Some(all), Some(anon), Some(file)) = (
        broker.rss_bytes_max,
        broker.rss_anon_bytes_max,
        broker.rss_file_bytes_max,
    ) {
        let [all, anon, file] = [all, anon, file].map(|size| bytes(size as f64));
        broker_parts.push(format!("memory {all} at most ({anon} anonymous, {file} file)"));
    }
    broker_parts.extend(cpu(broker.cpu_cores, broker.cpu_us_per_message));
    if broker_parts.is_empty() {
        broker_parts.push(format!(
            "{NOT_MEASURED}: its process is not known (see --broker-pid), or the window was too short"
        ));
    }
    writeln!(out, "  broker      {}", broker_parts.join(" · "))?;
    let generator = &summary.generator;
    let mut parts: Vec<String> = cpu(generator.cpu_cores, generator.cpu_us_per_message)
        .into_iter()
        .collect();
    parts.extend(
        generator
            .messages_per_read
            .map(|messages| format!("{messages:.1} messages a read")),
    );
    parts.extend(
        generator
            .messages_per_write
            .map(|messages| format!("{messages:.1} a write")),
    );
    parts.extend(
        generator
            .schedule_lag_us_p99
            .map(|lag| format!("schedule lag p99 {}", latency_us(lag))),
    );
    if generator.unsent > 0 {
        parts.push(format!("{} due but never sent", count(generator.unsent)));
    }
    if run.saturated > 0 {
        parts.push(format!("{} latencies above 60 s", count(run.saturated)));
    }
    writeln!(out, "  generator   {}", parts.join(" · "))?;
    if let (Some(ceiling), Some(share)) = (&run.ceiling, generator.ceiling_share) {
        writeln!(
            out,
            "              {} of its ceiling for such a load, {} (calibrated {}, commit {})",
            percent(share),
            rate(ceiling.msgs_per_s),
            ceiling.measured,
            ceiling.commit,
        )?;
    }
    let share = |share: Option<f64>| share.map_or(NOT_MEASURED.into(), percent);
    let machine = &summary.machine;
    writeln!(
        out,
        "  machine     steal {} · other processes {}{}",
        share(machine.steal),
        share(machine.foreign_cpu),
        machine.hiccup_us.map_or(String::new(), |hiccup| format!(
            " · pauses p99 {}, at most {}",
            latency_us(hiccup.p99),
            latency_us(hiccup.max)
        )),
    )?;
    for warning in conditions::warnings(&run.conditions, run.environment.cores) {
        writeln!(out, "  warning     {warning}")?;
    }
    Ok(())
}

/// What a message cost the broker besides CPU time; nothing where nothing is known.
fn write_cost(out: &mut String, cost: &Cost) -> std::fmt::Result {
    let small = |value: f64| {
        if value == 0.0 || value >= 0.01 {
            format!("{value:.2}")
        } else {
            format!("{value:.1e}")
        }
    };
    let parts: Vec<String> = [
        (cost.broker_written_bytes, "bytes to disk"),
        (cost.broker_read_bytes, "bytes from disk"),
        (cost.broker_syscalls, "system calls"),
        (cost.broker_voluntary_switches, "voluntary and"),
        (cost.broker_involuntary_switches, "involuntary context switches"),
        (cost.broker_anonymous_bytes, "anonymous bytes of memory"),
    ]
    .into_iter()
    .filter_map(|(value, what)| Some(format!("{} {what}", small(value?))))
    .collect();
    if parts.is_empty() {
        return Ok(());
    }
    writeln!(out, "  a message   {}", parts.join(" · "))
}

fn cpu(cores: Option<f64>, us_per_message: Option<f64>) -> Option<String> {
    Some(format!(
        "{:.2} cores, {:.2} µs of CPU a message",
        cores?, us_per_message?
    ))
}

fn write_checks(out: &mut String, checks: &[Check]) -> std::fmt::Result {
    if checks.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  {:<24}{:>14}{:>14}", "target", "limit", "measured")?;
    for check in checks {
        let (name, sign, shown) = describe(&check.target);
        let mark = match check.passed {
            Some(true) => "PASS",
            Some(false) => "MISS",
            None => "not judged",
        };
        if let Some(compared) = &check.compared {
            writeln!(out, "  {}  ({compared})  {mark}", check.target)?;
            continue;
        }
        let limit = format!("{sign} {}", shown(check.limit));
        let measured = check.measured.map_or(NOT_MEASURED.into(), shown);
        writeln!(out, "  {name:<24}{limit:>14}{measured:>14}  {mark}")?;
    }
    Ok(())
}

/// Name, direction and unit of a target.
fn describe(target: &str) -> (&str, &'static str, fn(f64) -> String) {
    match target {
        "publish_rate_min" => ("publish rate", "≥", rate),
        "consume_rate_min" => ("consume rate", "≥", rate),
        "broker_rss_bytes_max" => ("broker memory", "≤", bytes),
        "broker_rss_anon_bytes_max" => ("broker anonymous memory", "≤", bytes),
        "schedule_lag_p99_us_max" => ("schedule lag p99", "≤", latency_us),
        "latency_p99_us_max" => ("response latency p99", "≤", latency_us),
        other => (other, "", |value| format!("{value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::tls;
    use crate::result::tests::run_result;

    #[test]
    fn the_table_shows_rates_latency_ledger_and_verdict() {
        let mut run = run_result("20p20c-latency");
        run.checks.push(Check {
            target: "consume_rate >= 0.9 * publish_rate".into(),
            limit: 225_000.0,
            measured: Some(250_000.0),
            passed: Some(true),
            compared: Some("250000 >= 225000".into()),
        });
        let table = table(&run, Path::new("results/runs/x"));
        let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [
            "published 250 k/s 15,000,000",
            "response 400 µs 561 µs 596 µs 600 µs 4.54 ms 100,000",
            "service 400 µs",
            "lost 0 · duplicated 0 · redelivered 0 · reordered 0 · corrupt 0 · of 15,000,000 expected",
            "response latency p99 ≤ 1.00 ms 596 µs PASS",
            "consume_rate >= 0.9 * publish_rate (250000 >= 225000) PASS",
            "schedule lag p99",
            "verdict: PASS",
            "files: results/runs/x",
        ] {
            assert!(table.contains(expected), "{expected} is not in\n{table}");
        }
        assert!(table.contains("transient messages · no confirms · broker durability: not stated"));
        assert!(!table.contains("TLS"), "{table}");
        assert!(!table.contains("confirm 4") && !table.contains("MISS ") && !table.contains("overridden"));
    }

    #[test]
    fn the_ceiling_has_a_line_and_warnings_only_where_something_is_suspicious() {
        let mut run = run_result("20p20c");
        run.conditions = conditions::Conditions::default();
        let calm = table(&run, Path::new("x"));
        assert!(
            calm.contains(
                "80.0 % of its ceiling for such a load, 2.00 M/s (calibrated 2026-11-23T22:04:05Z, commit 0123456)"
            ),
            "{calm}"
        );
        assert!(!calm.contains("warning"), "{calm}");
        (run.ceiling, run.summary.generator.ceiling_share) = (None, None);
        run.conditions.broker_major_faults = Some(7);
        let suspicious = table(&run, Path::new("x"));
        assert!(
            suspicious.contains("warning     the broker waited for a disk at 7 page faults"),
            "{suspicious}"
        );
        assert!(!suspicious.contains("ceiling"), "{suspicious}");
    }

    #[test]
    fn a_crash_shows_what_was_asked_for_and_how_the_broker_came_back() {
        let table = table(&run_result("crash"), Path::new("x"));
        let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [
            "persistent messages on durable queues · confirms, window 1,000 · broker durability: sync",
            "confirmed and lost 0 · sent before the end of a connection, neither confirmed nor received 17",
            "kill at 1.000 s 120 ms 140 ms 160 ms 150 ms – –",
            "kill at 1.000 s 600 1,000 700 300 0",
        ] {
            assert!(table.contains(expected), "{expected} is not in\n{table}");
        }
    }

    #[test]
    fn tls_is_told() {
        let mut run = run_result("20p20c");
        run.summary.tls = Some(tls("TLSv1.3"));
        let table = table(&run, Path::new("x"));
        assert!(
            table.contains("not stated · TLSv1.3, SUITE, verify_peer"),
            "{table}"
        );
    }

    #[test]
    fn what_is_wrong_stands_out() {
        let mut run = run_result("20p20c");
        run.summary.verdict = Outcome::Fail;
        run.summary.reasons = vec!["messages lost: 3".into()];
        run.summary.overrides = vec!["producers = 3".into()];
        run.summary.ledger.examples = vec!["producer 1 lost 17".into()];
        run.checks[0].passed = Some(false);
        run.checks[2].measured = None;
        run.checks[2].passed = None;
        let table = table(&run, Path::new("x"));
        for expected in [
            "FAIL",
            "messages lost: 3",
            "overridden: producers = 3",
            "producer 1 lost 17",
            "MISS",
            NOT_MEASURED,
        ] {
            assert!(table.contains(expected), "{expected} is not in\n{table}");
        }
    }
}
