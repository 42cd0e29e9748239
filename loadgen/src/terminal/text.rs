//! The plain line: one for each phase and every few seconds, for logs.

use super::standing::Standing;
use crate::control::Phase;
use crate::units::{count, latency_us, rate};

/// `12 / 60 s`, or `4,000,000 / 10,000,000 in 12 s`.
pub(super) fn clock(standing: &Standing) -> String {
    let elapsed_s = standing.elapsed.as_secs_f64();
    match standing.goal {
        Some((done, of)) => format!("{} / {} in {elapsed_s:.0} s", count(done), count(of)),
        None => format!("{elapsed_s:.0} / {:.0} s", standing.length.as_secs_f64()),
    }
}

/// `12 / 60 s · 1.62 M/s sent · 1.60 M/s received · p50 480 µs · p99 1.44 ms · backlog 3,998`
pub(super) fn line(standing: &Standing) -> String {
    if standing.phase == Phase::Connect {
        return "connections and queues".into();
    }
    let clock = clock(standing);
    let Some(last) = &standing.last else { return clock };
    if standing.phase == Phase::Drain {
        let totals = &standing.totals;
        return format!(
            "{clock} · {} sent, {} received",
            count(totals.published),
            count(totals.consumed)
        );
    }
    let per_second = |messages: u64| rate(messages as f64 / last.length_s.max(1e-3));
    let mut parts = vec![
        clock,
        format!("{} sent", per_second(last.published)),
        format!("{} received", per_second(last.consumed)),
    ];
    if last.response.count > 0 {
        let us = |ns: u64| latency_us(ns as f64 / 1e3);
        parts.push(format!(
            "p50 {} · p99 {}",
            us(last.response.p50_ns),
            us(last.response.p99_ns)
        ));
    }
    parts.push(format!("backlog {}", count(last.backlog)));
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::super::standing::tests::standing;
    use super::*;

    #[test]
    fn a_line_says_how_fast_and_how_late() {
        let mut standing = standing();
        let expected =
            "12 / 60 s · 1.62 M/s sent · 1.60 M/s received · p50 480 µs · p99 1.44 ms · backlog 3,998";
        assert_eq!(line(&standing), expected);
        standing.goal = Some((4_000_000, 10_000_000));
        assert!(line(&standing).starts_with("4,000,000 / 10,000,000 in 12 s · 1.62 M/s sent"));
        standing.goal = None;
        standing.phase = Phase::Drain;
        assert_eq!(
            line(&standing),
            "12 / 60 s · 33,000,000 sent, 32,996,002 received"
        );
        standing.phase = Phase::Connect;
        assert_eq!(line(&standing), "connections and queues");
    }
}
